/**
 * A client at its place of a service (PROTOCOL.md §14 "Client"): which calls are under way, whose answer is whose, and which nobody will
 * answer. Free of waiting, and of what values are.
 *
 *     const correlation = caller.enrol(settle);          // 0: no server is here now
 *     … publish a request with that correlation and caller.stay …
 *     while (…) caller.collect(decoder);                 // settles the calls that are answered or lost; asleep on hasNews in between
 */
import { loadAfterFence } from "../memory/atomics.ts";
import { ServerGoneError } from "./errors.ts";
import { attachOwner, detachOwner, receiverOf } from "./owner.ts";
import { joinRecords, type RecordReader } from "./record-reader.ts";
import { cursorOwnerWord, RecordsLayout } from "./records-layout.ts";
import type { ServicePlace } from "./service-geometry.ts";
import { type ServiceDecoder, type ServiceMessage, takeMessage } from "./service-message.ts";

/** Settles a call: with the message that answers it, or, if that is null, with why there is none. */
export type SettleCall = (answer: ServiceMessage | null, error: unknown) => void;

interface Call {
  /** The server's stay at our place before the request was sent. */
  readonly serverStay: number;
  readonly settle: SettleCall;
}

/** Responses of one look. */
const MOST_COLLECTED = 4096;

/** The one cursor of requests and of responses. */
const SERVER_WORD = cursorOwnerWord(0);

export class ServiceCaller<R extends RecordReader = RecordReader> {
  readonly place: ServicePlace;
  /** Our producer-owner word of the requests: tells our messages from those of earlier clients of this place. */
  readonly stay: number;
  readonly responses: R;
  private readonly name: string;
  private readonly calls = new Map<number, Call>();
  private correlation = 0;

  private constructor(name: string, place: ServicePlace, stay: number, responses: R) {
    this.name = name;
    this.place = place;
    this.stay = stay;
    this.responses = responses;
  }

  /** Takes a place of service `name` if it is free; null if not. `make` makes the reader of its responses. */
  static occupy<R extends RecordReader>(
    name: string,
    place: ServicePlace,
    participant: number,
    make: (cursor: number, owner: number) => R,
  ): ServiceCaller<R> | null {
    const { words } = place.requests;
    const stay = attachOwner(words, RecordsLayout.producerOwnerWord, participant);
    if (stay === 0) return null;
    try {
      const responses = joinRecords(place.responses, participant, 0, make);
      if (responses !== null) return new ServiceCaller(name, place, stay, responses);
    } catch (error) {
      detachOwner(words, RecordsLayout.producerOwnerWord, participant);
      throw error;
    }
    // An evicted client has not let go yet.
    detachOwner(words, RecordsLayout.producerOwnerWord, participant);
    return null;
  }

  /** Calls that have not ended yet. */
  get underWay(): number {
    return this.calls.size;
  }

  /** The server's owner word at our place; 0: there is none. */
  serverStay(): number {
    const owner = loadAfterFence(this.place.requests.words, SERVER_WORD);
    return receiverOf(owner) < 0 ? 0 : owner;
  }

  /**
   * A call begins, before its request is published: the server that is here now gets that request, or is gone. Returns its correlation, 0 when
   * there is no server now.
   */
  enrol(settle: SettleCall): number {
    const serverStay = this.serverStay();
    if (serverStay === 0) return 0;
    do this.correlation = (this.correlation + 1) | 0;
    while (this.correlation === 0 || this.calls.has(this.correlation));
    this.calls.set(this.correlation, { serverStay, settle });
    return this.correlation;
  }

  /** The call has ended otherwise. */
  forget(correlation: number): void {
    this.calls.delete(correlation);
  }

  /** Ends all that are under way. */
  failAll(error: unknown): void {
    for (const correlation of [...this.calls.keys()]) this.conclude(correlation, null, error);
  }

  /** Something to {@link collect}: a response, or the server of a call is gone. If not, the server is asked for a wake-up. */
  hasNews(participant: number): boolean {
    if (this.responses.hasNextOrAsk(participant, false)) return true;
    const serverStay = this.serverStay();
    for (const call of this.calls.values()) if (call.serverStay !== serverStay) return true;
    return false;
  }

  /** Ends the calls that are answered, then those whose server is gone. @throws EvictedError, CorruptError */
  collect(decoder: ServiceDecoder): void {
    // Before the responses are read: what a server sent before it went is there.
    const serverStay = this.serverStay();
    let message = takeMessage(this.responses, decoder);
    // A server that never ends sending must not keep us from our time limits: the rest is for the next call.
    for (let left = MOST_COLLECTED; message !== null; left--) {
      if (message.stay === this.stay) this.conclude(message.correlation, message, null);
      if (left === 0) return;
      message = takeMessage(this.responses, decoder);
    }
    for (const [correlation, call] of this.calls)
      if (call.serverStay !== serverStay) this.conclude(correlation, null, new ServerGoneError(this.name));
  }

  private conclude(correlation: number, answer: ServiceMessage | null, error: unknown): void {
    const call = this.calls.get(correlation);
    this.calls.delete(correlation);
    call?.settle(answer, error);
  }
}
