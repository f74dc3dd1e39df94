/**
 * A memory that behaves as a multi-copy-atomic processor may (ARMv8) or as x86-64 does, as the {@link Director} of a schedule decides.
 *
 * Every thread has a store buffer. `tso`: it drains in order, loads are never early, a release store is an exchange. `arm`: stores to different words drain in any
 * order (a release after everything before it), and a plain load may have been done early: it returns any value that its
 * word had since the thread's last acquire or fence. `sc`: no buffers. One time line of all drained stores makes that definite.
 */
import type { Director } from "./director.ts";

export type Model = "sc" | "tso" | "arm";

interface Store {
  readonly at: number;
  readonly value: number;
  readonly release: boolean;
}

/** A processor as one coroutine sees it. */
export class Processor {
  readonly buffer: Store[] = [];
  /** No load returns a value older than this point of the time line. */
  floor = 0;
  /** Per word: the time of the value read last; reads of one word never go back. */
  readonly lastRead = new Map<number, number>();
}

export class Machine {
  readonly #model: Model;
  readonly #director: Director;
  readonly memory: Int32Array;
  /** Per word, since the start of the schedule: [time, value before, time, value before …]. */
  readonly #history = new Map<number, number[]>();
  #time = 0;
  current = new Processor();
  /** Those that run a thread of ours, for membarrier(2). */
  readonly processors = new Set<Processor>();
  /** The current step says that its thread waits for others. */
  gaveWay = false;

  constructor(model: Model, director: Director, memory: Int32Array) {
    this.#model = model;
    this.#director = director;
    this.memory = memory;
  }

  /** Stores that reached memory so far. */
  get writes(): number {
    return this.#time;
  }

  /** Index in `memory` of an element of a view of it. */
  static at(words: Int32Array, index: number): number {
    return words.byteOffset / 4 + index;
  }

  #write(by: Processor, at: number, value: number): void {
    this.#time++;
    if (this.#model === "arm") {
      const past = this.#history.get(at);
      if (past === undefined) this.#history.set(at, [this.#time, this.memory[at]!]);
      else past.push(this.#time, this.memory[at]!);
    }
    this.memory[at] = value;
    // Whoever stored it never reads an older value again.
    if (this.#model === "arm") by.lastRead.set(at, this.#time);
  }

  /** Whether the store may reach memory before those in front of it in the buffer. */
  isDrainable(buffer: readonly Store[], i: number): boolean {
    if (this.#model === "tso" || buffer[i]!.release) return i === 0;
    for (let k = 0; k < i; k++) if (buffer[k]!.at === buffer[i]!.at) return false;
    return true;
  }

  /** One buffered store reaches memory. */
  drain(processor: Processor, i: number): void {
    const [store] = processor.buffer.splice(i, 1);
    this.#write(processor, store!.at, store!.value);
  }

  drainAll(processor: Processor): void {
    for (const store of processor.buffer) this.#write(processor, store.at, store.value);
    processor.buffer.length = 0;
  }

  store(at: number, value: number, release: boolean): void {
    if (this.#model === "tso" && release) this.fence();
    if (this.#model === "sc" || (this.#model === "tso" && release)) {
      this.#write(this.current, at, value);
      return;
    }
    this.current.buffer.push({ at, value, release });
    this.#director.stored(this, this.current);
  }

  #forwarded(at: number): number | undefined {
    const { buffer } = this.current;
    for (let i = buffer.length - 1; i >= 0; i--) if (buffer[i]!.at === at) return buffer[i]!.value;
    return undefined;
  }

  loadPlain(at: number): number {
    const own = this.#forwarded(at);
    if (own !== undefined) return own;
    return this.#model === "arm" ? this.#loadEarly(at) : this.memory[at]!;
  }

  /** A value the word had at some time since the floor. */
  #loadEarly(at: number): number {
    const past = this.#history.get(at);
    const oldest = Math.max(this.current.floor, this.current.lastRead.get(at) ?? 0);
    // Entry i: until time past[i] the word had value past[i + 1].
    let first = past?.length ?? 0;
    while (past !== undefined && first > 0 && past[first - 2]! > oldest) first -= 2;
    const older = past === undefined ? 0 : (past.length - first) / 2;
    const choice = older === 0 ? 0 : this.#director.loadedEarly(older);
    if (past === undefined || choice === older) {
      this.current.lastRead.set(at, this.#time);
      return this.memory[at]!;
    }
    const entry = first + 2 * choice;
    this.current.lastRead.set(at, Math.max(oldest, past[entry]! - 1));
    return past[entry + 1]!;
  }

  /** `Atomics.load`: behind every earlier release store of this processor, before everything later. */
  loadAcquire(at: number): number {
    if (this.current.buffer.some((store) => store.release)) this.drainAll(this.current);
    const value = this.#forwarded(at) ?? this.memory[at]!;
    this.#acquire();
    return value;
  }

  #acquire(): void {
    this.current.floor = this.#time;
  }

  fence(): void {
    this.drainAll(this.current);
    this.#acquire();
  }

  /** Where processors keep loads and stores in order a publication needs no fence: whoever sleeps has all of them run one. */
  get isOrdered(): boolean {
    return this.#model === "tso";
  }

  /** membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED), as on x86-64. */
  sleepersFence(): void {
    this.fence();
    if (this.#model === "tso") for (const processor of this.processors) this.drainAll(processor);
  }

  /** Loads before loads, stores before stores: x86-64 needs nothing for that. */
  fenceUnlessOrdered(): void {
    if (this.#model === "arm") this.fence();
  }

  /** Any read-modify-write: `update` gives the new value, or undefined to leave it. Returns the old one. */
  update(at: number, update: (old: number) => number | undefined): number {
    this.fence();
    const old = this.memory[at]!;
    const next = update(old);
    if (next !== undefined) this.#write(this.current, at, next);
    return old;
  }
}
