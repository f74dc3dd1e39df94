/** One entry of the directory: read and check, write (docs/PROTOCOL.md §4). Algorithms are in directory.ts. */
import { fence, loadAcquire, loadHint, storePlain, storeRelease } from "./atomics.ts";
import { type RegionOffset, regionOffset } from "./brands.ts";
import { RegionError } from "./errors.ts";
import { HEADER_BYTES, Directory as Layout, WORD_BYTES } from "./layout.ts";

export interface DirectoryEntry {
  readonly index: number;
  /** See ObjectKind; other numbers are for later versions. */
  readonly kind: number;
  /** Counts how often the entry was filled: (index, generation) names one object for good. */
  readonly generation: number;
  readonly name: string;
  readonly offset: RegionOffset;
  readonly sizeBytes: number;
}

export interface Extent {
  readonly offset: number;
  readonly sizeBytes: number;
}

const ENTRY_WORDS = Layout.entryBytes / WORD_BYTES;
export const DIRECTORY_WORDS = Layout.capacity * ENTRY_WORDS;
/** A writer fills an entry in microseconds; a reader that meets it again and again is being fooled. */
const MAX_READ_ATTEMPTS = 1000;

const decoder = new TextDecoder("utf-8", { fatal: true });

/** UTF-8 of an object name, zero padded to 64 bytes; throws `NAME_INVALID`. */
export function encodeName(name: string): Uint8Array {
  const bytes = Buffer.from(name, "utf8");
  const wellFormed = name.isWellFormed() && !name.includes("\0");
  if (!wellFormed || bytes.byteLength < 1 || bytes.byteLength >= Layout.nameBytes) {
    throw new RegionError(
      "NAME_INVALID",
      `${JSON.stringify(name)} is no object name: 1 to ${Layout.nameBytes - 1} bytes of UTF-8`,
    );
  }
  const padded = new Uint8Array(Layout.nameBytes);
  padded.set(bytes);
  return padded;
}

function corrupt(index: number, what: string): RegionError {
  return new RegionError("DIRECTORY_CORRUPT", `directory entry ${index}: ${what}`);
}

function decodeName(index: number, padded: Uint8Array): string {
  const end = padded.indexOf(0);
  if (end < 1) throw corrupt(index, "the name is empty or not terminated");
  try {
    return decoder.decode(padded.subarray(0, end));
  } catch (cause) {
    throw new RegionError("DIRECTORY_CORRUPT", `directory entry ${index}: the name is no UTF-8`, { cause });
  }
}

/** The words of all entries and the size of the region they describe. */
export class EntryTable {
  readonly #words: Int32Array;
  readonly #regionBytes: number;
  readonly #load: (words: Int32Array, index: number) => number;

  /** `atomic` is false on read-only mappings, which have no atomic loads. */
  constructor(words: Int32Array, regionBytes: number, atomic: boolean) {
    this.#words = words;
    this.#regionBytes = regionBytes;
    this.#load = atomic ? loadAcquire : loadHint;
  }

  state(index: number): number {
    // SYNC entry-ready: pairs with the store of the state in setState.
    return this.#load(this.#words, index * ENTRY_WORDS + Layout.stateWord);
  }

  /** SYNC entry-ready: pairs with the load in {@link state}. Called under the directory lock. */
  setState(index: number, state: number): void {
    storeRelease(this.#words, index * ENTRY_WORDS + Layout.stateWord, state);
  }

  /** A checked copy of a ready entry, or null when it is not ready. Throws `DIRECTORY_CORRUPT`. */
  read(index: number): DirectoryEntry | null {
    for (let attempt = 0; attempt < MAX_READ_ATTEMPTS; attempt++) {
      if (this.state(index) !== Layout.stateReady) return null;
      const copy = this.#words.slice(index * ENTRY_WORDS, (index + 1) * ENTRY_WORDS);
      fence();
      // Freed and filled again while we copied: the state or the generation differs.
      const generation = loadHint(this.#words, index * ENTRY_WORDS + Layout.generationWord);
      const same = this.state(index) === Layout.stateReady && generation === copy[Layout.generationWord];
      if (same) return this.#check(index, copy);
    }
    throw corrupt(index, "it keeps changing");
  }

  /** Extent of a building or ready entry (under the lock), checked like {@link read}; null for a free one. */
  extent(index: number): Extent | null {
    if (this.state(index) === Layout.stateFree) return null;
    return this.#extentOf(index, this.#words.subarray(index * ENTRY_WORDS, (index + 1) * ENTRY_WORDS));
  }

  /** Fills an entry as *building*, under the lock; returns what it will be once ready. */
  write(index: number, kind: number, name: string, encodedName: Uint8Array, extent: Extent): DirectoryEntry {
    const base = index * ENTRY_WORDS;
    const generation = (loadHint(this.#words, base + Layout.generationWord) + 1) >>> 0;
    this.setState(index, Layout.stateBuilding);
    storePlain(this.#words, base + Layout.generationWord, generation | 0);
    storePlain(this.#words, base + Layout.kindWord, kind);
    storePlain(this.#words, base + Layout.offsetLowWord, extent.offset | 0);
    storePlain(this.#words, base + Layout.offsetHighWord, Math.floor(extent.offset / 2 ** 32));
    storePlain(this.#words, base + Layout.sizeLowWord, extent.sizeBytes | 0);
    storePlain(this.#words, base + Layout.sizeHighWord, Math.floor(extent.sizeBytes / 2 ** 32));
    const nameWords = new Int32Array(encodedName.buffer);
    nameWords.forEach((word, i) => {
      storePlain(this.#words, base + Layout.nameWord + i, word);
    });
    return {
      index,
      kind,
      generation,
      name,
      offset: regionOffset(extent.offset),
      sizeBytes: extent.sizeBytes,
    };
  }

  #check(index: number, copy: Int32Array): DirectoryEntry {
    const { offset, sizeBytes } = this.#extentOf(index, copy);
    const nameBytes = new Uint8Array(Layout.nameBytes);
    nameBytes.set(new Uint8Array(copy.buffer, Layout.nameWord * WORD_BYTES, Layout.nameBytes));
    return {
      index,
      kind: copy[Layout.kindWord]! >>> 0,
      generation: copy[Layout.generationWord]! >>> 0,
      name: decodeName(index, nameBytes),
      offset: regionOffset(offset),
      sizeBytes,
    };
  }

  #extentOf(index: number, entry: Int32Array): Extent {
    const offset = (entry[Layout.offsetLowWord]! >>> 0) + (entry[Layout.offsetHighWord]! >>> 0) * 2 ** 32;
    const sizeBytes = (entry[Layout.sizeLowWord]! >>> 0) + (entry[Layout.sizeHighWord]! >>> 0) * 2 ** 32;
    const aligned = offset % Layout.objectAlignBytes === 0;
    const inside = offset >= HEADER_BYTES && sizeBytes > 0 && sizeBytes <= this.#regionBytes - offset;
    if (!aligned || !inside) {
      throw corrupt(
        index,
        `${sizeBytes} bytes at ${offset} cannot be an object of a region of ${this.#regionBytes} bytes`,
      );
    }
    return { offset, sizeBytes };
  }
}
