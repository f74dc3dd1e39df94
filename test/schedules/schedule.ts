/** Runs coroutines under one schedule: who goes next, when stores drain, and who dies where is up to a {@link Director}. */
import { stage } from "./atomics.ts";
import { type Director, type Thread, Violation } from "./director.ts";
import { Machine, type Model, Processor } from "./machine.ts";

export type Coroutine = Generator<void, void, void>;

/** So many steps without a store: whoever is awake waits for somebody else. */
const IDLE_STEPS = 40;

export class Schedule {
  readonly machine: Machine;
  readonly #director: Director;
  readonly #threads: Thread[] = [];
  /** Index of the thread that took the last step. */
  #turn = -1;
  readonly #asleep = new Set<string>();
  /** In the order in which they were stopped. */
  readonly #stopped = new Set<Thread>();
  /** Those that are neither asleep nor stopped. */
  #awake: readonly Thread[] = this.#threads;
  steps = 0;
  /** Nobody but those who are stopped can go on: what must not be true then throws. */
  onStuck: () => void = () => undefined;
  #writes = 0;
  #idleSteps = 0;

  constructor(director: Director, model: Model, memory: Int32Array) {
    this.#director = director;
    this.machine = new Machine(model, director, memory);
    stage.machine = this.machine;
  }

  /** 0 … limit − 1: which of several ways a scenario goes on. */
  pick(limit: number): number {
    return this.#director.pick(limit);
  }

  /** `onDeath`: this one may be killed at any step, and what happens then (its lock is free). */
  start(name: string, coroutine: Coroutine, onDeath?: () => void): void {
    const slowness = this.#director.slowness();
    const processor = new Processor();
    this.machine.processors.add(processor);
    this.#threads.push({ name, slowness, coroutine, processor, onDeath });
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

  isAsleep(name: string): boolean {
    return this.#asleep.has(name);
  }

  wake(name: string): void {
    if (this.#asleep.delete(name)) this.#findAwake();
  }

  #findAwake(): void {
    const everybody = this.#asleep.size === 0 && this.#stopped.size === 0;
    this.#awake = everybody ? this.#threads : this.#threads.filter((thread) => this.#isAwake(thread));
  }

  #isAwake(thread: Thread): boolean {
    return !this.#asleep.has(thread.name) && !this.#stopped.has(thread);
  }

  /**
   * Runs until all have ended. At most `deaths` of those that may die are killed, each at a step in the first `within`; at random `stops` times
   * somebody takes no step for a while.
   */
  run(deaths: number, within: number, stops = 0): void {
    this.#director.allow(deaths, stops, within);
    while (this.#threads.length > 0) {
      if (++this.steps > this.#director.mostSteps)
        throw new Violation(`${this.#threads.map((thread) => thread.name).join(", ")} never end`);
      this.#continueStopped();
      const thread = this.#next();
      if (this.#director.stops(thread)) {
        this.#stop(thread);
        continue;
      }
      const victim = this.#director.victim(this.#threads, thread);
      if (victim !== null) this.#kill(victim);
      if (victim !== thread) this.#step(thread);
    }
  }

  #stop(thread: Thread): void {
    this.machine.drainAll(thread.processor);
    this.#stopped.add(thread);
    this.#findAwake();
  }

  /** The first that was stopped goes on once all others sleep, or wait for something that does not come. */
  #continueStopped(): void {
    const [first] = this.#stopped;
    if (first === undefined) return;
    const { writes } = this.machine;
    if (writes !== this.#writes) this.#idleSteps = 0;
    this.#writes = writes;
    const stuck = this.#awake.length === 0 || ++this.#idleSteps >= IDLE_STEPS;
    if (!stuck && !this.#director.continues()) return;
    this.#idleSteps = 0;
    if (stuck) this.onStuck();
    this.#stopped.delete(first);
    this.#findAwake();
  }

  #next(): Thread {
    const awake = this.#awake;
    if (awake.length === 0) throw new Violation(`${[...this.#asleep].join(", ")} sleep for ever`);
    const due = this.#due();
    this.machine.gaveWay = false;
    return this.#director.next(awake, due);
  }

  /** Who took the last step, or the next in turn if that one waits for others or has ended. */
  #due(): Thread {
    const threads = this.#threads;
    const last = threads[this.#turn];
    if (last !== undefined && !this.machine.gaveWay && this.#isAwake(last)) return last;
    let at = this.#turn;
    do at = at + 1 < threads.length ? at + 1 : 0;
    while (!this.#isAwake(threads[at]!));
    return threads[at]!;
  }

  #step(thread: Thread): void {
    const { processor } = thread;
    this.machine.current = processor;
    const at = this.#threads.indexOf(thread);
    if (this.#turn !== at && processor.buffer.length > 0) this.#director.resumed(this.machine, processor);
    this.#turn = at;
    const { done } = thread.coroutine.next();
    this.#director.stepped(this.machine, processor);
    if (done) this.#remove(thread);
  }

  #kill(victim: Thread): void {
    this.#remove(victim);
    victim.onDeath?.();
  }

  /** What a processor has executed reaches memory, dead or not; the kernel lets go of the lock after that. */
  #remove(thread: Thread): void {
    this.machine.drainAll(thread.processor);
    this.machine.processors.delete(thread.processor);
    const at = this.#threads.indexOf(thread);
    // The one in front of it is not to go on: it had no turn.
    if (at === this.#turn) this.machine.gaveWay = true;
    if (at <= this.#turn) this.#turn--;
    this.#asleep.delete(thread.name);
    this.#stopped.delete(thread);
    this.#threads.splice(at, 1);
    if (this.#awake !== this.#threads) this.#findAwake();
  }
}
