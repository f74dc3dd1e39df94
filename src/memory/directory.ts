/** Named objects of a region, and the allocation of its bytes to them (docs/PROTOCOL.md §4). */
import { tryLockByte, unlockByte } from "../ffi/locks.ts";
import { type AppearOptions, retryUntil, retryUntilAsync } from "./appear.ts";
import type { RegionOffset } from "./brands.ts";
import { type DirectoryEntry, EntryTable, type Extent, encodeName } from "./directory-entry.ts";
import { ReadOnlyError, RegionError } from "./errors.ts";
import { HEADER_BYTES, Directory as Layout, LOCK_BASE_OFFSET, LockByte, ObjectKind } from "./layout.ts";
import { roundUp } from "./numbers.ts";

export type { DirectoryEntry } from "./directory-entry.ts";

/** What the directory needs of its region. */
export interface DirectoryHost {
  readonly name: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  /** Throws when the region is closed. */
  assertOpen(): void;
  /** The words of the directory. */
  directoryWords(): Int32Array;
  /** Descriptor of the file whose byte locks protect the directory. */
  lockFd(): number;
  /** Makes a range of the region read as zero. */
  zero(offset: RegionOffset, lengthBytes: number): void;
}

const DIRECTORY_LOCK = LOCK_BASE_OFFSET + LockByte.directory;
/** Zeroing a large object takes a second or two; a holder that needs longer is stopped or stuck. */
const LOCK_WAIT_MS = 10_000;

const KIND_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(ObjectKind).map(([name, code]) => [code, name]),
);

/** What an object of this kind is called; `kind 99` for one of a later version. */
export function kindName(kind: number): string {
  return KIND_NAMES.get(kind) ?? `kind ${kind}`;
}

export class Directory {
  readonly #host: DirectoryHost;
  readonly #table: EntryTable;
  #lockHeld = false;

  constructor(host: DirectoryHost) {
    this.#host = host;
    this.#table = new EntryTable(host.directoryWords(), host.sizeBytes, !host.readOnly);
  }

  /**
   * Allocates, zeroes and fills an object; it gets its name when `fill` has returned. If `fill` throws there is no object.
   * `fill` runs under the directory lock: it must not create or remove objects itself.
   * Throws `OBJECT_EXISTS`, `DIRECTORY_FULL`, `DIRECTORY_NO_ROOM`, `DIRECTORY_BUSY`, `DIRECTORY_CORRUPT`, `NAME_INVALID`, `SIZE_INVALID`.
   */
  create(
    kind: number,
    name: string,
    sizeBytes: number,
    fill: (offset: RegionOffset) => void,
  ): DirectoryEntry {
    const encodedName = encodeName(name);
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0) {
      throw new RegionError("SIZE_INVALID", `an object cannot have ${sizeBytes} bytes`);
    }
    return this.#locked(() => {
      this.#freeAbandoned();
      if (this.find(name) !== null) {
        throw new RegionError(
          "OBJECT_EXISTS",
          `${this.#host.name} already has an object named ${JSON.stringify(name)}`,
        );
      }
      const index = this.#freeIndex();
      const offset = this.#findGap(sizeBytes);
      const entry = this.#table.write(index, kind, name, encodedName, { offset, sizeBytes });
      try {
        this.#host.zero(entry.offset, sizeBytes);
        fill(entry.offset);
      } catch (error) {
        this.#table.setState(index, Layout.stateFree);
        throw error;
      }
      this.#table.setState(index, Layout.stateReady);
      return entry;
    });
  }

  /** The ready object of this name (and kind), or null. */
  find(name: string, kind?: number): DirectoryEntry | null {
    for (const entry of this.list())
      if (entry.name === name) return kind === undefined || entry.kind === kind ? entry : null;
    return null;
  }

  /** Like {@link find}, but waits up to `waitMs` for it, then throws `OBJECT_NOT_FOUND` (saying what exists) or `OBJECT_KIND`. */
  open(name: string, kind: number, waitMs = 0): DirectoryEntry {
    return this.#ofKind(
      name,
      kind,
      retryUntil(waitMs, () => this.find(name)),
    );
  }

  /** {@link open}, waiting in the event loop; without a time limit by default. Rejects with the signal's reason, too. */
  async openAsync(name: string, kind: number, options: AppearOptions = {}): Promise<DirectoryEntry> {
    return this.#ofKind(name, kind, await retryUntilAsync(options, () => this.find(name)));
  }

  #ofKind(name: string, kind: number, entry: DirectoryEntry | null): DirectoryEntry {
    if (entry === null) {
      const names = this.list().map((other) => `${kindName(other.kind)} ${JSON.stringify(other.name)}`);
      const existing = names.length === 0 ? "it is empty" : `it has ${names.join(", ")}`;
      throw new RegionError(
        "OBJECT_NOT_FOUND",
        `${this.#host.name} has no ${kindName(kind)} ${JSON.stringify(name)}: ${existing}`,
      );
    }
    if (entry.kind !== kind) {
      throw new RegionError(
        "OBJECT_KIND",
        `${JSON.stringify(name)} in ${this.#host.name} is a ${kindName(entry.kind)}, not a ${kindName(kind)}: open it as what it is, or choose another name`,
      );
    }
    return entry;
  }

  /** The ready entry with this index, or null. Throws `OUT_OF_RANGE`, `DIRECTORY_CORRUPT`. */
  at(index: number): DirectoryEntry | null {
    this.#host.assertOpen();
    if (!Number.isInteger(index) || index < 0 || index >= Layout.capacity) {
      throw new RegionError(
        "OUT_OF_RANGE",
        `a directory has entries 0 to ${Layout.capacity - 1}, not ${index}`,
      );
    }
    return this.#table.read(index);
  }

  list(): DirectoryEntry[] {
    const entries: DirectoryEntry[] = [];
    for (let index = 0; index < Layout.capacity; index++) {
      const entry = this.at(index);
      if (entry !== null) entries.push(entry);
    }
    return entries;
  }

  /** Takes the name away and frees the bytes. Whoever still uses the object must have stopped. Throws `OBJECT_NOT_FOUND`. */
  remove(name: string): void {
    this.#locked(() => {
      const entry = this.find(name);
      if (entry === null)
        throw new RegionError(
          "OBJECT_NOT_FOUND",
          `${this.#host.name} has no object named ${JSON.stringify(name)}`,
        );
      this.#table.setState(entry.index, Layout.stateFree);
    });
  }

  #locked<T>(body: () => T): T {
    const host = this.#host;
    host.assertOpen();
    if (host.readOnly) throw new ReadOnlyError(host.name, "changing the directory");
    if (this.#lockHeld)
      throw new RegionError(
        "DIRECTORY_BUSY",
        `${host.name}: the directory is being changed by this very call`,
      );
    const taken = retryUntil(LOCK_WAIT_MS, () => (tryLockByte(host.lockFd(), DIRECTORY_LOCK) ? true : null));
    if (taken === null) {
      throw new RegionError(
        "DIRECTORY_BUSY",
        `${host.name}: another process has held the directory lock for ${LOCK_WAIT_MS} ms`,
      );
    }
    this.#lockHeld = true;
    try {
      return body();
    } finally {
      this.#lockHeld = false;
      unlockByte(host.lockFd(), DIRECTORY_LOCK);
    }
  }

  /** We hold the lock, so whoever was building has died. */
  #freeAbandoned(): void {
    for (let index = 0; index < Layout.capacity; index++) {
      const state = this.#table.state(index);
      if (state === Layout.stateBuilding) this.#table.setState(index, Layout.stateFree);
      else if (state !== Layout.stateFree && state !== Layout.stateReady) {
        throw new RegionError("DIRECTORY_CORRUPT", `directory entry ${index}: state ${state >>> 0}`);
      }
    }
  }

  #freeIndex(): number {
    for (let index = 0; index < Layout.capacity; index++)
      if (this.#table.state(index) === Layout.stateFree) return index;
    throw new RegionError(
      "DIRECTORY_FULL",
      `${this.#host.name} has ${Layout.capacity} objects: remove one, or use a second region`,
    );
  }

  /** First gap that is large enough, behind the headers. */
  #findGap(sizeBytes: number): number {
    const extents: Extent[] = [];
    for (let index = 0; index < Layout.capacity; index++) {
      const extent = this.#table.extent(index);
      if (extent !== null) extents.push(extent);
    }
    extents.sort((a, b) => a.offset - b.offset);
    let start = HEADER_BYTES;
    let largest = 0;
    for (const { offset, sizeBytes: taken } of [...extents, { offset: this.#host.sizeBytes, sizeBytes: 0 }]) {
      if (offset - start >= sizeBytes) return start;
      largest = Math.max(largest, offset - start);
      start = Math.max(start, roundUp(offset + taken, Layout.objectAlignBytes));
    }
    throw new RegionError(
      "DIRECTORY_NO_ROOM",
      `${this.#host.name}: no gap of ${sizeBytes} bytes (the largest is ${largest}); create a larger region`,
    );
  }
}
