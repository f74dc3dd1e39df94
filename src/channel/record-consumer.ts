/** The consuming end of records: read in place and release, or receive copies. */

import { ClosedError, PeerDiedError, WaitTimeoutError } from "../ring/errors.ts";
import { Participant } from "../ring/participant.ts";
import { leaveRecords, ringRecordProducer } from "../ring/record-ends.ts";
import { RecordReader } from "../ring/record-reader.ts";
import type { RecordsGeometry } from "../ring/records-geometry.ts";
import type { AwaitOptions, BlockOptions } from "../ring/ring.ts";
import type { Condition } from "../ring/sleeper.ts";
import { type Attempt, attemptAsync } from "./attempt.ts";

/** How a consumer starts, and how it takes the end of its producer. */
export interface RecordConsumerOptions {
  /** Start with so many of the last records, as far as they are still there. Default: the records' `history`. */
  readonly history?: number;
  /** Wait for a next producer instead of ending (it closed) or throwing (it died). Default false. */
  readonly reconnect?: boolean;
}

export class RecordConsumer
  extends RecordReader
  implements Disposable, AsyncIterable<Uint8Array<ArrayBuffer>>, Condition
{
  readonly #records: RecordsGeometry;
  readonly #reconnect: boolean;
  readonly #polled: Condition;
  readonly #forgetRegion: () => void;
  #participant: Participant | null;
  #open = true;

  /** @internal Use {@link Records.consumer}. `participant` null: lossy; it takes part only to be woken. */
  constructor(
    records: RecordsGeometry,
    participant: Participant | null,
    cursor: number,
    owner: number,
    options: RecordConsumerOptions,
  ) {
    super(records, cursor, owner);
    this.#records = records;
    this.#participant = participant;
    this.#reconnect = options.reconnect ?? false;
    this.#polled = { ready: () => this.#hasNews(), yieldsCpu: true };
    this.#forgetRegion = records.region.onClose(() => this.close());
  }

  /** Whose doorbell rings for this consumer. Lossy: takes part in the region from the first call. */
  get participant(): Participant {
    this.#participant ??= Participant.of(this.#records.region);
    return this.#participant;
  }

  /** The bytes of the current record, in place: valid until {@link release}, and on lossy records while {@link intact}. */
  view(): Uint8Array {
    return this.bytes.subarray(this.offset, this.offset + this.length);
  }

  /** Gives back every record read so far, with one store, and wakes the producer if it waits for room. @throws EvictedError */
  override release(): boolean {
    if (!super.release()) return false;
    this.ringProducer();
    return true;
  }

  /** @internal Wakes the producer if it waits for room, or for consumers. */
  ringProducer(): void {
    if (this.#participant !== null) ringRecordProducer(this.words, this.#participant.ringer);
  }

  /** A copy of the next record, which is given back; null when there is none now. @throws EvictedError, CorruptError */
  tryReceive(): Uint8Array<ArrayBuffer> | null {
    this.assertOpen();
    while (this.next()) {
      const copy = new Uint8Array(this.length);
      copy.set(this.view());
      if (!this.intact()) continue;
      this.release();
      return copy;
    }
    return null;
  }

  /** True when the producer closed and everything was read. @throws PeerDiedError when it died instead */
  get ended(): boolean {
    if (this.#reconnect) return false;
    const end = this.streamEnd();
    if (end === "open") this.onEmpty();
    if (end === "died") throw new PeerDiedError(`records ${this.#records.name}`);
    return end === "ended";
  }

  /** Somebody who polls notices a death as well. */
  protected override onEmpty(): void {
    this.#participant?.suspectDeath();
  }

  #hasNews(): boolean {
    return !this.#open || this.hasNext(!this.#reconnect);
  }

  /** A record is there, or the stream is over; if not, the producer (or, with `reconnect`, the next one) is asked for a wake-up. For {@link waitAny} and the like. */
  ready(): boolean {
    return !this.#open || this.hasNextOrAsk(this.participant.index, !this.#reconnect);
  }

  /** Blocks the thread until a record is there or the stream is over (true), or the time is up (false). */
  block(options: BlockOptions = {}): boolean {
    const timeoutMs = options.timeoutMs ?? Number.POSITIVE_INFINITY;
    const { doorbell } = this.participant;
    const { strategy = "spin-then-futex" } = options;
    if (strategy === "spin") return doorbell.block(this.#polled, timeoutMs, "spin");
    // While it spins nobody has to wake it.
    const deadlineMs = performance.now() + timeoutMs;
    if (strategy !== "futex" && doorbell.spinBriefly(this.#polled, timeoutMs)) return true;
    // Before the doorbell's fence, which then serves for both: {@link ready} needs none of its own.
    this.ask(this.participant.index);
    return doorbell.block(this, Math.max(0, deadlineMs - performance.now()), "futex");
  }

  /** Like {@link block}, leaving the event loop free. Rejects with the signal's reason. */
  wait(options: AwaitOptions = {}): Promise<boolean> {
    return this.participant.doorbell.wait(
      this,
      options.timeoutMs ?? Number.POSITIVE_INFINITY,
      options.signal,
    );
  }

  /**
   * A copy of the next record, blocking the thread; null at the end of the stream.
   * @throws WaitTimeoutError, PeerDiedError (after everything was read), EvictedError
   */
  receive(options: BlockOptions = {}): Uint8Array<ArrayBuffer> | null {
    const timeoutMs = options.timeoutMs ?? Number.POSITIVE_INFINITY;
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const record = this.#receiveNow();
      if (record !== undefined) return record;
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) throw new WaitTimeoutError(`receive on records ${this.#records.name}`, timeoutMs);
      this.block({ ...options, timeoutMs: leftMs });
    }
  }

  /** Like {@link receive}, leaving the event loop free. */
  async receiveAsync(options: AwaitOptions = {}): Promise<Uint8Array<ArrayBuffer> | null> {
    const record = this.#receiveNow();
    return record !== undefined ? record : attemptAsync(this.#next, options);
  }

  /** A copy of the next record; null: the end of the stream; undefined: nothing now. */
  #receiveNow(): Uint8Array<ArrayBuffer> | null | undefined {
    return this.tryReceive() ?? (this.ended ? null : undefined);
  }

  get #next(): Attempt<Uint8Array<ArrayBuffer> | null> {
    return {
      participant: this.participant,
      condition: this,
      attempt: () => this.#receiveNow(),
      what: `receive on records ${this.#records.name}`,
    };
  }

  /** Copies of the records until the stream ends. */
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    return this.records();
  }

  /** The same with a limit for each wait and a signal. */
  async *records(options: AwaitOptions = {}): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    for (;;) {
      const record = await this.receiveAsync(options);
      if (record === null) return;
      yield record;
    }
  }

  /** @internal */
  assertOpen(): void {
    this.#records.region.assertOpen();
    if (!this.#open) throw new ClosedError(`this consumer of records ${this.#records.name}`);
  }

  /** Leaves: the producer waits for this consumer no longer. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#forgetRegion();
    if (this.#participant === null) this.leave();
    else leaveRecords(this, this.words, this.#participant.ringer);
    this.#participant?.lookAgain();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
