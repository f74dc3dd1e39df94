# Builds for one target: the module, the guest programs, the initial ram disk.

GUEST_PROGRAMS=(abi memattr devbuf matrix vma hold edu dmabuf physical large fuzz manage anonymous doorbell adopt inject pressure fill maintenance compat)
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
	if [ "$target" = x86_64-6.1 ]; then
		rm -rf "$BUILD/ivshmem_uio"
		cp -r "$VM_DIR/guest/ivshmem_uio" "$BUILD/ivshmem_uio"
		make_module ivshmem_uio W=1 C=2 CF=-Wcontext "${MAKE_ARCH[@]}"
	fi
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

# A driver that knows what u-dma-buf knows and no more, for the library's way with such: ours
# without its own ioctls and attributes, and with a mode 4 of which only the first page can be
# touched, as without CMA.  Into modules/stand-in/.
build_stand_in() {
	local work=$BUILD/stand-in attributes='cpu_phys_addr|dma_addr|memory|instance_id'
	rm -rf "$work"
	cp -a "$BUILD/kmod" "$work"
	sed -i 's/^\tswitch (cmd) {/\tif (_IOC_NR(cmd) >= 0x40)\n\t\treturn -EINVAL;\n&/' "$work/ioctl.c"
	sed -i '/^static vm_fault_t udb_page_fault/,/^}/s/vmf->pgoff >= m->nr_pages/vmf->pgoff > 0/' "$work/map.c"
	sed -i -E "/&dev_attr_($attributes)\.attr,/d" "$work/device.c"
	make_driver stand-in CONFIG_U_DMA_BUF=m
}

# u-dma-buf itself, if $PHYSRING_UPSTREAM is a directory with its source, or with a u-dma-buf.ko for
# this kernel.  Into modules/upstream/.
build_upstream() {
	local work=$BUILD/upstream
	[ -n "${PHYSRING_UPSTREAM:-}" ] || return 0
	rm -rf "$work"
	mkdir -p "$work"
	if [ -e "$PHYSRING_UPSTREAM/u-dma-buf.c" ]; then
		cp "$PHYSRING_UPSTREAM"/*.[ch] "$work/"
		echo 'obj-m := u-dma-buf.o' >"$work/Kbuild"
		make_driver upstream
	else
		mkdir -p "$BUILD/root/modules/upstream"
		cp "$PHYSRING_UPSTREAM/u-dma-buf.ko" "$BUILD/root/modules/upstream/"
	fi
}

# make_driver NAME MAKE_ARGUMENTS...: of $BUILD/NAME, into modules/NAME/
make_driver() {
	local name=$1 work=$BUILD/$1
	shift
	mkdir -p "$BUILD/root/modules/$name"
	if make -j"$(nproc)" -C "$HEADERS" M="$work" "${MAKE_ARCH[@]}" "$@" modules >"$work.log" 2>&1; then
		cp "$work/u-dma-buf.ko" "$BUILD/root/modules/$name/"
	else
		cat "$work.log"
		return 1
	fi
}

# The module as a user gets it, for the tests of physring kmod: from DKMS, or cross-built by `physring kmod build`.
# Into modules/tooling/.
build_as_user() {
	local directory=$BUILD/as-user bun output=$BUILD/root/modules/tooling
	local sources=$BUILD/as-user/source version
	rm -rf "$directory"
	mkdir -p "$output" "$directory"/{source,dkms,install}
	case $1 in
	x86_64-*)
		version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$PROJECT/kmod/dkms.conf")
		cp -r "$PROJECT/kmod" "$sources/u-dma-buf-$version"
		dkms add "u-dma-buf/$version" --sourcetree "$sources" --dkmstree "$directory/dkms" &&
			dkms build "u-dma-buf/$version" --sourcetree "$sources" --dkmstree "$directory/dkms" \
				-k "$RELEASE" --kernelsourcedir "$HEADERS" &&
			cp "$directory/dkms/u-dma-buf/$version/$RELEASE"/*/module/u-dma-buf.ko "$output/"
		;;
	arm64-*)
		bun=$(bun_binary)
		"$bun" "$PROJECT/src/cli/physring.ts" kmod build --kernel-src "$HEADERS" --arch arm64 \
			--cross-compile aarch64-linux-gnu- --output "$output"
		;;
	esac >"$BUILD/as-user.log" 2>&1 || true
	if [ -e "$output/u-dma-buf.ko" ]; then
		echo "ok $1 build: as a user would"
		passed=$((passed + 1))
	else
		cat "$BUILD/as-user.log"
		echo "not ok $1 build: as a user would, see $BUILD/as-user.log"
		failed=$((failed + 1))
	fi
}

# The users' kernels 6.5 and 6.6 (docs/KERNEL.md) answer the probes as neither 6.1 nor 6.12 does.  There is no
# package of theirs: 6.12's headers, and on the way to them copies in which what changed since is put back.
SINCE_6_6='s/void (\*remove)(struct platform_device/int (*remove)(struct platform_device/
	s/^extern const struct bus_type \(platform\|pci\)_bus_type/extern struct bus_type \1_bus_type/
	s/^static inline void eventfd_signal(/static inline void eventfd_signal_of_6_8(/
	s/^void eventfd_signal_mask(.*;$/&\n__u64 eventfd_signal(struct eventfd_ctx *ctx, __u64 n);/'

# headers_as_on_6_6 TARGET DIRECTORY
headers_as_on_6_6() {
	local header common=/usr/src/linux-headers-${RELEASE%-amd64}-common/include/linux
	mkdir -p "$2"
	for header in platform_device.h pci.h eventfd.h; do
		sed "$SINCE_6_6" "$common/$header" >"$2/$header"
		if cmp -s "$common/$header" "$2/$header"; then
			echo "not ok $1 build: $header is no longer what is known of it"
			failed=$((failed + 1))
		fi
	done
}

# The files of the module that depend on the probes.
build_as_on_6_6() {
	local work=$BUILD/as-on-6.6 log=$BUILD/as-on-6.6.log answers
	rm -rf "$work"
	headers_as_on_6_6 "$1" "$work/include/linux"
	cp -r "$BUILD/kmod" "$work/kmod"
	find "$work/kmod" \( -name '*.o' -o -name '.*.cmd' -o -name probed.h \) -delete
	make -j"$(nproc)" -C "$HEADERS" M="$work/kmod" CONFIG_U_DMA_BUF=m W=1 "${MAKE_ARCH[@]}" \
		CC="gcc -I$work/include" platform.o bind.o doorbell.o contig.o map.o dmabuf.o >"$log" 2>&1 || true
	answers=$(cat "$work/kmod/probed.h" 2>/dev/null | sed 's/^#define UDB_HAVE_//' | xargs) || true
	if [ "$answers" = "VM_FLAGS_SET 1 ACR_FLAGS 0 PLATFORM_REMOVE_VOID 0 DMA_COHERENT 0 EVENTFD_SIGNAL_ONE 0 IMPORT_NS_BARE 1" ] &&
		[ "$(find "$work/kmod" -name '*.o' | wc -l)" = 6 ] && ! grep -q -E 'warning:|error' "$log"; then
		echo "ok $1 build: with the interfaces of 6.5 and 6.6"
		passed=$((passed + 1))
	else
		tail -20 "$log"
		echo "not ok $1 build: with the interfaces of 6.5 and 6.6; the probes said: $answers"
		failed=$((failed + 1))
	fi
}

build_programs() {
	local name
	for name in "${GUEST_PROGRAMS[@]}"; do
		"${TARGET_CC[@]}" -O2 -Wall -Wextra -Werror -static -pthread -I"$PROJECT/kmod/uapi" \
			-o "$BUILD/root/guest/$name" "$VM_DIR/guest/$name.c"
	done
	"${TARGET_CC[@]}" -O2 -std=c11 -Wall -Wextra -Werror -static -I"$PROJECT/include" -I"$PROJECT/kmod/uapi" \
		-o "$BUILD/root/guest/board-producer" "$PROJECT/examples/board-producer.c"
}

# The kernel's own modules in the order of loading.
copy_kernel_modules() {
	local module path file
	touch "$BUILD/root/modules/order"
	[ -n "$IMAGE" ] || return 0
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

# What scenarios load themselves.
copy_uio_modules() {
	local name file
	for name in uio uio_pci_generic; do
		file=$IMAGE/lib/modules/$RELEASE/kernel/drivers/uio/$name.ko
		if [ -e "$file" ]; then cp "$file" "$BUILD/root/modules/"; else xz -dc "$file.xz" >"$BUILD/root/modules/$name.ko"; fi
	done
	[ "$1" != x86_64-6.1 ] || cp "$BUILD/ivshmem_uio/ivshmem-uio.ko" "$BUILD/root/modules/"
}

# Sets BUN; empty: there is none, and scenarios that need it skip.
locate_bun() {
	case $1 in
	x86_64-*) BUN=$(bun_binary) || BUN= ;;
	arm64-*) BUN=$(bun_arm64) || BUN= ;;
	esac
}

# Bun itself comes over 9p; its libraries are small enough to be carried along.
copy_bun() {
	local library loader libraries root=$BUILD/root
	case $1 in
	x86_64-*)
		loader=/lib64/ld-linux-x86-64.so.2
		libraries=/lib/x86_64-linux-gnu
		;;
	arm64-*)
		loader=/usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1
		libraries=/usr/aarch64-linux-gnu/lib
		;;
	esac
	[ -n "$BUN" ] || return 0
	basename "$BUN" >"$root/bun-name"
	mkdir -p "$root/lib" "$root/lib64"
	cp -L "$loader" "$root/lib/"
	# Where x86-64's programs look for their loader.
	[[ $1 == arm64-* ]] || cp -L "$loader" "$root/lib64/"
	for library in "${BUN_LIBRARIES[@]}"; do
		cp -L "$libraries/$library" "$root/lib/"
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

# The same version for the other architecture, from npm, once.
bun_arm64() {
	local version directory work
	version=$(sed -n 's/^  "version": "\(.*\)",*$/\1/p' "$PROJECT/node_modules/bun/package.json" 2>/dev/null)
	directory=$CACHE/bun-arm64-$version
	if ! [ -e "$directory/complete" ]; then
		[ -n "$version" ] && command -v npm >/dev/null || return 1
		work=$(mktemp -d "$CACHE/fetch.XXXXXX")
		(cd "$work" && npm pack --silent "@oven/bun-linux-aarch64@$version" >/dev/null) || return 1
		rm -rf "$directory"
		mkdir -p "$directory"
		tar -x -z -f "$work"/*.tgz -C "$directory" --strip-components=2 package/bin/bun
		rm -rf "$work"
		touch "$directory/complete"
	fi
	echo "$directory/bun"
}

build_initrd() {
	chmod +x "$BUILD/root/init"
	(cd "$BUILD/root" && find . -print0 | cpio --null -o -H newc --quiet) | gzip -1 >"$BUILD/initrd"
}

# build_target TARGET
build_target() {
	local target=$1
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
	locate_bun "$target"
	build_unless_built "$target"
}

# All that goes into a build.
build_inputs() {
	(cd "$PROJECT" && find kmod test/vm include examples src package-lock.json -type f -print0 | sort -z | xargs -0 sha256sum)
	[ -z "${PHYSRING_UPSTREAM:-}" ] || find "$PHYSRING_UPSTREAM" -type f -print0 | sort -z | xargs -0 sha256sum
	echo "$RELEASE $HEADERS $IMAGE $BUN"
	# shellcheck disable=SC2046
	dpkg-query -W -f '${Package} ${Version}\n' "${HOST_PACKAGES[@]}" $(target_packages "$1") linux-source-6.1 linux-libc-dev libc6 'gcc-1*' \
		'libc6-dev-*-cross' 2>/dev/null || true
}

# A build of the same files, without a failure and without a skip, is taken as it is, with its checks.
build_unless_built() {
	local inputs before=$passed failed_before=$failed skipped_before=$skipped
	inputs=$(build_inputs "$1" | sha256sum)
	if [ "$(cat "$BUILD/built" 2>/dev/null)" = "$inputs" ]; then
		cat "$BUILD/built.log"
		passed=$((passed + $(cat "$BUILD/built.counts")))
		return 0
	fi
	mkdir -p "$BUILD"
	rm -f "$BUILD/built"
	build_all "$1" > >(tee "$BUILD/built.log")
	wait $! || true
	# What failed or could not be checked is tried again.
	[ "$failed $skipped" = "$failed_before $skipped_before" ] || return 0
	echo "$((passed - before))" >"$BUILD/built.counts"
	echo "$inputs" >"$BUILD/built"
}

# build_all TARGET: into $BUILD
build_all() {
	local target=$1 started=$SECONDS
	build_modules
	[ "$target" != x86_64-6.12 ] || build_as_on_6_6 "$target"
	# The same files for every target.
	[ "$target" != x86_64-6.1 ] || checkpatch_module
	rm -rf "$BUILD/root"
	mkdir -p "$BUILD/root"/{bin,proc,sys,dev,tmp,guest,modules,host,bun}
	cp "$BUSYBOX" "$BUILD/root/bin/busybox"
	# Where distributions have it.
	mkdir -p "$BUILD/root/boot"
	cp "$HEADERS/.config" "$BUILD/root/boot/config-$RELEASE"
	ln -s busybox "$BUILD/root/bin/sh"
	cp "$VM_DIR"/guest/*.sh "$BUILD/root/guest/"
	cp "$VM_DIR/guest/init" "$BUILD/root/init"
	cp "$BUILD/kmod/u-dma-buf.ko" "$BUILD"/importer/*.ko "$BUILD/root/modules/"
	build_programs
	copy_kernel_modules
	[ -z "$IMAGE" ] || copy_uio_modules "$target"
	copy_bun "$target"
	# Of kernels with modules; the debug kernel needs neither Bun nor its tools.
	[ -z "$BUN" ] || [ -z "$IMAGE" ] || build_as_user "$target"
	# Where scenarios library and upstream run.
	if [ -n "$BUN" ] && [[ $target == *-6.1 ]]; then
		build_stand_in
		build_upstream
	fi
	build_initrd
	echo "# $target: kernel $RELEASE, built in $((SECONDS - started)) s"
}
