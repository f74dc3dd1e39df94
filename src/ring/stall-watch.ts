/** How long somebody has stood in the way of a blocked producer without moving (PROTOCOL.md §7.5). */

/** One look is worth at most this part of the limit: a machine that was frozen whole has everybody stand still. */
const SHARE_PER_LOOK = 0.5;

/** Watches several obstacles, each by two numbers that change when it moves. Time passes only from look to look. */
export class StallWatch {
  readonly #limitMs: number;
  readonly #first: Float64Array;
  readonly #second: Float64Array;
  readonly #stoodMs: Float64Array;
  readonly #lookedMs: Float64Array;
  #leftMs = Number.POSITIVE_INFINITY;

  constructor(obstacles: number, limitMs: number) {
    this.#limitMs = limitMs;
    this.#first = new Float64Array(obstacles);
    this.#second = new Float64Array(obstacles);
    this.#stoodMs = new Float64Array(obstacles).fill(-1);
    this.#lookedMs = new Float64Array(obstacles);
  }

  /** A round of looks begins. */
  startRound(): void {
    this.#leftMs = Number.POSITIVE_INFINITY;
  }

  /** Until the first obstacle of this round reaches the limit, if it does not move; Infinity when there is none. */
  get leftMs(): number {
    return this.#leftMs;
  }

  /** Milliseconds that the obstacle has stood still, as far as it was watched. */
  stoodMs(obstacle: number): number {
    return this.#stoodMs[obstacle]!;
  }

  /** From the next look on the obstacle has all of the time again. */
  forget(obstacle: number): void {
    this.#stoodMs[obstacle] = -1;
  }

  /** True when the obstacle has reached the limit. */
  hasStalled(obstacle: number, first: number, second: number): boolean {
    const nowMs = performance.now();
    const moved = this.#first[obstacle] !== first || this.#second[obstacle] !== second;
    if (moved || this.#stoodMs[obstacle]! < 0) {
      this.#first[obstacle] = first;
      this.#second[obstacle] = second;
      this.#stoodMs[obstacle] = 0;
    } else {
      const stepMs = Math.min(nowMs - this.#lookedMs[obstacle]!, this.#limitMs * SHARE_PER_LOOK);
      this.#stoodMs[obstacle]! += stepMs;
    }
    this.#lookedMs[obstacle] = nowMs;
    const leftMs = this.#limitMs - this.#stoodMs[obstacle]!;
    // Looked at so often that each step counts in full.
    this.#leftMs = Math.min(this.#leftMs, Math.max(0, leftMs), this.#limitMs * SHARE_PER_LOOK);
    return leftMs <= 0;
  }
}
