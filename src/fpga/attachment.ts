/**
 * Owning a hardware queue: the object in the region, the queue memory, start, stop. One participant at a time (PROTOCOL.md §10.4, §10.8).
 */
import { isSameFile } from "../ffi/files.ts";
import { WORD_BYTES } from "../memory/layout.ts";
import type { Region } from "../memory/region.ts";
import { ArgumentError, InUseError } from "../ring/errors.ts";
import { HardwareQueueLayout, queuePage, StopRegisters } from "../ring/hardware-layout.ts";
import { HardwareQueue, type HardwareQueueShape } from "../ring/hardware-queue.ts";
import { awaitStopped, isStopped, recoverHardwareQueue, requestStop } from "../ring/hardware-recovery.ts";
import { Participant } from "../ring/participant.ts";
import type { Pool } from "../ring/pool.ts";
import { BlockQueue, type ListArea } from "./block-queue.ts";
import type { CheckLimits } from "./check.ts";
import { CommandRing } from "./command-ring.ts";
import type { Core } from "./core.ts";
import { DeviceGoneError, QueueHaltedError, QueueStuckError } from "./errors.ts";
import { DeviceRegister, ListEntryLayout, PacePolicy, type PacePolicyName } from "./layout.ts";
import type { QueueBuffer } from "./queue-buffer.ts";

/** What a hardware queue is created from; stored in the region. */
export interface QueueShape {
  /** Which queue of the core. */
  readonly queue: number;
  /** The blocks of commands. */
  readonly pool: Pool;
  /** Commands that can be under way, a power of two from 2 to 4096; default 64. */
  readonly capacity?: number;
  /** Most parts of a scatter list, 0-1024; default 8. */
  readonly maxParts?: number;
}

/** Chosen by whoever runs the queue. */
export interface RunOptions {
  /** Cycles between two credits of SOURCE and SINK; 0 (default): not paced. */
  readonly paceCycles?: number;
  /** What a tick without a waiting command means; default `wait`. */
  readonly pacePolicy?: PacePolicyName;
  /** Stop a queue that is not idle although nobody owns it: the host that ran it is gone with its region. */
  readonly force?: boolean;
}

const DEFAULT_CAPACITY = 64;
const DEFAULT_PARTS = 8;
const LIST_ALIGN_BYTES = 64;

/** Creates the object of queue `shape.queue` in the region.
 * @throws ArgumentError when the core has no such queue, or the device is not coherent and there is no buffer for the queue memory */
export function createQueueObject(core: Core, region: Region, name: string, shape: QueueShape): void {
  const capacity = shape.capacity ?? DEFAULT_CAPACITY;
  const parts = shape.maxParts ?? DEFAULT_PARTS;
  if (shape.queue >= core.abilities.queueCount || capacity > 2 ** core.abilities.maxCapacityLog2) {
    throw new ArgumentError(
      `hardware queue ${name}: the core has queues 0-${core.abilities.queueCount - 1} of up to ${2 ** core.abilities.maxCapacityLog2} commands`,
    );
  }
  if (!Number.isInteger(parts) || parts < 0 || parts > core.abilities.maxListEntries)
    throw new ArgumentError(
      `hardware queue ${name}: ${parts} parts in a list; this core takes 0-${core.abilities.maxListEntries}`,
    );
  const memory = core.deviceMemory(region, shape.queue);
  checkGranules(core, shape.pool, memory.coherent);
  const path = core.queueMemory;
  if (path === null && !memory.coherent) {
    throw new ArgumentError(
      `hardware queue ${name}: the device is not coherent, so its queue memory must be in a non-cached buffer of its own: Core.open(…, { queueMemory: "/dev/udmabufN" })`,
    );
  }
  const listBytes = Math.ceil((parts * ListEntryLayout.sizeBytes) / LIST_ALIGN_BYTES) * LIST_ALIGN_BYTES;
  const listsBytes = 2 * listBytes * capacity;
  const create = (buffer: HardwareQueueShape["buffer"]): HardwareQueue =>
    HardwareQueue.create(region, name, {
      registers: core.registers.path,
      queue: shape.queue,
      capacity,
      listsBytes,
      pool: shape.pool,
      buffer,
    });
  if (path === null) {
    create(null);
    return;
  }
  using buffer = openBuffer(core, region, path);
  create({ path, sizeBytes: buffer.sizeBytes });
}

/** Never two attributes on one memory: queue memory is not in the buffer of the payload, by whatever name. */
function openBuffer(core: Core, region: Region, path: string): QueueBuffer {
  if (isSameFile(path, region.path))
    throw new ArgumentError(
      `${path} holds the region ${region.name}: queue memory of its own is in another buffer, that in the region needs no queueMemory`,
    );
  return core.openQueueBuffer(path);
}

/** Blocks that are synced one by one must not share a granule of the cache with their neighbours. */
function checkGranules(core: Core, pool: Pool, coherent: boolean): void {
  const first = pool.blockOffset(0);
  if (coherent || (pool.geometry.blockBytes % core.granuleBytes === 0 && first % core.granuleBytes === 0))
    return;
  throw new ArgumentError(
    `pool ${pool.entry.name}: blocks of ${pool.geometry.blockBytes} bytes from ${first} share cache granules of ${core.granuleBytes} bytes, which a device that is not coherent does not allow: use frames of a multiple of that`,
  );
}

/** A participant's ownership of a hardware queue. */
export class Attachment {
  readonly core: Core;
  readonly object: HardwareQueue;
  readonly participant: Participant;
  readonly blocks: BlockQueue;
  readonly ring: CommandRing;
  readonly page: number;
  readonly #buffer: QueueBuffer | null;
  readonly #options: RunOptions;
  #epoch = 0;
  #attached = true;

  /** Attaches and starts. @throws InUseError, QueueStuckError, QueueHaltedError (CONFIG), DeviceGoneError, ArgumentError, CorruptError */
  constructor(core: Core, region: Region, name: string, options: RunOptions) {
    this.core = core;
    this.object = HardwareQueue.open(region, name);
    this.participant = Participant.of(region);
    this.page = queuePage(this.object.queue);
    this.#options = options;
    if (this.object.registers !== core.registers.path)
      throw new ArgumentError(
        `hardware queue ${name} belongs to ${this.object.registers}, not to ${core.registers.path}`,
      );
    if (this.object.queue >= core.abilities.queueCount)
      throw new ArgumentError(`hardware queue ${name}: the core has ${core.abilities.queueCount} queues`);
    attach(this.object, region, this.participant, name);
    this.#buffer = null;
    try {
      const memory = core.deviceMemory(region, this.object.queue);
      if (this.object.buffer !== null) this.#buffer = openBuffer(core, region, this.object.buffer);
      checkGranules(core, this.object.pool, memory.coherent);
      const view = this.#queueMemory(region, memory.base);
      this.ring = new CommandRing({
        registers: core.registers,
        order: core.order(this.object.queue),
        queue: this.object.queue,
        capacityLog2: this.object.capacityLog2,
        words: view.words,
        cached: memory.coherent,
        sqWord: view.wordOf(this.object.place.sqOffset),
        cqWord: view.wordOf(this.object.place.cqOffset),
        sqAddress: view.base + this.object.place.sqOffset,
        cqAddress: view.base + this.object.place.cqOffset,
        limits: limitsOf(core, this.object, view.base, memory.base),
      });
      const lists: ListArea = {
        words: view.words,
        firstWord: view.wordOf(this.object.place.listsOffset),
        address: view.base + this.object.place.listsOffset,
        strideBytes: this.object.listsBytes / 2 / this.ring.capacity,
      };
      this.blocks = new BlockQueue(
        this.object,
        this.ring,
        memory,
        this.participant,
        lists,
        core.granuleBytes,
      );
      this.start();
    } catch (error) {
      this.giveUp();
      throw error;
    }
  }

  /** Opening failed: nothing was submitted, but the core may have started. */
  giveUp(): void {
    if (this.object.started) requestStop(this.core.registers, this.page, this.#epoch);
    const stopped = !this.object.started || this.awaitStopped(this.core.answerLimitMs);
    if (stopped) this.settle();
    this.detach(!stopped);
  }

  /** Words of the queue memory, and the device address of offset 0 of what the place counts from. */
  #queueMemory(
    region: Region,
    regionBase: number,
  ): { words: Int32Array; base: number; wordOf: (offset: number) => number } {
    const { sqOffset, endOffset } = this.object.place;
    if (this.#buffer !== null) {
      if (endOffset > this.#buffer.sizeBytes)
        throw new ArgumentError(
          `${this.#buffer.path} has ${this.#buffer.sizeBytes} bytes; the queue memory ends at ${endOffset}`,
        );
      this.#buffer.claim(sqOffset, endOffset - sqOffset);
      return { words: this.#buffer.words, base: this.#buffer.base, wordOf: (offset) => offset / WORD_BYTES };
    }
    const words = region.words(
      sqOffset as Parameters<Region["words"]>[0],
      (endOffset - sqOffset) / WORD_BYTES,
    );
    return { words, base: regionBase, wordOf: (offset) => (offset - sqOffset) / WORD_BYTES };
  }

  /** Starts the idle queue with a new epoch. @throws InUseError, QueueStuckError, QueueHaltedError, DeviceGoneError */
  start(): void {
    const { core, page, object, ring } = this;
    // The registers of a device that is gone say anything, also that somebody runs the queue.
    if (core.gone) throw new DeviceGoneError(core.registers.path);
    const state = core.registers.read(page + DeviceRegister.state);
    if ((state & StopRegisters.stateMask) !== StopRegisters.stateIdle) this.#takeOver(state);
    const lastEpoch = Math.max(
      object.epoch,
      core.registers.read(page + DeviceRegister.state) >>> StopRegisters.epochShift,
    );
    this.#epoch = (lastEpoch + 1) & StopRegisters.maxEpoch || 1;
    object.markStarted(this.#epoch);
    ring.start({
      epoch: this.#epoch,
      paceCycles: this.#options.paceCycles ?? 0,
      pacePolicy: PacePolicy[this.#options.pacePolicy ?? "wait"],
    });
    const running = (this.#epoch << StopRegisters.epochShift) | StopRegisters.stateRunning;
    const deadlineMs = performance.now() + core.answerLimitMs;
    for (let now = ring.readState(); now !== running; now = ring.readState()) {
      if (now === ((this.#epoch << StopRegisters.epochShift) | StopRegisters.stateHalted))
        throw new QueueHaltedError(this.haltCode);
      if (core.gone) throw new DeviceGoneError(core.registers.path);
      if (performance.now() > deadlineMs) throw new QueueStuckError(core.answerLimitMs, 0);
      Bun.sleepSync(0.05);
    }
  }

  /** The queue runs, or halted, for a host that this region knows nothing of. */
  #takeOver(state: number): void {
    const { core, page } = this;
    if (!this.#options.force)
      throw new InUseError(
        `queue ${this.object.queue} of ${core.registers.path}`,
        "end the process that runs it, or use { force: true } if that is gone",
      );
    const epoch = state >>> StopRegisters.epochShift;
    requestStop(core.registers, page, epoch);
    if (!awaitStopped(core.registers, page, epoch, core.answerLimitMs))
      throw new QueueStuckError(core.answerLimitMs, 0);
  }

  get haltCode(): number {
    return this.core.registers.read(this.page + DeviceRegister.haltCode) >>> 0;
  }

  /**
   * What the core says this queue does; register reads. All but `running` mean that nothing of it is under way: `reset` is an idle queue, or another epoch, which
   * was started after idle. A queue that is stopping still writes: it counts as running.
   */
  get phase(): "running" | "halted" | "gone" | "reset" {
    const state = this.ring.readState();
    if (this.core.gone) return "gone";
    if (state >>> StopRegisters.epochShift !== this.#epoch) return "reset";
    const phase = state & StopRegisters.stateMask;
    if (phase === StopRegisters.stateHalted) return "halted";
    return phase === StopRegisters.stateIdle ? "reset" : "running";
  }

  /** Step *stop*: the core fetches and starts nothing more. */
  requestStop(): void {
    requestStop(this.core.registers, this.page, this.#epoch);
  }

  get stopped(): boolean {
    return isStopped(this.core.registers, this.page, this.#epoch) || this.core.gone;
  }

  /** Blocks the thread until idle. False: not within the limit. */
  awaitStopped(limitMs: number): boolean {
    return awaitStopped(this.core.registers, this.page, this.#epoch, limitMs, () => this.core.gone);
  }

  /** After idle was seen and all commands were dealt with: no block is the device's any more. Returns blocks that nobody had accounted for. */
  settle(): number {
    const found = this.object.takeAll(this.participant.ringer);
    this.object.markStopped();
    return found;
  }

  /** Lets the queue go: idle and settled, or quarantined. */
  detach(quarantined: boolean): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.object.detach(this.participant.index, quarantined ? HardwareQueueLayout.ownerQuarantined : 0);
    this.#buffer?.[Symbol.dispose]();
  }
}

function limitsOf(core: Core, object: HardwareQueue, queueBase: number, regionBase: number): CheckLimits {
  const { pool, place } = object;
  const { blockCount, blockBytes } = pool.geometry;
  const first = regionBase + pool.blockOffset(0);
  return {
    opcodes: core.abilities.opcodes,
    maxFilterWidth: core.abilities.maxFilterWidth,
    queueWindow: { base: queueBase + place.sqOffset, limit: queueBase + place.endOffset },
    dataWindow: { base: first, limit: first + blockCount * blockBytes },
  };
}

function attach(object: HardwareQueue, region: Region, participant: Participant, name: string): void {
  if (object.attach(participant.index)) return;
  // Its owner may be dead; or it is quarantined, and whoever wants it looks whether it went idle since.
  participant.recoverDead();
  if (object.quarantined) {
    const entry = region.directory.find(name);
    const quarantine =
      entry === null
        ? null
        : participant.asCleaner(() => recoverHardwareQueue(region, entry, -1, participant.ringer));
    if (quarantine !== null && quarantine !== undefined) throw new QueueStuckError(0, quarantine.blocks);
  }
  if (!object.attach(participant.index))
    throw new InUseError(`hardware queue ${name}`, "close it there first, or use another queue of the core");
}
