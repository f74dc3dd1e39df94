/** Consumers of a work queue that stand still while a producer waits for room (PROTOCOL.md §11 "Stalled consumers"). Nothing here runs per message. */
import { compareAndSwap, loadAcquire } from "../memory/atomics.ts";
import { ParticipantRecord } from "../memory/layout.ts";
import { addToCounter } from "./counters.ts";
import { RingLayout } from "./layout.ts";
import type { Participant } from "./participant.ts";
import type { QueueGeometry } from "./queue-geometry.ts";
import { QueueLayout } from "./queue-layout.ts";
import { StallWatch } from "./stall-watch.ts";

/** What one producer sees of them, at its lane. */
export class QueueStalls {
  private readonly queue: QueueGeometry;
  private readonly lane: Int32Array;
  private readonly participant: Participant;
  private readonly watch: StallWatch;

  constructor(queue: QueueGeometry, lane: number, participant: Participant) {
    this.queue = queue;
    this.lane = queue.lanes[lane]!.words;
    this.participant = participant;
    this.watch = new StallWatch(1, queue.stallTimeoutMs);
  }

  /**
   * Looks at the consumers of the full lane, and evicts them if they have not moved for too long. How long to sleep at most before the
   * next look, in ms.
   * @throws StalledError with action `error`
   */
  lookAtConsumers(): number {
    const { words, name, stallAction } = this.queue;
    const consumers = loadAcquire(words, QueueLayout.consumersWord);
    const head = this.headsTogether();
    this.watch.startRound();
    const stalled = this.watch.hasStalled(0, head, consumers);
    if (consumers !== 0 && stalled && stallAction === "error") {
      const one = 31 - Math.clz32(consumers & -consumers);
      throw this.participant.stalled(`queue ${name}`, one, this.watch.stoodMs(0));
    }
    if (consumers !== 0 && stalled) this.evictConsumers(consumers);
    return stalled ? this.queue.stallTimeoutMs : this.watch.leftMs;
  }

  /** Changes with each head: who works on another lane moves. */
  private headsTogether(): number {
    let sum = 0;
    for (const { words } of this.queue.lanes) sum = (sum + loadAcquire(words, RingLayout.headWord)) | 0;
    return sum;
  }

  /** All of them, if they are still the same: one that moves again finds its bit missing. */
  private evictConsumers(consumers: number): void {
    const { words } = this.queue;
    if (!compareAndSwap(words, QueueLayout.consumersWord, consumers, 0)) return;
    // Whoever comes back has all of the time again.
    this.watch.forget(0);
    const { ringer } = this.participant;
    for (let one = 0; one < ParticipantRecord.capacity; one++) {
      if ((consumers & (1 << one)) === 0) continue;
      this.countEvicted();
      ringer.ring(one);
    }
  }

  /** Single writer: this lane's producer. */
  private countEvicted(): void {
    addToCounter(this.lane, RingLayout.evictedWord);
  }
}
