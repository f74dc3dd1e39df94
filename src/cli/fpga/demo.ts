/** Frames host → core → host, checked against the software model. */
import { type Block, type Command, CommandQueue, type Completion, type Core } from "../../fpga/index.ts";
import type { Region } from "../../memory/region.ts";
import { Pool } from "../../ring/pool.ts";
import { modelCrc32, modelFilter, modelThreshold } from "./model.ts";

export interface DemoPlan {
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  /** Frames per doorbell. */
  readonly batch: number;
}

export interface DemoResult {
  readonly frames: number;
  readonly wrong: number;
  readonly commands: number;
  readonly seconds: number;
  readonly commandsPerSecond: number;
  readonly latencyNs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Bus transactions per command, from the core's own counters. */
  readonly bus: Readonly<
    Record<"descriptorFetches" | "readBursts" | "writeBursts" | "completionWrites", number>
  >;
}

const THRESHOLD_LEVEL = 128;
/** Blocks of a frame: as made, filtered, cut. */
const BLOCKS_PER_FRAME = 3;
/** Commands of a frame: filter, threshold of the original, CRC of the original. */
const COMMANDS_PER_FRAME = 3;

export function regionBytes(plan: DemoPlan): number {
  const block = Math.ceil((plan.width * plan.height) / 4096) * 4096;
  return plan.batch * BLOCKS_PER_FRAME * (block + 256) + 2 ** 20;
}

interface FrameBlocks {
  readonly made: Block;
  readonly filtered: Block;
  readonly cut: Block;
}

export class FpgaDemo {
  readonly #core: Core;
  readonly #region: Region;
  readonly #plan: DemoPlan;
  readonly #latencies: number[] = [];
  #interrupted = false;
  #busySeconds = 0;
  #wrong = 0;

  constructor(core: Core, region: Region, plan: DemoPlan) {
    this.#core = core;
    this.#region = region;
    this.#plan = plan;
  }

  /** Ends after the batch that is under way. */
  interrupt(): void {
    this.#interrupted = true;
  }

  async run(): Promise<DemoResult> {
    const { width, height, frames, batch } = this.#plan;
    const pool = Pool.create(this.#region, "frames", {
      frameBytes: width * height,
      blockCount: batch * BLOCKS_PER_FRAME,
      metaBytes: 0,
    });
    const capacity = 2 ** Math.ceil(Math.log2(COMMANDS_PER_FRAME * batch));
    using queue = CommandQueue.create(this.#core, this.#region, "core", { queue: 0, pool, capacity });
    const before = queue.counters;
    let done = 0;
    while (done < frames && !this.#interrupted) {
      const many = Math.min(batch, frames - done);
      await this.#batch(queue, done, many);
      done += many;
    }
    const after = queue.counters;
    const commands = done * COMMANDS_PER_FRAME;
    const per = (key: keyof typeof after): number =>
      commands === 0 ? 0 : (after[key] - before[key]) / commands;
    const sorted = Float64Array.from(this.#latencies).sort();
    const at = (part: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
    return {
      frames: done,
      wrong: this.#wrong,
      commands,
      seconds: this.#busySeconds,
      commandsPerSecond: this.#busySeconds === 0 ? 0 : commands / this.#busySeconds,
      latencyNs: { p50: at(0.5), p99: at(0.99), max: at(1) },
      bus: {
        descriptorFetches: per("descriptorFetches"),
        readBursts: per("readBursts"),
        writeBursts: per("writeBursts"),
        completionWrites: per("completionWrites"),
      },
    };
  }

  /** One doorbell for a batch of frames; the clock runs while the core has them. */
  async #batch(queue: CommandQueue, first: number, many: number): Promise<void> {
    const frames: FrameBlocks[] = [];
    for (let i = 0; i < many; i++) {
      const frame = { made: queue.loan()!, filtered: queue.loan()!, cut: queue.loan()! };
      paint(frame.made.bytes, this.#plan.width, first + i);
      frames.push(frame);
    }
    const { width } = this.#plan;
    // A block is in one command at a time: the second round reads the same originals.
    const rounds: readonly ((frame: FrameBlocks) => Command)[] = [
      ({ made, filtered }) => ({ opcode: "filter3x3", source: made, destination: filtered, width }),
      ({ made, cut }) => ({ opcode: "threshold", source: made, destination: cut, level: THRESHOLD_LEVEL }),
      ({ made }) => ({ opcode: "crc32", source: made }),
    ];
    const results: Completion[][] = [];
    for (const round of rounds) {
      const start = Bun.nanoseconds();
      results.push(
        await Promise.all(
          queue.submit(frames.map(round)).map((done) =>
            done.then((completion) => {
              this.#latencies.push(Bun.nanoseconds() - start);
              return completion;
            }),
          ),
        ),
      );
      this.#busySeconds += (Bun.nanoseconds() - start) / 1e9;
    }
    frames.forEach((frame, i) => {
      if (!isRight(frame, width, results[1]![i]!.result, results[2]![i]!.result)) this.#wrong++;
      for (const block of [frame.made, frame.filtered, frame.cut]) block.release();
    });
  }
}

/** A picture with edges and gradients that moves from frame to frame. */
function paint(pixels: Uint8Array, width: number, frame: number): void {
  for (let i = 0; i < pixels.length; i++) {
    const x = i % width;
    const y = (i - x) / width;
    pixels[i] =
      ((x + frame * 3) & 32) === ((y + frame) & 32) ? (x + y + frame) & 255 : 255 - ((x * 3 + frame) & 255);
  }
}

function isRight(frame: FrameBlocks, width: number, above: number, crc: number): boolean {
  const made = frame.made.bytes;
  const expected = new Uint8Array(made.length);
  modelFilter(made, width, expected);
  if (Buffer.compare(frame.filtered.bytes, expected) !== 0) return false;
  const right = modelThreshold(made, THRESHOLD_LEVEL, expected) === above && modelCrc32(made) === crc;
  return right && Buffer.compare(frame.cut.bytes, expected) === 0;
}
