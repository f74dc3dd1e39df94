/**
 * How a participant sleeps (PROTOCOL.md §3 "Doorbell"): arm, fence, look, sleep; in a futex, or in the event loop, where any number of waits
 * share the doorbell. The time limits, sockets and timers around it are doorbell.ts'.
 */
import { futexWait } from "../ffi/futex.ts";
import { sleepersFence, storeRelease } from "../memory/atomics.ts";
import type { ControlArea } from "../memory/control.ts";
import { WORD_BYTES } from "../memory/layout.ts";
import { DoorbellWord, doorbellIndex } from "./doorbell-word.ts";

/** Something that may become true by another participant's doing. `ready` must not block and must not allocate. */
export interface Condition {
  ready(): boolean;
  /** Spinning for it lets others run: set where the one who waits has a message to get, not where it has one to send ({@link Courtesy}). */
  readonly yieldsCpu?: boolean;
}

/** A wait in the event loop. */
export interface PendingWait {
  readonly condition: Condition;
  /** It is over; an `error` other than undefined is the condition's own, or why nobody waits any more. */
  readonly settle: (ready: boolean, error: unknown) => void;
}

/** The longest sleep where a publisher may have left its fence to us and the kernel does not help. */
export const SLICE_WITHOUT_FENCE_MS = 1;

export class Sleeper {
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #address: number;
  readonly #pending = new Set<PendingWait>();
  #sleepNumber: number;
  #ended = false;

  constructor(control: ControlArea, participant: number, generation: number) {
    this.#words = control.words;
    this.#index = doorbellIndex(participant);
    this.#address = control.address + this.#index * WORD_BYTES;
    // Far from the numbers of this slot's last participant, for a waker that was stopped since.
    this.#sleepNumber = Math.imul(generation, 0x9e37_79b1);
  }

  /** Waits in the event loop that are not over. */
  get waits(): number {
    return this.#pending.size;
  }

  /** One sleep in a futex, unless the condition holds. SYNC doorbell: arm, fence, look; the waker publishes, fences, reads. */
  sleepInFutex(condition: Condition, sleepMs: number): void {
    storeRelease(this.#words, this.#index, DoorbellWord.asleepInFutex);
    try {
      const limitMs = sleepersFence() ? sleepMs : Math.min(sleepMs, SLICE_WITHOUT_FENCE_MS);
      if (!condition.ready())
        futexWait(this.#address, DoorbellWord.asleepInFutex, Math.max(0, limitMs) * 1e6);
    } finally {
      // Also behind an error of the condition: nobody sleeps here.
      storeRelease(this.#words, this.#index, DoorbellWord.awake);
    }
  }

  /** A wait begins; {@link look} is next. */
  add(wait: PendingWait): void {
    this.#pending.add(wait);
  }

  /**
   * Arms the doorbell for the event loop and settles the waits that are over. SYNC doorbell: arm, fence, look. False: look again soon, see
   * {@link SLICE_WITHOUT_FENCE_MS}.
   */
  look(): boolean {
    if (this.#pending.size === 0) return true;
    this.#sleepNumber = (this.#sleepNumber + 1) | 0;
    const armed = (this.#sleepNumber << DoorbellWord.sleepNumberShift) | DoorbellWord.asleepInEventLoop;
    storeRelease(this.#words, this.#index, armed);
    const fenced = sleepersFence();
    for (const wait of [...this.#pending]) this.lookFor(wait, false);
    return fenced;
  }

  /** Errors of the condition (a corrupt segment) belong to whoever awaits it, not to the event loop. */
  lookFor(wait: PendingWait, last: boolean): void {
    try {
      const ready = !this.#ended && wait.condition.ready();
      if (ready || last || this.#ended) this.finish(wait, ready, undefined);
    } catch (error) {
      this.finish(wait, false, error);
    }
  }

  /** Whatever its condition says. The last of the waits leaves the doorbell awake. */
  finish(wait: PendingWait, ready: boolean, error: unknown): void {
    if (!this.#pending.delete(wait)) return;
    if (this.#pending.size === 0) storeRelease(this.#words, this.#index, DoorbellWord.awake);
    wait.settle(ready, error);
  }

  failAll(error: unknown): void {
    for (const wait of [...this.#pending]) this.finish(wait, false, error);
  }

  /** No more waits: those under way end, not ready. */
  end(): void {
    this.#ended = true;
    for (const wait of [...this.#pending]) this.finish(wait, false, undefined);
  }
}
