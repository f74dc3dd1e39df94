/** The files that make the module come up at boot, with access for a group. Pure: what is asked for to what is in them. */

export interface BootFile {
  /** Below the root directory. */
  readonly path: string;
  readonly content: string;
  readonly why: string;
}

export interface BootSettings {
  /** Group that may open the buffers. */
  readonly group: string;
  /** Parameters for every load; none: no modprobe.d file. */
  readonly parameters: readonly string[];
  /** Load at boot. */
  readonly autoload: boolean;
}

const HEAD = "# Written by `physring kmod install`; docs/KERNEL.md of physring explains it.\n";

export const BOOT_PATHS = {
  udev: "/etc/udev/rules.d/60-u-dma-buf.rules",
  options: "/etc/modprobe.d/u-dma-buf.conf",
  autoload: "/etc/modules-load.d/u-dma-buf.conf",
} as const;

export function bootFiles({ group, parameters, autoload }: BootSettings): BootFile[] {
  const files: BootFile[] = [
    {
      path: BOOT_PATHS.udev,
      content: `${HEAD}SUBSYSTEM=="u-dma-buf", GROUP="${group}", MODE="0660"\nSUBSYSTEM=="misc", KERNEL=="u-dma-buf-anon", GROUP="${group}", MODE="0660"\n`,
      why: `members of ${group} may open the buffers, and make nameless ones within the quota; the manager stays root's`,
    },
  ];
  if (parameters.length > 0) {
    const content = `${HEAD}options u-dma-buf ${parameters.join(" ")}\n`;
    files.push({ path: BOOT_PATHS.options, content, why: "the buffers of every load" });
  }
  if (autoload)
    files.push({
      path: BOOT_PATHS.autoload,
      content: `${HEAD}u-dma-buf\n`,
      why: "loaded early at boot, while memory is unused",
    });
  return files;
}
