/**
 * A queue of commands for hardware, with promises: the comfort layer over BlockQueue.
 *
 *     using core = Core.open("board:demo");
 *     using queue = CommandQueue.create(core, region, "fpga.q0", { queue: 0, pool });
 *     using [from, to] = …blocks of the pool…
 *     const [copied, crc] = queue.submit([                       one doorbell
 *       { opcode: "copy", source: from, destination: to },
 *       { opcode: "crc32", source: other },
 *     ]);
 *     console.log((await crc).result);
 *
 * From `submit` to the completion the blocks belong to the hardware: a block that is released meanwhile becomes free afterwards, one that is sent
 * is refused. Who needs neither objects nor promises uses {@link CommandQueue.blocks}.
 */
import type { Region } from "../memory/region.ts";
import { ArgumentError } from "../ring/errors.ts";
import { DEVICE_BIT } from "../ring/hardware-queue.ts";
import { Attachment, createQueueObject, type QueueShape, type RunOptions } from "./attachment.ts";
import { Block, type BlockHolder } from "./block.ts";
import type { BlockQueue } from "./block-queue.ts";
import { type Command, type Completion, readCompletion, stageCommand } from "./commands.ts";
import { CompletionWaiter, type InterruptModeration, type WaitMode } from "./completion-waiter.ts";
import type { Core, QueueCounters } from "./core.ts";
import {
  BlockBusyError,
  CommandFailedError,
  CommandTimeoutError,
  CoreFaultError,
  DeviceGoneError,
  QueueClosedError,
  QueueHaltedError,
  QueueResetError,
  QueueStuckError,
} from "./errors.ts";
import type { InterruptSource } from "./interrupts.ts";
import { CompletionLayout, DeviceRegister, Status } from "./layout.ts";

export interface CommandQueueOptions extends RunOptions {
  /** How to wait for completions: `interrupt` (default where the core has one) or `poll`, which keeps a processor busy. */
  readonly wait?: WaitMode;
  /**
   * Interrupts cost a wake-up and two writes each: so many completions share one, or all that are under way if those are fewer, unless `cycles` clocks of the core
   * went by since the first of them. Default: 32 and 100 µs, for a paced queue 1.
   */
  readonly interrupt?: InterruptModeration;
}

export interface SubmitOptions {
  /** Reject with CommandTimeoutError after so long. The hardware goes on: the blocks come back with the completion, or by reset(). */
  readonly timeoutMs?: number;
  /** Reject with its reason; as for the time limit the hardware goes on. */
  readonly signal?: AbortSignal;
}

/** What is known of an entry that is under way. */
interface UnderWay {
  readonly tag: number;
  /** Null: the completion goes to {@link CommandQueue.completions}. */
  settle: ((completion: Completion | null, error: Error | null) => void) | null;
}

type State = "running" | "stopping" | "halted" | "stuck" | "closed";
/** A sender lets go within microseconds, unless it is stopped. */
const EXCLUSIVE_LIMIT_MS = 1000;
/** A batch of 32 is one wake-up; the event loop takes some 50 µs for one, so 100 µs are not noticed much. */
const DEFAULT_INTERRUPT_COUNT = 32;
const DEFAULT_INTERRUPT_SECONDS = 100e-6;
/** A simulated core has no real time: about as long as a batch of 32 copies of a kilobyte. */
const SIMULATED_INTERRUPT_CYCLES = 10_000;

export class CommandQueue implements Disposable, AsyncIterable<Completion> {
  readonly name: string;
  readonly core: Core;
  readonly #attachment: Attachment;
  readonly #region: Region;
  readonly #waiter: CompletionWaiter;
  readonly #underWay: (UnderWay | null)[];
  /** Entries that failed while the hardware may still use their blocks. */
  readonly #orphans = new Set<number>();
  readonly #arrived: Completion[] = [];
  readonly #forgetRegion: () => void;
  #count = 0;
  #state: State = "running";
  #resetting = false;
  #fault: Error | null = null;
  #wakeIterator: (() => void) | null = null;

  private constructor(core: Core, region: Region, name: string, options: CommandQueueOptions) {
    this.name = name;
    this.core = core;
    this.#region = region;
    const moderation = moderationOf(core, options);
    this.#attachment = new Attachment(core, region, name, options);
    this.#underWay = new Array<UnderWay | null>(this.#attachment.ring.capacity).fill(null);
    const interrupts = options.wait === "poll" ? null : this.#interrupts();
    this.#waiter = new CompletionWaiter(this.#attachment.ring, interrupts, moderation, {
      look: () => this.poll(),
      check: () => this.#check(),
      fail: (error) => this.#waitFailed(error),
    });
    this.#forgetRegion = region.onClose(() => this.close());
  }

  /** Their device may be somebody else's, or not there: then the queue that was just started is let go. */
  #interrupts(): InterruptSource | null {
    try {
      return this.core.interrupts(this.#attachment.object.queue);
    } catch (error) {
      this.#attachment.giveUp();
      throw error;
    }
  }

  /** Creates the queue's object in the region, and attaches and starts the queue.
   * @throws ArgumentError, InUseError, QueueStuckError, QueueHaltedError, DeviceGoneError; the directory's errors */
  static create(
    core: Core,
    region: Region,
    name: string,
    options: QueueShape & CommandQueueOptions,
  ): CommandQueue {
    createQueueObject(core, region, name, options);
    try {
      return new CommandQueue(core, region, name, options);
    } catch (error) {
      if (!(error instanceof QueueStuckError)) region.directory.remove(name);
      throw error;
    }
  }

  /** Attaches to a queue whose object exists: the owner closed it or died. @throws as {@link create} */
  static open(core: Core, region: Region, name: string, options: CommandQueueOptions = {}): CommandQueue {
    return new CommandQueue(core, region, name, options);
  }

  /** Commands that can be under way. */
  get capacity(): number {
    return this.#attachment.ring.capacity;
  }

  /** Commands that can be submitted now. */
  get room(): number {
    return this.#attachment.ring.room;
  }

  /** Commands submitted and not completed. */
  get underWay(): number {
    return this.#count;
  }

  get state(): State {
    return this.#state;
  }

  /** The layer without objects. Do not mix: its reap() takes completions away from promises. */
  get blocks(): BlockQueue {
    this.#assertUsable();
    return this.#attachment.blocks;
  }

  /** Counters of the core; register reads. */
  get counters(): QueueCounters {
    return this.core.counters(this.#attachment.object.queue);
  }

  /** Ticks of a paced queue that found nothing to do (PROTOCOL.md §10.7). A register read. */
  get missed(): number {
    return this.core.registers.read(this.#attachment.page + DeviceRegister.missed) >>> 0;
  }

  /** A free block of the queue's pool; null when there is none. */
  loan(): Block | null {
    return Block.loan(this.#attachment.object.pool, this.#attachment.participant);
  }

  /** A frame that was just received may be its sender's too for a moment (PROTOCOL.md §7.1 step 7): resolves when this participant holds it alone.
   * @throws BlockBusyError when somebody else keeps holding it */
  async becomesExclusive(holder: BlockHolder): Promise<void> {
    const { pool, participant } = { pool: holder.pool, participant: this.#attachment.participant };
    const condition = { ready: (): boolean => pool.holders(holder.block) === participant.bit };
    if (condition.ready()) return;
    if (!(await participant.doorbell.wait(condition, EXCLUSIVE_LIMIT_MS)))
      throw new BlockBusyError(holder.block, (pool.holders(holder.block) & DEVICE_BIT) !== 0);
  }

  /**
   * Submits a batch with one doorbell. A promise each: it resolves with the completion, and rejects when the core reports an error, the queue is reset, or the
   * time is over.
   * @throws CommandInvalidError, BlockBusyError, QueueFullError, QueueHaltedError, QueueClosedError, DeviceGoneError, SystemError (a sync call); then nothing of the
   * batch was submitted
   */
  submit(commands: readonly Command[], options: SubmitOptions = {}): Promise<Completion>[] {
    options.signal?.throwIfAborted();
    if (commands.length === 0) {
      this.#assertUsable();
      return [];
    }
    const entries = this.#give(commands);
    const promises = entries.map((entry, i) => this.#promise(entry, commands[i]!.tag ?? 0, options));
    this.#waiter.expect();
    return promises;
  }

  /** {@link submit} of one command. */
  run(command: Command, options: SubmitOptions = {}): Promise<Completion> {
    try {
      return this.submit([command], options)[0]!;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Submits a batch whose completions, good and bad, come from the iterator of this queue: `for await (const completion of queue)`. */
  post(commands: readonly Command[]): void {
    const entries = this.#give(commands);
    entries.forEach((entry, i) => {
      this.#underWay[entry] = { tag: commands[i]!.tag ?? 0, settle: null };
    });
    this.#waiter.expect();
  }

  /** All of them to the core, or none. Nobody looks for completions before this turn of the event loop is over, so the caller has time to say whose they are. */
  #give(commands: readonly Command[]): number[] {
    this.#assertUsable();
    const { blocks } = this.#attachment;
    const entries: number[] = [];
    try {
      for (const command of commands) entries.push(stageCommand(blocks, command));
    } catch (error) {
      blocks.unstage();
      throw error;
    }
    this.#count += blocks.submit();
    return entries;
  }

  #promise(entry: number, tag: number, options: SubmitOptions): Promise<Completion> {
    return new Promise<Completion>((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const onAbort = (): void => leave(options.signal?.reason);
      const done = (): void => {
        clearTimeout(timer);
        options.signal?.removeEventListener("abort", onAbort);
      };
      const underWay: UnderWay = {
        tag,
        settle: (completion, error) => {
          done();
          if (completion === null) reject(error);
          else if (completion.status === Status.OK) resolve(completion);
          else reject(new CommandFailedError(completion.status));
        },
      };
      // The entry stays under way; its completion is for nobody.
      const leave = (reason: unknown): void => {
        done();
        underWay.settle = forNobody;
        reject(reason);
      };
      const { timeoutMs } = options;
      if (timeoutMs !== undefined && Number.isFinite(timeoutMs))
        timer = setTimeout(() => leave(new CommandTimeoutError(timeoutMs)), timeoutMs);
      options.signal?.addEventListener("abort", onAbort);
      this.#underWay[entry] = underWay;
    });
  }

  /** Looks for completions and delivers them; returns how many there were. */
  poll(): number {
    if (this.#state !== "running" && this.#state !== "stopping") return 0;
    try {
      return this.#deliver();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      // A bus that refuses part of a completion leaves nonsense, and the core halts for it (§10.4): then that is the reason.
      const halted = error instanceof CoreFaultError && this.#attachment.phase === "halted";
      this.#break(halted ? new QueueHaltedError(this.#attachment.haltCode) : error);
      return 0;
    }
  }

  #deliver(): number {
    const { blocks, ring } = this.#attachment;
    let total = 0;
    for (let count = blocks.reap(this.capacity); count > 0; count = blocks.reap(this.capacity)) {
      for (let i = 0; i < count; i++) {
        const entry = ring.completed[i * CompletionLayout.sizeWords + CompletionLayout.tagWord]!;
        const underWay = this.#underWay[entry] ?? null;
        this.#underWay[entry] = null;
        if (underWay === null) continue;
        this.#count--;
        this.#hand(underWay, readCompletion(ring.completed, i, underWay.tag));
      }
      total += count;
    }
    return total;
  }

  #hand(underWay: UnderWay, completion: Completion): void {
    if (underWay.settle === null) {
      this.#arrived.push(completion);
      this.#wakeIterator?.();
    } else {
      underWay.settle(completion, null);
    }
  }

  /** Blocks the thread until every command under way is completed; false at the time limit. The event loop stands still. */
  block(options: { readonly timeoutMs?: number } = {}): boolean {
    const deadlineMs = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
    for (let spins = 1; this.#count > 0 && this.#state === "running"; spins++) {
      if (this.poll() > 0) continue;
      if (spins % 64 !== 0) continue;
      this.#check();
      if (performance.now() >= deadlineMs) return false;
      if (spins > 1024) Bun.sleepSync(0.05);
    }
    return this.#count === 0;
  }

  /** Completions of what was {@link post}ed, in the order of their arrival, until nothing posted is under way. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Completion, void, void> {
    for (;;) {
      const completion = this.#arrived.shift();
      if (completion !== undefined) {
        yield completion;
        continue;
      }
      if (this.#fault !== null) throw this.#fault;
      if (!this.#underWay.some((underWay) => underWay?.settle === null)) return;
      await new Promise<void>((resolve) => {
        this.#wakeIterator = resolve;
      });
      this.#wakeIterator = null;
    }
  }

  /** Register reads: does the core still run this queue? */
  #check(): void {
    if (this.#state !== "running") return;
    const { phase } = this.#attachment;
    if (phase === "running") return;
    // What completed before it stopped did complete.
    this.poll();
    if (phase === "gone") this.#break(new DeviceGoneError(this.core.registers.path));
    else if (phase === "halted") this.#break(new QueueHaltedError(this.#attachment.haltCode));
    else this.#break(new QueueResetError());
  }

  /** Its interrupts cannot be waited for: the device is gone, or this user may not unmask them. */
  #waitFailed(error: Error): void {
    this.#check();
    if (this.#state === "running") this.#break(error);
  }

  /** The queue does nothing more until reset(). Halted and gone mean that no block is in use any more; after a fault only a stop tells. */
  #break(error: Error): void {
    this.#state = "halted";
    const quiet =
      error instanceof QueueHaltedError ||
      error instanceof DeviceGoneError ||
      error instanceof QueueResetError;
    this.#failAll(error, quiet);
  }

  /** Every command under way fails; with `quiet` the hardware has let go of its blocks. */
  #failAll(error: Error, quiet: boolean): void {
    this.#fault = error;
    this.#waiter.pause();
    for (let entry = 0; entry < this.capacity; entry++) {
      const underWay = this.#underWay[entry];
      if (underWay == null) continue;
      if (quiet) this.#attachment.blocks.abandon(entry);
      else this.#orphans.add(entry);
      this.#underWay[entry] = null;
      this.#count--;
      underWay.settle?.(null, error);
    }
    this.#wakeIterator?.();
  }

  /**
   * Stops the queue, waits until it is idle, fails what had not completed with QueueResetError, gives all blocks back, and starts again.
   * @throws QueueStuckError when idle does not come: the blocks stay the hardware's, the queue is of no use any more. DeviceGoneError, QueueHaltedError,
   * InUseError when it does not start again: then it is halted, all blocks are back, and reset() may be called again.
   */
  async reset(options: { readonly idleLimitMs?: number } = {}): Promise<void> {
    if (this.#state === "closed" || this.#state === "stuck") this.#assertUsable();
    if (this.#resetting) throw new ArgumentError(`hardware queue ${this.name} is being reset already`);
    this.#resetting = true;
    try {
      await this.#restart(options.idleLimitMs ?? this.core.answerLimitMs);
    } finally {
      this.#resetting = false;
    }
  }

  async #restart(limitMs: number): Promise<void> {
    if (this.#state === "running") this.#state = "stopping";
    this.#attachment.requestStop();
    const deadlineMs = performance.now() + limitMs;
    while (!this.#attachment.stopped) {
      if (this.#state === "closed") return;
      if (performance.now() >= deadlineMs) throw this.#quarantine(limitMs);
      await Bun.sleep(0);
    }
    this.#wasStopped(new QueueResetError());
    try {
      this.#attachment.start();
    } catch (error) {
      // It stands still, and says why; another reset() may find that it starts.
      this.#state = "halted";
      this.#fault = error as Error;
      throw error;
    }
    this.#fault = null;
    this.#state = "running";
  }

  /** Idle was seen: what completed is delivered, the rest fails, and no block is the device's. */
  #wasStopped(error: Error): void {
    this.poll();
    // Somebody may have staged by hand ({@link blocks}).
    this.#attachment.blocks.unstage();
    this.#failAll(error, true);
    for (const entry of this.#orphans) this.#attachment.blocks.abandon(entry);
    this.#orphans.clear();
    this.#attachment.settle();
  }

  #quarantine(limitMs: number): QueueStuckError {
    const error = new QueueStuckError(limitMs, this.#attachment.object.countHeld());
    this.#failAll(error, false);
    this.#state = "stuck";
    this.#waiter[Symbol.dispose]();
    this.#forgetRegion();
    this.#attachment.detach(true);
    return error;
  }

  #assertUsable(): void {
    this.#region.assertOpen();
    if (this.#state === "closed") throw new QueueClosedError(this.name);
    if (this.#state === "stuck") throw this.#fault ?? new QueueStuckError(0, 0);
    if (this.#state === "halted")
      throw this.#fault ?? new ArgumentError(`hardware queue ${this.name} is halted: reset() it`);
  }

  /** Stops the queue, blocking the thread for as long as that takes, at most {@link Core.answerLimitMs}; commands under way fail with QueueClosedError. @throws QueueStuckError */
  close(): void {
    if (this.#state === "closed" || this.#state === "stuck") return;
    if (this.#state === "running") this.#state = "stopping";
    this.#attachment.requestStop();
    const limitMs = this.core.answerLimitMs;
    if (!this.#attachment.awaitStopped(limitMs)) throw this.#quarantine(limitMs);
    this.#wasStopped(new QueueClosedError(this.name));
    this.#state = "closed";
    this.#waiter[Symbol.dispose]();
    this.#forgetRegion();
    this.#attachment.detach(false);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function moderationOf(core: Core, options: CommandQueueOptions): InterruptModeration {
  const { interrupt } = options;
  if (interrupt === undefined) {
    // Somebody waits for each frame of a stream.
    if ((options.paceCycles ?? 0) > 0) return { count: 1, cycles: 0 };
    const { clockHz } = core.abilities;
    return {
      count: DEFAULT_INTERRUPT_COUNT,
      cycles: clockHz === 0 ? SIMULATED_INTERRUPT_CYCLES : Math.ceil(clockHz * DEFAULT_INTERRUPT_SECONDS),
    };
  }
  const { count, cycles } = interrupt;
  const valid =
    Number.isInteger(count) &&
    count >= 1 &&
    count < 2 ** 31 &&
    Number.isInteger(cycles) &&
    cycles >= 0 &&
    cycles < 2 ** 31;
  if (valid) return { count, cycles };
  throw new ArgumentError(
    `an interrupt after ${count} completions or ${cycles} cycles: whole numbers, from 1 and from 0`,
  );
}

function forNobody(): void {
  // A completion that nobody waits for any more.
}
