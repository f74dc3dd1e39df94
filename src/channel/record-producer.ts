/** The producing end of records: reserve → write in place → commit, or send. */

import { ArgumentError, BackpressureError, ClosedError, WaitTimeoutError } from "../ring/errors.ts";
import { ownerParticipant } from "../ring/owner.ts";
import type { Participant } from "../ring/participant.ts";
import { endRecords } from "../ring/record-ends.ts";
import { RecordWriter } from "../ring/record-writer.ts";
import type { RecordsGeometry } from "../ring/records-geometry.ts";
import { RecordsLayout } from "../ring/records-layout.ts";
import type { AwaitOptions, BlockOptions } from "../ring/ring.ts";
import type { Condition } from "../ring/sleeper.ts";
import { StallWatch } from "../ring/stall-watch.ts";
import type { Waitable } from "../ring/wait-any.ts";
import { type Attempt, attemptAsync, attemptBlocking } from "./attempt.ts";

/** Counters of records since they were created. */
export interface RecordsCounters {
  /** Records given up because there was no room (drop-newest). */
  readonly droppedNewest: number;
  /** Sends that failed for want of room (fail). */
  readonly failed: number;
  /** Sends that had to wait (block). */
  readonly blocked: number;
  /** Consumers whose place was taken because they stood still. */
  readonly evicted: number;
}

/** Reads the counters. Single writer: the producer. */
export function readRecordsCounters(words: Int32Array): RecordsCounters {
  const number = (word: number): number => words[word]! >>> 0;
  return {
    droppedNewest: number(RecordsLayout.droppedNewestWord),
    failed: number(RecordsLayout.failedWord),
    blocked: number(RecordsLayout.blockedWord),
    evicted: number(RecordsLayout.evictedWord),
  };
}

export class RecordProducer extends RecordWriter implements Disposable, Waitable {
  readonly #records: RecordsGeometry;
  readonly #participant: Participant;
  readonly #room: Condition;
  /** Of the consumer that gates, by its cursor. */
  readonly #stalls: StallWatch;
  readonly #forgetRegion: () => void;
  #wantedBytes = 0;
  #open = true;

  /** @internal Use {@link Records.producer}. */
  constructor(records: RecordsGeometry, participant: Participant) {
    super(records, participant.ringer);
    this.#records = records;
    this.#participant = participant;
    this.#room = { ready: () => this.ready() };
    this.#stalls = new StallWatch(records.maxConsumers, records.stallTimeoutMs);
    this.#forgetRegion = records.region.onClose(() => this.close());
    this.begin();
  }

  /** Whose doorbell rings when a consumer makes room. */
  get participant(): Participant {
    return this.#participant;
  }

  /** The reservation that failed last would succeed now; it is made. For {@link waitAny}. */
  ready(): boolean {
    return !this.#open || this.tryReserve(this.#wantedBytes);
  }

  /** @internal For {@link waitAny}. @throws StalledError */
  lookMs(): number {
    return this.#stallLeftMs();
  }

  /** Consumers attached now; lossy readers do not attach. */
  get consumers(): number {
    return this.consumerCount();
  }

  get counters(): RecordsCounters {
    return readRecordsCounters(this.words);
  }

  /**
   * Reserves room for a record of up to `maxBytes` as {@link tryReserve} does. No room: `block` waits, blocking the thread; `fail` throws;
   * `drop-newest` counts it and returns false. Lossy records have room at once.
   * @throws BackpressureError, WaitTimeoutError, StalledError, ArgumentError (larger than any record)
   */
  reserve(maxBytes: number, options: BlockOptions = {}): boolean {
    return this.#reserveNow(maxBytes) ?? attemptBlocking(this.#reserving(maxBytes), options);
  }

  /** Like {@link reserve}, leaving the event loop free. The reservation is good until the next `await` of anybody who sends here. */
  async reserveAsync(maxBytes: number, options: AwaitOptions = {}): Promise<boolean> {
    return this.#reserveNow(maxBytes) ?? (await attemptAsync(this.#reserving(maxBytes), options));
  }

  #reserving(maxBytes: number): Attempt<true> {
    return {
      participant: this.#participant,
      condition: this.#room,
      pauseMs: () => this.#stallLeftMs(),
      attempt: () => {
        this.#assertOpen();
        return this.tryReserve(maxBytes) || undefined;
      },
      what: `records ${this.#records.name}: no consumer made room`,
    };
  }

  /** True or false (dropped); undefined: policy `block` has to wait. */
  #reserveNow(maxBytes: number): boolean | undefined {
    this.#assertOpen();
    // A second time: the first may have found that the one who gates is dead, or stands still.
    if (this.tryReserve(maxBytes) || this.tryReserve(maxBytes)) return true;
    const { policy, name } = this.#records;
    if (policy === "block") {
      this.count(RecordsLayout.blockedWord);
      return undefined;
    }
    if (policy === "drop-newest") {
      this.count(RecordsLayout.droppedNewestWord);
      return false;
    }
    this.count(RecordsLayout.failedWord);
    throw new BackpressureError(`records ${name}: no room for ${maxBytes} bytes`);
  }

  /** Polling or waiting, now and then: cursors of the dead are cleaned, those that stand still evicted. @throws StalledError */
  protected override onFull(maxBytes: number): void {
    this.#wantedBytes = maxBytes;
    this.#participant.suspectDeath();
    this.#stallLeftMs();
  }

  /** Milliseconds until the gating consumer counts as stalled; 0: it did, and was evicted. @throws StalledError */
  #stallLeftMs(): number {
    const { stallAction, name } = this.#records;
    const cursor = this.gatingCursor;
    if (stallAction === "none" || cursor < 0) return Number.POSITIVE_INFINITY;
    const stalls = this.#stalls;
    stalls.startRound();
    if (!stalls.hasStalled(cursor, this.gatingOwner, this.gatingPosition)) return stalls.leftMs;
    if (stallAction === "error") {
      const index = ownerParticipant(this.gatingOwner);
      throw this.#participant.stalled(`records ${name}`, index, stalls.stoodMs(cursor));
    }
    this.evictConsumer(cursor, this.gatingOwner);
    return 0;
  }

  /** Takes cursor `k` from its owner and tells it. False when somebody else has it by now. */
  evictConsumer(k: number, owner: number): boolean {
    if (!this.evict(k, owner)) return false;
    this.#participant.ringer.ring(ownerParticipant(owner));
    return true;
  }

  /**
   * Copies `payload` into a record and publishes it. False when it was dropped (`drop-newest`).
   * @throws as {@link reserve}
   */
  send(payload: Uint8Array, options: BlockOptions = {}): boolean {
    if (!this.reserve(payload.length, options)) return false;
    this.#write(payload);
    return true;
  }

  /** Like {@link send}, leaving the event loop free. */
  async sendAsync(payload: Uint8Array, options: AwaitOptions = {}): Promise<boolean> {
    do {
      if (!(await this.reserveAsync(payload.length, options))) return false;
      // Others may have sent while this continuation waited for its turn: what was reserved is theirs now.
    } while (!this.tryReserve(payload.length));
    this.#write(payload);
    return true;
  }

  #write(payload: Uint8Array): void {
    this.bytes.set(payload, this.offset);
    this.commit(payload.length);
  }

  /** Resolves when at least `count` consumers are attached. @throws WaitTimeoutError; ArgumentError when there can never be so many */
  async waitForConsumers(count: number, options: AwaitOptions = {}): Promise<void> {
    const { name, maxConsumers } = this.#records;
    if (count > maxConsumers)
      throw new ArgumentError(
        `records ${name}: ${count} consumers cannot attach, at most ${maxConsumers} (lossy readers do not attach)`,
      );
    const enough: Condition = { ready: () => this.consumerCount() >= count };
    const timeoutMs = options.timeoutMs ?? Number.POSITIVE_INFINITY;
    if (!(await this.#participant.doorbell.wait(enough, timeoutMs, options.signal)))
      throw new WaitTimeoutError(`${count} consumers of records ${name}`, timeoutMs);
  }

  #assertOpen(): void {
    this.#records.region.assertOpen();
    if (!this.#open) throw new ClosedError(`this producer of records ${this.#records.name}`);
  }

  /** @internal The owner word is given back by whoever made this; nothing was sent. */
  forget(): void {
    this.#open = false;
    this.#forgetRegion();
  }

  /** Publishes what is finished and ends the stream. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#forgetRegion();
    endRecords(this, this.words, this.#participant.index, this.#participant.ringer);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
