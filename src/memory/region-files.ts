/** From a name to the files of a region: dispatch to the backends, and the first look at the superblock. */
import { fileStatus, makeDirectory, pathStatus, readAt, removeTree, unlinkFile } from "../ffi/files.ts";
import { mapPlain } from "../ffi/mapping.ts";
import { retryUntil } from "./appear.ts";
import { type Backing, closeBacking, isCreating } from "./backing.ts";
import { RegionError } from "./errors.ts";
import { HEADER_BYTES, WORD_BYTES } from "./layout.ts";
import { createMemfdBacking, openMemfd } from "./memfd.ts";
import { doorbellDirectoryOf, parseName, sidecarPath, type Target } from "./names.ts";
import type { CheckedCreateOptions, CheckedOpenOptions } from "./region-options.ts";
import { createShm, openShm, publishShm } from "./shm.ts";
import { type RegionHeader, readSuperblock, SUPERBLOCK_WORDS } from "./superblock.ts";
import { createOnDevice, eraseOnDevice, openOnDevice, publishOnDevice } from "./udmabuf.ts";

export function createBacking(target: Target, options: CheckedCreateOptions): Backing {
  if (target.backend === "udmabuf") return createOnDevice(target, options);
  if (options.sizeBytes === null) throw new RegionError("SIZE_INVALID", `say the size of ${target.name}`);
  const file = { ...options, sizeBytes: options.sizeBytes };
  return target.backend === "shm" ? createShm(target, file) : createMemfdBacking(target, file);
}

/** The region is ready: let others find it. */
export function publishBacking(target: Target, backing: Backing, options: CheckedCreateOptions): void {
  if (target.backend === "shm") publishShm(target, backing, options.force);
  else if (target.backend === "udmabuf") publishOnDevice(backing);
}

export function openBacking(target: Target, options: CheckedOpenOptions): Backing {
  const backing = openByBackend(target, options);
  const least = options.raw ? Math.max(1, options.sizeBytes ?? 1) : HEADER_BYTES;
  if (backing.availableBytes >= least) return backing;
  closeBacking(backing);
  const found = Math.max(0, backing.availableBytes);
  throw new RegionError(
    "REGION_TOO_SMALL",
    `${target.name} has ${found} bytes from offset ${options.offset}; ${least} are needed`,
  );
}

function openByBackend(target: Target, options: CheckedOpenOptions): Backing {
  switch (target.backend) {
    case "shm":
      return openShm(target, options);
    case "memfd":
      return openMemfd(target, options);
    case "udmabuf":
      return openOnDevice(target, options);
  }
}

/**
 * What the superblock says. A superblock that is being built is waited for as long as its creator is alive and `waitMs` is
 * not over. Throws the errors of {@link readSuperblock}.
 */
export function peekHeader(name: string, backing: Backing, waitMs: number): RegionHeader {
  const header = retryUntil(waitMs, () => {
    try {
      return readSuperblock(superblockCopy(backing), backing.availableBytes, name, false);
    } catch (error) {
      const unfinished = error instanceof RegionError && error.code === "REGION_HALF_MADE";
      if (unfinished && isCreating(backing.controlFd)) return null;
      throw error;
    }
  });
  if (header === null)
    throw new RegionError("REGION_BUSY", `${name} was still being created after ${waitMs} ms`);
  if (header.sidecar !== (backing.controlFd !== backing.fd)) {
    const message = `${name}: by its superblock the control area is not where ${backing.backend} regions have it`;
    throw new RegionError("REGION_CORRUPT", message);
  }
  return header;
}

function superblockCopy(backing: Backing): Int32Array {
  const words = new Int32Array(SUPERBLOCK_WORDS);
  if (backing.device === null) {
    readAt(backing.fd, new Uint8Array(words.buffer), backing.fileOffset, backing.path);
    return words;
  }
  // Mapped, not read: read() on a device is a copy through a kernel mapping that may be cached differently.
  const mapping = mapPlain(backing.fd, backing.fileOffset, SUPERBLOCK_WORDS * WORD_BYTES, false);
  words.set(new Int32Array(mapping.buffer));
  mapping.release();
  return words;
}

/** Whoever may write the file may write the directory. */
function directoryMode(fileMode: number): number {
  const STICKY = 0o1000;
  const classes = [0o600, 0o060, 0o006].filter((bits) => (fileMode & bits) === bits);
  const mode = classes.reduce((sum, bits) => sum | bits | (bits >> 1), 0);
  return (mode & 0o007) === 0 ? mode : mode | STICKY;
}

/**
 * Makes the directory of doorbells and life files unless it is there. /dev/shm is everybody's: one that somebody else made before us
 * is refused. Throws `REGION_PERMISSION`.
 */
export function makeDoorbellDirectory(path: string, controlFd: number): void {
  const file = fileStatus(controlFd);
  if (makeDirectory(path, directoryMode(file.mode) || 0o700, file.group)) return;
  const found = pathStatus(path);
  const trusted = found.kind === "directory" && [0, file.owner, process.geteuid?.()].includes(found.owner);
  if (trusted) return;
  throw new RegionError(
    "REGION_PERMISSION",
    `${path} is not a directory of the region's owner (user ${found.owner}): remove it, it is in the way of doorbells`,
  );
}

/** Removes what a region leaves behind; true when there was something. Whoever has it open keeps a nameless one. */
export function destroyFiles(name: string, baseOffset: number): boolean {
  const target = parseName(name);
  if (target.backend === "memfd")
    throw new RegionError("REGION_UNSUPPORTED", `${name}: an anonymous file ends with its last user`);
  const path = target.backend === "shm" ? target.path : sidecarPath(target.device, baseOffset);
  const erased = target.backend === "udmabuf" && eraseOnDevice(target, baseOffset);
  removeTree(doorbellDirectoryOf(path));
  return unlinkFile(path) || erased;
}
