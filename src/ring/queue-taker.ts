/** A consumer of a work queue with shared heads: it copies a burst, then claims it (PROTOCOL.md §11 "Take, shared head"). */
import { loadAfterFence, pause } from "../memory/atomics.ts";
import { WORD_BYTES } from "../memory/layout.ts";
import { ArgumentError, ClosedError, EvictedError } from "./errors.ts";
import { RingLayout } from "./layout.ts";
import { ownerParticipant } from "./owner.ts";
import type { Participant } from "./participant.ts";
import { LANE_BURST } from "./queue-consumer.ts";
import { attachConsumer, detachConsumer, lanesInUse, lostPlace } from "./queue-ends.ts";
import type { QueueGeometry } from "./queue-geometry.ts";
import { QueueReceiver } from "./queue-receiver.ts";
import { SharedHeadReader } from "./shared-head.ts";

export class QueueTaker extends QueueReceiver {
  readonly slotWords: number;
  /** The messages of the last `take`: message i at `at + i * slotWords`. Private memory of this taker. */
  readonly words: Int32Array;
  readonly at = 0;
  /** Most messages of one `take`. */
  readonly burst: number;
  private readonly lanes: SharedHeadReader[];
  private index: number;
  /** Lanes 0 … used − 1 may have messages. */
  private used: number;
  private budget = LANE_BURST;
  private readonly evictable: boolean;
  /** There is something to look at before a message may be taken. */
  private mayRefuse: boolean;
  private lost = false;

  /** @param burst most messages of one `take`, 1 to 65536
   * @throws InUseError when there is a consumer, or this participant is one; ArgumentError */
  static attach(queue: QueueGeometry, participant: Participant, burst: number): QueueTaker {
    if (!Number.isInteger(burst) || burst < 1 || burst > 65536)
      throw new ArgumentError(`queue ${queue.name}: burst ${burst}; 1 to 65536`);
    attachConsumer(queue, participant.bit);
    const taker = new QueueTaker(queue, participant, burst < queue.capacity ? burst : queue.capacity);
    // Our bit was free: one of ours that has not closed was evicted, and must not take the new one's place for its own.
    participant.takers.get(queue.name)?.lose();
    participant.takers.set(queue.name, taker);
    return taker;
  }

  private constructor(queue: QueueGeometry, participant: Participant, burst: number) {
    super(queue, participant);
    this.lanes = queue.lanes.map((lane) => new SharedHeadReader(lane));
    this.slotWords = queue.slotBytes / WORD_BYTES;
    this.words = new Int32Array(burst * this.slotWords);
    this.burst = burst;
    this.used = 1;
    this.index = 0;
    this.evictable = queue.stallAction === "evict";
    this.mayRefuse = this.evictable;
  }

  /**
   * Takes up to `max` (and up to `burst`) messages of one lane, oldest first; 0 when all lanes are empty (then it has paused once).
   * They are in `words` until the next call, and nobody else gets them. Wakes another consumer when it leaves some.
   * @throws CorruptError when indices are impossible; EvictedError when all consumers stood still for longer than the queue allows
   */
  take(max: number): number {
    if (this.mayRefuse) this.assertPlace();
    const most = max < this.burst ? max : this.burst;
    if (this.budget <= 0) this.turn();
    let count = this.takeFrom(this.index, most);
    if (count === 0) {
      // Not the same lane again: each look at an empty one takes its line from the producer.
      this.used = lanesInUse(this.queue);
      for (let i = 1; count === 0 && i < this.used; i++) {
        this.step();
        count = this.takeFrom(this.index, most);
      }
    }
    if (count === 0) {
      pause();
      this.participant.suspectDeath();
      return 0;
    }
    this.budget = (this.budget - count) | 0;
    if (this.sleepers.any()) this.passOn();
    return count;
  }

  private assertPlace(): void {
    if (!this.open) throw new ClosedError(`this consumer of queue ${this.queue.name}`);
    if (this.isEvicted()) this.refuseEvicted();
  }

  private isEvicted(): boolean {
    return this.lost || (this.evictable && lostPlace(this.queue, this.participant.bit));
  }

  /** A ring that woke us may have been meant for a message. */
  private refuseEvicted(): never {
    this.lost = true;
    this.passOn();
    throw new EvictedError(`queue ${this.queue.name}`);
  }

  /** @internal Our place is another taker's of this participant now. */
  lose(): void {
    this.lost = true;
  }

  private turn(): void {
    this.used = lanesInUse(this.queue);
    this.step();
  }

  private step(): void {
    this.budget = LANE_BURST;
    this.index = this.index + 1 < this.used ? this.index + 1 : 0;
  }

  private takeFrom(lane: number, most: number): number {
    const reader = this.lanes[lane]!;
    const count = reader.takeInto(this.words, most);
    if (count !== 0)
      this.participant.ringer.ring(
        ownerParticipant(loadAfterFence(reader.words, RingLayout.producerOwnerWord)),
      );
    return count;
  }

  /** Whether {@link take} has something to say: a message, or that we were evicted. */
  protected hasMessage(): boolean {
    if (!this.open) throw new ClosedError(`this consumer of queue ${this.queue.name}`);
    if (this.isEvicted()) return true;
    this.used = lanesInUse(this.queue);
    for (let lane = 0; lane < this.used; lane++) if (this.lanes[lane]!.ready()) return true;
    return false;
  }

  close(): void {
    if (this.open && !this.participant.region.closed) {
      if (!this.isEvicted()) detachConsumer(this.queue, this.participant.bit);
      if (this.participant.takers.get(this.queue.name) === this)
        this.participant.takers.delete(this.queue.name);
      this.passOn();
    }
    this.open = false;
    this.mayRefuse = true;
    this.participant.lookAgain();
  }
}
