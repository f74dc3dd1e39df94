/** Runs coroutines under one schedule: who goes next, when stores drain, and who dies where all come from the seed. */
import { stage } from "./atomics.ts";
import { Machine, type Model, Processor, Random } from "./machine.ts";

export type Coroutine = Generator<void, void, void>;

interface Thread {
  readonly name: string;
  /** Is passed over that often (of 32): slow ones let queues fill. */
  readonly slowness: number;
  readonly coroutine: Coroutine;
  readonly processor: Processor;
  readonly onDeath: (() => void) | undefined;
}

/** What a correct algorithm never does; the message says what and where. */
export class Violation extends Error {}

/** After so many steps at random everybody runs in turn; after ten times as many the schedule hangs. */
const RANDOM_STEPS = 4000;
const STOP_STEPS = 400;

export class Schedule {
  readonly random: Random;
  readonly machine: Machine;
  readonly #threads: Thread[] = [];
  /** How often (of 32) the thread that ran last runs on. */
  readonly #persistence: number;
  #last: Thread | null = null;
  readonly #asleep = new Set<string>();
  /** Those that are not asleep. */
  #awake: readonly Thread[] = this.#threads;
  steps = 0;
  #stopped: string | null = null;
  #continueAt = 0;

  constructor(seed: number, model: Model, memory: Int32Array) {
    this.random = new Random(seed);
    this.machine = new Machine(model, this.random, memory);
    this.#persistence = [0, 16, 28][this.random.below(3)]!;
    stage.machine = this.machine;
  }

  /** `onDeath`: this one may be killed at any step, and what happens then (its lock is free). */
  start(name: string, coroutine: Coroutine, onDeath?: () => void): void {
    const slowness = [0, 0, 24, 31][this.random.below(4)]!;
    this.#threads.push({ name, slowness, coroutine, processor: new Processor(), onDeath });
    if (this.#awake !== this.#threads) this.#findAwake();
  }

  /** Somebody whose name starts so is still running. */
  isRunning(prefix: string): boolean {
    return this.#threads.some((thread) => thread.name.startsWith(prefix));
  }

  /** The running thread takes no steps until it is woken (it yields next). Its stores reach memory. */
  sleep(name: string): void {
    this.#asleep.add(name);
    this.machine.drainAll(this.machine.current);
    this.#findAwake();
  }

  wake(name: string): void {
    if (this.#asleep.delete(name)) this.#findAwake();
  }

  #findAwake(): void {
    const asleep = this.#asleep;
    this.#awake = asleep.size === 0 ? this.#threads : this.#threads.filter(({ name }) => !asleep.has(name));
  }

  /**
   * Runs until all have ended. `deaths` of those that may die are killed, each at a step in the first `within`; `stops` times whoever took the
   * last step takes none for a while.
   */
  run(deaths: number, within: number, stops = 0): void {
    const deathSteps = new Set<number>();
    for (let i = 0; i < deaths; i++) deathSteps.add(this.random.below(within));
    const stopSteps = new Set<number>();
    for (let i = 0; i < stops; i++) stopSteps.add(this.random.below(within));
    for (let turn = 0; this.#threads.length > 0; turn++) {
      if (++this.steps > 11 * RANDOM_STEPS) {
        throw new Violation(`${this.#threads.map((thread) => thread.name).join(", ")} never end`);
      }
      if (deathSteps.delete(this.steps)) this.#kill();
      if (stopSteps.delete(this.steps)) this.#stopLast();
      if (this.#stopped !== null && (this.steps >= this.#continueAt || this.#awake.length === 0))
        this.#continue();
      if (this.#threads.length > 0) this.#step(this.#next(turn));
    }
  }

  #stopLast(): void {
    if (this.#last === null || this.#stopped !== null) return;
    this.#stopped = this.#last.name;
    this.#continueAt = this.steps + this.random.below(STOP_STEPS);
    this.#asleep.add(this.#stopped);
    this.#findAwake();
  }

  #continue(): void {
    if (this.#stopped !== null) this.wake(this.#stopped);
    this.#stopped = null;
  }

  #next(turn: number): Thread {
    const threads = this.#awake;
    if (threads.length === 0) throw new Violation(`${[...this.#asleep].join(", ")} sleep for ever`);
    if (threads.length === 1) return threads[0]!;
    if (this.steps > RANDOM_STEPS) return threads[turn % threads.length]!;
    if (this.#last !== null && this.random.below(32) < this.#persistence && threads.includes(this.#last))
      return this.#last;
    for (;;) {
      const thread = threads[this.random.below(threads.length)]!;
      if (this.random.below(32) >= thread.slowness) return thread;
    }
  }

  #step(thread: Thread): void {
    this.#last = thread;
    this.machine.current = thread.processor;
    const { done } = thread.coroutine.next();
    this.machine.drainSome(thread.processor);
    if (done) this.#remove(thread);
  }

  #kill(): void {
    const mortal = this.#threads.filter((thread) => thread.onDeath !== undefined);
    if (mortal.length === 0) return;
    const victim = mortal[this.random.below(mortal.length)]!;
    this.#remove(victim);
    victim.onDeath?.();
  }

  /** What a processor has executed reaches memory, dead or not; the kernel lets go of the lock after that. */
  #remove(thread: Thread): void {
    this.machine.drainAll(thread.processor);
    if (this.#last === thread) this.#last = null;
    this.#asleep.delete(thread.name);
    this.#threads.splice(this.#threads.indexOf(thread), 1);
    if (this.#awake !== this.#threads) this.#findAwake();
  }
}
