/** Backend `memfd`: an anonymous file of sealed size, for processes that do not trust each other with truncation. */
import {
  createMemfd,
  fileStatus,
  openFile,
  reopen,
  reserveFile,
  SIZE_SEALS,
  sealSize,
  sealsOf,
  setFileSize,
  withFile,
} from "../ffi/files.ts";
import { type Backing, setFileAccess, tryUse } from "./backing.ts";
import { RegionError } from "./errors.ts";
import type { CreateFileOptions } from "./shm.ts";
import { asRegionError } from "./system-errors.ts";

export interface MemfdTarget {
  readonly name: string;
  readonly label: string;
  readonly source: number | string | null;
}

function backingOf(fd: number, fileOffset: number): Backing {
  return {
    backend: "memfd",
    path: `/proc/${process.pid}/fd/${fd}`,
    fd,
    fileOffset,
    availableBytes: fileStatus(fd).sizeBytes - fileOffset,
    controlFd: fd,
    controlPath: null,
    device: null,
  };
}

export function createMemfdBacking(target: MemfdTarget, options: CreateFileOptions): Backing {
  if (target.source !== null) {
    throw new RegionError(
      "NAME_INVALID",
      `${target.name} names an existing file: create with a label, e.g. memfd:frames`,
    );
  }
  const fd = createMemfd(`physring.${target.label}`);
  return withFile(fd, () => {
    setFileAccess(target.name, fd, options);
    asRegionError(target.name, "ask for less", () => setFileSize(fd, options.sizeBytes));
    if (!options.sparse) {
      const remedy = "there is not enough memory: ask for less, or create with sparse: true";
      asRegionError(target.name, remedy, () => reserveFile(fd, options.sizeBytes, target.name, remedy));
    }
    sealSize(fd);
    if (!tryUse(fd)) throw new RegionError("REGION_BUSY", `${target.name}: a lock on a new file is taken`);
    return backingOf(fd, 0);
  });
}

/** Opens by descriptor number (it stays the caller's) or by /proc/PID/fd/N; the file must be sealed against shrinking. */
export function openMemfd(
  target: MemfdTarget,
  options: { readOnly: boolean; raw: boolean; offset: number },
): Backing {
  const { source } = target;
  if (source === null) {
    throw new RegionError(
      "NAME_INVALID",
      `${target.name}: an anonymous file is opened as memfd:/proc/PID/fd/N (its path) or memfd:FD`,
    );
  }
  const remedy = "does the process still run, as the same user, with the region open?";
  const fd = asRegionError(target.name, remedy, () =>
    typeof source === "number"
      ? reopen(source, { readOnly: options.readOnly })
      : openFile(source, { readOnly: options.readOnly }),
  );
  return withFile(fd, () => {
    const seals = fileStatus(fd).kind === "file" ? sealsOf(fd) : null;
    if (seals === null || (seals & SIZE_SEALS) !== SIZE_SEALS) {
      throw new RegionError(
        "REGION_UNSUPPORTED",
        `${target.name} is not a memfd sealed with F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_SEAL: its size could change under a mapping`,
      );
    }
    if (!options.raw && !tryUse(fd)) throw new RegionError("REGION_BUSY", `${target.name} is being replaced`);
    return backingOf(fd, options.offset);
  });
}
