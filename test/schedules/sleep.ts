/** How the participants of a scenario sleep and wake each other; no time slice, so that a lost wake-up never ends. */
import { ParticipantRecord, participantRecordWord } from "../../src/memory/layout.ts";
import { DoorbellWord, doorbellIndex, socketPath } from "../../src/ring/doorbell-word.ts";
import { sleepersFence, stage, storeRelease } from "./atomics.ts";
import type { Coroutines, Loose, PlainRegion } from "./bench.ts";
import { SOCKETS } from "./bench.ts";
import { Kernel } from "./kernel.ts";
import { Machine } from "./machine.ts";
import type { Schedule } from "./schedule.ts";

type Ready = () => Generator<void, Loose, void>;

export interface Bells {
  /** What DoorbellRinger is to the shipped code, for one thread. */
  ringer(): Loose;
  /** A participant joined. */
  join(participant: number): void;
  /** It died. */
  lose(participant: number): void;
  sleepUntil(participant: number, ready: Ready): Generator<void, void, void>;
}

/** Stands in for the doorbells: waking is one step, sleeping is waiting for it. */
export class PlainBells implements Bells {
  readonly #ringer: PlainRinger;

  constructor(
    readonly region: PlainRegion,
    schedule: Schedule,
    nameOf: (participant: number) => string,
  ) {
    this.#ringer = new PlainRinger(region, schedule, nameOf);
  }

  ringer(): PlainRinger {
    return this.#ringer;
  }

  join(): void {}

  lose(): void {}

  sleepUntil(participant: number, ready: Ready): Generator<void, void, void> {
    return sleepUntil(this.region, this.#ringer, participant, ready);
  }
}

/** The shipped doorbells over the system calls of {@link Kernel}. Sleeps in a futex, or in an event loop. */
export class ShippedBells implements Bells {
  readonly #kernel: Kernel;
  readonly #sleepers = new Map<number, { readonly sleeper: Loose; readonly path: string }>();

  constructor(
    readonly code: Coroutines,
    readonly region: PlainRegion,
    readonly schedule: Schedule,
    nameOf: (participant: number) => string,
  ) {
    this.#kernel = new Kernel(region, schedule, nameOf);
  }

  ringer(): Loose {
    return new this.code.doorbellRinger.DoorbellRinger(this.region.control);
  }

  join(participant: number): void {
    const state = this.region.control.words[participantRecordWord(participant)]!;
    const generation = state >>> ParticipantRecord.generationShift;
    const path = socketPath(SOCKETS, participant, generation);
    this.#kernel.bind(path);
    const sleeper = new this.code.sleeper.Sleeper(this.region.control, participant, generation);
    this.#sleepers.set(participant, { sleeper, path });
  }

  lose(participant: number): void {
    this.#kernel.close(this.#sleepers.get(participant)!.path);
  }

  /** As Doorbell.block or Doorbell.wait, without their limits of time. */
  *sleepUntil(participant: number, ready: Ready): Generator<void, void, void> {
    if (yield* ready()) return;
    const { sleeper, path } = this.#sleepers.get(participant)!;
    const condition = { ready };
    if (this.schedule.pick(2) === 0) {
      do yield* sleeper.sleepInFutex(condition, Number.POSITIVE_INFINITY);
      while (!(yield* ready()));
      return;
    }
    let problem: unknown;
    sleeper.add({
      condition,
      settle: (_ready: boolean, error: unknown) => {
        problem = error;
      },
    });
    yield* sleeper.look();
    while (sleeper.waits > 0) {
      yield* this.#kernel.receive(path);
      yield* sleeper.look();
    }
    if (problem !== undefined) throw problem;
  }
}

/** What DoorbellRinger is to the shipped code. */
export class PlainRinger {
  readonly #words: Int32Array;

  /** @param nameOf the thread of a participant, in `schedule` */
  constructor(
    region: PlainRegion,
    readonly schedule: Schedule,
    readonly nameOf: (participant: number) => string,
  ) {
    this.#words = region.control.words;
  }

  #wake(participant: number, at: number): boolean {
    this.schedule.wake(this.nameOf(participant));
    return stage.machine.update(at, () => DoorbellWord.awake) !== DoorbellWord.awake;
  }

  ring(participant: number): boolean {
    if (participant < 0 || participant >= ParticipantRecord.capacity) return false;
    const at = Machine.at(this.#words, doorbellIndex(participant));
    if (stage.machine.loadAcquire(at) === DoorbellWord.awake) return false;
    return this.#wake(participant, at);
  }

  wakeAll(): void {
    for (let participant = 0; participant < ParticipantRecord.capacity; participant++) {
      this.#wake(participant, Machine.at(this.#words, doorbellIndex(participant)));
    }
  }

  /** Futex wait: nothing if the doorbell was rung since it was armed. */
  *sleep(participant: number): Generator<void, void, void> {
    const at = Machine.at(this.#words, doorbellIndex(participant));
    if (stage.machine.memory[at] !== DoorbellWord.asleepInFutex) return;
    this.schedule.sleep(this.nameOf(participant));
    yield;
  }
}

/** Sleeps until `ready` (PROTOCOL.md §3): arm, fence, look, sleep. */
export function* sleepUntil(
  region: PlainRegion,
  ringer: PlainRinger,
  participant: number,
  ready: Ready,
): Generator<void, void, void> {
  const { words } = region.control;
  const index = doorbellIndex(participant);
  for (;;) {
    yield* storeRelease(words, index, DoorbellWord.asleepInFutex);
    yield* sleepersFence();
    if (yield* ready()) break;
    yield* ringer.sleep(participant);
    if (yield* ready()) break;
  }
  yield* storeRelease(words, index, DoorbellWord.awake);
}
