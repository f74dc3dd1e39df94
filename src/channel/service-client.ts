/** A client of a service: sends requests, and gives each response to whoever asked. */
import { loadAfterFence } from "../memory/atomics.ts";
import { type Condition, MAX_TIMER_MS } from "../ring/doorbell.ts";
import {
  ArgumentError,
  ClosedError,
  RemoteError,
  ServerGoneError,
  WaitTimeoutError,
} from "../ring/errors.ts";
import { attachOwner, detachOwner, receiverOf } from "../ring/owner.ts";
import type { Participant } from "../ring/participant.ts";
import { joinRecords } from "../ring/record-reader.ts";
import { cursorOwnerWord, RecordsLayout } from "../ring/records-layout.ts";
import type { AwaitOptions, BlockOptions } from "../ring/ring.ts";
import type { ServiceGeometry, ServicePlace } from "../ring/service-geometry.ts";
import { ServiceKind } from "../ring/service-layout.ts";
import { Codec, type Shape } from "./codec.ts";
import { RecordConsumer } from "./record-consumer.ts";
import { RecordProducer } from "./record-producer.ts";
import { type ServiceAddress, type ServiceMessage, ServiceWriter, takeMessage } from "./service-message.ts";

/** A request under way. */
interface Call {
  /** The server's stay at our place when the request was sent. */
  readonly serverStay: number;
  readonly settle: (response: unknown, error: unknown) => void;
}

/** Requests under way of one client, those given up included. */
const MOST_CALLS = 65536;

/** The one cursor of requests and of responses. */
const SERVER_WORD = cursorOwnerWord(0);

export class ServiceClient<Request = unknown, Response = unknown> implements Disposable, Condition {
  /** See {@link Condition}. */
  readonly yieldsCpu = true;
  readonly #service: ServiceGeometry;
  readonly #place: ServicePlace;
  readonly #participant: Participant;
  readonly #codec: Codec;
  readonly #requests: ServiceWriter;
  readonly #responses: RecordConsumer;
  /** Our producer-owner word of the requests: tells our messages from those of earlier clients of this place. */
  readonly #stay: number;
  readonly #calls = new Map<number, Call>();
  readonly #serverHere: Condition = { ready: () => !this.#open || this.#serverStay() !== 0 };
  readonly #forgetRegion: () => void;
  #correlation = 0;
  #pumping = false;
  #open = true;

  private constructor(
    service: ServiceGeometry,
    place: ServicePlace,
    participant: Participant,
    shapes: readonly Shape[],
    stay: number,
    responses: RecordConsumer,
  ) {
    this.#service = service;
    this.#place = place;
    this.#participant = participant;
    this.#codec = new Codec(shapes);
    this.#stay = stay;
    this.#responses = responses;
    this.#requests = new ServiceWriter(new RecordProducer(place.requests, participant), this.#codec);
    this.#forgetRegion = service.region.onClose(() => this.close());
  }

  /** @internal Takes the place if it is free; null if not. */
  static take<Request, Response>(
    service: ServiceGeometry,
    place: ServicePlace,
    participant: Participant,
    shapes: readonly Shape[],
  ): ServiceClient<Request, Response> | null {
    const { words } = place.requests;
    const stay = attachOwner(words, RecordsLayout.producerOwnerWord, participant.index);
    if (stay === 0) return null;
    try {
      const join = (cursor: number, owner: number): RecordConsumer =>
        new RecordConsumer(place.responses, participant, cursor, owner, { reconnect: true });
      const responses = joinRecords(place.responses, participant.index, 0, join);
      // Null: an evicted client has not let go yet.
      if (responses !== null)
        return new ServiceClient<Request, Response>(service, place, participant, shapes, stay, responses);
    } catch (error) {
      detachOwner(words, RecordsLayout.producerOwnerWord, participant.index);
      throw error;
    }
    detachOwner(words, RecordsLayout.producerOwnerWord, participant.index);
    return null;
  }

  /** @internal Whose doorbell rings for this client. */
  get participant(): Participant {
    return this.#participant;
  }

  /** Index of this client's place. */
  get place(): number {
    return this.#place.index;
  }

  /** Whether a server is there now. */
  get connected(): boolean {
    this.#participant.suspectDeath();
    return this.#serverStay() !== 0;
  }

  /** Requests without a response yet. */
  get underWay(): number {
    return this.#calls.size;
  }

  /** The server's owner word at our place; 0: there is none. */
  #serverStay(): number {
    const owner = loadAfterFence(this.#place.requests.words, SERVER_WORD);
    return receiverOf(owner) < 0 ? 0 : owner;
  }

  /**
   * Sends a request and resolves to its response. Without a server it waits for one; default: no time limit.
   * @throws RemoteError (the server's handler failed), ServerGoneError, WaitTimeoutError, the signal's reason, MessageInvalidError, EvictedError
   */
  async call(value: Request, options: AwaitOptions = {}): Promise<Response> {
    const { signal } = options;
    const deadlineMs = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
    const serverStay = await this.#server(options);
    const correlation = this.#nextCorrelation();
    const response = new Promise<Response>((resolve, reject) => {
      const settle = (result: unknown, error: unknown): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        if (error === null) resolve(result as Response);
        else reject(error);
      };
      const onAbort = (): void => settle(null, signal?.reason);
      const leftMs = deadlineMs - performance.now();
      const timer =
        leftMs <= MAX_TIMER_MS
          ? setTimeout(() => settle(null, this.#timeout(options)), Math.max(0, leftMs))
          : undefined;
      signal?.addEventListener("abort", onAbort);
      this.#calls.set(correlation, { serverStay, settle });
    });
    response.catch(() => undefined); // it may fail before anybody awaits it
    await this.#request(correlation, value, { ...options, timeoutMs: deadlineMs - performance.now() });
    void this.#pump();
    return response;
  }

  async #request(correlation: number, value: Request, options: AwaitOptions): Promise<void> {
    try {
      await this.#requests.sendAsync(
        this.#address(correlation, ServiceKind.request),
        value,
        options,
        () => this.#open,
      );
    } catch (error) {
      this.#calls.get(correlation)?.settle(null, error);
      this.#calls.delete(correlation);
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
    let serverStay = 0;
    while (serverStay === 0) {
      if (!doorbell.block(this.#serverHere, leftMs(), strategy)) throw this.#timeout(options);
      this.#assertOpen();
      serverStay = this.#serverStay();
    }
    const correlation = this.#nextCorrelation();
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
    this.#calls.set(correlation, { serverStay, settle });
    try {
      this.#requests.send(this.#address(correlation, ServiceKind.request), value, {
        ...options,
        timeoutMs: leftMs(),
      });
    } catch (error) {
      this.#calls.delete(correlation);
      throw error;
    }
    for (this.#drain(); !outcome.done; this.#drain()) {
      if (leftMs() <= 0) throw this.#timeout(options);
      doorbell.block(this, leftMs(), strategy);
    }
    if (outcome.error !== null) throw outcome.error;
    return outcome.result as Response;
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

  /** The stay of a server that is there, waiting for one. */
  async #server(options: AwaitOptions): Promise<number> {
    for (;;) {
      await this.waitForServer(options);
      const stay = this.#serverStay();
      if (stay !== 0) return stay; // else it went again
    }
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
    return { correlation, stay: this.#stay, kind };
  }

  #nextCorrelation(): number {
    if (this.#calls.size >= MOST_CALLS)
      throw new ArgumentError(
        `service ${this.#service.name}: ${MOST_CALLS} requests are under way; await some of them`,
      );
    do this.#correlation = (this.#correlation + 1) | 0;
    while (this.#calls.has(this.#correlation));
    return this.#correlation;
  }

  #timeout(options: { readonly timeoutMs?: number }): WaitTimeoutError {
    return new WaitTimeoutError(`service ${this.#service.name}: no response`, options.timeoutMs ?? 0);
  }

  /** For {@link waitAny}: a response came, the server of a request under way is gone, or nothing is under way (any more). */
  ready(): boolean {
    if (!this.#open || this.#calls.size === 0) return true;
    if (this.#responses.hasNextOrAsk(this.#participant.index, false)) return true;
    const serverStay = this.#serverStay();
    for (const call of this.#calls.values()) if (call.serverStay !== serverStay) return true;
    return false;
  }

  /** Gives out responses as long as requests are under way. A call that was given up stays until its response came. */
  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (this.#drain(); this.#calls.size > 0; this.#drain())
        await this.#participant.doorbell.wait(this, Number.POSITIVE_INFINITY);
    } catch (error) {
      this.#failAll(error);
    } finally {
      this.#pumping = false;
    }
  }

  #drain(): void {
    if (!this.#open) return;
    // Before the responses are read: what a server sent before it went is there.
    const serverStay = this.#serverStay();
    for (let message = takeMessage(this.#responses, this.#codec); message !== null; ) {
      this.#settle(message);
      message = takeMessage(this.#responses, this.#codec);
    }
    for (const [correlation, call] of this.#calls) {
      if (call.serverStay === serverStay) continue;
      this.#calls.delete(correlation);
      call.settle(null, new ServerGoneError(this.#service.name));
    }
  }

  #settle(message: ServiceMessage): void {
    const call = this.#calls.get(message.correlation);
    if (message.stay !== this.#stay || call === undefined) return; // to an earlier client of this place
    this.#calls.delete(message.correlation);
    if (message.error !== null) call.settle(null, message.error);
    else if (message.kind === ServiceKind.failure) call.settle(null, this.#remoteError(message.value));
    else call.settle(message.value, null);
  }

  #remoteError(failure: unknown): RemoteError {
    const { message, code } = (failure ?? {}) as { message?: unknown; code?: unknown };
    return new RemoteError(this.#service.name, String(message), typeof code === "string" ? code : null);
  }

  #failAll(error: unknown): void {
    for (const call of this.#calls.values()) call.settle(null, error);
    this.#calls.clear();
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
    this.#failAll(new ArgumentError(`this client of service ${this.#service.name} was closed`));
    this.#responses.close();
    this.#requests.tx.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
