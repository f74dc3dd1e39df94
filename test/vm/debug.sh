# The debug kernel: linux-source-6.1 with the options of debug.config.  Built once
# for a configuration and a version of the source; that takes 6 to 15 minutes.

DEBUG_PACKAGES=(linux-source-6.1 bc bison flex libelf-dev libssl-dev)
# Beside the caches of the guests, because it outlives them.
DEBUG_CACHE=${PHYSRING_KERNEL_CACHE:-$HOME/.cache/physring}

# What the build left that modules and guests need.
debug_kernel_is_built() {
	[ -e "$1/arch/x86/boot/bzImage" ] && [ -e "$1/Module.symvers" ] && [ -e "$1/complete" ]
}

# build_debug_kernel DIRECTORY
build_debug_kernel() {
	local tree=$1 log=$1.log
	rm -rf "$tree"
	mkdir -p "$tree"
	tar -x -C "$tree" --strip-components=1 -f /usr/src/linux-source-6.1.tar.xz
	make -s -C "$tree" tinyconfig
	(cd "$tree" && scripts/kconfig/merge_config.sh -m .config "$VM_DIR/debug.config") >"$log"
	make -s -C "$tree" olddefconfig
	check_debug_config "$tree/.config" || return 1
	if ! make -C "$tree" -j"$(nproc)" bzImage modules >>"$log" 2>&1; then
		tail -20 "$log" >&2
		return 1
	fi
	touch "$tree/complete"
}

# An option that a dependency switched off would make the run prove less.
check_debug_config() {
	local option missing=0
	while read -r option; do
		case $option in
		*=n) ! grep -q "^${option%=n}=y" "$1" || missing=1 ;;
		*) grep -qx "$option" "$1" || { echo "debug.config: $option was not taken" >&2; missing=1; } ;;
		esac
	done < <(grep '^CONFIG' "$VM_DIR/debug.config")
	[ $missing = 0 ]
}

# prepare_debug: sets RELEASE, HEADERS and KERNEL_IMAGE.
prepare_debug() {
	local version key tree
	version=$(dpkg-query -W -f '${Version}' linux-source-6.1)
	key=$(echo "$version" | cat - "$VM_DIR/debug.config" | sha256sum | cut -c1-12)
	tree=$DEBUG_CACHE/kernel-debug-$key
	mkdir -p "$DEBUG_CACHE"
	if ! debug_kernel_is_built "$tree"; then
		echo "# building the debug kernel in $tree; its log is $tree.log"
		build_debug_kernel "$tree"
	fi
	HEADERS=$tree
	# All that a guest needs is built in.
	IMAGE=
	RELEASE=$(make -s -C "$tree" kernelrelease)
	KERNEL_IMAGE=$tree/arch/x86/boot/bzImage
}
