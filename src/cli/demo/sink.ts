/** The sink process: checks every frame against the source's ledger and CRC, restores order, measures. */
import { Channel } from "../../channel/channel.ts";
import type { FrameConsumer } from "../../channel/consumer.ts";
import type { Frame } from "../../channel/frame.ts";
import { monotonicNs } from "../../ffi/clock.ts";
import type { Region } from "../../memory/region.ts";
import { PeerDiedError } from "../../ring/errors.ts";
import { Participant } from "../../ring/participant.ts";
import type { StreamFormat } from "./frame-source.ts";
import { LatencyHistogram } from "./latency.ts";
import { LedgerReader } from "./ledger.ts";
import type { DemoSettings, SinkProgress, SinkReport } from "./messages.ts";
import type { ParentLink } from "./parent-link.ts";
import { crc32 } from "./pixels.ts";
import { asSourceMetadata, asWorkerMetadata, outputName, SOURCE_CHANNEL } from "./plan.ts";
import { FrameTracker } from "./tracker.ts";
import { Turn } from "./turn.ts";

/** One worker process, as the sink sees it. */
interface Output {
  readonly worker: number;
  readonly consumer: FrameConsumer;
  /** The worker's stay on the source's channel, once it said so. */
  attachment: number | null;
  /** Nothing more can come. */
  closed: boolean;
  /** It was killed, so what it had not passed on is explained. */
  killed: boolean;
  /** It has ended by itself, so what it did not pass on is lost. */
  done: boolean;
}

const PROGRESS_MS = 200;
/** Nothing has moved for so long although frames are on their way: something is broken or stopped. */
const STALL_MS = 10_000;
/** Longest wait before the loop looks at what IPC brought. */
const LOOK_MS = 50;

export class SinkRole {
  readonly #region: Region;
  readonly #link: ParentLink;
  readonly #lumaSamples: number;
  readonly #ledger: LedgerReader;
  readonly #outputs = new Map<number, Output>();
  /** With --fanout the sink sees every frame itself. */
  readonly #own: FrameConsumer | null;
  #ownEnded: boolean;
  /** At least one worker was killed and is gone from `outputs`. */
  #buried = false;
  readonly #latency = new LatencyHistogram();
  readonly #tracker: FrameTracker;
  readonly #turn = new Turn();
  #firstSentNs = Infinity;
  #lastReceivedNs = 0;
  #meanLuma = 0;
  #rejected = 0;
  #progressMs = 0;
  #movedMs = performance.now();

  constructor(region: Region, settings: DemoSettings, format: StreamFormat, link: ParentLink) {
    this.#region = region;
    this.#link = link;
    this.#lumaSamples = format.width * format.height;
    this.#ledger = new LedgerReader(region);
    this.#own = settings.fanout ? Channel.open(region, SOURCE_CHANNEL).consumer() : null;
    this.#ownEnded = this.#own === null;
    this.#tracker = new FrameTracker(({ sentNs, lastNs }) => {
      this.#latency.record(lastNs - sentNs);
      this.#firstSentNs = Math.min(this.#firstSentNs, sentNs);
      this.#lastReceivedNs = Math.max(this.#lastReceivedNs, lastNs);
    });
    link.on("open", ({ worker }) => this.#openOutput(worker));
    link.on("introduce", ({ worker, attachment }) => {
      const output = this.#outputs.get(worker);
      if (output === undefined) return;
      output.attachment = attachment;
      this.#buryIfDead(output);
    });
    link.on("done", ({ worker }) => {
      const output = this.#outputs.get(worker);
      if (output !== undefined) output.done = true;
    });
    link.on("gone", ({ worker }) => {
      const output = this.#outputs.get(worker);
      if (output === undefined) return;
      output.killed = true;
      this.#buryIfDead(output);
    });
  }

  #openOutput(worker: number): void {
    const consumer = Channel.open(this.#region, outputName(worker)).consumer();
    this.#outputs.set(worker, {
      worker,
      consumer,
      attachment: null,
      closed: false,
      killed: false,
      done: false,
    });
    this.#link.send({ kind: "opened", worker });
  }

  /** Until the source's ledger is ended and every worker has ended its output or died. */
  async run(): Promise<void> {
    const { doorbell } = Participant.of(this.#region);
    const somethingNew = { ready: () => this.#ready() };
    while (!this.#over()) {
      const moved = this.#drain() + this.#tracker.settle();
      if (moved > 0) {
        this.#movedMs = performance.now();
        await this.#turn.yieldIfDue();
      } else if (this.#stalled()) {
        break;
      } else {
        await doorbell.wait(somethingNew, LOOK_MS);
      }
      this.#report();
    }
    this.#link.send({ kind: "sink", report: this.#finish() });
  }

  #ready(): boolean {
    if (this.#ledger.ready()) return true;
    if (!this.#ownEnded && this.#own?.ready()) return true;
    for (const output of this.#outputs.values()) if (!output.closed && output.consumer.ready()) return true;
    return false;
  }

  #over(): boolean {
    if (!this.#tracker.ended || !this.#ownEnded) return false;
    // What is missing when an output is closed may have died with its worker: only the parent knows.
    const isSettled = (output: Output): boolean =>
      output.closed && (this.#tracker.finished || output.killed || output.done);
    for (const output of this.#outputs.values()) if (!isSettled(output)) return false;
    return this.#outputs.size > 0 || this.#buried;
  }

  /** Takes what is there; returns how many things moved. */
  #drain(): number {
    let moved = this.#ledger.readInto(this.#tracker);
    if (!this.#ownEnded) moved += this.#drainOwn(this.#own!);
    for (const output of this.#outputs.values()) if (!output.closed) moved += this.#drainOutput(output);
    this.#buryUnknown();
    return moved;
  }

  #drainOwn(consumer: FrameConsumer): number {
    let moved = 0;
    for (let frame = consumer.tryReceive(); frame !== null; frame = consumer.tryReceive(), moved++) {
      const receivedNs = monotonicNs();
      const { frame: number, crc } = asSourceMetadata(frame.metadata);
      const intact = crc32(frame.bytes) === crc && number === frame.sequence;
      const { attachment } = consumer;
      const release = (): void => frame.release();
      this.#tracker.arrived({
        frame: number,
        attachment,
        intact,
        sentNs: frame.timestampNs,
        receivedNs,
        release,
      });
    }
    if (moved === 0 && consumer.ended) {
      this.#ownEnded = true;
      moved++;
    }
    return moved;
  }

  #drainOutput(output: Output): number {
    let moved = 0;
    for (
      let frame = output.consumer.tryReceive();
      frame !== null;
      frame = output.consumer.tryReceive(), moved++
    ) {
      this.#check(frame, output);
    }
    if (moved === 0 && hasEnded(output.consumer)) {
      this.#close(output);
      moved++;
    }
    return moved;
  }

  /** A frame of the source that came by way of a worker, or with --fanout a worker's result. */
  #check(frame: Frame, output: Output): void {
    const receivedNs = monotonicNs();
    const found = asWorkerMetadata(frame.metadata);
    output.attachment ??= found.attachment;
    let sum = 0;
    let samples = 0;
    found.histogram.forEach((count, bin) => {
      samples += count;
      sum += count * bin;
    });
    const sameBytes = this.#own === null ? crc32(frame.bytes) === found.crc : true;
    const intact = sameBytes && found.workerCrc === found.crc && samples === this.#lumaSamples;
    this.#meanLuma = sum / this.#lumaSamples;
    const { frame: number, attachment, sentNs } = found;
    // A result was copied with its metadata; a frame stays where it is until its turn.
    if (this.#own !== null) frame.release();
    this.#tracker.arrived({
      frame: number,
      attachment,
      intact,
      sentNs,
      receivedNs,
      release: () => frame.release(),
    });
  }

  #close(output: Output): void {
    output.closed = true;
    this.#rejected += output.consumer.rejected;
    output.consumer.close();
    this.#buryIfDead(output);
    this.#link.send({ kind: "closed", worker: output.worker });
  }

  #buryIfDead(output: Output): void {
    if (!output.closed || !output.killed || output.attachment === null) return;
    this.#tracker.bury(output.attachment);
    this.#outputs.delete(output.worker);
    this.#buried = true;
  }

  /**
   * A worker may die before it has introduced itself. When all that live have, frames for anybody else were for the dead:
   * whoever consumes from the source has an output, and it is opened here before the process starts.
   */
  #buryUnknown(): void {
    const outputs = [...this.#outputs.values()];
    const nameless = outputs.filter((output) => output.attachment === null);
    if (nameless.length === 0 || nameless.some((output) => !output.closed || !output.killed)) return;
    const known = new Set(outputs.map((output) => output.attachment));
    if (this.#own !== null) known.add(this.#own.attachment);
    for (const attachment of this.#tracker.waitingFor())
      if (!known.has(attachment)) this.#tracker.bury(attachment);
  }

  #stalled(): boolean {
    if (this.#tracker.open === 0) this.#movedMs = performance.now();
    return performance.now() - this.#movedMs > STALL_MS;
  }

  #progress(): SinkProgress {
    return {
      ...this.#tracker.counts,
      latencyNs: this.#latency.summary(),
      backlog: this.#ledger.backlog,
      meanLuma: this.#meanLuma,
    };
  }

  #report(): void {
    const nowMs = performance.now();
    if (nowMs - this.#progressMs < PROGRESS_MS) return;
    this.#progressMs = nowMs;
    this.#link.send({ kind: "progress", progress: this.#progress() });
  }

  #finish(): SinkReport {
    const { open, next } = this.#tracker;
    const stalled = this.#over()
      ? null
      : `nothing moved for ${STALL_MS / 1000} s: frame ${next} and ${open - 1} more are on their way`;
    this.#tracker.finish();
    const elapsedNs = Math.max(0, this.#lastReceivedNs - this.#firstSentNs);
    return {
      ...this.#progress(),
      elapsedNs: Number.isFinite(elapsedNs) ? elapsedNs : 0,
      rejected: this.#rejected,
      stalled,
    };
  }
}

/** The producer has closed the channel or died, and everything it sent was received. */
function hasEnded(consumer: FrameConsumer): boolean {
  try {
    return consumer.ended;
  } catch (error) {
    if (error instanceof PeerDiedError) return true;
    throw error;
  }
}
