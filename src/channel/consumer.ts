/** The consuming end of a channel: receive → read → release. */
import type { ChannelGeometry } from "../ring/channel-geometry.ts";
import { ArgumentError, ClosedError, PeerDiedError } from "../ring/errors.ts";
import { LaneReceiver } from "../ring/lane-receiver.ts";
import { Participant } from "../ring/participant.ts";
import type { AwaitOptions, BlockOptions } from "../ring/ring.ts";
import type { Condition } from "../ring/sleeper.ts";
import { type Attempt, attemptAsync, attemptBlocking } from "./attempt.ts";
import { Frame } from "./frame.ts";

/** How a consumer takes the end of its producer, and where it begins. */
export interface ConsumerOptions {
  /** Wait for a next producer instead of ending (it closed) or throwing (it died). Default false. */
  readonly reconnect?: boolean;
  /** How many of the last frames to receive first: from 0 up to the channel's `history`, which is the default. */
  readonly history?: number;
}

export class FrameConsumer implements Disposable, AsyncIterable<Frame>, Condition {
  /** See {@link Condition}. */
  readonly yieldsCpu = true;
  readonly #channel: ChannelGeometry;
  readonly #participant: Participant;
  readonly #receiver: LaneReceiver;
  readonly #reconnect: boolean;
  readonly #next: Attempt<Frame | null>;
  readonly #forgetRegion: () => void;
  #open = true;

  /** @internal Use {@link Channel.consumer}. */
  constructor(channel: ChannelGeometry, options: ConsumerOptions = {}) {
    this.#channel = channel;
    this.#participant = Participant.of(channel.region);
    const history = options.history ?? channel.history;
    if (!(Number.isInteger(history) && history >= 0 && history <= channel.history))
      throw new ArgumentError(
        `channel ${channel.name} keeps ${channel.history} frames of history, not ${history}`,
      );
    this.#receiver = LaneReceiver.join(channel, this.#participant, history);
    this.#reconnect = options.reconnect ?? false;
    this.#next = {
      participant: this.#participant,
      condition: this,
      attempt: () => this.tryReceive() ?? (this.ended ? null : undefined),
      what: `receive on channel ${channel.name}`,
    };
    this.#forgetRegion = channel.region.onClose(() => this.close());
  }

  /** @internal Whose doorbell rings for this consumer. */
  get participant(): Participant {
    return this.#participant;
  }

  /** Lane of the channel this consumer reads. */
  get lane(): number {
    return this.#receiver.lane;
  }

  /** Identity of this consumer's stay on its lane: what the producer's {@link FrameProducer.observer} is told. */
  get attachment(): number {
    return this.#receiver.attachment;
  }

  /** Descriptors this lane refused because they made no sense or were stale. */
  get rejected(): number {
    return this.#receiver.rejected;
  }

  /** A frame is there, or the stream is over (a hint, for {@link waitAny}). */
  ready(): boolean {
    if (!this.#open) return true;
    return this.#receiver.ready() && !(this.#reconnect && this.#receiver.streamEnd() !== "open");
  }

  /** The next frame, or null when there is none now. */
  tryReceive(): Frame | null {
    this.#assertOpen();
    const receiver = this.#receiver;
    if (receiver.take()) return new Frame(this.#channel.pool, this.#participant, receiver.block, receiver);
    this.#participant.suspectDeath();
    return null;
  }

  /** True when the producer closed and everything it sent was received. @throws PeerDiedError when it died instead */
  get ended(): boolean {
    if (this.#reconnect) return false;
    const end = this.#receiver.streamEnd();
    if (end === "open") this.#participant.suspectDeath();
    if (end === "died") throw new PeerDiedError(`channel ${this.#channel.name}`);
    return end === "ended";
  }

  /**
   * The next frame, blocking the thread; null at the end of the stream.
   * @throws WaitTimeoutError; PeerDiedError when the producer died (after everything it sent was received)
   */
  receive(options: BlockOptions = {}): Frame | null {
    return this.tryReceive() ?? attemptBlocking(this.#next, options);
  }

  /** Like {@link receive}, leaving the event loop free. */
  async receiveAsync(options: AwaitOptions = {}): Promise<Frame | null> {
    return this.tryReceive() ?? (await attemptAsync(this.#next, options));
  }

  /** `for await (using frame of consumer)`: frames until the stream ends. A frame the loop body did not dispose is not released here. */
  [Symbol.asyncIterator](): AsyncGenerator<Frame, void, void> {
    return this.frames();
  }

  /** The same with a limit for each wait and a signal: `for await (using frame of consumer.frames({ signal }))`. */
  async *frames(options: AwaitOptions = {}): AsyncGenerator<Frame, void, void> {
    for (;;) {
      const frame = await this.receiveAsync(options);
      if (frame === null) return;
      yield frame;
    }
  }

  #assertOpen(): void {
    this.#channel.region.assertOpen();
    if (!this.#open) throw new ClosedError(`this consumer of channel ${this.#channel.name}`);
  }

  /** Leaves the lane; frames received before stay valid until they are released. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#forgetRegion();
    this.#receiver.leave();
    this.#participant.lookAgain();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
