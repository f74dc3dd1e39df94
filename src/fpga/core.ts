/**
 * A core: registers found and checked, its abilities, and what its machine needs for memory, barriers and interrupts.
 *
 *     using core = Core.open("/dev/uio0");                       a device behind UIO; its interrupts come the same way
 *     using core = Core.open("/sys/bus/pci/devices/…/resource2", { interrupts: (queue) => `/dev/uio${queue}` });
 *     using core = Core.open("board:demo");                      a simulated board
 */
import { writebackGranuleBytes } from "../ffi/machine-code.ts";
import type { Region } from "../memory/region.ts";
import { type MemoryOrder, RegisterFile } from "../memory/register-file.ts";
import { ArgumentError } from "../ring/errors.ts";
import { queuePage, StopRegisters } from "../ring/hardware-layout.ts";
import { Board } from "./board.ts";
import { type DeviceMemory, RegionDeviceMemory } from "./device-memory.ts";
import { DeviceGoneError } from "./errors.ts";
import { type InterruptSource, SocketInterrupt, UioInterrupt } from "./interrupts.ts";
import { DeviceRegister, GlobalRegister, PROTOCOL_VERSION } from "./layout.ts";
import { QueueBuffer } from "./queue-buffer.ts";

export interface CoreOptions {
  /**
   * UIO device of the interrupts, or which one of each queue (null: none) where the lines of the queues are devices of their own; the registers' own device when
   * they are one.
   */
  readonly interrupts?: string | ((queue: number) => string | null);
  /** Buffer for the queues' memory (`/dev/udmabufN`, opened non-cached); needed where the device is not coherent. A board knows its own. */
  readonly queueMemory?: string;
  /** How long to wait for a queue to start or to go idle, milliseconds; default 5000, for a simulated board 30,000. */
  readonly answerLimitMs?: number;
  /** Wait so long for a simulated board to appear; milliseconds. */
  readonly waitMs?: number;
}

/** Constant registers of page 0. */
export interface CoreAbilities {
  readonly queueCount: number;
  readonly busBytes: number;
  /** Bit n: opcode n is built in. */
  readonly opcodes: number;
  readonly maxCapacityLog2: number;
  readonly maxListEntries: number;
  /** Unit of cycle counts; 0 in a simulation. */
  readonly clockHz: number;
  readonly executors: number;
  readonly maxFilterWidth: number;
  readonly maxBurstBytes: number;
}

/** Free-running counters of one queue, since power-on. */
export interface QueueCounters {
  readonly descriptorFetches: number;
  readonly listFetches: number;
  readonly readBursts: number;
  readonly writeBursts: number;
  readonly completionWrites: number;
  readonly failedCommands: number;
  readonly busErrors: number;
  readonly interruptEvents: number;
}

const BOARD_PREFIX = "board:";
const HARDWARE_LIMIT_MS = 5000;
const SIMULATION_LIMIT_MS = 30_000;

export class Core implements Disposable {
  readonly registers: RegisterFile;
  readonly abilities: CoreAbilities;
  /** The simulated board behind it; null for hardware. */
  readonly board: Board | null;
  /** No two writers share so many bytes (PROTOCOL.md §10.1 G). */
  readonly granuleBytes: number = writebackGranuleBytes();
  /** How long to wait for a queue to start or to go idle: hardware takes microseconds, a simulated board on a busy machine may get no processor for seconds. */
  readonly answerLimitMs: number;
  readonly #interrupts: (queue: number) => string | null;
  readonly #queueMemory: string | null;
  readonly #deviceMemories = new WeakMap<Region, DeviceMemory>();

  private constructor(registers: RegisterFile, board: Board | null, options: CoreOptions) {
    this.registers = registers;
    this.board = board;
    this.abilities = readAbilities(registers);
    this.answerLimitMs = options.answerLimitMs ?? (board === null ? HARDWARE_LIMIT_MS : SIMULATION_LIMIT_MS);
    const one = options.interrupts ?? /^\/dev\/uio\d+/.exec(registers.path)?.[0] ?? null;
    this.#interrupts = typeof one === "function" ? one : () => one;
    this.#queueMemory =
      options.queueMemory ?? board?.memories.find((memory) => memory.kind === "queue")?.path ?? null;
  }

  /** `where`: a register path (src/memory/register-file.ts) or `board:NAME`.
   * @throws RegionError (no such file, permissions), ArgumentError (no core there, another version), DeviceGoneError */
  static open(where: string, options: CoreOptions = {}): Core {
    const name = where.startsWith(BOARD_PREFIX)
      ? where.slice(BOARD_PREFIX.length)
      : (/physring-board\.([^/]+)\/registers$/.exec(where)?.[1] ?? null);
    const board = name === null ? null : Board.open(name, options);
    const registers =
      board === null ? new RegisterFile(where, StopRegisters.fileBytes) : board.openRegisters();
    try {
      return new Core(registers, board, options);
    } catch (error) {
      registers[Symbol.dispose]();
      board?.[Symbol.dispose]();
      throw error;
    }
  }

  /** The device is not there any more: all ones in its magic, or the process that simulates it has ended. A register read. */
  get gone(): boolean {
    return (
      this.registers.read(StopRegisters.magic) === StopRegisters.magicGone || this.board?.running === false
    );
  }

  /** How the device reaches a region. @throws ArgumentError when it does not */
  deviceMemory(region: Region, queue: number): DeviceMemory {
    if (this.board !== null) return this.board.memory(region.path, queue);
    let memory = this.#deviceMemories.get(region);
    if (memory === undefined) {
      memory = new RegionDeviceMemory(region);
      this.#deviceMemories.set(region, memory);
    }
    return memory;
  }

  /** Barriers of queue `queue`'s memory. */
  order(queue: number): MemoryOrder {
    return this.board?.order(this.registers, queue) ?? this.registers;
  }

  /** The buffer of the queues' memory, null where that is to lie in the region. */
  get queueMemory(): string | null {
    return this.#queueMemory;
  }

  /** Opens a buffer of queue memory. */
  openQueueBuffer(path: string): QueueBuffer {
    const memory = this.board?.memories[this.board.memoryIndex(path)];
    return memory === undefined
      ? QueueBuffer.openDevice(path)
      : QueueBuffer.openFile(path, memory.bytes, memory.deviceBase);
  }

  /** Interrupts of a queue; null where there are none. */
  interrupts(queue: number): InterruptSource | null {
    if (this.board !== null) return new SocketInterrupt(this.board.interruptPath(queue));
    const path = this.#interrupts(queue);
    return path === null ? null : new UioInterrupt(path);
  }

  counters(queue: number): QueueCounters {
    const read = (register: number): number => this.registers.read(queuePage(queue) + register) >>> 0;
    return {
      descriptorFetches: read(DeviceRegister.descriptorFetches),
      listFetches: read(DeviceRegister.listFetches),
      readBursts: read(DeviceRegister.readBursts),
      writeBursts: read(DeviceRegister.writeBursts),
      completionWrites: read(DeviceRegister.completionWrites),
      failedCommands: read(DeviceRegister.failedCommands),
      busErrors: read(DeviceRegister.busErrors),
      interruptEvents: read(DeviceRegister.interruptEvents),
    };
  }

  [Symbol.dispose](): void {
    this.registers[Symbol.dispose]();
    this.board?.[Symbol.dispose]();
  }
}

function readAbilities(registers: RegisterFile): CoreAbilities {
  const read = (register: number): number => registers.read(register) >>> 0;
  const magic = registers.read(GlobalRegister.magic);
  if (magic === StopRegisters.magicGone) throw new DeviceGoneError(registers.path);
  if (magic !== StopRegisters.magicValue)
    throw new ArgumentError(
      `${registers.path} is no physring core: magic 0x${(magic >>> 0).toString(16)} instead of 0x57485250`,
    );
  if (read(GlobalRegister.version) !== PROTOCOL_VERSION)
    throw new ArgumentError(
      `${registers.path}: the core speaks version ${read(GlobalRegister.version)}, this library ${PROTOCOL_VERSION}`,
    );
  return {
    queueCount: read(GlobalRegister.queueCount),
    busBytes: read(GlobalRegister.busBytes),
    opcodes: read(GlobalRegister.opcodes),
    maxCapacityLog2: read(GlobalRegister.maxCapacityLog2),
    maxListEntries: read(GlobalRegister.maxListEntries),
    clockHz: read(GlobalRegister.clockHz),
    executors: read(GlobalRegister.executors),
    maxFilterWidth: read(GlobalRegister.maxFilterWidth),
    maxBurstBytes: read(GlobalRegister.maxBurstBytes),
  };
}
