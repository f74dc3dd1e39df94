/** How a consumer of a queue waits (PROTOCOL.md §11 "Sleep"): its bit among the sleepers while it does, and nothing stranded afterwards. */

import { ClosedError, CorruptError } from "./errors.ts";
import type { Participant } from "./participant.ts";
import { isOver } from "./queue-ends.ts";
import type { QueueGeometry } from "./queue-geometry.ts";
import { QueueLayout } from "./queue-layout.ts";
import type { AwaitOptions, BlockOptions } from "./ring.ts";
import { Sleepers } from "./sleepers.ts";
import type { Waitable } from "./wait-any.ts";

/** What all consumers of queues have: how they wait, and how they end. */
export abstract class QueueReceiver implements Disposable, Waitable {
  /** See {@link Condition}. */
  readonly yieldsCpu = true;
  protected readonly queue: QueueGeometry;
  /** @internal */
  readonly participant: Participant;
  protected readonly sleepers: Sleepers;
  protected open = true;

  constructor(queue: QueueGeometry, participant: Participant) {
    this.queue = queue;
    this.participant = participant;
    this.sleepers = new Sleepers(queue.words, QueueLayout.sleepersWord);
  }

  /** Whether a lane has a message, or the next call has something else to say. @throws ClosedError, CorruptError */
  protected abstract hasMessage(): boolean;

  /** Leaves the queue. Idempotent. */
  abstract close(): void;

  [Symbol.dispose](): void {
    this.close();
  }

  /** There is a message, the queue has {@link ended}, or the next call has something else to say. */
  ready(): boolean {
    return this.hasMessage() || isOver(this.queue);
  }

  /** The queue was ended, its producers have left and it is empty: no message will come. */
  get ended(): boolean {
    const over = isOver(this.queue);
    if (!over) this.participant.suspectDeath();
    return over;
  }

  /** Blocks the thread until there is a message (true; another consumer may be faster); false at the time limit, or when the queue {@link ended}. */
  block(options: BlockOptions = {}): boolean {
    const { timeoutMs = Infinity, strategy = "spin-then-futex" } = options;
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      this.beginWait();
      try {
        this.participant.doorbell.block(this, deadlineMs - performance.now(), strategy);
      } finally {
        this.stopWaiting();
      }
      if (this.hasMessage()) return true;
      // Rung, but another consumer was faster: on.
      if (this.isLast(deadlineMs)) return false;
    }
  }

  /** Like {@link block}, leaving the event loop free. Rejects with the signal's reason. */
  async wait({ timeoutMs = Infinity, signal }: AwaitOptions = {}): Promise<boolean> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      this.beginWait();
      try {
        const leftMs = Math.max(0, deadlineMs - performance.now());
        await this.participant.doorbell.wait(this, leftMs, signal);
      } catch (error) {
        // Aborted: a ring that was meant for us is passed on.
        this.endWait();
        throw error;
      }
      this.stopWaiting();
      if (this.participant.region.closed) return false;
      if (this.hasMessage()) return true;
      if (this.isLast(deadlineMs)) return false;
    }
  }

  private isLast(deadlineMs: number): boolean {
    return performance.now() >= deadlineMs || isOver(this.queue);
  }

  /** Wakes another sleeper if there is a message: for whoever takes some and leaves some, or takes none. */
  protected passOn(): void {
    if (this.participant.region.closed) return;
    if (this.sleepers.any() && this.mayBeReady()) this.sleepers.rouseOne(this.participant.ringer);
  }

  /** A spoilt lane is for the one who is woken to find: here messages were taken already, or somebody leaves, or has left in mid-wait. */
  private mayBeReady(): boolean {
    try {
      return this.hasMessage();
    } catch (error) {
      if (error instanceof CorruptError || error instanceof ClosedError) return true;
      throw error;
    }
  }

  /** @internal For {@link waitAny}. */
  beginWait(): void {
    if (this.participant.waits.countIn(this.queue.name)) this.sleepers.lieDown(this.participant.bit);
  }

  /** @internal A ring that was meant for us may be somebody else's now. */
  endWait(): void {
    this.stopWaiting();
    this.passOn();
  }

  private stopWaiting(): void {
    const last = this.participant.waits.countOut(this.queue.name);
    if (last && !this.participant.region.closed) this.sleepers.getUp(this.participant.bit);
  }
}
