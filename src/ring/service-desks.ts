/**
 * The server's side of a service (PROTOCOL.md §14 "Server"): a desk at each place, requests in turn, answers to whoever is still there. Free of waiting,
 * and of what values are.
 */
import { loadAcquire } from "../memory/atomics.ts";
import { addToCounter } from "./counters.ts";
import { attachOwner, detachOwner } from "./owner.ts";
import { ringRecordProducer } from "./record-ends.ts";
import { joinRecords, type RecordReader } from "./record-reader.ts";
import { RecordsLayout } from "./records-layout.ts";
import type { ServiceGeometry, ServicePlace } from "./service-geometry.ts";
import { ServiceLayout } from "./service-layout.ts";
import { type ServiceDecoder, type ServiceMessage, takeMessage } from "./service-message.ts";
import type { Ringer } from "./sleepers.ts";

/** One place as the server has it. */
export interface ServiceDesk<R, W> {
  readonly place: ServicePlace;
  readonly requests: R;
  readonly responses: W;
}

/** A request, and at which desk it was made. */
export interface ServiceTaken {
  readonly desk: number;
  readonly message: ServiceMessage;
}

/** Requests of clients that are gone, in one visit to a place. */
const MOST_SKIPPED = 256;

/** How the ends of a desk are made, once the server has their owner words. */
export interface DeskFitter<R extends RecordReader, W> {
  writer(place: ServicePlace): W;
  reader(place: ServicePlace, cursor: number, owner: number): R;
  /** Of a writer that is not wanted after all: nothing in the region is to be done. */
  forget(writer: W): void;
}

/** Whether the client of this stay still has its place. */
export function isClientHere(place: ServicePlace, stay: number): boolean {
  return loadAcquire(place.requests.words, RecordsLayout.producerOwnerWord) === stay;
}

/**
 * The server's ends of a place; null when somebody has them. Responses first: a client that sees its requests served can be answered. The caller owns
 * the server-owner word.
 */
export function openDesk<R extends RecordReader, W>(
  place: ServicePlace,
  participant: number,
  ringer: Ringer,
  fitter: DeskFitter<R, W>,
): ServiceDesk<R, W> | null {
  const { words } = place.responses;
  if (attachOwner(words, RecordsLayout.producerOwnerWord, participant) === 0) return null;
  let responses: W | null = null;
  try {
    responses = fitter.writer(place);
    const make = (cursor: number, owner: number): R => fitter.reader(place, cursor, owner);
    const requests = joinRecords(place.requests, participant, 0, make);
    if (requests !== null) {
      ringRecordProducer(place.requests.words, ringer);
      return { place, requests, responses };
    }
  } catch (error) {
    if (responses !== null) fitter.forget(responses);
    detachOwner(words, RecordsLayout.producerOwnerWord, participant);
    throw error;
  }
  fitter.forget(responses);
  detachOwner(words, RecordsLayout.producerOwnerWord, participant);
  return null;
}

export class ServiceDesks<R extends RecordReader = RecordReader, W = unknown> {
  readonly all: readonly ServiceDesk<R, W>[];
  private readonly words: Int32Array;
  private turn = 0;

  constructor(service: ServiceGeometry, desks: readonly ServiceDesk<R, W>[]) {
    this.words = service.words;
    this.all = desks;
  }

  /** A request is there; if not, every client is asked for a wake-up. */
  anyWaits(participant: number): boolean {
    let waits = false;
    // Every one is asked, whatever the others say: this look may be the last before sleeping.
    for (const { requests } of this.all) if (requests.hasNextOrAsk(participant, false)) waits = true;
    return waits;
  }

  /** The next request, taking clients in turn; null when there is none now. Requests of clients that are gone are skipped. */
  takeRequest(decoder: ServiceDecoder): ServiceTaken | null {
    for (let i = 0; i < this.all.length; i++) {
      const desk = (this.turn + i) % this.all.length;
      const { place, requests } = this.all[desk]!;
      let message = takeMessage(requests, decoder);
      // No more of one client than so many in vain: it may go on for ever, and others wait.
      for (let left = MOST_SKIPPED; message !== null && left > 0; left--) {
        this.turn = desk + 1;
        if (isClientHere(place, message.stay)) return { desk, message };
        this.tally(ServiceLayout.skippedWord);
        message = takeMessage(requests, decoder);
      }
    }
    return null;
  }

  /** Adds one to a counter. Single writer: the server. */
  tally(word: number): void {
    addToCounter(this.words, word);
  }
}
