/** The server of a service: takes requests of all clients in turn, and answers. */

import { ArgumentError, ClosedError, InUseError, WaitTimeoutError } from "../ring/errors.ts";
import { detachOwner } from "../ring/owner.ts";
import type { Participant } from "../ring/participant.ts";
import type { AwaitOptions, BlockOptions } from "../ring/ring.ts";
import {
  type DeskFitter,
  isClientHere,
  openDesk,
  type ServiceDesk,
  ServiceDesks,
} from "../ring/service-desks.ts";
import type { ServiceGeometry, ServicePlace } from "../ring/service-geometry.ts";
import { ServiceKind, ServiceLayout } from "../ring/service-layout.ts";
import type { ServiceAddress, ServiceMessage } from "../ring/service-message.ts";
import type { Condition } from "../ring/sleeper.ts";
import { type Attempt, attemptAsync, attemptBlocking } from "./attempt.ts";
import { Codec, type Shape } from "./codec.ts";
import { RecordConsumer } from "./record-consumer.ts";
import { RecordProducer } from "./record-producer.ts";
import { ServiceWriter } from "./service-writer.ts";

/** How {@link ServiceServer.serve} works. */
export interface ServeOptions {
  /** Ends serving; requests under way are answered first. */
  readonly signal?: AbortSignal;
  /** Most requests under way at a time; default 64. */
  readonly concurrency?: number;
}

/** Counters of a service since it was created. */
export interface ServiceCounters {
  /** Responses sent, failures included. */
  readonly answered: number;
  /** Requests and responses of clients that were gone. */
  readonly skipped: number;
  /** Responses that their client left no room for. */
  readonly undelivered: number;
}

/** Reads the counters. Single writer: the server. */
export function readServiceCounters(words: Int32Array): ServiceCounters {
  return {
    answered: words[ServiceLayout.answeredWord]! >>> 0,
    skipped: words[ServiceLayout.skippedWord]! >>> 0,
    undelivered: words[ServiceLayout.undeliveredWord]! >>> 0,
  };
}

const DEFAULT_CONCURRENCY = 64;

type Desk = ServiceDesk<RecordConsumer, ServiceWriter>;

/** A request. Answer it once, with {@link reply} or {@link fail}; both are false when its client is gone. */
export class ServiceRequest<Request = unknown, Response = unknown> {
  readonly value: Request;
  /** Index of the client's place. */
  readonly place: number;
  /** True when the client does not want an answer. */
  readonly notification: boolean;
  readonly #server: ServiceServer<Request, Response>;
  readonly #message: ServiceMessage;
  #answered = false;

  /** @internal Requests come from {@link ServiceServer.receive}. */
  constructor(server: ServiceServer<Request, Response>, place: number, message: ServiceMessage) {
    this.value = message.value as Request;
    this.place = place;
    this.notification = message.kind === ServiceKind.notification;
    this.#server = server;
    this.#message = message;
  }

  /** Sends the response, waiting for room. @throws MessageInvalidError, ArgumentError (larger than any record), WaitTimeoutError */
  reply(value: Response, options: AwaitOptions = {}): Promise<boolean> {
    return this.#answer(ServiceKind.response, value ?? null, options);
  }

  /** Sends a failure: the client's call throws a RemoteError with this error's message and code. */
  fail(error: unknown, options: AwaitOptions = {}): Promise<boolean> {
    const { message, code } =
      error instanceof Error ? (error as Error & { code?: unknown }) : { message: error, code: null };
    const failure = { message: String(message), code: typeof code === "string" ? code : null };
    return this.#answer(ServiceKind.failure, failure, options);
  }

  async #answer(kind: number, value: unknown, options: AwaitOptions): Promise<boolean> {
    if (this.notification) return true;
    if (this.#answered) throw new ArgumentError("this request was answered before");
    this.#answered = true;
    const { correlation, stay } = this.#message;
    try {
      return await this.#server.deliver(this.place, { correlation, stay, kind }, value, options);
    } catch (error) {
      this.#answered = false;
      throw error;
    }
  }

  /** Whether an answer was sent, or is on its way. */
  get answered(): boolean {
    return this.#answered;
  }
}

/** Requests in a row that are no values; the rest is for the next call. */
const MOST_UNDECODABLE = 256;

export class ServiceServer<Request = unknown, Response = unknown>
  implements Disposable, AsyncIterable<ServiceRequest<Request, Response>>, Condition
{
  /** See {@link Condition}. */
  readonly yieldsCpu = true;
  /** @internal Whose doorbell rings for this server. */
  readonly participant: Participant;
  readonly #service: ServiceGeometry;
  readonly #codec: Codec;
  readonly #desks: ServiceDesks<RecordConsumer, ServiceWriter>;
  readonly #forgetRegion: () => void;
  #open = true;

  /** @internal Use {@link Service.server}: the caller owns the server-owner word. */
  constructor(service: ServiceGeometry, participant: Participant, shapes: readonly Shape[]) {
    this.participant = participant;
    this.#service = service;
    this.#codec = new Codec(shapes);
    this.#forgetRegion = service.region.onClose(() => this.close());
    const desks: Desk[] = [];
    this.#desks = new ServiceDesks(service, desks);
    try {
      for (const place of service.places) desks.push(this.#openDesk(place));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #openDesk(place: ServicePlace): Desk {
    const { participant } = this;
    const fitter: DeskFitter<RecordConsumer, ServiceWriter> = {
      writer: ({ responses }) => new ServiceWriter(new RecordProducer(responses, participant), this.#codec),
      reader: ({ requests }, cursor, owner) =>
        new RecordConsumer(requests, participant, cursor, owner, { reconnect: true }),
      forget: ({ tx }) => tx.forget(),
    };
    const desk = openDesk(place, participant.index, participant.ringer, fitter);
    if (desk === null)
      throw new InUseError(`place ${place.index} of service ${this.#service.name}`, "make the service anew");
    return desk;
  }

  get counters(): ServiceCounters {
    return readServiceCounters(this.#service.words);
  }

  /** A request is there; if not, every client is asked for a wake-up. */
  ready(): boolean {
    return !this.#open || this.#desks.anyWaits(this.participant.index);
  }

  /** The next request, taking clients in turn; null when there is none now. Requests of clients that are gone are skipped. */
  tryReceive(): ServiceRequest<Request, Response> | null {
    this.#assertOpen();
    for (let left = MOST_UNDECODABLE; left > 0; left--) {
      const taken = this.#desks.takeRequest(this.#codec);
      if (taken === null) return null;
      const request = new ServiceRequest<Request, Response>(this, taken.desk, taken.message);
      if (taken.message.error === null) return request;
      void request.fail(taken.message.error);
    }
    return null;
  }

  get #next(): Attempt<ServiceRequest<Request, Response>> {
    return {
      participant: this.participant,
      condition: this,
      attempt: () => this.tryReceive() ?? undefined,
      what: `a request of service ${this.#service.name}`,
    };
  }

  /** The next request, blocking the thread. @throws WaitTimeoutError */
  receive(options: BlockOptions = {}): ServiceRequest<Request, Response> {
    return this.tryReceive() ?? attemptBlocking(this.#next, options);
  }

  /** Like {@link receive}, leaving the event loop free. Rejects with the signal's reason. */
  async receiveAsync(options: AwaitOptions = {}): Promise<ServiceRequest<Request, Response>> {
    return this.tryReceive() ?? (await attemptAsync(this.#next, options));
  }

  /** Requests for ever. */
  [Symbol.asyncIterator](): AsyncGenerator<ServiceRequest<Request, Response>, void, void> {
    return this.requests();
  }

  /** The same with a limit for each wait and a signal. */
  async *requests(options: AwaitOptions = {}): AsyncGenerator<ServiceRequest<Request, Response>, void, void> {
    for (;;) yield await this.receiveAsync(options);
  }

  /**
   * Answers every request with what `handler` returns, or with its error. Resolves when the signal is aborted and requests
   * under way are answered.
   */
  async serve(
    handler: (value: Request, request: ServiceRequest<Request, Response>) => Response | Promise<Response>,
    options: ServeOptions = {},
  ): Promise<void> {
    const { signal, concurrency = DEFAULT_CONCURRENCY } = options;
    const underWay = new Set<Promise<void>>();
    while (signal?.aborted !== true) {
      const request = await this.#receiveUntil(signal);
      if (request === null) break;
      const work = this.#handle(handler, request).finally(() => underWay.delete(work));
      underWay.add(work);
      if (underWay.size >= concurrency) await Promise.race(underWay);
    }
    await Promise.all(underWay);
  }

  /** Null when the signal is aborted. */
  async #receiveUntil(signal: AbortSignal | undefined): Promise<ServiceRequest<Request, Response> | null> {
    try {
      return await this.receiveAsync(signal === undefined ? {} : { signal });
    } catch (error) {
      if (signal?.aborted === true) return null;
      throw error;
    }
  }

  async #handle(
    handler: (value: Request, request: ServiceRequest<Request, Response>) => Response | Promise<Response>,
    request: ServiceRequest<Request, Response>,
  ): Promise<void> {
    try {
      const response = await handler(request.value, request);
      if (!request.answered) await request.reply(response);
    } catch (error) {
      // Also a response that is no value, or too large: the client should know. A server that was closed meanwhile answers nobody.
      if (this.#open && !request.answered) await request.fail(error);
    }
  }

  /** @internal Sends an answer to whoever asked, if it is still there. */
  async deliver(
    index: number,
    address: ServiceAddress,
    value: unknown,
    options: AwaitOptions,
  ): Promise<boolean> {
    this.#assertOpen();
    const { place, responses } = this.#desks.all[index]!;
    try {
      const sent = await responses.sendAsync(address, value, options, () =>
        isClientHere(place, address.stay),
      );
      this.#desks.tally(sent ? ServiceLayout.answeredWord : ServiceLayout.skippedWord);
      return sent;
    } catch (error) {
      if (error instanceof WaitTimeoutError) this.#desks.tally(ServiceLayout.undeliveredWord);
      throw error;
    }
  }

  #assertOpen(): void {
    this.#service.region.assertOpen();
    if (!this.#open) throw new ClosedError(`this server of service ${this.#service.name}`);
  }

  /** Leaves; clients with requests under way get a ServerGoneError, others wait for a next server. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#forgetRegion();
    for (const { requests, responses } of this.#desks.all) {
      requests.close();
      responses.tx.close();
    }
    detachOwner(this.#service.words, ServiceLayout.serverOwnerWord, this.participant.index);
    this.participant.lookAgain();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
