/**
 * A host process of the randomised co-simulation (cosim.ts): submits random commands to one queue, checks each result against the model, resets the queue now and
 * then, and may be killed at any moment. Prints what it has done as lines of JSON. SIGTERM: this batch is the last.
 */
import { modelCrc32, modelFill, modelFilter, modelThreshold } from "../../src/cli/fpga/model.ts";
import { PhysringError } from "../../src/ffi/errors.ts";
import type { Block, BlockPart } from "../../src/fpga/block.ts";
import {
  type Command,
  CommandFailedError,
  CommandQueue,
  type Completion,
  Core,
  HaltCode,
  QueueHaltedError,
} from "../../src/fpga/index.ts";
import { Region } from "../../src/memory/region.ts";
import { Participant } from "../../src/ring/participant.ts";
import { Random } from "../support/random.ts";
import { NOTHING_DONE, type Tally } from "./tally.ts";

// Ends when the co-simulation is gone, however it ended.
setInterval(() => process.ppid === 1 && process.exit(1), 500).unref();

export interface HostPlan {
  readonly board: string;
  readonly region: string;
  readonly queue: string;
  readonly seed: number;
  readonly commands: number;
  readonly errors: boolean;
  readonly wait: "poll" | "interrupt";
}

/** Halts that errors of the bus explain; STALE and the others are a host that broke the rules. */
const BUS_HALTS: readonly number[] = [HaltCode.FETCH, HaltCode.COMPLETE];
const FRAME_BYTES = 4096;
const MAX_BYTES = 1500;

class Mismatch extends Error {}

/** A command, the blocks that are to be released, and what is to be found when it is done. */
interface Job {
  readonly command: Command;
  readonly blocks: readonly Block[];
  readonly check: (completion: Completion) => void;
}

function expectBytes(found: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(found, expected) === 0) return;
  const at = expected.findIndex((byte, i) => byte !== found[i]);
  throw new Mismatch(`${what}: byte ${at} of ${expected.length} is ${found[at]}, expected ${expected[at]}`);
}

function expectNumber(found: number, expected: number, what: string): void {
  if (found !== expected) throw new Mismatch(`${what}: ${found}, expected ${expected}`);
}

class Host {
  readonly #plan: HostPlan;
  readonly #queue: CommandQueue;
  readonly #random: Random;
  readonly tally: Tally = { ...NOTHING_DONE, done: false };

  constructor(plan: HostPlan, queue: CommandQueue) {
    this.#plan = plan;
    this.#queue = queue;
    this.#random = new Random(plan.seed);
  }

  #fill(block: Block): Uint8Array {
    const { bytes } = block;
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    let value = this.#random.bits();
    for (let i = 0; i < words.length; i++) {
      words[i] = value;
      value = (Math.imul(value, 1664525) + 1013904223) >>> 0;
    }
    return bytes;
  }

  /** Up to four parts in one block that do not touch each other, `lengthBytes` together. */
  #parts(block: Block, lengthBytes: number): BlockPart[] {
    const parts: BlockPart[] = [];
    let left = lengthBytes;
    let at = 64 * this.#random.below(4);
    while (left > 0) {
      const most = 64 * (1 + this.#random.below(8));
      const part = parts.length === 3 || left <= most ? left : most;
      parts.push({ frame: block, offsetBytes: at, lengthBytes: part });
      at += Math.ceil(part / 64) * 64 + 64 * this.#random.below(3);
      left -= part;
    }
    return parts;
  }

  #job(): Job | null {
    const random = this.#random;
    const source = this.#queue.loan();
    const destination = this.#queue.loan();
    if (source === null || destination === null) {
      source?.release();
      destination?.release();
      return null;
    }
    const input = this.#fill(source);
    const lengthBytes = random.oneIn(6) ? 64 * (1 + random.below(16)) : 1 + random.below(MAX_BYTES);
    const blocks = [source, destination];
    const out = new Uint8Array(lengthBytes);
    switch (random.below(7)) {
      case 0:
        return { command: { opcode: "nop" }, blocks, check: () => undefined };
      case 1: {
        const word = random.bits();
        // Dirty lines in the way of the device.
        destination.bytes.fill(random.below(256));
        return {
          command: { opcode: "fill", destination, word, lengthBytes },
          blocks,
          check: () => {
            modelFill(word, out);
            expectBytes(destination.bytes.subarray(0, lengthBytes), out, "fill");
          },
        };
      }
      case 2:
        return {
          command: { opcode: "crc32", source, lengthBytes },
          blocks,
          check: ({ result }) => expectNumber(result, modelCrc32(input.subarray(0, lengthBytes)), "crc32"),
        };
      case 3: {
        const level = random.below(256);
        return {
          command: { opcode: "threshold", source, destination, level, lengthBytes },
          blocks,
          check: ({ result }) => {
            expectNumber(result, modelThreshold(input.subarray(0, lengthBytes), level, out), "threshold");
            expectBytes(destination.bytes.subarray(0, lengthBytes), out, "threshold");
          },
        };
      }
      case 4: {
        const image = new Uint8Array(64 * (1 + random.below(8)));
        return {
          command: { opcode: "filter3x3", source, destination, width: 64, lengthBytes: image.length },
          blocks,
          check: () => {
            modelFilter(input.subarray(0, image.length), 64, image);
            expectBytes(destination.bytes.subarray(0, image.length), image, "filter");
          },
        };
      }
      case 5: {
        destination.bytes.fill(random.below(256));
        const from = this.#parts(source, lengthBytes);
        const to = this.#parts(destination, lengthBytes);
        const flat = (parts: readonly BlockPart[], bytes: Uint8Array): Uint8Array =>
          Buffer.concat(
            parts.map((part) => bytes.subarray(part.offsetBytes, part.offsetBytes! + part.lengthBytes)),
          );
        return {
          command: { opcode: "copy", source: from, destination: to },
          blocks,
          check: () => expectBytes(flat(to, destination.bytes), flat(from, input), "list"),
        };
      }
      default:
        destination.bytes.fill(random.below(256));
        return {
          command: { opcode: "copy", source, destination, lengthBytes },
          blocks,
          check: () =>
            expectBytes(destination.bytes.subarray(0, lengthBytes), input.subarray(0, lengthBytes), "copy"),
        };
    }
  }

  async run(): Promise<void> {
    let printed = 0;
    let asked = false;
    process.once("SIGTERM", () => {
      asked = true;
    });
    while (!asked && this.tally.submitted < this.#plan.commands) {
      await this.#batch();
      if (this.tally.submitted - printed >= 50) {
        printed = this.tally.submitted;
        console.log(JSON.stringify(this.tally));
      }
    }
    // What timed out is still under way, and its blocks are not free before it is done.
    while (this.#queue.underWay > 0 && this.#queue.state === "running") await Bun.sleep(1);
    this.tally.done = true;
    console.log(JSON.stringify(this.tally));
  }

  async #batch(): Promise<void> {
    if (this.#queue.state === "halted") await this.#reset();
    const jobs: Job[] = [];
    while (this.#queue.room === 0 && this.#queue.state === "running") await Bun.sleep(1);
    const wanted = 1 + this.#random.below(Math.max(1, this.#queue.room));
    while (jobs.length < wanted) {
      const job = this.#job();
      if (job === null) break;
      jobs.push(job);
    }
    // Others have all the blocks; completions give some back.
    if (jobs.length === 0) return void (await Bun.sleep(1));
    if (this.#random.oneIn(8)) this.#offerNonsense();
    const timeoutMs = this.#random.oneIn(12) ? 1 + this.#random.below(5) : undefined;
    const results = this.#queue.submit(
      jobs.map((job) => job.command),
      timeoutMs === undefined ? {} : { timeoutMs },
    );
    this.tally.submitted += jobs.length;
    const settled = Promise.allSettled(results);
    if (this.#random.oneIn(10)) await this.#reset();
    (await settled).forEach((result, i) => {
      this.#account(result, jobs[i]!);
      for (const block of jobs[i]!.blocks) block.release();
    });
  }

  #account(result: PromiseSettledResult<Completion>, job: Job): void {
    if (result.status === "fulfilled") {
      job.check(result.value);
      this.tally.ok++;
      return;
    }
    const error: unknown = result.reason;
    if (error instanceof CommandFailedError && this.#plan.errors && error.status >= 16) this.tally.failed++;
    else if (error instanceof PhysringError && error.code === "QUEUE_RESET") this.tally.reset++;
    else if (error instanceof QueueHaltedError && this.#plan.errors && BUS_HALTS.includes(error.haltCode))
      this.tally.halted++;
    else if (error instanceof PhysringError && error.code === "COMMAND_TIMEOUT") this.tally.timedOut++;
    else throw error;
  }

  #offerNonsense(): void {
    const block = this.#queue.loan();
    if (block === null) return;
    const before = this.#queue.room;
    try {
      this.#queue.submit([
        { opcode: "crc32", source: block, lengthBytes: this.#random.oneIn(2) ? 0 : FRAME_BYTES + 1 },
      ]);
      throw new Mismatch("a command of impossible length was taken");
    } catch (error) {
      if (!(error instanceof PhysringError) || error.code !== "COMMAND_INVALID") throw error;
      expectNumber(this.#queue.room, before, "room after a refused command");
      this.tally.refused++;
    } finally {
      block.release();
    }
  }

  async #reset(): Promise<void> {
    this.tally.resets++;
    await this.#queue.reset({ idleLimitMs: 20_000 });
  }
}

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2]!) as HostPlan;
  using region = Region.open(plan.region);
  Participant.of(region).recoverDead();
  using core = Core.open(`board:${plan.board}`);
  using queue = CommandQueue.open(core, region, plan.queue, { wait: plan.wait });
  await new Host(plan, queue).run();
}
