/** Blocks of a pool as operands of commands. */
import type { RegionOffset } from "../memory/brands.ts";
import { FrameReleasedError } from "../ring/errors.ts";
import type { Participant } from "../ring/participant.ts";
import type { Pool } from "../ring/pool.ts";

/** A block that its holder lets a command use, all of it or a part; a channel's Frame is one. */
export interface BlockHolder {
  readonly pool: Pool;
  readonly block: number;
  /** Of the first byte, in the region; a multiple of 64. */
  readonly offset: RegionOffset;
  readonly lengthBytes: number;
}

/** A part of a block in a scatter list. */
export interface BlockPart {
  readonly frame: BlockHolder;
  /** From the start of the frame; a multiple of 64. Default 0. */
  readonly offsetBytes?: number;
  /** A multiple of 64, except in the last part. */
  readonly lengthBytes: number;
}

/** One block, or a scatter list. */
export type Operand = BlockHolder | readonly BlockPart[];

/** A block loaned from a pool without a channel. It leaves its scope (`using`) released. */
export class Block implements BlockHolder, Disposable {
  readonly pool: Pool;
  readonly block: number;
  readonly lengthBytes: number;
  readonly #participant: Participant;
  #held = true;

  private constructor(pool: Pool, participant: Participant, block: number) {
    this.pool = pool;
    this.block = block;
    this.lengthBytes = pool.geometry.frameBytes;
    this.#participant = participant;
  }

  /** Null when no block is free. */
  static loan(pool: Pool, participant: Participant): Block | null {
    const block = pool.loan(participant.bit);
    return block < 0 ? null : new Block(pool, participant, block);
  }

  get offset(): RegionOffset {
    return this.pool.blockOffset(this.block);
  }

  /** The block itself, in shared memory. While a command uses it the device may change it at any time.
   * @throws FrameReleasedError after release */
  get bytes(): Uint8Array {
    if (!this.#held) throw new FrameReleasedError("released");
    return this.pool.region.view(this.offset, this.lengthBytes);
  }

  /** Gives the block back; while hardware uses it, it becomes free with the completion. Twice is once. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    if (!this.pool.region.closed)
      this.pool.clear(this.block, this.#participant.bit, this.#participant.ringer);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
