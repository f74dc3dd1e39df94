/** The producing end of a work queue: the ring of its lane, the queue's policy, and waking one sleeper (PROTOCOL.md §11). */
import { addToCounter } from "./counters.ts";
import { BackpressureError, CorruptError } from "./errors.ts";
import { RingLayout } from "./layout.ts";
import type { Participant } from "./participant.ts";
import { attachProducer, detachProducer } from "./queue-ends.ts";
import type { QueueGeometry } from "./queue-geometry.ts";
import { QueueLayout } from "./queue-layout.ts";
import { QueueStalls } from "./queue-stall.ts";
import type { AwaitOptions, BlockOptions } from "./ring.ts";
import { dropOldest } from "./shared-head.ts";
import { Sleepers } from "./sleepers.ts";
import { SpscProducer } from "./spsc.ts";
import type { Waitable } from "./wait-any.ts";

const MOST_CLAIMS = 8;

/**
 * Used like a ring's producer. What `reserve` does when the lane is full is the queue's policy:
 * `block`: 0, then {@link block} or {@link wait}; `fail`: BackpressureError; `drop-newest`: 0, and the `max` messages count as
 * dropped: go on with the next; `drop-oldest`: never 0, the oldest messages of this lane go.
 */
export class QueueProducer extends SpscProducer implements Disposable, Waitable {
  readonly lane: number;
  private readonly queue: QueueGeometry;
  /** @internal */
  readonly participant: Participant;
  private readonly sleepers: Sleepers;
  private readonly blocks: boolean;
  /** Null: stalled consumers may hold us up for ever. */
  private readonly stalls: QueueStalls | null;
  private open = true;

  /** Takes a free lane, an empty one if there is one.
   * @throws InUseError when every lane has a producer, QueueEndedError when the queue was ended, CorruptError */
  static attach(queue: QueueGeometry, participant: Participant): QueueProducer {
    const lane = attachProducer(queue, participant.index, participant.ringer);
    try {
      return new QueueProducer(queue, participant, lane);
    } catch (error) {
      detachProducer(queue, lane, participant.index, participant.ringer);
      throw error;
    }
  }

  private constructor(queue: QueueGeometry, participant: Participant, lane: number) {
    super(queue.lanes[lane]!);
    this.lane = lane;
    this.queue = queue;
    this.participant = participant;
    this.sleepers = new Sleepers(queue.words, QueueLayout.sleepersWord);
    this.blocks = queue.policy === "block";
    this.stalls = queue.stallAction === "none" ? null : new QueueStalls(queue, lane, participant);
  }

  /** See {@link SpscProducer.reserve} and the class. @throws BackpressureError, StalledError (`stallAction: "error"`), CorruptError */
  override reserve(max: number): number {
    const count = super.reserve(max);
    if (count !== 0) return count;
    if (!this.blocks) return this.whenFull(max);
    if (this.stalls !== null) this.stalls.lookAtConsumers();
    return 0;
  }

  /** Publishes the first `count` reserved slots with one store, and wakes a consumer if one sleeps. */
  override commit(count: number): void {
    super.commit(count);
    if (this.sleepers.any()) this.sleepers.rouseOne(this.participant.ringer);
  }

  protected override onFull(): void {
    this.participant.suspectDeath();
  }

  private whenFull(max: number): number {
    const { policy } = this.queue;
    if (policy === "drop-oldest") return this.makeRoom(max);
    if (policy === "drop-newest") {
      this.count(RingLayout.droppedNewestWord, max);
      return 0;
    }
    this.count(RingLayout.refusedWord, max);
    throw new BackpressureError(`queue ${this.queue.name}: lane ${this.lane} is full`);
  }

  /** A lost claim means that a consumer made room: one try is enough, unless somebody moves the head back. */
  private makeRoom(max: number): number {
    for (let tries = 0; tries < MOST_CLAIMS; tries++) {
      const room = (this.capacity - (this.tail & (this.capacity - 1))) | 0;
      const count = max < room ? max : room;
      const head = this.cachedHead;
      if (dropOldest(this.words, head, count)) {
        this.cachedHead = (head + count) | 0;
        this.count(RingLayout.droppedOldestWord, count);
      }
      const reserved = super.reserve(max);
      if (reserved !== 0) return reserved;
    }
    throw new CorruptError(`${this.name}: head`);
  }

  /** Single writer: this lane's producer. */
  private count(word: number, by: number): void {
    addToCounter(this.words, word, by);
  }

  /**
   * Blocks the thread until a slot is free; false at the time limit.
   * @throws StalledError with `stallAction: "error"`
   */
  block(options: BlockOptions = {}): boolean {
    this.beginWait();
    const { timeoutMs = Infinity, strategy = "spin-then-futex" } = options;
    const { doorbell } = this.participant;
    if (this.stalls === null) return doorbell.block(this, timeoutMs, strategy);
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const leftMs = deadlineMs - performance.now();
      const lookMs = this.ready() ? 0 : this.stalls.lookAtConsumers();
      if (doorbell.block(this, Math.min(leftMs, lookMs), strategy)) return true;
      if (leftMs <= 0 || this.participant.region.closed) return false;
    }
  }

  /**
   * Resolves when a slot is free (true) or at the time limit (false).
   * @throws StalledError with `stallAction: "error"`
   */
  async wait(options: AwaitOptions = {}): Promise<boolean> {
    this.beginWait();
    const { timeoutMs = Infinity, signal } = options;
    const { doorbell } = this.participant;
    if (this.stalls === null) return doorbell.wait(this, timeoutMs, signal);
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const leftMs = deadlineMs - performance.now();
      const lookMs = this.ready() ? 0 : this.stalls.lookAtConsumers();
      if (await doorbell.wait(this, Math.max(0, Math.min(leftMs, lookMs)), signal)) return true;
      if (leftMs <= 0 || this.participant.region.closed) return false;
    }
  }

  /** Rings all who sleep, also for {@link waitAny}: the one that was rung for the last message may be stopped. */
  beginWait(): void {
    const isReady = this.ready();
    this.count(RingLayout.waitsWord, 1);
    if (!isReady && this.sleepers.any()) this.sleepers.rouseAll(this.participant.ringer);
  }

  /** @internal For {@link waitAny}. @throws StalledError with `stallAction: "error"` */
  lookMs(): number {
    return this.stalls?.lookAtConsumers() ?? Number.POSITIVE_INFINITY;
  }

  /** Leaves the queue. Idempotent. */
  close(): void {
    if (this.open && !this.participant.region.closed) {
      detachProducer(this.queue, this.lane, this.participant.index, this.participant.ringer);
    }
    this.open = false;
    this.shut();
    this.participant.lookAgain();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}
