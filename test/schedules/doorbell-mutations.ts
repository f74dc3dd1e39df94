/** Single-line mistakes in doorbells that the schedules must catch: each loses a wake-up. */
import type { NamedMutation } from "./mutations.ts";

const RINGER = "src/ring/doorbell-ringer.ts";
const SLEEPER = "src/ring/sleeper.ts";

export const DOORBELL_MUTATIONS: readonly NamedMutation[] = [
  {
    what: "no fence between arming and looking, futex",
    file: SLEEPER,
    from: "const limitMs = sleepersFence() ? sleepMs : Math.min(sleepMs, SLICE_WITHOUT_FENCE_MS);",
    to: "const limitMs = sleepMs;",
  },
  {
    what: "no fence between arming and looking, event loop",
    file: SLEEPER,
    from: "const fenced = sleepersFence();",
    to: "const fenced = true;",
  },
  {
    what: "looks before it arms",
    file: SLEEPER,
    from: "storeRelease(this.#words, this.#index, armed);\n    const fenced = sleepersFence();\n    for (const wait of [...this.#pending]) this.lookFor(wait, false);",
    to: "for (const wait of [...this.#pending]) this.lookFor(wait, false);\n    if (this.#pending.size > 0) storeRelease(this.#words, this.#index, armed);\n    const fenced = sleepersFence();",
  },
  {
    what: "asleep in the futex without a look",
    file: SLEEPER,
    from: "if (!condition.ready())\n        futexWait(",
    to: "futexWait(",
  },
  {
    what: "every sleep has the same number",
    file: SLEEPER,
    from: "this.#sleepNumber = (this.#sleepNumber + 1) | 0;",
    to: "",
  },
  {
    what: "disarmed without comparing",
    file: RINGER,
    from: "!compareAndSwap(this.words, index, armed, DoorbellWord.awake)",
    to: "!compareAndSwap(this.words, index, loadAfterFence(this.words, index), DoorbellWord.awake)",
  },
  {
    what: "disarmed, and not woken in the futex",
    file: RINGER,
    from: "if (mode === DoorbellWord.asleepInFutex) this.#futexWake(participant);",
    to: "",
  },
  {
    what: "disarmed, and no datagram",
    file: RINGER,
    from: "if (mode === DoorbellWord.asleepInEventLoop) this.#send(participant);",
    to: "",
  },
  {
    what: "the cleaner wakes only those that are still armed",
    file: RINGER,
    from: "this.#wake(participant);\n      this.#futexWake(participant);",
    to: "this.#wake(participant);",
  },
  {
    what: "rings the socket of somebody who is gone",
    file: RINGER,
    from: "if (cached?.generation === generation) return cached.address;",
    to: "if (cached !== undefined) return cached.address;",
  },
];
