/**
 * The two rings of a hardware queue (PROTOCOL.md §10.1, §10.4), in numbers: the algorithm, free of blocks, promises and interrupts.
 *
 *     ring.put(Opcode.copy, sourceLow, sourceHigh, destinationLow, destinationHigh, lengthBytes, 0, 0, 0, 0);  … more
 *     ring.submit();                                   one barrier, one doorbell (and one acknowledgement)
 *     const n = ring.reap(32);                         one barrier; completion i is in ring.completed at i * 8
 *     for (let i = 0; i < n; i++) … ring.completed[i * 8 + CompletionLayout.resultWord] …
 *
 * Completions come in any order. Each command has an *entry*, 0 … capacity − 1, which is its tag: where a caller keeps what it knows of it. An entry is
 * free again when its completion was reaped.
 *
 * Queue memory may be mapped non-cacheable: it is touched by plain aligned 32-bit loads and stores only, never by Atomics, `fill` or `set`. Nothing here
 * allocates. TypeScript-private fields as in src/ring/spsc.ts.
 */
import { pause } from "../memory/atomics.ts";
import type { MemoryOrder, Registers } from "../memory/register-file.ts";
import { queuePage, StopRegisters } from "../ring/hardware-layout.ts";
import { type CheckLimits, checkCommand } from "./check.ts";
import { CommandInvalidError, CoreFaultError, QueueFullError } from "./errors.ts";
import {
  CompletionLayout,
  DescriptorLayout,
  DeviceRegister,
  HostRegister,
  Status,
  validityOf,
} from "./layout.ts";

/** What a ring stands on. */
export interface RingHardware {
  readonly registers: Registers;
  readonly order: MemoryOrder;
  /** Which queue of the core. */
  readonly queue: number;
  readonly capacityLog2: number;
  /** Words of the queue memory. */
  readonly words: Int32Array;
  /** They are in the processor's cache, and the device takes its lines from there. */
  readonly cached: boolean;
  /** Where the submission and the completion ring start in `words`. */
  readonly sqWord: number;
  readonly cqWord: number;
  /** Their device addresses. */
  readonly sqAddress: number;
  readonly cqAddress: number;
  readonly limits: CheckLimits;
}

/** Chosen at a start. */
export interface StartOptions {
  /** 1 … 2^24 − 1, another one for each start. */
  readonly epoch: number;
  readonly paceCycles?: number;
  readonly pacePolicy?: number;
}

const SUBMITTED = 1;
const SLOTS_AHEAD = 16;

export class CommandRing {
  readonly capacity: number;
  /** Private copies of the completions that the last {@link reap} took, 8 words each. */
  readonly completed: Int32Array;
  private readonly hardware: RingHardware;
  private readonly registers: Registers;
  private readonly order: MemoryOrder;
  private readonly words: Int32Array;
  private readonly limits: CheckLimits;
  private readonly page: number;
  private readonly mask: number;
  private readonly capacityLog2: number;
  private readonly sqWord: number;
  private readonly cqWord: number;
  /** Entries that are free, a stack. */
  private readonly free: Int32Array;
  private freeCount: number;
  /** By entry: the index of its descriptor, and whether a completion may name it. */
  private readonly indexOf: Int32Array;
  private readonly state: Uint8Array;
  /** Entries staged since the last submit, in order. */
  private readonly staged: Int32Array;
  private stagedCount = 0;
  private epoch = 0;
  private submitted = 0;
  private reaped = 0;
  private acknowledged = 0;
  /** Index behind the slots that were touched, see {@link touch}. */
  private touched = 0;
  private readonly slotsAhead: number;
  private interruptCount = 0;
  private interruptCycles = 0;

  constructor(hardware: RingHardware) {
    this.hardware = hardware;
    this.registers = hardware.registers;
    this.order = hardware.order;
    this.words = hardware.words;
    this.limits = hardware.limits;
    this.page = queuePage(hardware.queue);
    this.capacityLog2 = hardware.capacityLog2;
    this.capacity = 1 << hardware.capacityLog2;
    this.mask = this.capacity - 1;
    this.sqWord = hardware.sqWord;
    this.cqWord = hardware.cqWord;
    this.completed = new Int32Array(this.capacity * CompletionLayout.sizeWords);
    this.free = new Int32Array(this.capacity);
    this.indexOf = new Int32Array(this.capacity);
    this.staged = new Int32Array(this.capacity);
    this.state = new Uint8Array(this.capacity);
    this.slotsAhead = hardware.cached ? SLOTS_AHEAD : 0;
    this.freeCount = 0;
    this.forget();
  }

  /** Every entry is free: at a start, and after the queue was seen idle. */
  private forget(): void {
    for (let entry = 0; entry < this.capacity; entry++) {
      this.free[entry] = this.capacity - 1 - entry;
      this.state[entry] = 0;
    }
    this.freeCount = this.capacity;
    this.stagedCount = 0;
    this.submitted = 0;
    this.reaped = 0;
    this.acknowledged = 0;
    this.touched = 0;
  }

  /**
   * Step *start* of §10.4; the queue must be idle. The caller waits until `state` shows the epoch. Everything staged or under way is forgotten.
   */
  start(options: StartOptions): void {
    const { registers, page, hardware } = this;
    this.forget();
    this.epoch = options.epoch & StopRegisters.maxEpoch;
    this.zero(this.sqWord, this.capacity * DescriptorLayout.sizeWords);
    this.zero(this.cqWord, this.capacity * CompletionLayout.sizeWords);
    registers.write(page + HostRegister.capacityLog2, this.capacityLog2);
    this.write64(HostRegister.sqBase, hardware.sqAddress);
    this.write64(HostRegister.cqBase, hardware.cqAddress);
    this.write64(HostRegister.queueWindowBase, hardware.limits.queueWindow.base);
    this.write64(HostRegister.queueWindowLimit, hardware.limits.queueWindow.limit);
    this.write64(HostRegister.dataWindowBase, hardware.limits.dataWindow.base);
    this.write64(HostRegister.dataWindowLimit, hardware.limits.dataWindow.limit);
    registers.write(page + HostRegister.interruptCount, 0);
    registers.write(page + HostRegister.interruptCycles, 0);
    this.interruptCount = 0;
    this.interruptCycles = 0;
    registers.write(page + HostRegister.paceCycles, options.paceCycles ?? 0);
    registers.write(page + HostRegister.pacePolicy, options.pacePolicy ?? 0);
    registers.write(page + HostRegister.sqTail, 0);
    registers.write(page + HostRegister.cqHead, 0);
    // No barrier: the core touches neither ring before the first doorbell, and that has one.
    registers.write(
      page + StopRegisters.control,
      (this.epoch << StopRegisters.epochShift) | StopRegisters.enable,
    );
  }

  private write64(offset: number, value: number): void {
    this.registers.write(this.page + offset, (value % 2 ** 32) | 0);
    this.registers.write(this.page + offset + 4, Math.floor(value / 2 ** 32) | 0);
  }

  /** Word by word: queue memory may be non-cacheable, where `fill` is not allowed. */
  private zero(first: number, count: number): void {
    for (let word = first; word < first + count; word++) this.words[word] = 0;
  }

  /** Commands that can be put before the next reap. */
  get room(): number {
    return this.freeCount;
  }

  /** The entry that the next {@link put} returns; only while there is room. */
  get nextEntry(): number {
    return this.free[this.freeCount - 1]!;
  }

  /** Commands submitted and not reaped. */
  get underWay(): number {
    return (this.submitted - this.reaped) | 0;
  }

  /**
   * Writes one command into the next slot and returns its entry. The core sees it after {@link submit}. The limits of the queue apply to the sum of staged and
   * submitted commands.
   * @throws CommandInvalidError before anything is written; QueueFullError
   */
  put(
    opcodeFlags: number,
    sourceLow: number,
    sourceHigh: number,
    destinationLow: number,
    destinationHigh: number,
    length: number,
    listEntries: number,
    parameter0: number,
    parameter1: number,
    parameter2: number,
  ): number {
    const status = checkCommand(
      this.limits,
      opcodeFlags,
      sourceLow,
      sourceHigh,
      destinationLow,
      destinationHigh,
      length,
      listEntries,
      parameter0,
    );
    if (status !== Status.OK) throw new CommandInvalidError(status);
    if (this.freeCount === 0) throw new QueueFullError(this.capacity);
    const entry = this.free[--this.freeCount]!;
    const index = (this.submitted + this.stagedCount) | 0;
    if (((index - this.touched) | 0) >= 0) this.touch(index);
    const words = this.words;
    const word = (this.sqWord + ((index & this.mask) << 4)) | 0;
    words[word] = opcodeFlags;
    words[word + DescriptorLayout.tagWord] = entry;
    words[word + DescriptorLayout.sourceLowWord] = sourceLow;
    words[word + DescriptorLayout.sourceHighWord] = sourceHigh;
    words[word + DescriptorLayout.destinationLowWord] = destinationLow;
    words[word + DescriptorLayout.destinationHighWord] = destinationHigh;
    words[word + DescriptorLayout.lengthWord] = length;
    words[word + DescriptorLayout.listEntriesWord] = listEntries;
    words[word + DescriptorLayout.parameterWord] = parameter0;
    words[word + DescriptorLayout.parameterWord + 1] = parameter1;
    words[word + DescriptorLayout.parameterWord + 2] = parameter2;
    // No barrier before it: the core reads no slot that sqTail has not announced (§10.4 Submit, step 4).
    words[word + DescriptorLayout.validityWord] = validityOf(this.epoch, index, this.capacityLog2);
    this.indexOf[entry] = index;
    this.staged[this.stagedCount++] = entry;
    return entry;
  }

  /**
   * Stores 0 into the first word of each slot about to be filled. The core has read those lines; one early store asks for all of them at once, where whoever
   * makes an atomic step between two descriptors (BlockQueue) would wait for one after the other. All are free, and the core reads none before its doorbell.
   */
  private touch(index: number): void {
    let count = this.freeCount + 1;
    if (count > this.slotsAhead) count = this.slotsAhead;
    for (let i = 0; i < count; i++) this.words[(this.sqWord + (((index + i) & this.mask) << 4)) | 0] = 0;
    this.touched = (index + (count === 0 ? this.capacity : count)) | 0;
  }

  /** Takes back the last {@link put}. */
  unput(): void {
    if (this.stagedCount > 0) this.free[this.freeCount++] = this.staged[--this.stagedCount]!;
  }

  /** Takes back what was put since the last {@link submit}; the core never saw it. */
  unstage(): void {
    while (this.stagedCount > 0) this.free[this.freeCount++] = this.staged[--this.stagedCount]!;
  }

  /**
   * Tells the core of all commands put since the last call: a barrier and at most two register writes. Returns how many there were. When the barrier throws (a
   * simulated board that is gone) or a register is closed, nothing was submitted, and all of it is still staged.
   */
  submit(): number {
    const count = this.stagedCount;
    if (count === 0) return 0;
    const submitted = (this.submitted + count) | 0;
    // SYNC command: payload, lists and descriptors are in memory before the core's fetch, which follows the doorbell.
    this.order.wmb();
    if (this.acknowledged !== this.reaped) this.writeHead();
    this.registers.write(this.page + HostRegister.sqTail, submitted);
    for (let i = 0; i < count; i++) this.state[this.staged[i]!] = SUBMITTED;
    this.stagedCount = 0;
    this.submitted = submitted;
    return count;
  }

  /** Copies up to `max` completions to {@link completed}; 0 when there is none (then it has paused once, so a caller may loop).
   * @throws CoreFaultError when one names nothing that is under way */
  reap(max: number): number {
    const words = this.words;
    let count = 0;
    while (count < max && count < this.capacity) {
      const index = (this.reaped + count) | 0;
      const word = (this.cqWord + ((index & this.mask) << 3)) | 0;
      if (words[word + CompletionLayout.validityWord] !== validityOf(this.epoch, index, this.capacityLog2))
        break;
      count++;
    }
    if (count === 0) {
      pause();
      return 0;
    }
    // SYNC completion: the words below are not older than the validity words above, nor is payload.
    this.order.rmb();
    for (let i = 0; i < count; i++) this.takeCompletion(i);
    this.reaped = (this.reaped + count) | 0;
    return count;
  }

  private takeCompletion(i: number): void {
    const words = this.words;
    const completed = this.completed;
    let from = (this.cqWord + (((this.reaped + i) & this.mask) << 3)) | 0;
    let to = i << 3;
    for (let end = to + CompletionLayout.validityWord; to < end; to++) completed[to] = words[from++]!;
    const entry = completed[i << 3]!;
    const index = completed[(i << 3) + CompletionLayout.indexWord]!;
    if (entry >>> 0 >= this.capacity || this.state[entry] !== SUBMITTED || this.indexOf[entry] !== index) {
      throw new CoreFaultError(
        `it completed command ${index >>> 0} with tag ${entry >>> 0}, which is not under way`,
      );
    }
    this.state[entry] = 0;
    this.free[this.freeCount++] = entry;
  }

  /** Tells the core what was reaped, where no submission does; this acknowledges the interrupt. */
  acknowledge(): void {
    if (this.acknowledged === this.reaped) return;
    this.writeHead();
  }

  private writeHead(): void {
    this.acknowledged = this.reaped;
    this.registers.write(this.page + HostRegister.cqHead, this.reaped);
  }

  /** The next completion is there: a hint. */
  ready(): boolean {
    return this.readyAt(0);
  }

  /** Completion `i` of those that are not reaped yet is there, and so are all before it: a hint, for a loop that waits. */
  readyAt(i: number): boolean {
    const index = (this.reaped + i) | 0;
    const word = (this.cqWord + ((index & this.mask) << 3)) | 0;
    if (this.words[word + CompletionLayout.validityWord] === validityOf(this.epoch, index, this.capacityLog2))
      return true;
    pause();
    return false;
  }

  /** Interrupt after `count` completions, or `cycles` clocks after the first; 0, 0: none, as after a start. May be changed at any time; writes what changes. */
  setInterrupt(count: number, cycles: number): void {
    if (cycles !== this.interruptCycles)
      this.registers.write(this.page + HostRegister.interruptCycles, cycles);
    this.interruptCycles = cycles;
    if (count !== this.interruptCount) this.registers.write(this.page + HostRegister.interruptCount, count);
    this.interruptCount = count;
  }

  /** `state` register: epoch · 256 + phase. A register read. */
  readState(): number {
    return this.registers.read(this.page + DeviceRegister.state);
  }
}
