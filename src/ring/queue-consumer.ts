/** The one consumer of a work queue whose heads are its own: messages are read in place (PROTOCOL.md §11 "Consume, own head"). */
import { loadAfterFence, pause } from "../memory/atomics.ts";
import { RingLayout } from "./layout.ts";
import { ownerParticipant } from "./owner.ts";
import type { Participant } from "./participant.ts";
import { attachConsumer, detachConsumer, lanesInUse } from "./queue-ends.ts";
import type { QueueGeometry } from "./queue-geometry.ts";
import { QueueReceiver } from "./queue-receiver.ts";
import { SpscConsumer } from "./spsc.ts";

/** Messages of one lane before the next lane's turn. */
export const LANE_BURST = 256;

export class QueueConsumer extends QueueReceiver {
  readonly slotWords: number;
  /** Words of the lane that was peeked; read only slots that are peeked. */
  words: Int32Array;
  /** Word index of the first peeked slot. */
  at = 0;
  private readonly lanes: SpscConsumer[];
  private current: SpscConsumer;
  private peeked: SpscConsumer;
  private index = 0;
  private budget = LANE_BURST;

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
    super(queue, participant);
    this.lanes = queue.lanes.map((lane) => new SpscConsumer(lane));
    this.current = this.lanes[0]!;
    this.peeked = this.current;
    this.words = this.current.words;
    this.slotWords = this.current.slotWords;
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

  /** Whether a lane has a message. */
  protected hasMessage(): boolean {
    return this.current.ready() || this.turn(false);
  }

  close(): void {
    if (this.open && !this.participant.region.closed) detachConsumer(this.queue, this.participant.bit);
    this.open = false;
    for (const lane of this.lanes) lane.shut();
    this.participant.lookAgain();
  }
}
