/**
 * Waiting for completions in the event loop (PROTOCOL.md §10.5): reap, acknowledge, look once more, sleep until the interrupt. Interrupts are hints; now and then
 * the waiter looks by itself, and asks the core whether the queue still runs.
 */
import type { CommandRing } from "./command-ring.ts";
import type { InterruptSource } from "./interrupts.ts";

export type WaitMode = "interrupt" | "poll";

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
  readonly #client: WaiterClient;
  #slice: ReturnType<typeof setInterval> | null = null;
  #turn: ReturnType<typeof setImmediate> | null = null;
  #nap: ReturnType<typeof setTimeout> | null = null;
  #busySinceMs = 0;
  #armed = false;
  #configured = false;

  constructor(ring: CommandRing, interrupts: InterruptSource | null, client: WaiterClient) {
    this.#ring = ring;
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
    } else if (!this.#armed) {
      this.#armed = true;
      if (!this.#configured) this.#ring.setInterrupt(1, 0);
      this.#configured = true;
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

  /** SYNC interrupt: cqHead, then a last look: what comes after the look raises the line. */
  #sleep(): void {
    for (;;) {
      if (this.#ring.underWay === 0) {
        this.pause();
        return;
      }
      this.#ring.acknowledge();
      if (!this.#enable()) return;
      if (!this.#ring.ready()) return;
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

  /** The queue was started anew, with interrupts off. */
  restarted(): void {
    this.#configured = false;
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
