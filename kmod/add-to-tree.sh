#!/bin/sh
# SPDX-License-Identifier: GPL-2.0 OR MIT
# add-to-tree.sh KERNEL_TREE: put the driver into a kernel's source as
# drivers/misc/u-dma-buf, with CONFIG_U_DMA_BUF in its menu.  Doing it again
# brings the copy up to date.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
misc=${1:?usage: add-to-tree.sh KERNEL_TREE}/drivers/misc
[ -f "$misc/Kconfig" ] || {
	echo "$1 is no kernel source: it has no drivers/misc/Kconfig" >&2
	exit 1
}

mkdir -p "$misc/u-dma-buf/uapi"
cp "$here"/*.c "$here"/*.h "$here/Kbuild" "$here/Kconfig" "$here/probe.sh" "$misc/u-dma-buf/"
cp "$here"/uapi/*.h "$misc/u-dma-buf/uapi/"
rm -f "$misc/u-dma-buf/probed.h"

grep -q u-dma-buf "$misc/Makefile" ||
	echo 'obj-$(CONFIG_U_DMA_BUF) += u-dma-buf/' >>"$misc/Makefile"
grep -q u-dma-buf "$misc/Kconfig" ||
	sed -i '$i source "drivers/misc/u-dma-buf/Kconfig"' "$misc/Kconfig"
echo "added; now: make menuconfig (Device Drivers, Misc devices), make drivers/misc/u-dma-buf/"
