/** What the demo tells its user: the live line, the summary, the JSON object. */
import type { Backend } from "../../memory/names.ts";
import { bytes, count, nanoseconds, plural, significant } from "../format.ts";
import type { StreamFormat } from "./frame-source.ts";
import type { DemoSettings, FrameCounts, SinkProgress } from "./messages.ts";
import { QUEUE_CAPACITY } from "./plan.ts";
import type { RunResult } from "./run.ts";

export interface Outcome extends RunResult {
  readonly settings: DemoSettings;
  readonly backend: Backend;
  /** The user stopped it early. */
  readonly interrupted: boolean;
}

/** What is wrong with a run; empty: nothing. */
export function complaints(outcome: RunResult): string[] {
  const { sink, source, leakedBlocks } = outcome;
  const list: string[] = [];
  if (source.error !== null) list.push(source.error);
  if (sink.stalled !== null) list.push(sink.stalled);
  if (sink.lost > 0) list.push(`${plural(sink.lost, "frame")} lost`);
  if (sink.duplicated > 0) list.push(`${plural(sink.duplicated, "frame")} arrived more than once`);
  if (sink.corrupted > 0)
    list.push(`${plural(sink.corrupted, "frame")} corrupted: a CRC-32 differs from the source's`);
  if (sink.misordered > 0)
    list.push(`${plural(sink.misordered, "frame")} overtook others of the same worker`);
  if (leakedBlocks > 0) list.push(`${plural(leakedBlocks, "block")} of the pool leaked`);
  return list;
}

function rates(outcome: RunResult): { framesPerSecond: number; bytesPerSecond: number } {
  const seconds = outcome.sink.elapsedNs / 1e9;
  const framesPerSecond = seconds > 0 ? outcome.sink.delivered / seconds : 0;
  return { framesPerSecond, bytesPerSecond: framesPerSecond * outcome.format.frameBytes };
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

/** The object of `--json`: the promised keys first, in their order. */
export function jsonReport(outcome: Outcome): Record<string, unknown> {
  const { sink, source, settings, format } = outcome;
  const { framesPerSecond, bytesPerSecond } = rates(outcome);
  return {
    frames: sink.frames,
    lost: sink.lost,
    dropped: sink.dropped,
    duplicated: sink.duplicated,
    corrupted: sink.corrupted,
    framesPerSecond: rounded(framesPerSecond),
    bytesPerSecond: Math.round(bytesPerSecond),
    latencyNs: sink.latencyNs,
    workers: settings.workers,
    backend: outcome.backend,
    policy: settings.policy,
    cpuPercent: rounded(outcome.cpuPercent),
    delivered: sink.delivered,
    droppedWithWorkers: sink.droppedWithWorkers,
    misordered: sink.misordered,
    rejected: sink.rejected,
    refusals: source.refusals,
    killedWorkers: outcome.killedWorkers,
    leakedBlocks: outcome.leakedBlocks,
    fanout: settings.fanout,
    width: format.width,
    height: format.height,
    colorSpace: format.colorSpace,
    frameBytes: format.frameBytes,
    elapsedMs: rounded(sink.elapsedNs / 1e6),
    interrupted: outcome.interrupted,
    errors: complaints(outcome),
  };
}

export function titleLine(settings: DemoSettings, format: StreamFormat, backend: Backend): string {
  const input =
    settings.input === null ? "generated" : settings.input === "-" ? "from stdin" : `from ${settings.input}`;
  const who = settings.fanout ? "each frame to all" : "each frame to one";
  return (
    `physring demo: ${format.width}x${format.height} ${format.colorSpace} frames of ${bytes(format.frameBytes)} ${input}; ` +
    `source -> ${plural(settings.workers, "worker")} (${who}) -> sink; backend ${backend}, policy ${settings.policy}`
  );
}

function fates(counts: FrameCounts): string {
  const died =
    counts.droppedWithWorkers > 0 ? ` (${count(counts.droppedWithWorkers)} with killed workers)` : "";
  return (
    `${count(counts.delivered)} delivered, ${count(counts.dropped)} dropped${died}, ${count(counts.lost)} lost, ` +
    `${count(counts.duplicated)} duplicated, ${count(counts.corrupted)} corrupted`
  );
}

export function summary(outcome: Outcome): string {
  const { sink, source, settings } = outcome;
  const { framesPerSecond, bytesPerSecond } = rates(outcome);
  const { p50, p99, p999, max } = sink.latencyNs;
  const processes = 3 + settings.workers;
  const lines = [
    `  frames   ${count(sink.frames)}: ${fates(sink)}`,
    `  rate     ${significant(framesPerSecond)} frames/s, ${bytes(bytesPerSecond)}/s through shared memory, nothing copied between processes`,
    `  latency  p50 ${nanoseconds(p50)}, p99 ${nanoseconds(p99)}, p99.9 ${nanoseconds(p999)}, max ${nanoseconds(max)} (publication to last result)`,
    `  CPU      ${Math.round(outcome.cpuPercent)} % of one core, ${processes} processes with start-up`,
  ];
  if (outcome.killedWorkers > 0)
    lines.push(
      `  chaos    ${plural(outcome.killedWorkers, "worker")} killed and replaced, all blocks came back`,
    );
  if (source.refusals > 0)
    lines.push(
      `  policy   ${plural(source.refusals, "refusal")} for want of room, each tried again after 1 ms`,
    );
  const wrong = complaints(outcome);
  if (wrong.length === 0) lines.push(`  ok       ${verdict(sink)}`);
  for (const complaint of wrong) lines.push(`  FAILED   ${complaint}`);
  return lines.join("\n");
}

function verdict(counts: FrameCounts): string {
  if (counts.frames === 0) return "there were no frames";
  if (counts.dropped === 0) return "every frame arrived once, in order, intact";
  return "every frame arrived once, in order, intact, or was dropped and counted";
}

/** One line, redrawn on a terminal, or now and then written anew elsewhere. */
export class LiveLine {
  readonly #format: StreamFormat;
  readonly #out: NodeJS.WriteStream;
  #last: { delivered: number; timeMs: number } | null = null;
  #drawn = false;
  #nextMs: number;

  static readonly #LINE_MS = 5000;

  constructor(format: StreamFormat, out: NodeJS.WriteStream) {
    this.#format = format;
    this.#out = out;
    this.#nextMs = performance.now() + LiveLine.#LINE_MS;
  }

  show(progress: SinkProgress): void {
    const nowMs = performance.now();
    const last = this.#last;
    if (!this.#out.isTTY && nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + LiveLine.#LINE_MS;
    this.#last = { delivered: progress.delivered, timeMs: nowMs };
    if (last === null && this.#out.isTTY) return;
    const seconds = (nowMs - (last?.timeMs ?? nowMs - LiveLine.#LINE_MS)) / 1000;
    const framesPerSecond = (progress.delivered - (last?.delivered ?? 0)) / seconds;
    const line = this.#text(progress, framesPerSecond);
    if (!this.#out.isTTY) {
      this.#out.write(`${line}\n`);
      return;
    }
    const width = this.#out.columns || 120;
    this.#out.write(`\r${line.slice(0, width - 1)}\x1b[K`);
    this.#drawn = true;
  }

  #text(progress: SinkProgress, framesPerSecond: number): string {
    const { p50, p99 } = progress.latencyNs;
    const lost = progress.lost + progress.duplicated + progress.corrupted;
    return (
      `${count(progress.delivered)} frames  ${significant(framesPerSecond)} frames/s  ` +
      `${bytes(framesPerSecond * this.#format.frameBytes)}/s  latency p50 ${nanoseconds(p50)} p99 ${nanoseconds(p99)}  ` +
      `queue ${progress.backlog}/${QUEUE_CAPACITY}  luma ${Math.round(progress.meanLuma)}  dropped ${count(progress.dropped)}  wrong ${count(lost)}`
    );
  }

  /** Takes the line off the terminal. */
  clear(): void {
    if (this.#drawn) this.#out.write("\r\x1b[K");
    this.#drawn = false;
  }
}
