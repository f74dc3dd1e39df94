/**
 * A reading end of a latest-value cell (PROTOCOL.md §13 "Read"): plain loads only, so it works on a read-only mapping, and the
 * writer does not know about it. Only waiting makes a participant of it.
 */
import { fenceLoads, loadHint, pause } from "../memory/atomics.ts";
import type { Region } from "../memory/region.ts";
import { bufferOf, type CellGeometry } from "./cell-geometry.ts";
import { CellLayout } from "./cell-layout.ts";
import { copyWords } from "./copy.ts";
import { ArgumentError, CellBusyError, CorruptError } from "./errors.ts";
import { Participant } from "./participant.ts";
import type { AwaitOptions, BlockOptions } from "./ring.ts";
import { Sleepers } from "./sleepers.ts";
import type { Waitable } from "./wait-any.ts";

/** How often a value may be overtaken while it is read. */
const MOST_TRIES = 64;
const NO_VALUE = -1;

export class CellReader implements Waitable {
  /** See {@link Condition}. */
  readonly yieldsCpu = true;
  /** The cell's words: after `peek` the value is at word `at`. */
  readonly cellWords: Int32Array;
  at = 0;
  /** The value of the last `read` without a target: private memory, from word or byte 0 on. */
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  private readonly cell: CellGeometry;
  private readonly region: Region;
  private seen = 0;
  /** Set by the first wait. */
  private joined: Participant | null = null;

  constructor(cell: CellGeometry, region: Region) {
    this.cell = cell;
    this.region = region;
    this.cellWords = cell.words;
    this.words = new Int32Array(Math.ceil(cell.valueBytes / 4));
    this.bytes = new Uint8Array(this.words.buffer, 0, cell.valueBytes);
  }

  /** Version of the value seen last, 0 before the first. The next value has the next version: a gap is what was missed. */
  get version(): number {
    return this.seen >>> 0;
  }

  /** There is a newer value than the one seen last. */
  ready(): boolean {
    return loadHint(this.cellWords, CellLayout.latestWord) !== this.seen;
  }

  /**
   * Copies the latest value to `into` (as many words as its bytes need) and returns its length in bytes; −1: there is none yet.
   * @throws CellBusyError when the writer overtook it again and again, CorruptError
   */
  read(into: Int32Array = this.words): number {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const lengthBytes = this.peek();
      if (lengthBytes === NO_VALUE) return NO_VALUE;
      const words = (lengthBytes + 3) >>> 2;
      if (words > into.length)
        throw new ArgumentError(`a value of ${lengthBytes} bytes does not go into ${into.length} words`);
      copyWords(this.cellWords, this.at, into, 0, words);
      if (this.isIntact()) return lengthBytes;
      pause();
    }
    throw new CellBusyError(this.cell.name);
  }

  /**
   * Finds the latest value in place, at word `at` of `cellWords`, and returns its length in bytes; −1: there is none yet. What is read
   * there counts only if {@link isIntact} says so afterwards.
   * @throws CellBusyError, CorruptError
   */
  peek(): number {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const version = loadHint(this.cellWords, CellLayout.latestWord);
      if (version === this.seen) this.joined?.suspectDeath();
      if (version === 0) return NO_VALUE;
      const buffer = bufferOf(this.cell, version);
      if (loadHint(this.cellWords, buffer + CellLayout.sequenceWord) === version) {
        // SYNC publish-value: what follows is not older than `latest`.
        fenceLoads();
        const lengthBytes = loadHint(this.cellWords, buffer + CellLayout.lengthWord) >>> 0;
        this.seen = version;
        this.at = buffer + CellLayout.valueWord;
        if (lengthBytes <= this.cell.valueBytes) return lengthBytes;
        if (this.isIntact()) throw new CorruptError(`cell ${this.cell.name}: length`);
      }
      pause();
    }
    throw new CellBusyError(this.cell.name);
  }

  /** What was read since {@link peek} is all of version {@link version}, untouched. */
  isIntact(): boolean {
    fenceLoads();
    return loadHint(this.cellWords, this.at - CellLayout.valueWord + CellLayout.sequenceWord) === this.seen;
  }

  /** Blocks the thread until there is a newer value than the one seen last; false at the time limit.
   * @throws RegionError `REGION_READ_ONLY` on a read-only region: look at {@link ready} instead */
  block(options: BlockOptions = {}): boolean {
    const { participant } = this;
    this.beginWait();
    try {
      const { timeoutMs = Infinity, strategy = "spin-then-futex" } = options;
      return participant.doorbell.block(this, timeoutMs, strategy);
    } finally {
      this.endWait();
    }
  }

  /** Resolves when there is a newer value than the one seen last (true) or at the time limit (false).
   * @throws RegionError `REGION_READ_ONLY` on a read-only region */
  async wait(options: AwaitOptions = {}): Promise<boolean> {
    const { participant } = this;
    this.beginWait();
    try {
      return await participant.doorbell.wait(this, options.timeoutMs ?? Infinity, options.signal);
    } finally {
      this.endWait();
    }
  }

  /** @internal Joins the region. @throws ReadOnlyError */
  get participant(): Participant {
    this.joined ??= Participant.of(this.region);
    return this.joined;
  }

  /** @internal All readers of one participant share its bit among the waiters. */
  beginWait(): void {
    const { bit, waits } = this.participant;
    if (waits.countIn(this.cell.name)) this.waiters().lieDown(bit);
  }

  /** @internal */
  endWait(): void {
    if (this.region.closed) return;
    const { bit, waits } = this.participant;
    if (waits.countOut(this.cell.name)) this.waiters().getUp(bit);
  }

  private waiters(): Sleepers {
    return new Sleepers(this.cellWords, CellLayout.waitersWord);
  }
}
