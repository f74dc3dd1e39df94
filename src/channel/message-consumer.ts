/** The consuming end of a message channel: values are unpacked from the record that carries them. */

import type { Participant } from "../ring/participant.ts";
import type { AwaitOptions, BlockOptions } from "../ring/ring.ts";
import type { Condition } from "../ring/sleeper.ts";
import { type Attempt, attemptAsync, attemptBlocking } from "./attempt.ts";
import type { Codec } from "./codec.ts";
import type { RecordConsumer } from "./record-consumer.ts";

/** A value that arrived; `end`: nothing more will. */
interface Arrival<T> {
  readonly value: T | undefined;
  readonly end: boolean;
}

export class MessageConsumer<T = unknown> implements Disposable, AsyncIterable<T>, Condition {
  /** See {@link Condition}. */
  readonly yieldsCpu = true;
  readonly #rx: RecordConsumer;
  readonly #codec: Codec;
  readonly #name: string;

  /** @internal Use {@link Messages.consumer}. */
  constructor(rx: RecordConsumer, codec: Codec, name: string) {
    this.#rx = rx;
    this.#codec = codec;
    this.#name = name;
  }

  /** @internal Whose doorbell rings for this consumer. */
  get participant(): Participant {
    return this.#rx.participant;
  }

  /** Messages that a lossy consumer did not get, so far. */
  get missed(): number {
    return this.#rx.missed;
  }

  /** Sequence of the last message, 32 bits, as its producer counted. */
  get sequence(): number {
    return this.#rx.sequence >>> 0;
  }

  /** True when the producer closed and everything was received. @throws PeerDiedError when it died instead */
  get ended(): boolean {
    return this.#rx.ended;
  }

  /** A message is there, or the stream is over (for {@link waitAny}). */
  ready(): boolean {
    return this.#rx.ready();
  }

  /**
   * The next message; undefined when there is none now.
   * @throws MessageInvalidError (the record is no value; the next call goes on behind it), EvictedError, CorruptError
   */
  tryReceive(): T | undefined {
    const rx = this.#rx;
    rx.assertOpen();
    while (rx.next()) {
      const value = this.#unpack();
      // Lossy: what was overwritten meanwhile says nothing. Reliable: throws when we were evicted.
      if (!rx.intact()) continue;
      rx.release();
      if (value instanceof Undecodable) throw value.cause;
      return value as T;
    }
    return undefined;
  }

  #unpack(): unknown {
    const { bytes, offset, length } = this.#rx;
    try {
      return this.#codec.unpack(bytes, offset, offset + length);
    } catch (error) {
      return new Undecodable(error);
    }
  }

  #arrival(): Arrival<T> | undefined {
    const value = this.tryReceive();
    if (value !== undefined) return { value, end: false };
    return this.ended ? { value: undefined, end: true } : undefined;
  }

  get #next(): Attempt<Arrival<T>> {
    return {
      participant: this.participant,
      condition: this,
      attempt: () => this.#arrival(),
      what: `receive on messages ${this.#name}`,
    };
  }

  /**
   * The next message, blocking the thread; undefined at the end of the stream.
   * @throws WaitTimeoutError, PeerDiedError (after everything was received), and what {@link tryReceive} throws
   */
  receive(options: BlockOptions = {}): T | undefined {
    const value = this.tryReceive();
    return value !== undefined ? value : attemptBlocking(this.#next, options).value;
  }

  /** Like {@link receive}, leaving the event loop free. */
  async receiveAsync(options: AwaitOptions = {}): Promise<T | undefined> {
    const value = this.tryReceive();
    return value !== undefined ? value : (await attemptAsync(this.#next, options)).value;
  }

  /** Messages until the stream ends. */
  [Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    return this.messages();
  }

  /** The same with a limit for each wait and a signal. */
  async *messages(options: AwaitOptions = {}): AsyncGenerator<T, void, void> {
    for (;;) {
      const arrival = this.#arrival() ?? (await attemptAsync(this.#next, options));
      if (arrival.end) return;
      yield arrival.value as T;
    }
  }

  /** Leaves: the producer waits for this consumer no longer. */
  close(): void {
    this.#rx.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A record that is no value, until it is known whether it was overwritten meanwhile. */
class Undecodable {
  constructor(readonly cause: unknown) {}
}
