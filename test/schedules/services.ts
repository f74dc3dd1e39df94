/**
 * Scenario: a service with one server and two clients, each of which leaves and comes again, or dies anywhere and is cleaned up by a cleaner
 * that may die as well. Checked: every call of a client that lives ends once, with its own answer, or because the server it was meant for is
 * gone and had not answered it, or because the client was evicted; nothing is carried out twice, or for a client that was gone; nobody
 * sleeps for ever; no place stays taken.
 */
import { EvictedError, ServerGoneError } from "../../src/ring/errors.ts";
import { OwnerWord } from "../../src/ring/layout.ts";
import { cursorOwnerWord, RecordsLayout } from "../../src/ring/records-layout.ts";
import { createServiceGeometry, type ServicePlace } from "../../src/ring/service-geometry.ts";
import { ServiceHeader, ServiceKind, ServiceLayout } from "../../src/ring/service-layout.ts";
import type { ServiceMessage } from "../../src/ring/service-message.ts";
import { fence, loadHint, pause, storePlain } from "./atomics.ts";
import { admit, type Coroutines, type Loose, PlainRegion } from "./bench.ts";
import { type Director, Violation } from "./director.ts";
import type { Model } from "./machine.ts";
import { startAt } from "./records.ts";
import { type Coroutine, Schedule } from "./schedule.ts";
import { PlainRinger, sleepUntil } from "./sleep.ts";

const SERVER = 0;
const STARTS = [0, 0x7fff_f000, -4096, -64] as const;

export interface ServicesScenario {
  readonly name: string;
  readonly places: number;
  readonly clients: number;
  /** Of each client, sent without waiting for answers. */
  readonly calls: number;
  /** Of requests and responses; two of the largest do not fit. */
  readonly valueBytes: number;
  readonly deaths: number;
  /** The server evicts clients that it waits for, now and then. */
  readonly evicts: boolean;
  /** Server and clients leave early, now and then, and come again. */
  readonly restless: boolean;
}

export class ServicesBench {
  readonly region = new PlainRegion();
  readonly service: Loose;
  readonly #initial: Int32Array;

  constructor(
    readonly code: Coroutines,
    readonly scenario: ServicesScenario,
  ) {
    const records = {
      capacityBytes: 4096,
      mode: "reliable",
      maxConsumers: 1,
      policy: "block",
      history: 0,
      stallTimeoutMs: 0,
      stallAction: "none",
      annotation: new Uint8Array(0),
    } as const;
    this.service = createServiceGeometry(this.region as Loose, "s", {
      placeCount: scenario.places,
      requests: records,
      responses: records,
    });
    this.#initial = this.region.memory.slice();
  }

  reset(position: number): void {
    this.region.memory.set(this.#initial);
    for (const { requests, responses } of this.service.places) {
      startAt(requests, position, 0);
      startAt(responses, position, 0);
    }
  }
}

/** What Codec is to the shipped code: a value is its first word, and the last one is its complement. */
const DECODER = {
  unpack: (bytes: Uint8Array, start: number, end: number): number => {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + start, (end - start) / 4);
    const value = loadHint.now(words, 0);
    if (loadHint.now(words, words.length - 1) !== ~value) throw new Violation(`${value} is torn`);
    return value;
  },
};

/** RecordConsumer without its waiting: whoever releases rings the producer. */
function makeReader(
  code: Coroutines,
  records: Loose,
  ringer: PlainRinger,
  cursor: number,
  owner: number,
): Loose {
  const reader: Loose = new code.recordReader.RecordReader(records, cursor, owner);
  const { release } = reader;
  return Object.assign(reader, {
    *release(): Generator<void, boolean, void> {
      if (!(yield* release.call(reader))) return false;
      yield* code.recordEnds.ringRecordProducer(records.words, ringer);
      return true;
    },
  });
}

function nameOf(participant: number): string {
  return participant === SERVER ? "server" : `client ${participant}`;
}

/** A stay has a number of its own at its place only. */
function stayAt(place: number, stay: number): string {
  return `${stay} at ${place}`;
}

/** One client's stay. */
interface Stay {
  readonly caller: Loose;
  readonly tx: Loose;
  readonly participant: number;
}

class Run {
  readonly ringer: PlainRinger;
  /** Calls by the value of their request: what is asked has a number of its own. */
  #asked = 0;
  readonly #ended = new Set<number>();
  readonly #carriedOut = new Set<number>();
  /** Answers that were published: of this server, see {@link stayAt}, to that value. */
  readonly #answered = new Set<string>();
  readonly #goneServers = new Set<string>();
  readonly #goneClients = new Set<string>();
  readonly #stays = new Map<number, string>();
  #clientsLeft: number;

  constructor(
    readonly bench: ServicesBench,
    readonly schedule: Schedule,
  ) {
    this.ringer = new PlainRinger(bench.region, schedule, nameOf);
    this.#clientsLeft = bench.scenario.clients;
  }

  /** Its lock is free: somebody cleans up, who may die as well. */
  onDeath(index: number, then: () => void): void {
    const { recovery } = this.bench.code;
    const clean = function* (this: Run): Coroutine {
      yield* recovery.cleanParticipant(this.bench.region, index, this.ringer);
      yield* fence(); // letting go of the locks is one
      then();
    };
    this.schedule.start(`cleaner of ${index}`, clean.call(this), () => this.onDeath(index, then));
  }

  *sleep(participant: number, when: () => Generator<void, Loose, void>): Coroutine {
    yield* sleepUntil(this.bench.region, this.ringer, participant, when);
  }

  /* ---- the server ---- */

  startServer(): void {
    admit(this.bench.region, SERVER);
    this.schedule.start(nameOf(SERVER), this.serve(), () => {
      this.#forgetServer();
      this.onDeath(SERVER, () => this.startServer());
    });
  }

  #forgetServer(): void {
    for (const { index, requests } of this.bench.service.places)
      this.#goneServers.add(stayAt(index, requests.words[cursorOwnerWord(0)] & ~OwnerWord.busyBit));
  }

  *serve(): Coroutine {
    const { code, service } = this.bench;
    while (this.#clientsLeft > 0) {
      while ((yield* code.owner.attachOwner(service.words, ServiceLayout.serverOwnerWord, SERVER)) === 0)
        yield* pause();
      const all: Loose[] = [];
      for (const place of service.places) all.push(yield* this.openDesk(place));
      yield* this.stayServer(new code.serviceDesks.ServiceDesks(service, all));
      this.#forgetServer();
      for (const { place, requests, responses } of all) {
        yield* code.recordEnds.leaveRecords(requests, place.requests.words, this.ringer);
        yield* code.recordEnds.endRecords(responses, place.responses.words, SERVER, this.ringer);
      }
      yield* code.owner.detachOwner(service.words, ServiceLayout.serverOwnerWord, SERVER);
    }
  }

  *openDesk(place: ServicePlace): Generator<void, Loose, void> {
    const { code } = this.bench;
    const desk = yield* code.serviceDesks.openDesk(place, SERVER, this.ringer, {
      writer: () => new code.recordWriter.RecordWriter(place.responses, this.ringer),
      reader: (_: unknown, cursor: number, owner: number) =>
        makeReader(code, place.requests, this.ringer, cursor, owner),
      forget: (): void => undefined,
    });
    if (desk === null) throw new Violation(`place ${place.index} has a server`);
    return desk;
  }

  /** Until nobody can ask any more, or it has had enough. Answers in another order than that of the requests. */
  *stayServer(desks: Loose): Coroutine {
    const taken: Loose[] = [];
    const mayAsk = (): boolean => this.#clientsLeft > 0;
    const wanted = function* (): Generator<void, boolean, void> {
      return (yield* desks.anyWaits(SERVER)) || !mayAsk();
    };
    while (mayAsk() || taken.length > 0) {
      const gone = new Set(this.#goneClients);
      const one = yield* desks.takeRequest(DECODER);
      if (one !== null) {
        this.#carryOut(one, gone);
        taken.push(one);
        if (this.schedule.pick(2) === 0) continue;
      }
      const next = taken.splice(this.schedule.pick(Math.max(1, taken.length)), 1)[0];
      if (next !== undefined) yield* this.answer(desks, next);
      else if (this.bench.scenario.restless && this.schedule.pick(4) === 0) return;
      else yield* this.sleep(SERVER, wanted);
    }
  }

  #carryOut({ desk, message }: Loose, gone: ReadonlySet<string>): void {
    const { value, error, stay } = message;
    if (error !== null) throw error;
    if (this.#carriedOut.has(value)) throw new Violation(`request ${value} is carried out twice`);
    this.#carriedOut.add(value);
    if (gone.has(stayAt(desk, stay))) throw new Violation(`request ${value} is of a client that was gone`);
  }

  *answer(desks: Loose, { desk, message }: Loose): Coroutine {
    const { code, scenario } = this.bench;
    const { place, requests, responses: tx } = desks.all[desk];
    const here = (): Generator<void, boolean, void> => code.serviceDesks.isClientHere(place, message.stay);
    while ((yield* here()) && !(yield* tx.tryReserve(this.#bytes))) {
      if (scenario.evicts && tx.gatingCursor >= 0 && this.schedule.pick(2) === 0) {
        const { gatingOwner } = tx;
        if (yield* tx.evict(tx.gatingCursor, gatingOwner)) this.ringer.ring((gatingOwner & 0x3f) - 1);
      } else yield* this.sleep(SERVER, () => tx.tryReserve(this.#bytes));
    }
    if (!(yield* here())) {
      tx.abort();
      yield* desks.tally(ServiceLayout.skippedWord);
      return;
    }
    const { correlation, stay, value } = message;
    yield* this.write(tx, { correlation, stay, kind: ServiceKind.response }, value + 1);
    this.#answered.add(`${stayAt(desk, requests.owner)} to ${value}`);
    yield* desks.tally(ServiceLayout.answeredWord);
  }

  /* ---- both ---- */

  get #bytes(): number {
    return ServiceHeader.sizeBytes + this.bench.scenario.valueBytes;
  }

  *write(tx: Loose, address: Loose, value: number): Coroutine {
    yield* this.bench.code.serviceMessage.writeServiceHeader(tx, address);
    const first = tx.word + ServiceHeader.sizeBytes / 4;
    yield* storePlain(tx.data, first, value);
    yield* storePlain(tx.data, first + this.bench.scenario.valueBytes / 4 - 1, ~value);
    yield* tx.commit(this.#bytes);
  }

  /* ---- clients ---- */

  startClient(index: number): void {
    admit(this.bench.region, index);
    this.schedule.start(nameOf(index), this.ask(index), () => {
      const stay = this.#stays.get(index);
      this.onDeath(index, () => {
        if (stay !== undefined) this.#goneClients.add(stay);
        this.startClient(index);
      });
    });
  }

  *ask(index: number): Coroutine {
    for (let more = true; more; ) {
      const stay = yield* this.occupy(index);
      try {
        more = yield* this.stayClient(stay);
      } catch (error) {
        if (!(error instanceof EvictedError && this.bench.scenario.evicts)) throw error;
        stay.caller.failAll(error);
      }
      yield* this.leave(stay);
    }
    this.#clientsLeft--;
    this.ringer.ring(SERVER);
  }

  *occupy(participant: number): Generator<void, Stay, void> {
    const { code, service } = this.bench;
    for (;;) {
      for (const place of service.places) {
        const make = (cursor: number, owner: number): Loose =>
          makeReader(code, place.responses, this.ringer, cursor, owner);
        const caller: Loose = yield* code.serviceCaller.occupy("s", place, participant, make);
        if (caller === null) continue;
        this.#stays.set(participant, stayAt(place.index, caller.stay));
        const tx: Loose = new code.recordWriter.RecordWriter(place.requests, this.ringer);
        yield* tx.begin();
        return { caller, tx, participant };
      }
      yield* pause();
    }
  }

  /** True: it left with calls under way, and comes again. */
  *stayClient(stay: Stay): Generator<void, boolean, void> {
    const { caller, participant } = stay;
    const { calls, restless } = this.bench.scenario;
    for (let call = 0; call < calls; call++) {
      yield* this.request(stay);
      if (this.schedule.pick(2) === 0) yield* caller.collect(DECODER);
      if (restless && this.schedule.pick(4) === 0) return true;
    }
    while (caller.underWay > 0) {
      yield* this.sleep(participant, () => caller.hasNews(participant));
      yield* caller.collect(DECODER);
    }
    return false;
  }

  *request({ caller, tx, participant }: Stay): Coroutine {
    const value = 2 * this.#asked++;
    const here = function* (): Generator<void, boolean, void> {
      return (yield* caller.serverStay()) !== 0;
    };
    let serverStay = "";
    const end = (answer: ServiceMessage | null, error: unknown): void =>
      this.#end(value, serverStay, answer, error);
    let correlation = yield* caller.enrol(end);
    while (correlation === 0) {
      yield* this.sleep(participant, here);
      correlation = yield* caller.enrol(end);
    }
    serverStay = stayAt(caller.place.index, caller.calls.get(correlation).serverStay);
    const room = (): Generator<void, boolean, void> => this.roomOrNews(caller, tx, participant);
    while (!(yield* tx.tryReserve(this.#bytes))) {
      yield* this.sleep(participant, room);
      yield* caller.collect(DECODER);
    }
    yield* this.write(tx, { correlation, stay: caller.stay, kind: ServiceKind.request }, value);
  }

  *roomOrNews(caller: Loose, tx: Loose, participant: number): Generator<void, boolean, void> {
    return (yield* tx.tryReserve(this.#bytes)) || (yield* caller.hasNews(participant));
  }

  #end(value: number, serverStay: string, answer: ServiceMessage | null, error: unknown): void {
    if (this.#ended.has(value)) throw new Violation(`call ${value} ends twice`);
    this.#ended.add(value);
    if (answer !== null) {
      if (answer.error !== null) throw answer.error;
      if (answer.value !== value + 1) throw new Violation(`call ${value} is answered with ${answer.value}`);
      return;
    }
    if (!(error instanceof ServerGoneError)) return;
    if (!this.#goneServers.has(serverStay)) throw new Violation(`call ${value}: its server is there`);
    if (this.#answered.has(`${serverStay} to ${value}`))
      throw new Violation(`call ${value} was answered before its server went`);
  }

  *leave({ caller, tx, participant }: Stay): Coroutine {
    const { recordEnds } = this.bench.code;
    const { requests, responses } = caller.place;
    caller.failAll(new Error("left"));
    yield* recordEnds.leaveRecords(caller.responses, responses.words, this.ringer);
    yield* recordEnds.endRecords(tx, requests.words, participant, this.ringer);
    this.#goneClients.add(stayAt(caller.place.index, caller.stay));
    this.#stays.delete(participant);
  }

  verify(): void {
    const { places, words } = this.bench.service;
    const taken = (owner: number): boolean => (owner & 0xff) !== 0;
    if (taken(words[ServiceLayout.serverOwnerWord])) throw new Violation("a server is left");
    for (const { requests, responses } of places) {
      for (const { words } of [requests, responses]) {
        if (taken(words[RecordsLayout.producerOwnerWord])) throw new Violation("a producer is left");
        if (taken(words[cursorOwnerWord(0)])) throw new Violation("a cursor is left");
      }
    }
  }
}

/** Throws a {@link Violation} if the schedule breaks a promise. Returns the number of steps. */
export function runServices(bench: ServicesBench, model: Model, director: Director): number {
  bench.reset(STARTS[director.pick(STARTS.length)]!);
  const schedule = new Schedule(director, model, bench.region.memory);
  const run = new Run(bench, schedule);
  run.startServer();
  for (let i = 0; i < bench.scenario.clients; i++) run.startClient(SERVER + 1 + i);
  schedule.run(bench.scenario.deaths, 600);
  run.verify();
  return schedule.steps;
}
