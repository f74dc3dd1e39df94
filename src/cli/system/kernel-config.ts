/** The options a kernel was built with: `.config`, /proc/config.gz, /boot/config-RELEASE. */
import { gunzipSync } from "node:zlib";
import type { SystemFiles } from "./files.ts";

/** Values by option, without `CONFIG_`: `y`, `m`, a number or a text without quotes. An absent option is not set. */
export type KernelOptions = Readonly<Record<string, string>>;

export interface KernelConfig {
  /** The file it was read from. */
  readonly source: string;
  readonly options: KernelOptions;
  /** `x86`, `arm64` … as the first lines say; null where they do not. */
  readonly architecture: string | null;
}

const SETTING = /^CONFIG_(\w+)=(.*)$/;
/** `# Linux/arm64 6.1.192 Kernel Configuration` */
const HEADING = /^# Linux\/(\w+) \S+ Kernel Configuration/m;
/** Debian's is 260 kB. */
const MAX_CONFIG_BYTES = 8 * 2 ** 20;

export function parseKernelConfig(source: string, text: string): KernelConfig {
  const options: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const match = SETTING.exec(line);
    if (match !== null) options[match[1]!] = match[2]!.replace(/^"(.*)"$/, "$1");
  }
  return { source, options, architecture: HEADING.exec(text)?.[1] ?? null };
}

/** The configuration of a running kernel, from the first place that has one; null: it keeps it to itself. */
export function readKernelConfig(files: SystemFiles, release: string): KernelConfig | null {
  const places = [
    "/proc/config.gz",
    `/boot/config-${release}`,
    `/lib/modules/${release}/config`,
    `/lib/modules/${release}/build/.config`,
    `/usr/src/linux-headers-${release}/.config`,
  ];
  for (const place of places) {
    const bytes = files.bytes(place);
    if (bytes === null) continue;
    const isPacked = place.endsWith(".gz");
    const plain = isPacked ? gunzipSync(bytes, { maxOutputLength: MAX_CONFIG_BYTES }) : bytes;
    return parseKernelConfig(place, Buffer.from(plain).toString("utf8"));
  }
  return null;
}
