/** A client of a service: sends requests, and gives each response to whoever asked. */
import { MAX_TIMER_MS } from "../ring/doorbell.ts";
import { ArgumentError, ClosedError, RemoteError, WaitTimeoutError } from "../ring/errors.ts";
import { detachOwner } from "../ring/owner.ts";
import type { Participant } from "../ring/participant.ts";
import { RecordsLayout } from "../ring/records-layout.ts";
import type { AwaitOptions, BlockOptions } from "../ring/ring.ts";
import { ServiceCaller } from "../ring/service-caller.ts";
import type { ServiceGeometry, ServicePlace } from "../ring/service-geometry.ts";
import { ServiceKind } from "../ring/service-layout.ts";
import type { ServiceAddress, ServiceMessage } from "../ring/service-message.ts";
import type { Condition } from "../ring/sleeper.ts";
import { Codec, type Shape } from "./codec.ts";
import { RecordConsumer } from "./record-consumer.ts";
import { RecordProducer } from "./record-producer.ts";
import { ServiceWriter } from "./service-writer.ts";

/** Ends a call as its caller sees it. */
type Settle = (result: unknown, error: unknown) => void;

/** A call that blocks for want of room looks so often whether responses lie there. */
const DRAIN_MS = 5;

/** Requests under way of one client, those given up included. */
const MOST_CALLS = 65536;

export class ServiceClient<Request = unknown, Response = unknown> implements Disposable, Condition {
  /** See {@link Condition}. */
  readonly yieldsCpu = true;
  readonly #service: ServiceGeometry;
  readonly #caller: ServiceCaller<RecordConsumer>;
  readonly #participant: Participant;
  readonly #codec: Codec;
  readonly #requests: ServiceWriter;
  readonly #serverHere: Condition = { ready: () => !this.#open || this.#caller.serverStay() !== 0 };
  readonly #forgetRegion: () => void;
  #pumping = false;
  #open = true;

  private constructor(
    service: ServiceGeometry,
    caller: ServiceCaller<RecordConsumer>,
    participant: Participant,
    shapes: readonly Shape[],
  ) {
    this.#service = service;
    this.#caller = caller;
    this.#participant = participant;
    this.#codec = new Codec(shapes);
    this.#requests = new ServiceWriter(new RecordProducer(caller.place.requests, participant), this.#codec);
    this.#forgetRegion = service.region.onClose(() => this.close());
  }

  /** @internal Takes the place if it is free; null if not. */
  static take<Request, Response>(
    service: ServiceGeometry,
    place: ServicePlace,
    participant: Participant,
    shapes: readonly Shape[],
  ): ServiceClient<Request, Response> | null {
    const make = (cursor: number, owner: number): RecordConsumer =>
      new RecordConsumer(place.responses, participant, cursor, owner, { reconnect: true });
    const caller = ServiceCaller.occupy(service.name, place, participant.index, make);
    if (caller === null) return null;
    try {
      return new ServiceClient<Request, Response>(service, caller, participant, shapes);
    } catch (error) {
      caller.responses.close();
      detachOwner(place.requests.words, RecordsLayout.producerOwnerWord, participant.index);
      throw error;
    }
  }

  /** @internal Whose doorbell rings for this client. */
  get participant(): Participant {
    return this.#participant;
  }

  /** Index of this client's place. */
  get place(): number {
    return this.#caller.place.index;
  }

  /** Whether a server is there now. */
  get connected(): boolean {
    this.#participant.suspectDeath();
    return this.#caller.serverStay() !== 0;
  }

  /** Requests without a response yet. */
  get underWay(): number {
    return this.#caller.underWay;
  }

  /**
   * Sends a request and resolves to its response. Without a server it waits for one; default: no time limit.
   * @throws RemoteError (the server's handler failed), ServerGoneError, WaitTimeoutError, the signal's reason, MessageInvalidError, EvictedError
   */
  async call(value: Request, options: AwaitOptions = {}): Promise<Response> {
    const { signal } = options;
    const deadlineMs = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    promise.catch(() => undefined); // it may fail before anybody awaits it
    const settle = (result: unknown, error: unknown): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      if (error === null) resolve(result as Response);
      else reject(error);
    };
    const onAbort = (): void => settle(null, signal?.reason);
    let correlation = 0;
    do {
      await this.waitForServer(options);
      correlation = this.#enrol(settle); // 0: it went again
    } while (correlation === 0);
    const leftMs = deadlineMs - performance.now();
    const timer =
      leftMs <= MAX_TIMER_MS
        ? setTimeout(() => settle(null, this.#timeout(options)), Math.max(0, leftMs))
        : undefined;
    signal?.addEventListener("abort", onAbort);
    await this.#request(correlation, value, settle, { ...options, timeoutMs: leftMs });
    void this.#pump();
    return promise;
  }

  async #request(correlation: number, value: Request, settle: Settle, options: AwaitOptions): Promise<void> {
    try {
      await this.#requests.sendAsync(
        this.#address(correlation, ServiceKind.request),
        value,
        options,
        () => this.#open,
      );
    } catch (error) {
      this.#caller.forget(correlation);
      settle(null, error);
    }
  }

  /**
   * Like {@link call}, blocking the thread; responses to other calls of this client are given out as well.
   * @throws as {@link call}
   */
  callBlocking(value: Request, options: BlockOptions = {}): Response {
    this.#assertOpen();
    const { doorbell } = this.#participant;
    const strategy = options.strategy ?? "spin-then-futex";
    const deadlineMs = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
    const leftMs = (): number => Math.max(0, deadlineMs - performance.now());
    const outcome: { done: boolean; result: unknown; error: unknown } = {
      done: false,
      result: null,
      error: null,
    };
    const settle = (result: unknown, error: unknown): void => {
      outcome.done = true;
      outcome.result = result;
      outcome.error = error;
    };
    let correlation = 0;
    while (correlation === 0) {
      if (!doorbell.block(this.#serverHere, leftMs(), strategy)) throw this.#timeout(options);
      this.#assertOpen();
      correlation = this.#enrol(settle);
    }
    try {
      this.#requestBlocking(correlation, value, options, leftMs);
    } catch (error) {
      this.#caller.forget(correlation);
      throw error;
    }
    for (this.#drain(); !outcome.done; this.#drain()) {
      if (leftMs() <= 0) throw this.#timeout(options);
      doorbell.block(this, leftMs(), strategy);
    }
    if (outcome.error !== null) throw outcome.error;
    return outcome.result as Response;
  }

  /** Takes responses while it waits for room: the server may wait for room for them. */
  #requestBlocking(correlation: number, value: Request, options: BlockOptions, leftMs: () => number): void {
    for (;;) {
      const timeoutMs = Math.min(leftMs(), DRAIN_MS);
      try {
        this.#requests.send(this.#address(correlation, ServiceKind.request), value, {
          ...options,
          timeoutMs,
        });
        return;
      } catch (error) {
        if (!(error instanceof WaitTimeoutError)) throw error;
        if (leftMs() <= 0) throw this.#timeout(options);
      }
      this.#drain();
    }
  }

  /** Sends a request that nobody answers. Waits for a server and for room; that it arrived is not known. */
  async notify(value: Request, options: AwaitOptions = {}): Promise<void> {
    await this.waitForServer(options);
    await this.#requests.sendAsync(
      this.#address(0, ServiceKind.notification),
      value,
      options,
      () => this.#open,
    );
  }

  /** Resolves when a server is there. @throws WaitTimeoutError, the signal's reason */
  async waitForServer(options: AwaitOptions = {}): Promise<void> {
    this.#assertOpen();
    const timeoutMs = options.timeoutMs ?? Number.POSITIVE_INFINITY;
    if (!(await this.#participant.doorbell.wait(this.#serverHere, timeoutMs, options.signal)))
      throw this.#timeout(options);
    this.#assertOpen();
  }

  #address(correlation: number, kind: number): ServiceAddress {
    return { correlation, stay: this.#caller.stay, kind };
  }

  /** Begins a call, to be sent at once: its correlation, 0 when there is no server now. */
  #enrol(settle: Settle): number {
    if (this.underWay >= MOST_CALLS)
      throw new ArgumentError(
        `service ${this.#service.name}: ${MOST_CALLS} requests are under way; await some of them`,
      );
    return this.#caller.enrol((answer, error) => {
      if (answer === null) settle(null, error);
      else this.#conclude(answer, settle);
    });
  }

  #conclude(answer: ServiceMessage, settle: Settle): void {
    if (answer.error !== null) settle(null, answer.error);
    else if (answer.kind === ServiceKind.failure) settle(null, this.#remoteError(answer.value));
    else settle(answer.value, null);
  }

  #timeout(options: { readonly timeoutMs?: number }): WaitTimeoutError {
    return new WaitTimeoutError(`service ${this.#service.name}: no response`, options.timeoutMs ?? 0);
  }

  /** For {@link waitAny}: a response came, the server of a request under way is gone, or nothing is under way (any more). */
  ready(): boolean {
    return !this.#open || this.underWay === 0 || this.#caller.hasNews(this.#participant.index);
  }

  /** Gives out responses as long as requests are under way. A call that was given up stays until its response came. */
  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (this.#drain(); this.underWay > 0; this.#drain())
        await this.#participant.doorbell.wait(this, Number.POSITIVE_INFINITY);
    } catch (error) {
      this.#caller.failAll(error);
    } finally {
      this.#pumping = false;
    }
  }

  #drain(): void {
    if (this.#open) this.#caller.collect(this.#codec);
  }

  #remoteError(failure: unknown): RemoteError {
    const { message, code } = (failure ?? {}) as { message?: unknown; code?: unknown };
    return new RemoteError(this.#service.name, String(message), typeof code === "string" ? code : null);
  }

  #assertOpen(): void {
    this.#service.region.assertOpen();
    if (!this.#open) throw new ClosedError(`this client of service ${this.#service.name}`);
  }

  /** Leaves; calls under way fail. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#forgetRegion();
    this.#caller.failAll(new ClosedError(`this client of service ${this.#service.name}`));
    this.#caller.responses.close();
    this.#requests.tx.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
