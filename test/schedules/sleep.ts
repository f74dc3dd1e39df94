/** Doorbells for scenarios: waking is one step, sleeping is waiting for it; no time slice, so that a lost wake-up never ends. */
import { ParticipantRecord } from "../../src/memory/layout.ts";
import { doorbellIndex } from "../../src/ring/doorbell.ts";
import { sleepersFence, stage, storeRelease } from "./atomics.ts";
import type { Loose, PlainRegion } from "./bench.ts";
import { Machine } from "./machine.ts";
import type { Schedule } from "./schedule.ts";

const AWAKE = 0;
const ASLEEP = 1;

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
    return stage.machine.update(at, () => AWAKE) !== AWAKE;
  }

  ring(participant: number): boolean {
    if (participant < 0 || participant >= ParticipantRecord.capacity) return false;
    const at = Machine.at(this.#words, doorbellIndex(participant));
    if (stage.machine.loadAcquire(at) === AWAKE) return false;
    return this.#wake(participant, at);
  }

  wakeAll(): void {
    for (let participant = 0; participant < ParticipantRecord.capacity; participant++) {
      this.#wake(participant, Machine.at(this.#words, doorbellIndex(participant)));
    }
  }

  /** Futex wait: nothing if the doorbell was rung since it was armed. */
  *sleep(participant: number): Generator<void, void, void> {
    if (stage.machine.memory[Machine.at(this.#words, doorbellIndex(participant))] !== ASLEEP) return;
    this.schedule.sleep(this.nameOf(participant));
    yield;
  }
}

/** Sleeps until `ready` (PROTOCOL.md §3): arm, fence, look, sleep. */
export function* sleepUntil(
  region: PlainRegion,
  ringer: PlainRinger,
  participant: number,
  ready: () => Generator<void, Loose, void>,
): Generator<void, void, void> {
  const { words } = region.control;
  const index = doorbellIndex(participant);
  for (;;) {
    yield* storeRelease(words, index, ASLEEP);
    yield* sleepersFence();
    if (yield* ready()) break;
    yield* ringer.sleep(participant);
    if (yield* ready()) break;
  }
  yield* storeRelease(words, index, AWAKE);
}
