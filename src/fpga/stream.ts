/**
 * Streams (PROTOCOL.md §10.7): hardware as the producer of frames (opcode SOURCE: empty blocks go in, frames come out, in order) and as their consumer (opcode
 * SINK: frames go in, empty blocks come out). Both over a CommandQueue, which alone sets the pace (`paceCycles`) and what a tick without a block means.
 *
 *     const camera = new SourceStream(sourceQueue, { loan: () => producer.tryLoan(), depth: 4 });
 *     for await (const { frame, sequence } of camera) producer.send(frame);
 *
 *     const display = new SinkStream(sinkQueue, { depth: 4 });
 *     for await (const frame of consumer) await display.write(frame);
 *
 * No byte is copied: the frames of a channel are the very blocks that the device writes and reads.
 */
import { ArgumentError } from "../ring/errors.ts";
import type { BlockHolder } from "./block.ts";
import type { CommandQueue } from "./command-queue.ts";
import type { Completion } from "./commands.ts";

/** A frame that can be given back: a channel's Frame, or a Block. */
export interface StreamFrame extends BlockHolder {
  release(): void;
}

export interface SourceStreamOptions<F extends StreamFrame> {
  /** An empty frame, or null when there is none now: a channel producer's `tryLoan()`, or `loan()` under policy `drop-oldest`, which takes frames back. */
  readonly loan: () => F | null;
  /** Most empty frames with the hardware; default 4. */
  readonly depth?: number;
  /** Parameter of the reference core's test pattern. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

export interface SourcedFrame<F extends StreamFrame> {
  readonly frame: F;
  /** Ticks of the pace before this frame; a gap is what was lost (pacePolicy `drop-newest`). */
  readonly sequence: number;
  readonly completion: Completion;
}

const DEFAULT_DEPTH = 4;
/** How often to ask for an empty frame while the hardware has none. */
const STARVED_RETRY_MS = 1;

function checkDepth(queue: CommandQueue, depth: number): number {
  if (Number.isInteger(depth) && depth >= 1 && depth <= queue.capacity) return depth;
  throw new ArgumentError(
    `a stream of depth ${depth}: queue ${queue.name} takes 1-${queue.capacity} commands`,
  );
}

/** Frames from the hardware. Leaving the loop stops asking; what is under way comes back by itself. */
export class SourceStream<F extends StreamFrame> implements AsyncIterable<SourcedFrame<F>> {
  readonly #queue: CommandQueue;
  readonly #options: SourceStreamOptions<F>;
  readonly #depth: number;
  readonly #underWay: { readonly frame: F; readonly done: Promise<Completion> }[] = [];
  #lost = 0;
  #starved = 0;

  constructor(queue: CommandQueue, options: SourceStreamOptions<F>) {
    this.#queue = queue;
    this.#options = options;
    this.#depth = checkDepth(queue, options.depth ?? DEFAULT_DEPTH);
  }

  /** Frames that the sequence numbers say are missing, from the first one that came out of this loop on: what the queue did before is not this stream's. */
  get lost(): number {
    return this.#lost;
  }

  /** Times that the hardware had no empty frame and none was to be had. */
  get starved(): number {
    return this.#starved;
  }

  /** Fills the fill ring: as many empty frames as there are, with one doorbell. */
  #refill(): void {
    const frames: F[] = [];
    while (this.#underWay.length + frames.length < this.#depth && frames.length < this.#queue.room) {
      const frame = this.#options.loan();
      if (frame === null) break;
      frames.push(frame);
    }
    if (frames.length === 0) return;
    const seed = this.#options.seed ?? 0;
    let done: Promise<Completion>[];
    try {
      done = this.#queue.submit(frames.map((frame) => ({ opcode: "source", destination: frame, seed })));
    } catch (error) {
      for (const frame of frames) frame.release();
      throw error;
    }
    frames.forEach((frame, i) => {
      // Whoever awaits it gets its error; until then it is not unhandled.
      done[i]!.catch(() => undefined);
      this.#underWay.push({ frame, done: done[i]! });
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SourcedFrame<F>, void, void> {
    const { signal } = this.#options;
    let expected: number | null = null;
    try {
      while (!signal?.aborted) {
        this.#refill();
        const oldest = this.#underWay.shift();
        if (oldest === undefined) {
          this.#starved++;
          // A queue that is closed or stands still is not waited for.
          this.#queue.submit([]);
          await Bun.sleep(STARVED_RETRY_MS);
          continue;
        }
        const completion = await this.#await(oldest, signal);
        if (completion === null) return;
        const sequence = completion.result;
        if (expected !== null) this.#lost += (sequence - expected) >>> 0;
        expected = (sequence + 1) >>> 0;
        yield { frame: oldest.frame, sequence, completion };
      }
    } finally {
      // Released while they are the hardware's: they become free with their completion.
      for (const { frame } of this.#underWay.splice(0)) frame.release();
    }
  }

  /** Null when the signal came first; the frame is given back on any way out but the good one. */
  async #await(
    oldest: { readonly frame: F; readonly done: Promise<Completion> },
    signal: AbortSignal | undefined,
  ): Promise<Completion | null> {
    const aborted = Promise.withResolvers<null>();
    const onAbort = (): void => aborted.resolve(null);
    signal?.addEventListener("abort", onAbort);
    try {
      const completion = await Promise.race([oldest.done, aborted.promise]);
      if (completion === null) oldest.frame.release();
      return completion;
    } catch (error) {
      oldest.frame.release();
      throw error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

export interface SinkStreamOptions<F extends StreamFrame> {
  /** Most frames with the hardware; default 4. */
  readonly depth?: number;
  /** Called when the hardware has taken a frame, before that is released. */
  readonly onTaken?: (frame: F, completion: Completion) => void;
}

/** Frames to the hardware. */
export class SinkStream<F extends StreamFrame> {
  readonly #queue: CommandQueue;
  readonly #depth: number;
  readonly #onTaken: (frame: F, completion: Completion) => void;
  readonly #underWay = new Set<Promise<void>>();
  #error: unknown = null;
  #taken = 0;

  constructor(queue: CommandQueue, options: SinkStreamOptions<F> = {}) {
    this.#queue = queue;
    this.#depth = checkDepth(queue, options.depth ?? DEFAULT_DEPTH);
    this.#onTaken = options.onTaken ?? (() => undefined);
  }

  /** Frames that the hardware has taken. */
  get taken(): number {
    return this.#taken;
  }

  /** Ticks of the pace at which there was nothing to take. A register read. */
  get underruns(): number {
    return this.#queue.missed;
  }

  /**
   * Gives a frame to the hardware, waiting while it has `depth` of them; the frame is released when it was taken. An error of an earlier frame is thrown here.
   * @throws what the queue throws; then the frame is still the caller's
   */
  async write(frame: F): Promise<void> {
    while (this.#underWay.size >= this.#depth) await Promise.race(this.#underWay);
    this.#throwEarlier();
    await this.#queue.becomesExclusive(frame);
    const done = this.#queue.submit([{ opcode: "sink", source: frame }])[0]!;
    const taken = done.then(
      (completion) => {
        this.#taken++;
        try {
          this.#onTaken(frame, completion);
        } finally {
          frame.release();
        }
      },
      (error: unknown) => {
        frame.release();
        throw error;
      },
    );
    const settled = taken.catch((error: unknown) => {
      this.#error ??= error;
    });
    this.#underWay.add(settled);
    void settled.then(() => this.#underWay.delete(settled));
  }

  /** Resolves when the hardware has taken everything. @throws the first error */
  async flush(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    this.#throwEarlier();
  }

  #throwEarlier(): void {
    const error = this.#error;
    this.#error = null;
    if (error !== null) throw error;
  }
}
