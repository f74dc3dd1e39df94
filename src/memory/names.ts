/**
 * Names of regions, and the files behind them.
 *
 *     NAME, shm:NAME              file /dev/shm/physring.NAME
 *     memfd:LABEL                 create an anonymous file
 *     memfd:FD, memfd:/proc/PID/fd/N    open one
 *     /dev/udmabufN, udmabuf:NAME       a DMA buffer (NAME stands for /dev/NAME)
 *
 * A name without a prefix that is no path under /dev is always shared memory.
 */
import { RegionError } from "./errors.ts";

export type Backend = "shm" | "memfd" | "udmabuf";

export type Target =
  | { readonly backend: "shm"; readonly name: string; readonly path: string }
  | {
      readonly backend: "memfd";
      readonly name: string;
      readonly label: string;
      readonly source: number | string | null;
    }
  | { readonly backend: "udmabuf"; readonly name: string; readonly path: string; readonly device: string };

const REGION_NAME = /^(?!\.)[A-Za-z0-9._-]{1,48}$/;
/** Endings that belong to the files beside a region: its sidecar and the directory of its doorbells. */
const RESERVED_ENDING = /\.(ctl|d)$/;
const FD_PATH = /^\/proc\/(\d+|self|thread-self)\/fd\/\d+$/;

/** Where shared memory files live: `PHYSRING_SHM_DIR`, else /dev/shm. Read at each use so that tests can change it. */
export function sharedMemoryDirectory(): string {
  const { PHYSRING_SHM_DIR } = process.env;
  return PHYSRING_SHM_DIR || "/dev/shm";
}

export function sharedMemoryPath(fileName: string): string {
  return `${sharedMemoryDirectory()}/physring.${fileName}`;
}

function invalid(name: string, reason: string): RegionError {
  return new RegionError("NAME_INVALID", `${JSON.stringify(name)} is no region name: ${reason}`);
}

function checkedName(full: string, name: string): string {
  if (!REGION_NAME.test(name)) {
    throw invalid(
      full,
      "use 1 to 48 of A-Z a-z 0-9 . _ -, not starting with a dot (or /dev/…, udmabuf:…, memfd:…)",
    );
  }
  if (RESERVED_ENDING.test(name))
    throw invalid(full, "names ending in .ctl or .d are taken by the files beside regions");
  return name;
}

function memfdTarget(full: string, rest: string): Target {
  if (/^\d+$/.test(rest)) return { backend: "memfd", name: full, label: rest, source: Number(rest) };
  if (FD_PATH.test(rest)) return { backend: "memfd", name: full, label: rest, source: rest };
  return { backend: "memfd", name: full, label: checkedName(full, rest), source: null };
}

/** Takes a region name apart; throws `NAME_INVALID`. Touches no file. */
export function parseName(name: string): Target {
  if (name.startsWith("memfd:")) return memfdTarget(name, name.slice("memfd:".length));
  if (name.startsWith("/dev/") || name.startsWith("udmabuf:")) {
    const device = name.replace(/^udmabuf:/, "").replace(/^\/dev\//, "");
    return { backend: "udmabuf", name, path: `/dev/${checkedName(name, device)}`, device };
  }
  const plain = checkedName(name, name.replace(/^shm:/, ""));
  return { backend: "shm", name, path: sharedMemoryPath(plain) };
}

/** Where the doorbells and life files of the region with this file (or sidecar) are. */
export function doorbellDirectoryOf(path: string): string {
  return `${path}.d`;
}

/** The sidecar of a device region (docs/PROTOCOL.md §3). */
export function sidecarPath(device: string, baseOffset: number): string {
  return sharedMemoryPath(`${device}${baseOffset === 0 ? "" : `@${baseOffset.toString(16)}`}.ctl`);
}

/** Where the region of a sidecar file of this device starts; null for any other file name. */
export function sidecarOffset(device: string, fileName: string): number | null {
  const match = /^physring\.([^@]+)(?:@([0-9a-f]{1,13}))?\.ctl$/.exec(fileName);
  if (match === null || match[1] !== device) return null;
  return match[2] === undefined ? 0 : Number.parseInt(match[2], 16);
}
