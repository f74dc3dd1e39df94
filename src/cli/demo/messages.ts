/** What the demo's processes tell each other over Bun's IPC: settings, progress, results. Frames never go this way. */
import type { PolicyName } from "../../ring/layout.ts";
import type { StreamFormat } from "./frame-source.ts";
import type { LatencySummary } from "./latency.ts";

export type Role = "source" | "worker" | "sink";
/** `max`, frames per second, or as the input declares. */
export type Rate = number | "max" | "source";

/** What the user asked for; every process of a run gets it. */
export interface DemoSettings {
  /** Null: to the end of the input. */
  readonly frames: number | null;
  readonly width: number;
  readonly height: number;
  readonly workers: number;
  readonly policy: PolicyName;
  /** Every worker sees every frame. */
  readonly fanout: boolean;
  readonly rate: Rate;
  /** A file, `-`, or null: generate. */
  readonly input: string | null;
  /** Self-test: this frame gets a flipped byte on its way. */
  readonly corruptFrame: number | null;
}

/** Where the frames are. */
export interface RegionPlace {
  /** Name for Region.open. */
  readonly region: string;
  /** Name for Region.destroy; null: it has none (memfd). */
  readonly destroyName: string | null;
  readonly format: StreamFormat;
}

export type ParentMessage =
  | { readonly kind: "settings"; readonly settings: DemoSettings; readonly worker: number }
  /** The region is there: take your place. */
  | { readonly kind: "join"; readonly place: RegionPlace }
  /** To the source: go. */
  | { readonly kind: "start"; readonly consumers: number }
  /** To the source: end the stream after the frame at hand. */
  | { readonly kind: "stop" }
  /** To the sink: consume `out.<worker>`. */
  | { readonly kind: "open"; readonly worker: number }
  /** To the sink: this worker's stay on the source channel. */
  | { readonly kind: "introduce"; readonly worker: number; readonly attachment: number }
  /** To the sink: this worker's process was killed. */
  | { readonly kind: "gone"; readonly worker: number }
  /** To the sink: this worker has ended by itself. */
  | { readonly kind: "done"; readonly worker: number };

export interface SourceReport {
  /** Times that policy `fail` refused a frame, which was then tried again. */
  readonly refusals: number;
  /** Why the input ended early, or null. */
  readonly error: string | null;
}

/** Counts of frames; every frame the source produced is in just one of delivered, dropped, lost. */
export interface FrameCounts {
  readonly frames: number;
  readonly delivered: number;
  readonly dropped: number;
  /** Those of `dropped` that were with a worker when it was killed. */
  readonly droppedWithWorkers: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly corrupted: number;
  /** Frames that overtook another one from the same worker. */
  readonly misordered: number;
}

export interface SinkProgress extends FrameCounts {
  readonly latencyNs: LatencySummary;
  /** Frames waiting in the fullest lane of the source when it sent last. */
  readonly backlog: number;
  /** Mean luma of the newest frame in order, 0-255. */
  readonly meanLuma: number;
}

export interface SinkReport extends SinkProgress {
  /** From the first publication to the last receipt. */
  readonly elapsedNs: number;
  /** Descriptors that were refused. */
  readonly rejected: number;
  /** What the run waited for when nothing moved any more, or null. */
  readonly stalled: string | null;
}

export type ChildMessage =
  | { readonly kind: "booted" }
  /** Source: the input's header is read. */
  | { readonly kind: "format"; readonly format: StreamFormat }
  /** The region is open, and this child's ends of its channels are attached. */
  | { readonly kind: "joined"; readonly attachment: number }
  | { readonly kind: "opened"; readonly worker: number }
  /** Sink: everything of this worker was received, and it will send no more. */
  | { readonly kind: "closed"; readonly worker: number }
  | { readonly kind: "progress"; readonly progress: SinkProgress }
  | { readonly kind: "source"; readonly report: SourceReport }
  | { readonly kind: "sink"; readonly report: SinkReport }
  | { readonly kind: "worker" }
  | { readonly kind: "failed"; readonly error: string };
