/** The producing end of a message channel: values are packed into the record that carries them. */
import type { Participant } from "../ring/participant.ts";
import type { AwaitOptions, BlockOptions } from "../ring/ring.ts";
import type { Waitable } from "../ring/wait-any.ts";
import { type Codec, IN_PLACE_BYTES } from "./codec.ts";
import type { RecordProducer, RecordsCounters } from "./record-producer.ts";

/** Packs values into records, after `prefixBytes` of the caller's. Behind every producer of MessagePack. */
export class RecordPacker {
  readonly #tx: RecordProducer;
  readonly #codec: Codec;
  /** The record bytes up to where the packer may write; made anew when that place is used up. */
  #area = Buffer.alloc(0);

  constructor(tx: RecordProducer, codec: Codec) {
    this.#tx = tx;
    this.#codec = codec;
  }

  /**
   * Packs `value` into a reserved record, behind `prefixBytes` (a multiple of 8) left for the caller at `tx.offset`. Returns the record's
   * length, which the caller gives to `finish` or `commit`; −1: it did not fit in place, nothing is reserved.
   * @throws MessageInvalidError
   */
  tryPack(prefixBytes: number, value: unknown): number {
    const tx = this.#tx;
    const leastBytes = prefixBytes + IN_PLACE_BYTES;
    if (leastBytes > tx.maxBytes || !tx.tryReserve(leastBytes)) return -1;
    const end = tx.offset + tx.extend();
    const start = tx.offset + prefixBytes;
    if (this.#area.length > end || this.#area.length < start + IN_PLACE_BYTES) this.#cover(end);
    try {
      const length = this.#codec.packInto(this.#area, start, value);
      if (length >= 0) return prefixBytes + length;
    } catch (error) {
      tx.abort();
      throw error;
    }
    tx.abort();
    return -1;
  }

  #cover(end: number): void {
    const { buffer, byteOffset } = this.#tx.bytes;
    this.#area = Buffer.from(buffer as ArrayBuffer, byteOffset, end);
  }
}

export class MessageProducer<T = unknown> implements Disposable, Waitable {
  readonly #tx: RecordProducer;
  readonly #codec: Codec;
  readonly #packer: RecordPacker;

  /** @internal Use {@link Messages.producer}. */
  constructor(tx: RecordProducer, codec: Codec) {
    this.#tx = tx;
    this.#codec = codec;
    this.#packer = new RecordPacker(tx, codec);
  }

  /** @internal Whose doorbell rings when a consumer makes room. */
  get participant(): Participant {
    return this.#tx.participant;
  }

  /** There is room for the message that found none last. For {@link waitAny}. */
  ready(): boolean {
    return this.#tx.ready();
  }

  /** @internal For {@link waitAny}. @throws StalledError */
  lookMs(): number {
    return this.#tx.lookMs();
  }

  /** Consumers attached now; lossy readers do not attach. */
  get consumers(): number {
    return this.#tx.consumers;
  }

  get counters(): RecordsCounters {
    return this.#tx.counters;
  }

  /**
   * Sends one value. No room: `block` waits, blocking the thread, `fail` throws, `drop-newest` returns false.
   * @throws MessageInvalidError (no MessagePack value), ArgumentError (larger than any record), BackpressureError, WaitTimeoutError, StalledError
   */
  send(value: T, options: BlockOptions = {}): boolean {
    if (this.#sendInPlace(value)) return true;
    return this.#tx.send(this.#codec.packApart(value), options);
  }

  /** Like {@link send}, leaving the event loop free. */
  async sendAsync(value: T, options: AwaitOptions = {}): Promise<boolean> {
    if (this.#sendInPlace(value)) return true;
    // A copy of its own: another message may be packed while this one waits.
    return this.#tx.sendAsync(this.#codec.packApart(value).slice(), options);
  }

  /** Sends several values and shows them to the consumers together, at the end or where room runs out. Returns how many were not dropped. */
  sendAll(values: Iterable<T>, options: BlockOptions = {}): number {
    let sent = 0;
    for (const value of values) {
      const length = this.#packer.tryPack(0, value);
      if (length >= 0) this.#tx.finish(length);
      else if (!this.#tx.send(this.#codec.packApart(value), options)) continue;
      sent++;
    }
    this.#tx.publish();
    return sent;
  }

  #sendInPlace(value: T): boolean {
    const length = this.#packer.tryPack(0, value);
    if (length < 0) return false;
    this.#tx.commit(length);
    return true;
  }

  /** Resolves when at least `count` consumers are attached. @throws WaitTimeoutError */
  waitForConsumers(count: number, options: AwaitOptions = {}): Promise<void> {
    return this.#tx.waitForConsumers(count, options);
  }

  /** Ends the stream. */
  close(): void {
    this.#tx.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
