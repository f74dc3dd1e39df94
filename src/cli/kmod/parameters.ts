/** Module parameters as users write them (`udmabuf0=64MiB dma_mask_bit=64`), in the form that the kernel reads. */
import { PhysringError } from "../../ffi/errors.ts";
import { parseSize } from "../../memory/size.ts";
import { nearest, UsageError } from "../options.ts";

const NUMBERS: Readonly<Record<string, readonly [least: number, most: number]>> = {
  dma_mask_bit: [12, 64],
  quirk_mmap_mode: [1, 5],
  info_enable: [0, 7],
};

const BUFFER = /^udmabuf([0-7])$/;
/** Quotas of nameless buffers: sizes, and 0. */
const QUOTAS = ["anonymous_total", "anonymous_per_user"];
const KNOWN = [
  "udmabuf0",
  "udmabuf0_bind",
  "udmabuf0_coherent",
  "bind",
  "mixed_attributes",
  "anonymous_coherent",
  ...QUOTAS,
  ...Object.keys(NUMBERS),
];

export interface ModuleParameters {
  /** `NAME=VALUE` for insmod, modprobe and modprobe.d. */
  readonly words: readonly string[];
  readonly bufferBytes: ReadonlyMap<string, number>;
  readonly dmaMaskBits: number | null;
}

/** @throws UsageError. Names that this version does not know are passed on: the module may be newer, and it refuses what it does not know. */
export function parseParameters(command: string, args: readonly string[]): ModuleParameters {
  const words: string[] = [];
  const bufferBytes = new Map<string, number>();
  let dmaMaskBits: number | null = null;
  for (const arg of args) {
    const match = /^(\w+)=(.+)$/s.exec(arg);
    if (match === null)
      throw new UsageError(
        `${command}: ${JSON.stringify(arg)} is no parameter; write e.g. udmabuf0=64MiB or dma_mask_bit=64`,
      );
    const [, name, value] = match as unknown as [string, string, string];
    if (BUFFER.test(name)) {
      const sizeBytes = bufferSize(command, name, value);
      bufferBytes.set(name, sizeBytes);
      words.push(`${name}=${sizeBytes}`);
      continue;
    }
    if (QUOTAS.includes(name)) {
      words.push(`${name}=${value === "0" ? 0 : bufferSize(command, name, value)}`);
      continue;
    }
    checkValue(command, name, value);
    if (name === "dma_mask_bit") dmaMaskBits = Number(value);
    words.push(`${name}=${value}`);
  }
  return { words, bufferBytes, dmaMaskBits };
}

function bufferSize(command: string, name: string, value: string): number {
  try {
    return /^0x[0-9a-f]+$/i.test(value) ? parseSize(Number(value)) : parseSize(value);
  } catch (error) {
    if (!(error instanceof PhysringError)) throw error;
    throw new UsageError(`${command}: ${name}=${value}: a size is needed, e.g. ${name}=64MiB`);
  }
}

function checkValue(command: string, name: string, value: string): void {
  if (/\s|"/.test(value)) throw new UsageError(`${command}: ${name}: a value has no spaces or quotes`);
  const limits = NUMBERS[name];
  if (limits !== undefined) {
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= limits[0] && number <= limits[1]))
      throw new UsageError(
        `${command}: ${name}=${value}: a whole number from ${limits[0]} to ${limits[1]} is needed`,
      );
    return;
  }
  if (/^udmabuf\d+$/.test(name))
    throw new UsageError(`${command}: ${name}: the module has buffers udmabuf0 to udmabuf7`);
  if (/^udmabuf[0-7]_coherent$/.test(name) && !/^[01]$/.test(value))
    throw new UsageError(`${command}: ${name}=${value}: 1 (coherent) or 0 is needed`);
  if (KNOWN.includes(name) || /^udmabuf[0-7]_(bind|coherent)$/.test(name)) return;
  const near = nearest(name, KNOWN);
  if (near !== null) throw new UsageError(`${command}: unknown parameter ${name}; did you mean ${near}?`);
}
