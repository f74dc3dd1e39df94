/** The printed table. */
import { type Row, ratioToC, rowOf, type Verdict } from "./figures.ts";
import type { Machine } from "./machine.ts";
import { FOREIGN_LIMIT, type MeasureResult } from "./rounds.ts";
import type { System } from "./system.ts";

/** Three significant digits with a unit prefix: 283 M, 45.9 k. */
export function formatRate(perSecond: number): string {
  const [scale, prefix] = perSecond >= 1e6 ? [1e6, " M"] : perSecond >= 1e3 ? [1e3, " k"] : [1, ""];
  return `${(perSecond / scale).toPrecision(3)}${prefix}`;
}

export function formatNs(ns: number): string {
  if (ns < 1000) return `${Math.round(ns)} ns`;
  return ns < 1e6 ? `${(ns / 1e3).toPrecision(3)} us` : `${(ns / 1e6).toPrecision(3)} ms`;
}

function pad(text: string, width: number): string {
  return text.padEnd(width);
}

function padLeft(text: string, width: number): string {
  return text.padStart(width);
}

function valueText(row: Row): string {
  if (row.value === null) return row.note ?? "";
  const format = row.unit === "ns" ? formatNs : (value: number): string => formatRate(value);
  const { median, min, max } = row.value;
  return `${padLeft(format(median), 9)}  ${pad(`${format(min)} … ${format(max)}`, 21)}`;
}

function detailText(row: Row): string {
  if (row.p99 !== null && row.p999 !== null)
    return `p99 ${padLeft(formatNs(row.p99), 7)}  p99.9 ${padLeft(formatNs(row.p999), 7)}`;
  return row.bytesPerSecond === null ? "" : `${(row.bytesPerSecond / 1e9).toFixed(2)} GB/s`;
}

function rowText(result: MeasureResult, system: System): string {
  const row = rowOf(result, system.id);
  if (row.value === null) return `  ${pad(system.title, 36)}${row.note}`;
  const ratio = ratioToC(result, system.id);
  const ratioText = ratio === null ? "" : `${ratio.toFixed(2)} x C`;
  const mark = row.disturbed ? `${row.runs} disturbed` : `${row.runs} clean`;
  return `  ${pad(system.title, 36)}${valueText(row)} ${pad(mark, 13)}${pad(ratioText, 10)}${detailText(row)}`;
}

/** Why runs did not count: others used the CPUs, or the CPUs moved apart or together. */
function disturbanceText(result: MeasureResult): string {
  const foreign = result.samples.filter((sample) => sample.foreign > FOREIGN_LIMIT).length;
  const moved = result.samples.filter(
    (sample) => sample.foreign <= FOREIGN_LIMIT && sample.placement === null,
  ).length;
  if (foreign + moved === 0) return "";
  return `; of ${result.samples.length} runs ${foreign} disturbed by others, ${moved} by a change of placement`;
}

function measureText(result: MeasureResult, systems: readonly System[]): string {
  const placement =
    result.placement === null
      ? "no clean round: figures are from disturbed ones"
      : `placement ${result.placement}`;
  const head = `${result.measure.title}   [${placement}, ${result.kept.length} of ${result.attempted} rounds kept${disturbanceText(result)}]`;
  const rows = systems
    .filter((system) => system.volume(result.measure) !== null)
    .map((system) => rowText(result, system));
  return [head, ...rows].join("\n");
}

function verdictText(verdict: Verdict): string {
  const sense = verdict.sense === "at least" ? ">=" : "<=";
  const ratio = verdict.ratio === null ? "-" : verdict.ratio.toFixed(2);
  return `  ${pad(verdict.title, 72)}${padLeft(ratio, 6)}  (${sense} ${verdict.limit}, ${verdict.rounds} rounds)  ${verdict.outcome}`;
}

export interface Report {
  readonly machine: Machine;
  readonly capacity: number;
  readonly niceness: number;
  readonly compiler: string;
  readonly results: readonly MeasureResult[];
  readonly systems: readonly System[];
  readonly validity: readonly Verdict[];
  readonly targets: readonly Verdict[];
  readonly validityText: string;
}

export function formatTable(report: Report): string {
  const { machine } = report;
  const head = [
    `physring benchmark: ${machine.processor}, ${machine.logicalCpus} CPUs, ${machine.memoryGiB} GiB, L3 ${machine.l3}` +
      `${machine.virtual ? ", virtual" : ""}; Linux ${machine.kernel} ${machine.architecture}; Bun ${machine.bun}; ${report.compiler}`,
    `ends on CPU ${machine.pinned[0]} and ${machine.pinned[1]}; rings of ${report.capacity} slots (frames: 8 blocks)${report.niceness === 0 ? "" : `; niceness ${report.niceness}`}; ` +
      "rates: messages/s whose every word went through a verified checksum; median, min … max of the clean runs",
  ];
  const body = report.results.map((result) => measureText(result, report.systems));
  const validity = [`C ring: ${report.validityText}`, ...report.validity.map(verdictText)];
  const targets = ["Figures to reach", ...report.targets.map(verdictText)];
  return [head.join("\n"), ...body, validity.join("\n"), targets.join("\n")].join("\n\n");
}
