/** Schedules drawn from a seed: who goes next, when stores drain, and who dies where. */
import type { Director, Thread } from "./director.ts";
import type { Machine, Processor } from "./machine.ts";

/** After so many steps at random everybody runs in turn. */
const RANDOM_STEPS = 4000;
const STOP_STEPS = 400;
/** How often a plain load looks for an older value, and how often a buffered store drains at a step: one in so many. */
const STALE_ONE_IN = 3;
const DRAIN_ONE_IN = 3;

export class RandomDirector implements Director {
  readonly mostSteps = 11 * RANDOM_STEPS;
  #state: number;
  /** How often (of 32) the thread that ran last runs on. */
  readonly #persistence: number;
  readonly #deathSteps = new Set<number>();
  readonly #stopSteps = new Set<number>();
  #continueAt = 0;
  #steps = 0;

  constructor(seed: number) {
    this.#state = (Math.imul(seed, 2654435761) ^ 0x9e3779b9) | 0 || 1;
    this.#persistence = [0, 16, 28][this.pick(3)]!;
  }

  /** xorshift32: small, fast, replayable. */
  pick(limit: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % limit;
  }

  slowness(): number {
    return [0, 0, 24, 31][this.pick(4)]!;
  }

  allow(mostDeaths: number, stops: number, within: number): void {
    const deaths = this.pick(mostDeaths + 1);
    for (let i = 0; i < deaths; i++) this.#deathSteps.add(this.pick(within));
    for (let i = 0; i < stops; i++) this.#stopSteps.add(this.pick(within));
  }

  next(awake: readonly Thread[], due: Thread): Thread {
    this.#steps++;
    if (awake.length === 1) return awake[0]!;
    if (this.#steps > RANDOM_STEPS) return awake[this.#steps % awake.length]!;
    if (this.pick(32) < this.#persistence) return due;
    for (;;) {
      const thread = awake[this.pick(awake.length)]!;
      if (this.pick(32) >= thread.slowness) return thread;
    }
  }

  victim(threads: readonly Thread[]): Thread | null {
    if (!this.#deathSteps.delete(this.#steps)) return null;
    const mortal = threads.filter((thread) => thread.onDeath !== undefined);
    return mortal.length === 0 ? null : mortal[this.pick(mortal.length)]!;
  }

  stops(): boolean {
    if (!this.#stopSteps.delete(this.#steps)) return false;
    this.#continueAt = this.#steps + this.pick(STOP_STEPS);
    return true;
  }

  continues(): boolean {
    return this.#steps >= this.#continueAt;
  }

  stored(): void {}

  resumed(): void {}

  stepped(machine: Machine, processor: Processor): void {
    const { buffer } = processor;
    while (buffer.length > 0 && this.pick(DRAIN_ONE_IN) === 0) {
      const i = this.pick(buffer.length);
      if (!machine.isDrainable(buffer, i)) return;
      machine.drain(processor, i);
    }
  }

  loadedEarly(older: number): number {
    return this.pick(STALE_ONE_IN) === 0 ? this.pick(older + 1) : older;
  }
}
