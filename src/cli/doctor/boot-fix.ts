/** How a kernel argument, and how reserved memory, is set on this kind of machine. */
import { hex } from "../format.ts";
import type { DoctorFacts } from "./facts.ts";

/** The size as boot loaders write it: `512M`, `6G`, rounded up to whole MiB. */
export function bootSize(bytes: number): string {
  const mebibytes = Math.ceil(bytes / 2 ** 20);
  return mebibytes % 1024 === 0 ? `${mebibytes / 1024}G` : `${mebibytes}M`;
}

/** Lines that give the kernel `argument` from the next boot on. */
export function bootArgumentFix({ boot, distribution }: DoctorFacts, argument: string): string[] {
  const lines: string[] = [];
  if (boot.hasGrub) {
    const update =
      distribution.family === "fedora"
        ? `sudo grubby --update-kernel=ALL --args="${argument}"`
        : "sudo update-grub && sudo reboot";
    lines.push(`grub: in /etc/default/grub: GRUB_CMDLINE_LINUX_DEFAULT="... ${argument}"   then: ${update}`);
  }
  if (boot.hasExtlinux)
    lines.push(`extlinux: append ${argument} to the line APPEND of /boot/extlinux/extlinux.conf`);
  if (boot.hasCmdlineFile) lines.push(`append ${argument} to the one line of /boot/firmware/cmdline.txt`);
  // A device tree without any of these: U-Boot with a script or environment of its own.
  if (boot.hasDeviceTree && !boot.hasExtlinux && !boot.hasCmdlineFile && !boot.hasGrub)
    lines.push(`U-Boot: setenv bootargs "\${bootargs} ${argument}"; saveenv; boot`);
  return lines.length > 0 ? lines : [`add ${argument} to the kernel's command line in the boot loader`];
}

/** A 64-bit number as two cells. */
function cells(value: number): string {
  return `<${hex(Math.floor(value / 2 ** 32))} ${hex(value % 2 ** 32)}>`;
}

/** A device-tree fragment that reserves memory for one buffer and makes the buffer. */
export function deviceTreeFragment(sizeBytes: number): string[] {
  // What does not fit below 4 GiB: anywhere from there to 1 TiB.
  const high = sizeBytes >= 2 ** 31 ? " alloc-ranges = <0x1 0x0 0xff 0x0>;" : "";
  const mask = high === "" ? "" : " dma-mask = <64>;";
  return [
    "device tree:",
    "  reserved-memory {",
    "    #address-cells = <2>; #size-cells = <2>; ranges;",
    '    udmabuf_memory: udmabuf { compatible = "shared-dma-pool"; reusable;',
    `      size = ${cells(sizeBytes)}; alignment = <0x0 0x400000>;${high} };`,
    "  };",
    '  udmabuf@0 { compatible = "ikwzm,u-dma-buf"; device-name = "udmabuf0";',
    `    size = ${cells(sizeBytes)}; memory-region = <&udmabuf_memory>;${mask} };`,
  ];
}
