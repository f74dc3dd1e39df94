/** A histogram of durations in bounded memory: 64 buckets for each power of two, so a percentile is right within 1.6 %. */

const SUB_BITS = 6;
const SUB_BUCKETS = 1 << SUB_BITS;
/** Durations up to 2^53 ns. */
const BUCKETS = (53 - SUB_BITS + 1) * SUB_BUCKETS;

export interface LatencySummary {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #total = 0;
  #maxNs = 0;

  /** Records one duration in nanoseconds; a negative one counts as 0. */
  record(durationNs: number): void {
    const value = Math.max(0, Math.round(durationNs));
    this.#counts[bucketOf(value)]!++;
    this.#total++;
    if (value > this.#maxNs) this.#maxNs = value;
  }

  get total(): number {
    return this.#total;
  }

  /** The duration that the fraction `quantile` (0-1) of all durations does not exceed, in nanoseconds; 0 when there are none. */
  percentile(quantile: number): number {
    const rank = Math.max(1, Math.ceil(quantile * this.#total));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) return Math.min(upperBound(bucket), this.#maxNs);
    }
    return this.#maxNs;
  }

  summary(): LatencySummary {
    return {
      p50: this.percentile(0.5),
      p99: this.percentile(0.99),
      p999: this.percentile(0.999),
      max: this.#maxNs,
    };
  }
}

/** Below 64 a bucket for each value; then 64 for each power of two. */
function bucketOf(value: number): number {
  if (value < SUB_BUCKETS) return value;
  const exponent = Math.floor(Math.log2(value));
  const shift = exponent - SUB_BITS;
  const sub = Math.floor(value / 2 ** shift) - SUB_BUCKETS;
  // Math.log2 may round a value just below a power of two up to it: then sub is −1, and this is the last bucket below.
  return Math.min(BUCKETS - 1, (shift + 1) * SUB_BUCKETS + sub);
}

/** Largest value of a bucket. */
function upperBound(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
  return ((bucket % SUB_BUCKETS) + SUB_BUCKETS + 1) * 2 ** shift - 1;
}
