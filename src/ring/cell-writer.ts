/** The writing end of a latest-value cell: never waits, whatever the readers do (PROTOCOL.md §13 "Write"). */
import { fenceStores, loadAcquire, publish, storePlain } from "../memory/atomics.ts";
import { WORD_BYTES } from "../memory/layout.ts";
import { bufferOf, type CellGeometry } from "./cell-geometry.ts";
import { CellLayout } from "./cell-layout.ts";
import { ArgumentError, ClosedError } from "./errors.ts";
import { detachOwner } from "./owner.ts";
import type { Participant } from "./participant.ts";
import { Sleepers } from "./sleepers.ts";

export class CellWriter implements Disposable {
  /** Words of the cell; write only between `begin` and `commit`, from `at` on. */
  readonly words: Int32Array;
  /** Word index of the value being written. */
  at = 0;
  private readonly cell: CellGeometry;
  private readonly participant: Participant;
  private readonly waiters: Sleepers;
  /** The values of the buffers, so that no write needs a new view. */
  private readonly views: readonly Uint8Array[];
  private latest: number;
  /** Version being written; 0: none. */
  private writing = 0;
  private open = true;

  /** The caller has attached the participant to the writer owner word. Continues behind the last version. */
  constructor(cell: CellGeometry, participant: Participant) {
    this.cell = cell;
    this.words = cell.words;
    this.participant = participant;
    this.waiters = new Sleepers(cell.words, CellLayout.waitersWord);
    this.latest = loadAcquire(cell.words, CellLayout.latestWord);
    this.views = Array.from({ length: cell.bufferCount }, (_, buffer) => {
      const start = cell.words.byteOffset + bufferOf(cell, buffer) * WORD_BYTES + CellLayout.valueOffset;
      return new Uint8Array(cell.words.buffer, start, cell.valueBytes);
    });
  }

  /** Version of the last value, 0 when there is none yet. */
  get version(): number {
    return this.latest >>> 0;
  }

  /** The place of the next value, to be filled in; it holds an old one. A second call begins anew. @throws ClosedError */
  begin(): Uint8Array {
    if (!this.open) throw new ClosedError(`this writer of cell ${this.cell.name}`);
    const version = (this.latest + 1) | 0 || 1;
    const buffer = bufferOf(this.cell, version);
    publish(this.words, buffer + CellLayout.sequenceWord, 0);
    fenceStores();
    this.writing = version;
    this.at = buffer + CellLayout.valueWord;
    return this.views[version & (this.cell.bufferCount - 1)]!;
  }

  /** Makes what was filled in the latest value, and wakes readers that wait.
   * @param lengthBytes of the value, default all of it
   * @throws ArgumentError without `begin`, or beyond `valueBytes` */
  commit(lengthBytes: number = this.cell.valueBytes): void {
    const version = this.writing;
    const isLength = Number.isInteger(lengthBytes) && lengthBytes >= 0 && lengthBytes <= this.cell.valueBytes;
    if (version === 0 || !isLength)
      throw new ArgumentError(
        `cell ${this.cell.name}: commit(${lengthBytes}): begin() first, and at most ${this.cell.valueBytes} bytes`,
      );
    const buffer = this.at - CellLayout.valueWord;
    storePlain(this.words, buffer + CellLayout.lengthWord, lengthBytes);
    storePlain(this.words, buffer + CellLayout.sequenceWord, version);
    // SYNC publish-value: release, also of the sequence, pairs with the loads of a reader that finds this version. Single writer: us.
    publish(this.words, CellLayout.latestWord, version);
    this.latest = version;
    this.writing = 0;
    if (this.waiters.any()) this.waiters.rouseAll(this.participant.ringer);
  }

  /** Copies a value in and makes it the latest. @throws ArgumentError when it is longer than `valueBytes`; ClosedError */
  write(value: Uint8Array): void {
    if (value.length > this.cell.valueBytes)
      throw new ArgumentError(
        `cell ${this.cell.name}: ${value.length} bytes; its values have at most ${this.cell.valueBytes}`,
      );
    this.begin().set(value);
    this.commit(value.length);
  }

  /** Leaves the cell; the last value stays. Idempotent. */
  close(): void {
    if (this.open && !this.participant.region.closed)
      detachOwner(this.words, CellLayout.writerOwnerWord, this.participant.index);
    this.open = false;
    this.writing = 0;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
