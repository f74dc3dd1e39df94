/** Seeded random numbers, so that a failing run can be replayed from the seed it printed. */

export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.#state = this.seed;
  }

  /** 32 random bits, unsigned (mulberry32). */
  bits(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** 0 … limit − 1. */
  below(limit: number): number {
    return Math.floor((this.bits() / 2 ** 32) * limit);
  }

  /** True once in `n` calls. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  /** 1 … limit, small numbers as likely as large ones (uniform in the logarithm). */
  logarithmic(limit: number): number {
    return Math.max(1, Math.floor(Math.exp((this.bits() / 2 ** 32) * Math.log(limit + 1))));
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

/** A seed from the command line or the clock. */
export function seedFrom(text: string | undefined): number {
  return text === undefined ? Date.now() >>> 0 : Number(text) >>> 0;
}
