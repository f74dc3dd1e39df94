# Builds for one target: the module, the guest programs, the initial ram disk.

GUEST_PROGRAMS=(abi memattr devbuf matrix vma hold edu dmabuf physical large fuzz manage anonymous doorbell adopt inject)
GUEST_MODULES=(virtio_pci 9pnet_virtio 9p brd)
BUN_LIBRARIES=(libc.so.6 libpthread.so.0 libdl.so.2 libm.so.6)

# make_module NAME KERNEL_SRC...: quiet if clean; a warning is a failure.
make_module() {
	local name=$1 log=$BUILD/$1.log
	shift
	if ! make -j"$(nproc)" -C "$HEADERS" M="$BUILD/$name" "$@" modules >"$log" 2>&1; then
		cat "$log" >&2
		return 1
	fi
	if grep -E 'warning|error' "$log" | grep -v 'BTF generation'; then
		echo "not ok $target build: $name has warnings"
		failed=$((failed + 1))
	else
		echo "ok $target build: $name is clean with W=1 and sparse"
		passed=$((passed + 1))
	fi
}

build_modules() {
	local name
	mkdir -p "$BUILD"
	# In a copy, because the project is not written to; every file anew, because
	# sparse only sees what is compiled.
	rm -rf "$BUILD/kmod" "$BUILD/importer"
	cp -r "$PROJECT/kmod" "$BUILD/kmod"
	cp -r "$VM_DIR/guest/importer" "$BUILD/importer"
	find "$BUILD/kmod" "$BUILD/importer" \( -name '*.o' -o -name '.*.cmd' -o -name '*.ko' \
		-o -name '*.mod*' -o -name probed.h \) -delete
	make_module kmod CONFIG_U_DMA_BUF=m W=1 C=2 CF=-Wcontext "${MAKE_ARCH[@]}"
	make_module importer KBUILD_EXTRA_SYMBOLS="$BUILD/kmod/Module.symvers" "${MAKE_ARCH[@]}"
}

# The kernel's own style checker comes with its source only; taken out of it once.
CHECKPATCH_SOURCE=/usr/src/linux-source-6.1.tar.xz

checkpatch_module() {
	local directory files
	if ! [ -e "$CHECKPATCH_SOURCE" ]; then
		echo "SKIPPED $target checkpatch: it is in the package linux-source-6.1"
		skipped=$((skipped + 1))
		return 0
	fi
	directory=$CACHE/checkpatch-$(dpkg-query -W -f '${Version}' linux-source-6.1)
	if ! [ -e "$directory/complete" ]; then
		mkdir -p "$directory"
		tar -x -f "$CHECKPATCH_SOURCE" -C "$directory" --strip-components=2 --wildcards \
			'*/scripts/checkpatch.pl' '*/scripts/spelling.txt' '*/scripts/const_structs.checkpatch'
		touch "$directory/complete"
	fi
	files=("$PROJECT"/kmod/*.[ch] "$PROJECT"/kmod/uapi/*.h "$VM_DIR"/guest/importer/*.c)
	# The modes of the sync files are those of u-dma-buf.
	if perl "$directory/checkpatch.pl" --no-tree --terse --no-summary --quiet \
		--ignore DEVICE_ATTR_PERMS --file "${files[@]}"; then
		echo "ok $target build: checkpatch has no remarks"
		passed=$((passed + 1))
	else
		echo "not ok $target build: checkpatch has remarks"
		failed=$((failed + 1))
	fi
}

build_programs() {
	local name
	for name in "${GUEST_PROGRAMS[@]}"; do
		"${TARGET_CC[@]}" -O2 -Wall -Wextra -Werror -static -pthread -I"$PROJECT/kmod/uapi" \
			-o "$BUILD/root/guest/$name" "$VM_DIR/guest/$name.c"
	done
}

# The kernel's own modules in the order of loading.
copy_kernel_modules() {
	local module path file
	for module in "${GUEST_MODULES[@]}"; do
		modprobe -d "$IMAGE" -S "$RELEASE" --show-depends "$module" |
			sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | awk '!seen[$0]++' | while read -r path; do
		file=$(basename "$path")
		case $file in
		*.xz)
			file=${file%.xz}
			xz -dc "$path" >"$BUILD/root/modules/$file"
			;;
		*) cp "$path" "$BUILD/root/modules/" ;;
		esac
		echo "$file"
	done >"$BUILD/root/modules/order"
}

# Bun itself comes over 9p; its libraries are small enough to be carried along.
copy_bun() {
	local library
	[[ $1 == x86_64-* ]] || return 0
	BUN=$(bun_binary) || return 0
	basename "$BUN" >"$BUILD/root/bun-name"
	mkdir -p "$BUILD/root/lib64" "$BUILD/root/lib/x86_64-linux-gnu"
	cp -L /lib64/ld-linux-x86-64.so.2 "$BUILD/root/lib64/"
	for library in "${BUN_LIBRARIES[@]}"; do
		cp -L "/lib/x86_64-linux-gnu/$library" "$BUILD/root/lib/x86_64-linux-gnu/"
	done
}

# The project's Bun: the binary behind node_modules/.bin/bun.
bun_binary() {
	local link=$PROJECT/node_modules/.bin/bun path
	[ -e "$link" ] || return 1
	path=$(readlink -f "$link")
	# npm's package may hold a script until its install step has run.
	[ "$(head -c 4 "$path" | tail -c 3)" = ELF ] || return 1
	echo "$path"
}

build_initrd() {
	chmod +x "$BUILD/root/init"
	(cd "$BUILD/root" && find . -print0 | cpio --null -o -H newc --quiet) | gzip -1 >"$BUILD/initrd"
}

# build_target TARGET
build_target() {
	local target=$1 started=$SECONDS
	BUILD=$CACHE/build-$target
	case $target in
	x86_64-*)
		MAKE_ARCH=(ARCH=x86)
		TARGET_CC=(gcc)
		BUSYBOX=/bin/busybox
		;;
	arm64-*)
		MAKE_ARCH=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-)
		TARGET_CC=(aarch64-linux-gnu-gcc)
		BUSYBOX=$CACHE/busybox-arm64/bin/busybox
		;;
	esac
	prepare_kernel "$target"
	build_modules
	# The same files for every target.
	[ "$target" != x86_64-6.1 ] || checkpatch_module
	rm -rf "$BUILD/root"
	mkdir -p "$BUILD/root"/{bin,proc,sys,dev,tmp,guest,modules,host,bun}
	cp "$BUSYBOX" "$BUILD/root/bin/busybox"
	ln -s busybox "$BUILD/root/bin/sh"
	cp "$VM_DIR"/guest/*.sh "$BUILD/root/guest/"
	cp "$VM_DIR/guest/init" "$BUILD/root/init"
	cp "$BUILD/kmod/u-dma-buf.ko" "$BUILD/importer/udb-importer.ko" "$BUILD/root/modules/"
	build_programs
	copy_kernel_modules
	copy_bun "$target"
	build_initrd
	echo "# $target: kernel $RELEASE, built in $((SECONDS - started)) s"
}
