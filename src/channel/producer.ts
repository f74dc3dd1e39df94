/** The producing end of a channel: loan → fill → send. */
import type { ChannelGeometry } from "../ring/channel-geometry.ts";
import { ArgumentError, BackpressureError, ClosedError, WaitTimeoutError } from "../ring/errors.ts";
import { FreeBlock } from "../ring/free-block.ts";
import { LaneSender } from "../ring/lane-sender.ts";
import { ChannelLayout, RingLayout } from "../ring/layout.ts";
import { Participant } from "../ring/participant.ts";
import type { AwaitOptions, BlockOptions } from "../ring/ring.ts";
import { type SendObserver, SendResult } from "../ring/send-result.ts";
import type { Condition } from "../ring/sleeper.ts";
import type { Waitable } from "../ring/wait-any.ts";
import { type Attempt, attemptAsync, attemptBlocking } from "./attempt.ts";
import { Frame } from "./frame.ts";

/** Counters of a channel since it was created. */
export interface ChannelCounters {
  /** Frames published to at least one consumer. */
  readonly published: number;
  /** Frames that got no block or no lane, by policy. */
  readonly dropped: number;
  /** Frames sent while no consumer was attached. */
  readonly unclaimed: number;
  /** Summed over the lanes: frames a full lane did not get (drop-newest), or lost again (drop-oldest). */
  readonly droppedNewest: number;
  readonly droppedOldest: number;
  /** Loans and sends that failed (`fail`) for want of a block or of room in a lane. */
  readonly failed: number;
  /** Loans and sends that had to wait (`block`). */
  readonly blocked: number;
  /** Consumers whose lane was taken because they had stalled. */
  readonly evicted: number;
  /** Descriptors that consumers refused. */
  readonly rejected: number;
}

/** Reads the counters; they belong to different writers and are not a snapshot. */
export function readCounters(channel: ChannelGeometry): ChannelCounters {
  const sum = (word: number): number => channel.lanes.reduce((total, lane) => total + (lane[word]! >>> 0), 0);
  return {
    published: channel.words[ChannelLayout.publishedWord]! >>> 0,
    dropped: channel.words[ChannelLayout.droppedWord]! >>> 0,
    unclaimed: channel.words[ChannelLayout.unclaimedWord]! >>> 0,
    droppedNewest: sum(RingLayout.droppedNewestWord),
    droppedOldest: sum(RingLayout.droppedOldestWord),
    failed: channel.words[ChannelLayout.failedWord]! >>> 0,
    blocked: channel.words[ChannelLayout.blockedWord]! >>> 0,
    evicted: channel.words[ChannelLayout.evictedWord]! >>> 0,
    rejected: sum(RingLayout.rejectedWord),
  };
}

export class FrameProducer implements Disposable {
  readonly #channel: ChannelGeometry;
  readonly #participant: Participant;
  readonly #sender: LaneSender;
  readonly #freeBlock: FreeBlock;
  readonly #room: Waitable;
  readonly #lateLoan: Attempt<Frame>;
  readonly #forgetRegion: () => void;
  #open = true;

  /** @internal Use {@link Channel.producer}. */
  constructor(channel: ChannelGeometry) {
    this.#channel = channel;
    this.#participant = Participant.of(channel.region);
    this.#sender = LaneSender.attach(channel, this.#participant);
    this.#freeBlock = new FreeBlock(
      channel.pool,
      this.#participant,
      () => this.#assertOpen(),
      () => this.#sender.lookForHoarders(),
    );
    this.#room = {
      participant: this.#participant,
      ready: () => this.#sender.ready(),
      lookMs: () => this.#sender.lookForStalled(),
    };
    this.#lateLoan = {
      participant: this.#participant,
      condition: this.#freeBlock,
      attempt: () => this.tryLoan() ?? (this.#sender.relieve() ? this.tryLoan() : null) ?? undefined,
      pauseMs: () => this.#sender.stallLeftMs,
      what: `loan on channel ${channel.name}: no block was released`,
    };
    this.#forgetRegion = channel.region.onClose(() => this.close());
  }

  /** For {@link waitAny}: ready when a block is free, so that {@link tryLoan} may succeed. */
  get freeBlock(): Waitable {
    return this.#freeBlock;
  }

  /** For {@link waitAny}: ready when what the last {@link trySend} lacked is there. */
  get room(): Waitable {
    return this.#room;
  }

  /** Consumers attached now. */
  get consumers(): number {
    return this.#sender.consumerCount();
  }

  /** Frames in the fullest lane that its consumer has not taken. */
  get backlog(): number {
    return this.#sender.backlog();
  }

  /** Is told who gets which frame, for exact accounting; null (default): nobody. */
  set observer(observer: SendObserver | null) {
    this.#sender.observer = observer;
  }

  /** Sequence number the next frame gets. */
  get sequence(): number {
    return this.#sender.sequence;
  }

  get counters(): ChannelCounters {
    return readCounters(this.#channel);
  }

  /** A free block as a frame, or null when there is none now. Nothing is counted. */
  tryLoan(): Frame | null {
    this.#assertOpen();
    const block = this.#channel.pool.loan(this.#participant.bit);
    if (block >= 0) return new Frame(this.#channel.pool, this.#participant, block, null);
    this.#participant.suspectDeath();
    return null;
  }

  /**
   * A free block as a frame. No block free: `block` waits, blocking the thread; `fail` throws; `drop-newest` counts a dropped frame
   * and returns null; `drop-oldest` takes frames back that nobody took yet, and returns null (counted) when all are being read.
   * @throws BackpressureError, WaitTimeoutError, StalledError (with `stallTimeoutMs`)
   */
  loan(options: BlockOptions = {}): Frame | null {
    const frame = this.#loanNow();
    if (frame !== undefined) return frame;
    this.#freeBlock.beginWait();
    try {
      return attemptBlocking(this.#lateLoan, options);
    } finally {
      this.#freeBlock.endWait();
    }
  }

  /** Like {@link loan}, leaving the event loop free. */
  async loanAsync(options: AwaitOptions = {}): Promise<Frame | null> {
    const frame = this.#loanNow();
    if (frame !== undefined) return frame;
    this.#freeBlock.beginWait();
    try {
      return await attemptAsync(this.#lateLoan, options);
    } finally {
      this.#freeBlock.endWait();
    }
  }

  /** A frame, null (dropped), or undefined: policy `block` has to wait. */
  #loanNow(): Frame | null | undefined {
    const frame = this.tryLoan();
    if (frame !== null) return frame;
    // Blocks may lie with the dead.
    if (this.#participant.recoverDead() > 0) {
      const recovered = this.tryLoan();
      if (recovered !== null) return recovered;
    }
    switch (this.#channel.policy) {
      case "block":
        this.#sender.countBlocked();
        return undefined;
      case "fail":
        this.#sender.countFailed();
        throw new BackpressureError(
          `channel ${this.#channel.name}: all ${this.#channel.pool.geometry.blockCount} blocks are held`,
        );
      case "drop-oldest":
        return this.#loanByDropping();
      case "drop-newest":
        this.#sender.countDropped();
        return null;
    }
  }

  #loanByDropping(): Frame | null {
    const most = this.#channel.lanes.length * this.#channel.laneCapacity;
    for (let drops = 0; drops < most && this.#sender.dropOldestOfFullest(); drops++) {
      const frame = this.tryLoan();
      if (frame !== null) return frame;
    }
    this.#sender.countDropped();
    return null;
  }

  /**
   * Sends a frame: loaned here, or received on a channel of the same pool and held by nobody else. True when a consumer gets it,
   * false when it was dropped or nobody is attached; with a history those who join later may get it all the same. A full lane under policy
   * `block` blocks the thread.
   * @throws BackpressureError (`fail`; the frame stays yours), FrameSharedError (others hold it, or its channel keeps it in a history), FrameReleasedError, WaitTimeoutError, StalledError (`stallAction: "error"`)
   */
  send(frame: Frame, options: BlockOptions = {}): boolean {
    return this.trySend(frame) ?? attemptBlocking(this.#waiting(frame), options);
  }

  /** Like {@link send}, leaving the event loop free. */
  async sendAsync(frame: Frame, options: AwaitOptions = {}): Promise<boolean> {
    return this.trySend(frame) ?? (await attemptAsync(this.#waiting(frame), options));
  }

  /** A send that has to wait. */
  #waiting(frame: Frame): Attempt<boolean> {
    this.#sender.countBlocked();
    return {
      participant: this.#participant,
      condition: this.#sender,
      pauseMs: () => this.#sender.stallLeftMs,
      attempt: () => this.trySend(frame) ?? undefined,
      what: `send on channel ${this.#channel.name}: no consumer made room`,
    };
  }

  /**
   * Sends now: true, false (dropped), or null: the frame stays yours, for policy `block` has no room, or the stage it came from
   * has not let go yet. Wait as {@link send} does, or try again.
   */
  trySend(frame: Frame): boolean | null {
    this.#assertOpen();
    frame.assertSendable(this.#participant, this.#channel.pool);
    const result = this.#sender.send(frame.block, frame);
    if (result === SendResult.full) return null;
    frame.markSent();
    return result === SendResult.sent;
  }

  /** Resolves when at least `count` consumers are attached. @throws WaitTimeoutError, ArgumentError when there can never be so many */
  async waitForConsumers(count: number, options: AwaitOptions = {}): Promise<void> {
    const most = this.#channel.lanes.length;
    if (count > most)
      throw new ArgumentError(
        `channel ${this.#channel.name}: ${count} consumers cannot attach, at most ${most}: create it with more maxConsumers`,
      );
    const enough: Condition = { ready: () => this.#sender.consumerCount() >= count };
    const timeoutMs = options.timeoutMs ?? Infinity;
    if (!(await this.#participant.doorbell.wait(enough, timeoutMs, options.signal))) {
      throw new WaitTimeoutError(`${count} consumers of channel ${this.#channel.name}`, timeoutMs);
    }
  }

  #assertOpen(): void {
    this.#channel.region.assertOpen();
    if (!this.#open) throw new ClosedError(`this producer of channel ${this.#channel.name}`);
  }

  /** Ends the stream: consumers get what was sent, then the end. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#forgetRegion();
    this.#sender.end();
    this.#participant.lookAgain();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
