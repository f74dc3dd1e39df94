# The driver inside a kernel's source, where kmod/add-to-tree.sh puts it: as a module and built in.
# The source is unpacked and prepared once.

TREE_ARCHIVE=/usr/src/linux-source-6.1.tar.xz

# Kconfig files, makefiles, headers, and what the build tools are made of; the drivers and
# file systems themselves would be a gigabyte.
TREE_LEFT_OUT=('*/drivers/*.[chS]' '*/sound/*.[ch]' '*/fs/*.[ch]' '*/net/*.[ch]' '*/samples/*.[ch]' '*/lib/*.c'
	'*/Documentation/*/*' '*/tools/testing/*' '*/tools/perf/*' '*/arch/[!ax]*/*.[chS]' '*/arch/[!ax]*/*.dts*'
	'*/arch/arm/*.[chS]' '*/arch/arm/*.dts*' '*/arch/*/boot/dts/*/*')
# Of those, what the build tools are made of.
TREE_KEPT=('*/tools/lib/*.c' '*/tools/lib/*.h' '*/scripts/*' '*/lib/vdso/*' '*/arch/x86/lib/*')

# prepare_tree SOURCE: unpacks into SOURCE.
prepare_tree() {
	local pattern exclude=()
	[ -e "$1/complete" ] && return 0
	rm -rf "$1"
	mkdir -p "$1"
	for pattern in "${TREE_LEFT_OUT[@]}"; do exclude+=(--exclude "$pattern"); done
	tar -x -f "$TREE_ARCHIVE" -C "$1" --strip-components=1 "${exclude[@]}"
	tar -x -f "$TREE_ARCHIVE" -C "$1" --strip-components=1 --wildcards "${TREE_KEPT[@]}"
	touch "$1/complete"
}

# tree_check NAME COMMAND...: one counted check; what the command says goes to the log.
tree_check() {
	local name=$1
	shift
	if "$@" >>"$TREE_LOG" 2>&1; then
		echo "ok $TREE_NAME: $name"
		passed=$((passed + 1))
	else
		echo "not ok $TREE_NAME: $name, see $TREE_LOG"
		failed=$((failed + 1))
	fi
}

tree_make() {
	make -s -j2 -C "$TREE" O="$TREE_OUTPUT" "${TREE_ARCH[@]}" "$@"
}

# tree_configure VALUE: CONFIG_U_DMA_BUF=VALUE, taken by the kernel's own rules
tree_configure() {
	"$TREE/scripts/config" --file "$TREE_OUTPUT/.config" -e CMA -e DMA_CMA --set-val U_DMA_BUF "$1"
	tree_make olddefconfig
	grep -qx "CONFIG_U_DMA_BUF=$1" "$TREE_OUTPUT/.config"
}

# A warning is a failure.
tree_build() {
	local said
	rm -rf "$TREE_OUTPUT/drivers/misc/u-dma-buf"
	said=$(tree_make W=1 drivers/misc/u-dma-buf/ 2>&1) || { echo "$said"; return 1; }
	if grep -E 'warning|error' <<<"$said"; then return 1; fi
	ls "$TREE_OUTPUT/drivers/misc/u-dma-buf"
	[ -e "$TREE_OUTPUT/drivers/misc/u-dma-buf/$1" ]
}

# build_in_tree SCENARIO: x86_64 or arm64
build_in_tree() {
	local started=$SECONDS
	TREE_OUTPUT=$TREE-$1
	TREE_LOG=$CACHE/log-tree-6.1-$1
	TREE_NAME=tree-6.1/$1
	TREE_ARCH=(ARCH="$1")
	[ "$1" = arm64 ] && TREE_ARCH+=(CROSS_COMPILE=aarch64-linux-gnu-)
	: >"$TREE_LOG"
	if ! [ -e "$TREE_OUTPUT/complete" ]; then
		rm -rf "$TREE_OUTPUT"
		mkdir -p "$TREE_OUTPUT"
		tree_check "the kernel's default configuration" tree_make defconfig
		tree_check "the tree is prepared" tree_make modules_prepare
		touch "$TREE_OUTPUT/complete"
	fi
	tree_check "as a module: the menu has it" tree_configure m
	tree_check "as a module: it builds without warnings" tree_build u-dma-buf.o
	tree_check "built in: the menu has it" tree_configure y
	tree_check "built in: it builds without warnings" tree_build built-in.a
	echo "# $TREE_NAME in $((SECONDS - started)) s"
}

# TREE: the kernel's source, unpacked.
prepare_source() {
	TREE=$CACHE/tree-$(dpkg-query -W -f '${Version}' linux-source-6.1)
	prepare_tree "$TREE"
}

# Before the jobs, which share the source: the driver is in it, once however often it is added.
add_driver_to_tree() {
	local tree=$TREE lines
	rm -rf "$tree/drivers/misc/u-dma-buf"
	sh "$PROJECT/kmod/add-to-tree.sh" "$tree" >/dev/null
	sh "$PROJECT/kmod/add-to-tree.sh" "$tree" >/dev/null
	lines=$(cat "$tree/drivers/misc/Makefile" "$tree/drivers/misc/Kconfig" | grep -c u-dma-buf)
	if [ "$lines" = 2 ]; then
		echo "ok tree-6.1: added twice, it is there once"
		passed=$((passed + 1))
	else
		echo "not ok tree-6.1: $lines lines name it in drivers/misc, expected 2"
		failed=$((failed + 1))
	fi
}
