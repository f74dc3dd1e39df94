/** The one consumer of a work queue whose heads are its own: messages are read in place (PROTOCOL.md §11 "Consume, own head"). */
import { loadAfterFence, pause } from "../memory/atomics.ts";
import { RingLayout } from "./layout.ts";
import { ownerParticipant } from "./owner.ts";
import type { Participant } from "./participant.ts";
import { attachConsumer, detachConsumer, isOver, lanesInUse } from "./queue-ends.ts";
import type { QueueGeometry } from "./queue-geometry.ts";
import { QueueWaiter } from "./queue-waiter.ts";
import type { AwaitOptions, BlockOptions } from "./ring.ts";
import { SpscConsumer } from "./spsc.ts";
import type { Waitable } from "./wait-any.ts";

/** Messages of one lane before the next lane's turn. */
export const LANE_BURST = 256;

export class QueueConsumer implements Disposable, Waitable {
  /** See {@link Condition}. */
  readonly yieldsCpu = true;
  readonly slotWords: number;
  /** Words of the lane that was peeked; read only slots that are peeked. */
  words: Int32Array;
  /** Word index of the first peeked slot. */
  at = 0;
  private readonly queue: QueueGeometry;
  /** @internal */
  readonly participant: Participant;
  private readonly lanes: SpscConsumer[];
  private readonly waiter: QueueWaiter;
  private current: SpscConsumer;
  private peeked: SpscConsumer;
  private index = 0;
  private budget = LANE_BURST;
  private open = true;

  /** @throws InUseError when there is a consumer, CorruptError */
  static attach(queue: QueueGeometry, participant: Participant): QueueConsumer {
    attachConsumer(queue, participant.bit);
    try {
      return new QueueConsumer(queue, participant);
    } catch (error) {
      detachConsumer(queue, participant.bit);
      throw error;
    }
  }

  private constructor(queue: QueueGeometry, participant: Participant) {
    this.queue = queue;
    this.participant = participant;
    this.lanes = queue.lanes.map((lane) => new SpscConsumer(lane));
    this.current = this.lanes[0]!;
    this.peeked = this.current;
    this.words = this.current.words;
    this.slotWords = this.current.slotWords;
    this.waiter = new QueueWaiter(queue, participant, this);
  }

  /**
   * Up to `max` contiguous messages of one lane, oldest first; 0 when all lanes are empty (then it has paused once, so a caller may
   * loop). Word index of message i: `at + i * slotWords`, in `words`. Valid until `release`.
   * @throws CorruptError when a producer's index is impossible
   */
  peek(max: number): number {
    if (this.budget <= 0 ? !this.turn(true) : !this.current.ready() && !this.turn(false)) {
      this.peeked = this.current;
      pause();
      this.participant.suspectDeath();
      return 0;
    }
    const lane = this.current;
    this.peeked = lane;
    const count = lane.peek(max < this.budget ? max : this.budget);
    this.words = lane.words;
    this.at = lane.at;
    return count;
  }

  /**
   * Goes to the next lane that has a message; to the present one last, if it was not looked at just now: each look at an empty lane
   * takes its line from the producer.
   */
  private turn(presentToo: boolean): boolean {
    this.budget = LANE_BURST;
    const used = lanesInUse(this.queue);
    for (let i = 1; i < used; i++) {
      this.index = this.index + 1 < used ? this.index + 1 : 0;
      this.current = this.lanes[this.index]!;
      if (this.current.ready()) return true;
    }
    if (used > 1) {
      this.index = this.index + 1 < used ? this.index + 1 : 0;
      this.current = this.lanes[this.index]!;
    }
    return presentToo && this.current.ready();
  }

  /** Gives the first `count` peeked messages back with one store, and wakes their producer if it waits for room. */
  release(count: number): void {
    const lane = this.peeked;
    lane.release(count);
    this.budget = (this.budget - count) | 0;
    this.participant.ringer.ring(ownerParticipant(loadAfterFence(lane.words, RingLayout.producerOwnerWord)));
  }

  /** There is a message, or the queue has {@link ended}. */
  ready(): boolean {
    return this.waiter.ready();
  }

  /** @internal Whether a lane has a message. */
  hasMessage(): boolean {
    return this.current.ready() || this.turn(false);
  }

  /** The queue was ended, its producers have left and it is empty: no message will come. */
  get ended(): boolean {
    const over = isOver(this.queue);
    if (!over) this.participant.suspectDeath();
    return over;
  }

  /** @internal For {@link waitAny}. */
  beginWait(): void {
    this.waiter.begin();
  }

  /** @internal */
  endWait(): void {
    this.waiter.end();
    this.waiter.passOn();
  }

  /** Blocks the thread until there is a message; false at the time limit, or when the queue {@link ended}. */
  block(options: BlockOptions = {}): boolean {
    return this.waiter.block(options);
  }

  /** Resolves when there is a message (true), at the time limit or when the queue {@link ended} (false). */
  wait(options: AwaitOptions = {}): Promise<boolean> {
    return this.waiter.wait(options);
  }

  /** Leaves the queue. Idempotent. */
  close(): void {
    if (this.open && !this.participant.region.closed) detachConsumer(this.queue, this.participant.bit);
    this.open = false;
    for (const lane of this.lanes) lane.shut();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}
