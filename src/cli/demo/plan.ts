/**
 * What a run puts into its region, and what travels beside the frames.
 *
 *     each frame to one worker:   source ──frames──> worker n ──the same blocks──> out.n ──> sink
 *     --fanout:                   source ──frames──> every worker and the sink;  worker n ──results──> out.n ──> sink
 */
import { Channel, type ChannelOptions } from "../../channel/channel.ts";
import { PhysringError } from "../../ffi/errors.ts";
import type { Region } from "../../memory/region.ts";
import { Pool } from "../../ring/pool.ts";
import { createLedger, LEDGER_BYTES } from "./ledger.ts";
import type { DemoSettings } from "./messages.ts";
import { HISTOGRAM_BINS } from "./pixels.ts";

export const SOURCE_CHANNEL = "source";
export const FRAME_POOL = "source.pool";
const RESULT_POOL = "results.pool";

export function outputName(worker: number): string {
  return `out.${worker}`;
}

/** Most workers at a time: a channel has 30 lanes, a region 31 participants, and source, sink and parent take three. */
export const MAX_WORKERS = 27;

const LANE_CAPACITY = 4;
const META_BYTES = 4096;
const RESULT_BLOCK_BYTES = 128;
/** Frames are kept within this, if that leaves enough of them: Docker gives /dev/shm 64 MiB. */
const FRAME_BUDGET_BYTES = 48 * 2 ** 20;
const MOST_BLOCKS = 64;
const HEADER_BYTES = 64 * 1024;

function blockCount(settings: DemoSettings, frameBytes: number): number {
  // One in the hands of every process and one waiting for each of them.
  const least = 2 * (settings.workers + 2);
  return Math.max(least, Math.min(MOST_BLOCKS, Math.floor(FRAME_BUDGET_BYTES / (frameBytes + META_BYTES))));
}

function sourceOptions(settings: DemoSettings, frameBytes: number): ChannelOptions {
  return {
    frameBytes,
    frames: blockCount(settings, frameBytes),
    metaBytes: META_BYTES,
    // A killed worker's lane is free a moment later than its successor may come.
    maxConsumers: settings.workers + 2,
    laneCapacity: LANE_CAPACITY,
    policy: settings.policy,
    delivery: settings.fanout ? "all" : "one",
  };
}

function outputOptions(pool: Pool): ChannelOptions {
  return { pool, maxConsumers: 1, laneCapacity: 2 * LANE_CAPACITY, policy: "block" };
}

/** Frames that may wait for a worker; the queue of the live line. */
export const QUEUE_CAPACITY = LANE_CAPACITY;

/** Bytes of region for a run. */
export function regionBytes(settings: DemoSettings, frameBytes: number): number {
  const results = settings.fanout ? resultBlocks(settings) * (RESULT_BLOCK_BYTES + META_BYTES + 256) : 0;
  const outputs = (settings.workers + 2) * 8192;
  return (
    HEADER_BYTES + Channel.sizeBytes(sourceOptions(settings, frameBytes)) + results + outputs + LEDGER_BYTES
  );
}

function resultBlocks(settings: DemoSettings): number {
  return (settings.workers + 2) * 2 * LANE_CAPACITY;
}

/** Creates everything but the outputs of the workers. */
export function createObjects(region: Region, settings: DemoSettings, frameBytes: number): void {
  Channel.create(region, SOURCE_CHANNEL, sourceOptions(settings, frameBytes));
  if (settings.fanout) {
    Pool.create(region, RESULT_POOL, {
      frameBytes: RESULT_BLOCK_BYTES,
      blockCount: resultBlocks(settings),
      metaBytes: META_BYTES,
    });
  }
  createLedger(region);
}

/** Creates the channel of one worker process to the sink; no two processes of a run have the same. */
export function createOutput(region: Region, settings: DemoSettings, worker: number): Channel {
  const pool = Pool.open(region, settings.fanout ? RESULT_POOL : FRAME_POOL);
  return Channel.create(region, outputName(worker), outputOptions(pool));
}

/** What the source sends with a frame. */
export interface SourceMetadata {
  readonly frame: number;
  /** CRC-32 of the source's private copy. */
  readonly crc: number;
}

/** What a worker sends on. */
export interface WorkerMetadata extends SourceMetadata {
  /** The worker's stay on the source's channel. */
  readonly attachment: number;
  /** CRC-32 of the frame as the worker found it. */
  readonly workerCrc: number;
  /** CLOCK_MONOTONIC when the source published the frame. */
  readonly sentNs: number;
  /** Luma values in 256 bins. */
  readonly histogram: readonly number[];
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function invalid(what: string): PhysringError {
  return new PhysringError(
    "DEMO_METADATA",
    `the metadata of a frame from ${what} does not hold what it should`,
  );
}

/** Checks what came out of shared memory. @throws PhysringError */
export function asSourceMetadata(value: unknown): SourceMetadata {
  const { frame, crc } = (value ?? {}) as Partial<SourceMetadata>;
  if (!isNumber(frame) || !isNumber(crc)) throw invalid("the source");
  return { frame, crc };
}

/** Likewise. @throws PhysringError */
export function asWorkerMetadata(value: unknown): WorkerMetadata {
  const { frame, crc } = asSourceMetadata(value);
  const { attachment, workerCrc, sentNs, histogram } = value as Partial<WorkerMetadata>;
  const isHistogram =
    Array.isArray(histogram) && histogram.length === HISTOGRAM_BINS && histogram.every(isNumber);
  if (!isNumber(attachment) || !isNumber(workerCrc) || !isNumber(sentNs) || !isHistogram)
    throw invalid("a worker");
  return { frame, crc, attachment, workerCrc, sentNs, histogram };
}
