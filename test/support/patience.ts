/**
 * A time limit that runs only while this process does: a poll that comes late (the whole machine was suspended, or somebody else
 * had the processors) counts as one short step, for those we wait for may not have run either.
 */
const LONGEST_STEP_MS = 250;

export class Patience {
  readonly #limitMs: number;
  #spentMs = 0;
  #lastMs = performance.now();

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** To be asked at every poll. */
  get isOver(): boolean {
    const nowMs = performance.now();
    this.#spentMs += Math.min(LONGEST_STEP_MS, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    return this.#spentMs > this.#limitMs;
  }

  /** Something happened: start anew. */
  renew(): void {
    this.#spentMs = 0;
    this.#lastMs = performance.now();
  }
}
