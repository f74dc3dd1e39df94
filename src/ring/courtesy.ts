/**
 * When a spinning consumer lets others run. Where more processes than CPUs take turns, the one that spins for a message may keep the CPU
 * from its producer, or from the slowest consumer that gates it; yielding hands the CPU on without the cost of a sleep and a wake-up
 * (two consumers of one stream on one CPU get half as much again). But beside a process that only computes, a yield costs a
 * scheduler's slice of milliseconds: after one that did, the next so many waits spin without, twice as many each time.
 */
import { yieldCpu } from "../ffi/process.ts";

/** Peers that take turns give the CPU back sooner than this. */
const MOST_MS = 0.25;
const FIRST_PAUSE = 64;
const LONGEST_PAUSE = 1 << 16;

export class Courtesy {
  #pause = FIRST_PAUSE;
  /** Waits that still spin without yielding. */
  #waitsLeft = 0;

  /** A wait begins: whether it may yield. */
  begin(): boolean {
    if (this.#waitsLeft === 0) return true;
    this.#waitsLeft--;
    return false;
  }

  /** Yields once. `beforeMs` is a moment ago, as `performance.now` tells; returns the time afterwards. */
  yield(beforeMs: number): number {
    yieldCpu();
    const nowMs = performance.now();
    this.took(nowMs - beforeMs);
    return nowMs;
  }

  /** @internal What a yield cost, in milliseconds. */
  took(costMs: number): void {
    if (costMs > MOST_MS) {
      this.#waitsLeft = this.#pause;
      this.#pause = Math.min(LONGEST_PAUSE, this.#pause * 2);
    } else this.#pause = FIRST_PAUSE;
  }
}
