/** Options of `Region.create` and `Region.open`, checked in one place. */
import { MAX_BUFFER_BYTES, PAGE_BYTES } from "../ffi/mapping.ts";
import { groupId } from "../ffi/process.ts";
import { RegionError } from "./errors.ts";
import { HEADER_BYTES } from "./layout.ts";
import type { Target } from "./names.ts";
import { parseSize } from "./size.ts";

/** How the CPU sees a device buffer; all but `cached` open it with O_SYNC and set the driver's sync_mode. */
export type SyncMode = "cached" | "noncached" | "write-combine" | "dma-coherent";

export interface RegionCreateOptions {
  /** Bytes, or e.g. `"256MiB"`. A device has a size of its own: left out, the region takes all of it. */
  readonly size?: number | string;
  /** Replace whatever is there, even while others use it. */
  readonly force?: boolean;
  /** Do not reserve the memory: touching it fails with SIGBUS when there is none left. */
  readonly sparse?: boolean;
  /** Permissions of the file (of the sidecar, on a device); 0o600 by default. */
  readonly mode?: number;
  /** Group of the file (of the sidecar): a name or a number. Give it access with `mode`, e.g. 0o660, or 0o640 for readers. */
  readonly group?: string | number;
  /** Start of the region in a device's buffer; a multiple of the page size. */
  readonly offset?: number;
  /** Size of a window onto a large region: a power of two, 128 KiB to 4 GiB (default). */
  readonly windowBytes?: number;
}

export interface RegionOpenOptions {
  /** Map the bytes as they are: no superblock, no directory, no control area. */
  readonly raw?: boolean;
  /** A mapping that cannot be written; plain reads only, never `Atomics`. */
  readonly readOnly?: boolean;
  /** Start of the region in the file or buffer; only with `raw` or on a device. */
  readonly offset?: number;
  /** Length of a raw mapping; the rest of the file by default. */
  readonly sizeBytes?: number;
  readonly syncMode?: SyncMode;
  /** Wait so long for the region to appear and to be ready, blocking the thread; 0 by default. */
  readonly waitMs?: number;
  readonly windowBytes?: number;
}

export const DEFAULT_MODE = 0o600;

function unsupported(message: string): RegionError {
  return new RegionError("REGION_UNSUPPORTED", message);
}

/** Smallest window: half of one must be a multiple of every page size. */
const MIN_WINDOW_BYTES = 2 ** 17;

function checkWindowBytes(windowBytes: number | undefined): void {
  if (windowBytes === undefined) return;
  const powerOfTwo = Number.isInteger(Math.log2(windowBytes));
  if (!powerOfTwo || windowBytes < MIN_WINDOW_BYTES || windowBytes > MAX_BUFFER_BYTES) {
    throw new RegionError(
      "SIZE_INVALID",
      `windowBytes is ${windowBytes}: use a power of two from 128 KiB to 4 GiB`,
    );
  }
}

function checkOffset(offset: number): number {
  if (!Number.isSafeInteger(offset) || offset < 0 || offset % PAGE_BYTES !== 0) {
    throw new RegionError("OUT_OF_RANGE", `offset ${offset} is no multiple of the page size ${PAGE_BYTES}`);
  }
  return offset;
}

export interface CheckedCreateOptions {
  /** Null: all of the device. */
  readonly sizeBytes: number | null;
  readonly force: boolean;
  readonly sparse: boolean;
  readonly mode: number;
  /** Group id; null: that of the creator. */
  readonly group: number | null;
  readonly offset: number;
}

function checkGroup(group: string | number | undefined): number | null {
  if (group === undefined) return null;
  const id = typeof group === "number" ? group : groupId(group);
  if (id === null || !Number.isInteger(id) || id < 0 || id >= 2 ** 32 - 1)
    throw unsupported(`group ${JSON.stringify(group)}: there is no such group (getent group lists them)`);
  return id;
}

export function checkCreateOptions(target: Target, options: RegionCreateOptions): CheckedCreateOptions {
  checkWindowBytes(options.windowBytes);
  const offset = checkOffset(options.offset ?? 0);
  if (target.backend !== "udmabuf") {
    if (options.size === undefined)
      throw new RegionError("SIZE_INVALID", `say the size of ${target.name}: { size: "64MiB" }`);
    if (offset !== 0) throw unsupported(`${target.name}: only a region on a device starts at an offset`);
  }
  const sizeBytes = options.size === undefined ? null : parseSize(options.size);
  if (sizeBytes !== null && sizeBytes < HEADER_BYTES) {
    throw new RegionError("SIZE_INVALID", `a region has at least ${HEADER_BYTES} bytes, not ${sizeBytes}`);
  }
  const mode = options.mode ?? DEFAULT_MODE;
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o777)
    throw unsupported(`mode ${mode} is no file mode from 0 to 0o777`);
  const group = checkGroup(options.group);
  return { sizeBytes, force: options.force ?? false, sparse: options.sparse ?? false, mode, group, offset };
}

export interface CheckedOpenOptions {
  readonly raw: boolean;
  readonly readOnly: boolean;
  readonly offset: number;
  readonly sizeBytes: number | null;
  readonly syncMode: SyncMode;
  readonly waitMs: number;
}

export function checkOpenOptions(target: Target, options: RegionOpenOptions): CheckedOpenOptions {
  checkWindowBytes(options.windowBytes);
  const raw = options.raw ?? false;
  const offset = checkOffset(options.offset ?? 0);
  const device = target.backend === "udmabuf";
  const syncMode = options.syncMode ?? "cached";
  if (offset !== 0 && !raw && !device)
    throw unsupported(`${target.name}: an offset goes with raw: true or with a device`);
  if (options.sizeBytes !== undefined && !raw)
    throw unsupported(`${target.name}: sizeBytes goes with raw: true; a region knows its size`);
  if (syncMode !== "cached" && !device) throw unsupported(`${target.name}: syncMode is for devices`);
  if (syncMode !== "cached" && !raw && process.arch === "arm64") {
    throw unsupported(
      `${target.name}: atomic words do not work in ${syncMode} memory on arm64; open it with raw: true, or cached`,
    );
  }
  const waitMs = options.waitMs ?? 0;
  if (!(waitMs >= 0)) throw unsupported(`waitMs ${waitMs} is no time`);
  const sizeBytes = options.sizeBytes === undefined ? null : parseSize(options.sizeBytes);
  return { raw, readOnly: options.readOnly ?? false, offset, sizeBytes, syncMode, waitMs };
}
