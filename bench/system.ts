/** What a system that is measured says of itself. */
import type { Binaries } from "./build.ts";
import type { Job } from "./job.ts";
import type { Measure } from "./measures.ts";

/** How many messages: `warm` legs let the engine compile, `legs` legs are timed. */
export interface Volume {
  readonly leg: number;
  readonly warm: number;
  readonly legs: number;
}

/** A process to start: its command without the pinning. The driver's result is the row's; the other only confirms the checksum. */
export interface PeerCommand {
  readonly role: string;
  readonly command: readonly string[];
  readonly cpu: number;
}

export interface System {
  readonly id: string;
  readonly title: string;
  /** Null: this system cannot do that measure. */
  volume(measure: Measure): Volume | null;
  /** `first` is started before `second`. */
  peers(job: Job, cpus: readonly [number, number], binaries: Binaries): readonly PeerCommand[];
  /** What the two ends share, made by the harness before they start. */
  readonly shared: "region" | "file" | "none";
}
