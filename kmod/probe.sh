#!/bin/sh
# SPDX-License-Identifier: GPL-2.0 OR MIT
# probe.sh OUTPUT COMPILER [FLAGS...]
#
# Asks the kernel's own headers what they have, by compiling one small program
# per question, and writes the answers to OUTPUT.  Two control programs, one
# that must compile and one that must not, guard against answers that come from
# a broken compiler call.
set -eu

output=$1
shift
dir=$(mktemp -d "$output.XXXXXX")
trap 'rm -rf "$dir"' EXIT

# compiles NAME PROGRAM COMPILER [FLAGS...]: is it valid on this kernel?
compiles() {
	name=$1
	cat >"$dir/$name.c" <<-END
	#include <linux/eventfd.h>
	#include <linux/gfp.h>
	#include <linux/mm.h>
	#include <linux/module.h>
	#include <linux/platform_device.h>
	$2
	END
	shift 2
	"$@" -DMODULE -DKBUILD_MODNAME='"probe"' -Werror -c -o "$dir/$name.o" \
		"$dir/$name.c" >"$dir/$name.log" 2>&1
}

# ask NAME PROGRAM COMPILER [FLAGS...]
ask() {
	if compiles "$@"; then answer=1; else answer=0; fi
	echo "#define UDB_HAVE_$1 $answer" >>"$dir/probed.h"
}

if ! compiles control_good 'int udb_probe(void);
	int udb_probe(void) { return PAGE_SHIFT; }' "$@"; then
	echo "u-dma-buf: the kernel's headers can not be compiled at all:" >&2
	cat "$dir/control_good.log" >&2
	exit 1
fi
if compiles control_bad 'int udb_probe(void);
	int udb_probe(void) { return udb_no_such_thing(); }' "$@"; then
	echo "u-dma-buf: the compiler accepts what does not exist; no probe can be trusted" >&2
	exit 1
fi

ask VM_FLAGS_SET 'void udb_probe(struct vm_area_struct *vma);
	void udb_probe(struct vm_area_struct *vma) { vm_flags_set(vma, VM_DONTDUMP); }' "$@"
ask ACR_FLAGS 'int udb_probe(void);
	int udb_probe(void) { return alloc_contig_range(0, 1, ACR_FLAGS_NONE, GFP_KERNEL); }' "$@"
ask PLATFORM_REMOVE_VOID 'void udb_remove(struct platform_device *pdev);
	void udb_remove(struct platform_device *pdev) { }
	struct platform_driver udb_probe; struct platform_driver udb_probe = { .remove = udb_remove };' "$@"
ask DMA_COHERENT 'void udb_probe(struct device *dev);
	void udb_probe(struct device *dev) { dev->dma_coherent = true; }' "$@"
ask EVENTFD_SIGNAL_ONE 'void udb_probe(struct eventfd_ctx *ctx);
	void udb_probe(struct eventfd_ctx *ctx) { eventfd_signal(ctx); }' "$@"
ask IMPORT_NS_BARE 'MODULE_IMPORT_NS(DMA_BUF);' "$@"

mv "$dir/probed.h" "$output"
