# System packages, and the kernel that belongs to the installed headers.

HOST_PACKAGES=(gcc make libc6-dev sparse cpio xz-utils busybox-static kmod)

# target_packages TARGET: what it needs beside HOST_PACKAGES.
target_packages() {
	local release
	case $1 in
	x86_64-6.1) echo qemu-system-x86 linux-headers-amd64 dkms ;;
	x86_64-debug) echo qemu-system-x86 "${DEBUG_PACKAGES[@]}" ;;
	x86_64-6.12)
		# The headers themselves would install their kernel: they are unpacked.
		release=$(x86_64_6_12_release)
		echo qemu-system-x86 "linux-headers-${release%-amd64}-common" "linux-kbuild-${release%-amd64}"
		;;
	tree-6.1) echo linux-source-6.1 bc bison flex libelf-dev libssl-dev gcc-aarch64-linux-gnu ;;
	# The amd64 headers bring the common ones and kbuild, which arm64's need too.
	arm64-*)
		target_packages "x86_64-${1#arm64-}"
		echo qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross device-tree-compiler
		;;
	esac
}

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# packages_ready TARGET: all there, or installed now; else says what is missing.
packages_ready() {
	local package missing=()
	for package in "${HOST_PACKAGES[@]}" $(target_packages "$1"); do
		is_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} = 0 ] && return 0
	if ! $install_deps; then
		echo "$1 needs: apt-get install --no-install-recommends ${missing[*]}"
		return 1
	fi
	apt-get update -qq -o DPkg::Lock::Timeout=600
	apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 "${missing[@]}"
}

# The version in the names of headers and image, e.g. 6.1.0-56-amd64.  Headers
# and image must be of the very same package version.
x86_64_6_1_release() {
	dpkg-query -W -f '${Depends}' linux-headers-amd64 | sed -n 's/.*linux-headers-\([^ ,]*\).*/\1/p'
}

# The newest that apt knows; empty before the first apt-get update.
x86_64_6_12_release() {
	apt-cache depends linux-headers-6.12-amd64 2>/dev/null |
		sed -n 's/.*Depends: linux-headers-\(6.12.*\)/\1/p'
}

prepare_x86_64_6_12() {
	local headers
	RELEASE=$(x86_64_6_12_release)
	version=$(dpkg-query -W -f '${Version}' "linux-headers-${RELEASE%-amd64}-common")
	IMAGE=$CACHE/image-$RELEASE-$version
	headers=$CACHE/headers-$RELEASE-$version
	fetch_image apt-get "$IMAGE" "linux-image-$RELEASE=$version"
	fetch_package apt-get "$headers" "linux-headers-$RELEASE=$version"
	mkdir -p "$headers/usr/lib"
	ln -sfn "/usr/lib/linux-kbuild-${RELEASE%-amd64}" "$headers/usr/lib/linux-kbuild-${RELEASE%-amd64}"
	HEADERS=$headers/usr/src/linux-headers-$RELEASE
}

# An apt of its own for packages of another architecture: the system's is not
# told about it.  arm64_apt ARGUMENTS...
arm64_apt() {
	local root=$CACHE/apt-arm64
	mkdir -p "$root"/{state/lists/partial,cache/archives/partial}
	touch "$root/status"
	apt-get -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
		-o Dir::State="$root/state" -o Dir::State::status="$root/status" \
		-o Dir::Cache="$root/cache" -o APT::Sandbox::User=root "$@"
}

# fetch_package APT DIRECTORY PACKAGE [PATTERN...]: unpack a package, or the
# files of it that match, once.
fetch_package() {
	local apt=$1 directory=$2 package=$3 work
	shift 3
	[ -e "$directory/complete" ] && return 0
	work=$(mktemp -d "$CACHE/fetch.XXXXXX")
	(cd "$work" && $apt download -qq "$package" 2>&1 |
		grep -v '^W: Download is performed unsandboxed' || true)
	[ -n "$(ls "$work"/*.deb 2>/dev/null)" ] || {
		echo "the package $package can not be fetched; try apt-get update" >&2
		return 1
	}
	rm -rf "$directory"
	mkdir -p "$directory"
	dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$directory" --wildcards "$@"
	rm -rf "$work"
	touch "$directory/complete"
}

# fetch_image APT DIRECTORY PACKAGE: the parts of a kernel that a guest needs.
fetch_image() {
	[ -e "$2/complete" ] && ls -d "$2"/lib/modules/*/kernel/drivers/uio >/dev/null 2>&1 && return 0
	rm -rf "$2"
	fetch_package "$@" './boot/vmlinuz-*' './lib/modules/*/modules.*' \
		'./lib/modules/*/kernel/fs/*' './lib/modules/*/kernel/net/9p/*' \
		'./lib/modules/*/kernel/drivers/virtio/*' './lib/modules/*/kernel/drivers/uio/*' './lib/modules/*/kernel/drivers/block/*' \
		'./lib/modules/*/kernel/lib/*' './lib/modules/*/kernel/crypto/*'
	depmod -b "$2" "$(ls "$2/lib/modules")"
}

# The arm64 kernel of a release that the amd64 headers have.
# prepare_arm64 AMD64_RELEASE KBUILD
prepare_arm64() {
	local headers
	RELEASE=${1%-amd64}-arm64
	version=$(dpkg-query -W -f '${Version}' "linux-headers-${RELEASE%-arm64}-common")
	IMAGE=$CACHE/image-$RELEASE-$version
	headers=$CACHE/headers-$RELEASE-$version
	if ! [[ -e $IMAGE/complete && -e $headers/complete && -e $CACHE/busybox-arm64/complete ]]; then
		arm64_apt update -qq
	fi
	fetch_image arm64_apt "$IMAGE" "linux-image-$RELEASE=$version"
	fetch_package arm64_apt "$headers" "linux-headers-$RELEASE=$version"
	fetch_package arm64_apt "$CACHE/busybox-arm64" busybox-static './bin/*'
	# Programs that run on this machine come with the machine's own headers.
	mkdir -p "$headers/usr/lib"
	ln -sfn "/usr/lib/$2" "$headers/usr/lib/$2"
	HEADERS=$headers/usr/src/linux-headers-$RELEASE
}

# prepare_kernel TARGET: sets RELEASE, HEADERS, KERNEL_IMAGE and, for kernels with
# modules, IMAGE.
prepare_kernel() {
	local version
	case $1 in
	x86_64-6.1)
		RELEASE=$(x86_64_6_1_release)
		HEADERS=/usr/src/linux-headers-$RELEASE
		version=$(dpkg-query -W -f '${Version}' "linux-headers-$RELEASE")
		IMAGE=$CACHE/image-$RELEASE-$version
		fetch_image apt-get "$IMAGE" "linux-image-$RELEASE=$version"
		;;
	x86_64-6.12) prepare_x86_64_6_12 ;;
	arm64-6.1) prepare_arm64 "$(x86_64_6_1_release)" linux-kbuild-6.1 ;;
	arm64-6.12)
		version=$(x86_64_6_12_release)
		prepare_arm64 "$version" "linux-kbuild-${version%-amd64}"
		;;
	x86_64-debug)
		prepare_debug
		return
		;;
	esac
	KERNEL_IMAGE=$IMAGE/boot/vmlinuz-$RELEASE
}
