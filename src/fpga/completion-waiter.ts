/**
 * Waiting for completions in the event loop (PROTOCOL.md §10.5): reap, acknowledge, look once more, sleep until the interrupt. Interrupts are hints; now and then
 * the waiter looks by itself, and asks the core whether the queue still runs.
 */
import type { CommandRing } from "./command-ring.ts";
import type { InterruptSource } from "./interrupts.ts";

export type WaitMode = "interrupt" | "poll";

/** When to interrupt: after so many completions or all that are under way, whichever is less; else so many clocks of the core after the first (0: not for that). */
export interface InterruptModeration {
  readonly count: number;
  readonly cycles: number;
}

/** What the waiter calls. */
export interface WaiterClient {
  /** Delivers completions; returns how many. */
  look(): number;
  /** Register reads: halted, gone? */
  check(): void;
  /** The interrupt cannot be enabled. */
  fail(error: Error): void;
}

const SLICE_MS = 50;
/** Polling: so long at every turn of the event loop, then once a millisecond. */
const BUSY_MS = 5;

export class CompletionWaiter implements Disposable {
  readonly #ring: CommandRing;
  readonly #interrupts: InterruptSource | null;
  readonly #moderation: InterruptModeration;
  readonly #client: WaiterClient;
  #slice: ReturnType<typeof setInterval> | null = null;
  #turn: ReturnType<typeof setImmediate> | null = null;
  #nap: ReturnType<typeof setTimeout> | null = null;
  #busySinceMs = 0;
  #armed = false;
  /** So many completions raise the line. */
  #armedCount = 0;

  constructor(
    ring: CommandRing,
    interrupts: InterruptSource | null,
    moderation: InterruptModeration,
    client: WaiterClient,
  ) {
    this.#ring = ring;
    this.#moderation = moderation;
    this.#interrupts = interrupts;
    this.#client = client;
    if (interrupts !== null) interrupts.onInterrupt = () => this.#onInterrupt();
  }

  /** Something is under way: see to it that it is noticed. */
  expect(): void {
    this.#slice ??= setInterval(() => this.#onSlice(), SLICE_MS);
    if (this.#interrupts === null) {
      this.#busySinceMs = performance.now();
      this.#pollSoon();
    } else if (!this.#armed || this.#ring.underWay < this.#armedCount) {
      // Armed for more than there are, if somebody polled meanwhile.
      this.#armed = true;
      this.#sleep();
    }
  }

  #onInterrupt(): void {
    // With nothing completed it may say that the queue halted.
    if (this.#client.look() === 0 && this.#armed) this.#client.check();
    if (this.#armed) this.#sleep();
  }

  #look(): void {
    this.#client.look();
    if (this.#interrupts !== null && this.#armed) this.#sleep();
  }

  /**
   * SYNC interrupt: cqHead, then a last look: what comes after the look raises the line. It looks for as many completions as raise it: fewer make it rise by
   * their number or by the clock, however long ago they came.
   */
  #sleep(): void {
    for (;;) {
      const { underWay } = this.#ring;
      if (underWay === 0) {
        this.pause();
        return;
      }
      const count = Math.min(this.#moderation.count, underWay);
      this.#ring.acknowledge();
      this.#ring.setInterrupt(count, this.#moderation.cycles);
      this.#armedCount = count;
      if (!this.#enable()) return;
      if (!this.#ring.readyAt(count - 1)) return;
      if (this.#client.look() === 0) return;
    }
  }

  #enable(): boolean {
    try {
      this.#interrupts!.enable();
      return true;
    } catch (error) {
      this.#client.fail(error as Error);
      return false;
    }
  }

  #onSlice(): void {
    this.#client.check();
    if (this.#slice !== null) this.#look();
  }

  #pollSoon(): void {
    if (this.#turn !== null || this.#nap !== null) return;
    if (performance.now() - this.#busySinceMs < BUSY_MS) this.#turn = setImmediate(() => this.#pollTurn());
    else this.#nap = setTimeout(() => this.#pollTurn(), 1);
  }

  #pollTurn(): void {
    this.#turn = null;
    this.#nap = null;
    if (this.#client.look() > 0) this.#busySinceMs = performance.now();
    if (this.#ring.underWay === 0) this.pause();
    else if (this.#slice !== null) this.#pollSoon();
  }

  /** Nothing is under way, or the queue stands still: no timer, no interrupt. */
  pause(): void {
    if (this.#slice !== null) clearInterval(this.#slice);
    if (this.#turn !== null) clearImmediate(this.#turn);
    if (this.#nap !== null) clearTimeout(this.#nap);
    this.#slice = null;
    this.#turn = null;
    this.#nap = null;
    this.#armed = false;
  }

  [Symbol.dispose](): void {
    this.pause();
    this.#interrupts?.[Symbol.dispose]();
  }
}
