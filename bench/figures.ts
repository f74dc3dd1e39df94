/** From samples to rows, ratios and verdicts. */
import type { Target } from "./measures.ts";
import type { MeasureResult, Sample } from "./rounds.ts";

/** Fewest clean rounds a verdict rests on. */
export const MIN_ROUNDS = 5;

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Row {
  readonly measure: string;
  readonly system: string;
  readonly unit: "messages/s" | "ns";
  /** Rate, or p50 of round trips. Null when skipped. */
  readonly value: Spread | null;
  /** Medians over the rounds; round trips only. */
  readonly p99: number | null;
  readonly p999: number | null;
  readonly bytesPerSecond: number | null;
  readonly runs: number;
  /** True when no clean round was to be had and the figures are from disturbed ones. */
  readonly disturbed: boolean;
  readonly note: string | null;
}

export interface Verdict {
  readonly title: string;
  readonly measure: string;
  readonly limit: number;
  readonly sense: Target["sense"];
  /** Median of one over the median of the other, same rounds. */
  readonly ratio: number | null;
  readonly rounds: number;
  readonly outcome: "reached" | "missed" | "undecided" | "skipped";
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** Rate in messages/s, or the p50 of round trips. */
function sampleValue(sample: Sample): number {
  const { latency, messages, ns } = sample.peer;
  return latency === undefined ? (messages! / ns!) * 1e9 : latency.p50;
}

/** Samples that count: clean, of the chosen placement, and for key systems from the chosen rounds. */
function samplesOf(result: MeasureResult, system: string): { samples: Sample[]; disturbed: boolean } {
  const own = result.samples.filter((sample) => sample.system === system);
  const isKey = result.measure.keySystems.includes(system);
  const clean = own.filter(
    (s) =>
      s.placement !== null && s.placement === result.placement && (!isKey || result.kept.includes(s.round)),
  );
  return clean.length > 0 ? { samples: clean, disturbed: false } : { samples: own, disturbed: true };
}

export function rowOf(result: MeasureResult, system: string): Row {
  const { measure } = result;
  const unit = measure.kind === "roundtrip" ? "ns" : "messages/s";
  const { samples, disturbed } = samplesOf(result, system);
  const empty = { p99: null, p999: null, bytesPerSecond: null };
  if (samples.length === 0) {
    const note = result.skipped.get(system) ?? "not run";
    return { measure: measure.id, system, unit, value: null, ...empty, runs: 0, disturbed: false, note };
  }
  const value = spread(samples.map(sampleValue));
  const latencies = samples.flatMap((sample) =>
    sample.peer.latency === undefined ? [] : [sample.peer.latency],
  );
  const trips = latencies.length > 0;
  return {
    measure: measure.id,
    system,
    unit,
    value,
    p99: trips ? median(latencies.map((latency) => latency.p99)) : null,
    p999: trips ? median(latencies.map((latency) => latency.p999)) : null,
    bytesPerSecond: trips ? null : value.median * measure.words * 4,
    runs: samples.length,
    disturbed,
    note: null,
  };
}

/** Rounds in which both systems were clean in the chosen placement. */
function pairedRounds(result: MeasureResult, a: string, b: string): { a: number[]; b: number[] } {
  const pairs = result.kept.flatMap((round) => {
    const of = (id: string): Sample | undefined =>
      result.samples.find((s) => s.round === round && s.system === id && s.placement === result.placement);
    const first = of(a);
    const second = of(b);
    return first === undefined || second === undefined
      ? []
      : [[sampleValue(first), sampleValue(second)] as const];
  });
  return { a: pairs.map(([value]) => value), b: pairs.map(([, value]) => value) };
}

export function verdictOf(target: Target, results: readonly MeasureResult[]): Verdict {
  const { title, measure, limit, sense } = target;
  const base = { title, measure, limit, sense };
  const result = results.find((candidate) => candidate.measure.id === measure);
  const missing =
    result === undefined || result.skipped.has(target.system) || result.skipped.has(target.base);
  if (missing) return { ...base, ratio: null, rounds: 0, outcome: "skipped" };
  const pairs = pairedRounds(result, target.system, target.base);
  const rounds = pairs.a.length;
  if (rounds === 0) return { ...base, ratio: null, rounds, outcome: "undecided" };
  const ratio = median(pairs.a) / median(pairs.b);
  if (rounds < MIN_ROUNDS) return { ...base, ratio, rounds, outcome: "undecided" };
  const reached = sense === "at least" ? ratio >= limit : ratio <= limit;
  return { ...base, ratio, rounds, outcome: reached ? "reached" : "missed" };
}

/** Ratio of a row to the C row of the same measure, from the same rounds where both are key systems. */
export function ratioToC(result: MeasureResult, system: string): number | null {
  if (system === "c") return null;
  const pairs = pairedRounds(result, system, "c");
  return pairs.a.length === 0 ? null : median(pairs.a) / median(pairs.b);
}
