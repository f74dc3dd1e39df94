/** Putting a region together: files, windows, control area; and taking it apart again when a step fails. */
import { type Backing, closeBacking } from "./backing.ts";
import { parseName } from "./names.ts";
import { createBacking, openBacking, peekHeader, publishBacking } from "./region-files.ts";
import { type ControlWords, formatRegion, locateControl, verifyRegion } from "./region-format.ts";
import {
  checkCreateOptions,
  checkOpenOptions,
  type RegionCreateOptions,
  type RegionOpenOptions,
} from "./region-options.ts";
import { newInstanceId, type RegionHeader } from "./superblock.ts";
import { Windows } from "./windows.ts";

export interface RegionParts {
  readonly name: string;
  readonly backing: Backing;
  readonly windows: Windows;
  /** Null for a raw region, which has no layout. */
  readonly layout: { readonly header: RegionHeader; readonly control: ControlWords } | null;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
}

export function createParts(name: string, options: RegionCreateOptions): RegionParts {
  const target = parseName(name);
  const checked = checkCreateOptions(target, options);
  const backing = createBacking(target, checked);
  return owning(backing, (keep) => {
    const sizeBytes = checked.sizeBytes ?? backing.availableBytes;
    const sidecar = backing.controlFd !== backing.fd;
    const header = { sizeBytes, instanceId: newInstanceId(), sidecar };
    const windows = keep(
      new Windows(backing.fd, backing.fileOffset, sizeBytes, {
        ...options,
        readOnly: false,
        path: backing.path,
      }),
    );
    const control = locateControl(windows, backing, false);
    if (control.mapping !== null) keep(control.mapping);
    formatRegion(windows, control, header, backing);
    publishBacking(target, backing, checked);
    return { name, backing, windows, layout: { header, control }, sizeBytes, readOnly: false };
  });
}

export function openParts(name: string, options: RegionOpenOptions): RegionParts {
  const target = parseName(name);
  const checked = checkOpenOptions(target, options);
  const { readOnly } = checked;
  const backing = openBacking(target, checked);
  return owning(backing, (keep) => {
    const header = checked.raw ? null : peekHeader(name, backing, checked.waitMs);
    const sizeBytes = header?.sizeBytes ?? checked.sizeBytes ?? backing.availableBytes;
    const windows = keep(
      new Windows(backing.fd, backing.fileOffset, sizeBytes, { ...options, readOnly, path: backing.path }),
    );
    if (header === null) return { name, backing, windows, layout: null, sizeBytes, readOnly };
    const control = locateControl(windows, backing, readOnly);
    if (control.mapping !== null) keep(control.mapping);
    verifyRegion(windows, control, header, backing, name, !readOnly);
    return { name, backing, windows, layout: { header, control }, sizeBytes, readOnly };
  });
}

/** Gives everything back; the files last. */
export function releaseParts(parts: RegionParts, beforeFiles: () => void): void {
  parts.windows.release();
  parts.layout?.control.mapping?.release();
  try {
    beforeFiles();
  } finally {
    closeBacking(parts.backing);
  }
}

/** Runs `body`; when it throws, what it kept is released and the files are closed. */
function owning<T>(backing: Backing, body: (keep: <R extends { release(): void }>(part: R) => R) => T): T {
  const kept: { release(): void }[] = [];
  try {
    return body((part) => {
      kept.push(part);
      return part;
    });
  } catch (error) {
    for (const part of kept.reverse()) part.release();
    closeBacking(backing);
    throw error;
  }
}
