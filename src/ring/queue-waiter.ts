/** How a consumer of a queue waits (PROTOCOL.md §11 "Sleep"): its bit among the sleepers while it does, and nothing stranded afterwards. */

import { ClosedError, CorruptError } from "./errors.ts";
import type { Participant } from "./participant.ts";
import { isOver } from "./queue-ends.ts";
import type { QueueGeometry } from "./queue-geometry.ts";
import { QueueLayout } from "./queue-layout.ts";
import type { AwaitOptions, BlockOptions } from "./ring.ts";
import type { Condition } from "./sleeper.ts";
import { Sleepers } from "./sleepers.ts";

/** A consumer, as its waits see it. */
interface MessageSource {
  /** Whether a lane has a message. */
  hasMessage(): boolean;
}

export class QueueWaiter implements Condition {
  /** See {@link Condition}. */
  readonly yieldsCpu = true;
  private readonly queue: QueueGeometry;
  private readonly participant: Participant;
  private readonly source: MessageSource;
  private readonly sleepers: Sleepers;

  constructor(queue: QueueGeometry, participant: Participant, source: MessageSource) {
    this.queue = queue;
    this.participant = participant;
    this.source = source;
    this.sleepers = new Sleepers(queue.words, QueueLayout.sleepersWord);
  }

  ready(): boolean {
    return this.source.hasMessage() || isOver(this.queue);
  }

  /** True: there is a message, unless another consumer takes it now. False: the time is over, or the queue. */
  block(options: BlockOptions): boolean {
    const { timeoutMs = Infinity, strategy = "spin-then-futex" } = options;
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      this.begin();
      try {
        this.participant.doorbell.block(this, deadlineMs - performance.now(), strategy);
      } finally {
        this.end();
      }
      if (this.source.hasMessage()) return true;
      // Rung, but another consumer was faster: on.
      if (this.isLast(deadlineMs)) return false;
    }
  }

  async wait({ timeoutMs = Infinity, signal }: AwaitOptions): Promise<boolean> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      this.begin();
      try {
        const leftMs = Math.max(0, deadlineMs - performance.now());
        await this.participant.doorbell.wait(this, leftMs, signal);
      } catch (error) {
        this.end();
        // Aborted: a ring that was meant for us is passed on.
        this.passOn();
        throw error;
      }
      this.end();
      if (this.participant.region.closed) return false;
      if (this.source.hasMessage()) return true;
      if (this.isLast(deadlineMs)) return false;
    }
  }

  private isLast(deadlineMs: number): boolean {
    return performance.now() >= deadlineMs || isOver(this.queue);
  }

  /** Wakes another sleeper if there is a message: for whoever takes some and leaves some, or takes none. */
  passOn(): void {
    if (this.participant.region.closed) return;
    if (this.sleepers.any() && this.mayBeReady()) this.sleepers.rouseOne(this.participant.ringer);
  }

  /** A spoilt lane is for the one who is woken to find: here messages were taken already, or somebody leaves, or has left in mid-wait. */
  private mayBeReady(): boolean {
    try {
      return this.source.hasMessage();
    } catch (error) {
      if (error instanceof CorruptError || error instanceof ClosedError) return true;
      throw error;
    }
  }

  begin(): void {
    if (this.participant.waits.countIn(this.queue.name)) this.sleepers.lieDown(this.participant.bit);
  }

  end(): void {
    const last = this.participant.waits.countOut(this.queue.name);
    if (last && !this.participant.region.closed) this.sleepers.getUp(this.participant.bit);
  }
}
