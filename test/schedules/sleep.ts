/** Doorbells for scenarios: waking is one step, sleeping is waiting for it; no time slice, so that a lost wake-up never ends. */
import { ParticipantRecord } from "../../src/memory/layout.ts";
import { doorbellIndex } from "../../src/ring/doorbell.ts";
import { sleepersFence, stage, storeRelease } from "./atomics.ts";
import type { Loose, PlainRegion } from "./bench.ts";
import { Machine } from "./machine.ts";

const AWAKE = 0;
const ASLEEP = 1;

/** What DoorbellRinger is to the shipped code. */
export class PlainRinger {
  readonly #words: Int32Array;

  constructor(region: PlainRegion) {
    this.#words = region.control.words;
  }

  ring(participant: number): boolean {
    if (participant < 0 || participant >= ParticipantRecord.capacity) return false;
    const at = Machine.at(this.#words, doorbellIndex(participant));
    if (stage.machine.loadAcquire(at) === AWAKE) return false;
    return stage.machine.update(at, () => AWAKE) !== AWAKE;
  }

  wakeAll(): void {
    for (let participant = 0; participant < ParticipantRecord.capacity; participant++) {
      stage.machine.update(Machine.at(this.#words, doorbellIndex(participant)), () => AWAKE);
    }
  }
}

/** Sleeps until `ready` (PROTOCOL.md §3): arm, fence, look, sleep. */
export function* sleepUntil(
  region: PlainRegion,
  participant: number,
  ready: () => Generator<void, Loose, void>,
): Generator<void, void, void> {
  const { words } = region.control;
  const index = doorbellIndex(participant);
  for (;;) {
    yield* storeRelease(words, index, ASLEEP);
    yield* sleepersFence();
    if (yield* ready()) break;
    while (stage.machine.memory[Machine.at(words, index)] === ASLEEP) yield;
    if (yield* ready()) break;
  }
  yield* storeRelease(words, index, AWAKE);
}
