/** Ranges of a region whose caches are to be maintained together. Reused from call to call: it allocates nothing. */
import { RegionError } from "./errors.ts";

/** Most ranges in one batch; U_DMA_BUF_SYNC_RANGES_MAX of our driver. */
export const SYNC_BATCH_RANGES = 1024;

export class SyncBatch {
  readonly #offsets = new Float64Array(SYNC_BATCH_RANGES);
  readonly #lengths = new Float64Array(SYNC_BATCH_RANGES);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count === SYNC_BATCH_RANGES;
  }

  /** Adds a range; an empty one is left out. Throws `OUT_OF_RANGE` when full. */
  add(offset: number, lengthBytes: number): void {
    if (lengthBytes === 0) return;
    if (this.#count === SYNC_BATCH_RANGES)
      throw new RegionError(
        "OUT_OF_RANGE",
        `a batch has at most ${SYNC_BATCH_RANGES} ranges: sync it and clear it`,
      );
    this.#offsets[this.#count] = offset;
    this.#lengths[this.#count] = lengthBytes;
    this.#count++;
  }

  offset(index: number): number {
    return this.#offsets[index]!;
  }

  lengthBytes(index: number): number {
    return this.#lengths[index]!;
  }

  clear(): void {
    this.#count = 0;
  }
}
