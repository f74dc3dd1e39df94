/**
 * The host's side of a simulated board (PROTOCOL.md §10.9): a directory with a register file, a list of memories, and an agent that stands for the caches
 * and write buffers of the simulated machine. A device driver's work (device addresses, sync, barriers) is done here by calls to that agent.
 */
import { existsSync, readFileSync } from "node:fs";
import { closeFile, openFile } from "../ffi/files.ts";
import { type Mapping, mapShared } from "../ffi/mapping.ts";
import { retryUntil } from "../memory/appear.ts";
import { loadAcquire, pause, storePlain, storeRelease } from "../memory/atomics.ts";
import { LINE_BYTES, WORD_BYTES } from "../memory/layout.ts";
import { boardDirectory, type MemoryOrder, RegisterFile } from "../memory/register-file.ts";
import type { SyncBatch } from "../memory/sync-batch.ts";
import { SyncDirection, type SyncDirectionName } from "../memory/udmabuf-abi.ts";
import { ArgumentError, CorruptError } from "../ring/errors.ts";
import { StopRegisters } from "../ring/hardware-layout.ts";
import type { DeviceMemory } from "./device-memory.ts";
import { DeviceGoneError } from "./errors.ts";

export type Coherency = "none" | "io" | "full";

/** A file that the board's bus reaches. */
export interface BoardMemory {
  readonly path: string;
  readonly bytes: number;
  readonly deviceBase: number;
  readonly kind: "payload" | "queue";
}

/**
 * The agent's file: a line of geometry, a line for testers, and a mailbox of two lines for each queue.
 *
 *     +0     request, operation, memory, direction, offset (2), bytes (2)     caller
 *     +128   done, refused                                                    board
 */
const Agent = {
  fileBytes: 8192,
  magic: 0x47415250, // "PRAG"
  mailboxesOffset: 256,
  mailboxBytes: 2 * LINE_BYTES,
  requestWord: 0,
  operationWord: 1,
  memoryWord: 2,
  directionWord: 3,
  offsetWord: 4,
  bytesWord: 6,
  doneWord: LINE_BYTES / WORD_BYTES,
  refusedWord: LINE_BYTES / WORD_BYTES + 1,
  wmb: 1,
  rmb: 2,
  syncForDevice: 3,
  syncForCpu: 4,
} as const;

const SPINS_PER_LOOK = 4096;
const SPINS_BEFORE_SLEEP = 256;
const LINE_OF_CACHE_BYTES = 64;

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

interface Description {
  readonly pid: number;
  readonly coherency: Coherency;
  readonly memories: readonly BoardMemory[];
}

function parseDescription(path: string): Description {
  const raw: unknown = JSON.parse(readFileSync(path, "utf8"));
  const { pid, coherency, memories } = raw as { pid: unknown; coherency: unknown; memories: unknown };
  if (
    !Number.isInteger(pid) ||
    !["none", "io", "full"].includes(String(coherency)) ||
    !Array.isArray(memories)
  )
    throw new CorruptError(path);
  return {
    pid: pid as number,
    coherency: coherency as Coherency,
    memories: memories.map((memory: Record<string, unknown>) => ({
      path: String(memory["path"]),
      bytes: Number(memory["bytes"]),
      deviceBase: Number(memory["deviceBase"]),
      kind: memory["kind"] === "queue" ? "queue" : "payload",
    })),
  };
}

export class Board implements Disposable {
  readonly name: string;
  readonly directory: string;
  readonly coherency: Coherency;
  readonly memories: readonly BoardMemory[];
  readonly pid: number;
  #agent: Mapping | null = null;

  private constructor(name: string, description: Description) {
    this.name = name;
    this.directory = boardDirectory(name);
    this.coherency = description.coherency;
    this.memories = description.memories;
    this.pid = description.pid;
  }

  /** Finds a running board, waiting `waitMs` for it. @throws ArgumentError when there is none */
  static open(name: string, options: { readonly waitMs?: number } = {}): Board {
    const directory = boardDirectory(name);
    const found = retryUntil(options.waitMs ?? 0, () => (existsSync(`${directory}/registers`) ? true : null));
    if (found === null)
      throw new ArgumentError(
        `there is no board ${name}: no file ${directory}/registers; SimulatedBoard.start({ name, region }) of physring/fpga starts one (examples/fpga-commands.ts)`,
      );
    return new Board(name, parseDescription(`${directory}/board.json`));
  }

  get registersPath(): string {
    return `${this.directory}/registers`;
  }

  /** Whether the process that simulates the board lives. */
  get running(): boolean {
    return isRunning(this.pid);
  }

  openRegisters(): RegisterFile {
    return new RegisterFile(this.registersPath, StopRegisters.fileBytes);
  }

  /** Socket that the board sends the interrupts of a queue to. */
  interruptPath(queue: number): string {
    return `${this.directory}/irq.${queue}`;
  }

  memoryIndex(path: string): number {
    const index = this.memories.findIndex((memory) => memory.path === path);
    if (index >= 0) return index;
    throw new ArgumentError(
      `board ${this.name} has no memory ${path}: it has ${this.memories.map((memory) => memory.path).join(", ")}`,
    );
  }

  /** Its memory at `path`, as the owner of queue `queue` syncs it. */
  memory(path: string, queue: number): DeviceMemory {
    const index = this.memoryIndex(path);
    return new BoardDeviceMemory(this, this.mailbox(queue), index);
  }

  /** Barriers that hold on this board; `own` are those of the processor, which are enough where the board is coherent. */
  order(own: MemoryOrder, queue: number): MemoryOrder {
    if (this.coherency === "full") return own;
    const mailbox = this.mailbox(queue);
    return { wmb: () => mailbox.call(Agent.wmb, 0, 0, 0, 0), rmb: () => mailbox.call(Agent.rmb, 0, 0, 0, 0) };
  }

  private mailbox(queue: number): Mailbox {
    this.#agent ??= mapAgent(`${this.directory}/agent`);
    const start = this.#agent.bufferOffset + Agent.mailboxesOffset + queue * Agent.mailboxBytes;
    const words = new Int32Array(this.#agent.buffer, start, Agent.mailboxBytes / WORD_BYTES);
    return new Mailbox(words, this);
  }

  [Symbol.dispose](): void {
    this.#agent?.release();
    this.#agent = null;
  }
}

function mapAgent(path: string): Mapping {
  const fd = openFile(path, { noFollow: true });
  try {
    const mapping = mapShared(fd, 0, Agent.fileBytes, path);
    const words = new Int32Array(mapping.buffer, mapping.bufferOffset, 1);
    if (words[0] === Agent.magic) return mapping;
    mapping.release();
    throw new CorruptError(path);
  } finally {
    closeFile(fd);
  }
}

/** Calls to the agent, one at a time; for the owner of one queue. */
class Mailbox {
  readonly #words: Int32Array;
  readonly #board: Board;

  constructor(words: Int32Array, board: Board) {
    this.#words = words;
    this.#board = board;
  }

  /** Blocks until the agent has answered. @throws DeviceGoneError, CorruptError */
  call(operation: number, memory: number, direction: number, offset: number, lengthBytes: number): void {
    const words = this.#words;
    // A call of a dead owner may be under way.
    this.#awaitDone(loadAcquire(words, Agent.requestWord));
    storePlain(words, Agent.operationWord, operation);
    storePlain(words, Agent.memoryWord, memory);
    storePlain(words, Agent.directionWord, direction);
    storePlain(words, Agent.offsetWord, (offset % 2 ** 32) | 0);
    storePlain(words, Agent.offsetWord + 1, Math.floor(offset / 2 ** 32));
    storePlain(words, Agent.bytesWord, (lengthBytes % 2 ** 32) | 0);
    storePlain(words, Agent.bytesWord + 1, Math.floor(lengthBytes / 2 ** 32));
    const request = (loadAcquire(words, Agent.requestWord) + 1) | 0;
    // SYNC mailbox: release pairs with the board's acquire load of request.
    storeRelease(words, Agent.requestWord, request);
    this.#awaitDone(request);
    if (words[Agent.refusedWord] !== 0)
      throw new CorruptError(
        `board ${this.#board.name}: its agent refused operation ${operation} on ${lengthBytes} bytes at ${offset} of memory ${memory}`,
      );
  }

  #awaitDone(request: number): void {
    for (let spins = 1; loadAcquire(this.#words, Agent.doneWord) !== request; spins++) {
      pause();
      // The board has only so many processors; give it ours.
      if (spins % SPINS_BEFORE_SLEEP === 0) Bun.sleepSync(0.02);
      if (spins % SPINS_PER_LOOK === 0 && !this.#board.running)
        throw new DeviceGoneError(this.#board.directory);
    }
  }
}

class BoardDeviceMemory implements DeviceMemory {
  readonly base: number;
  readonly coherent: boolean;
  readonly #mailbox: Mailbox;
  readonly #index: number;

  constructor(board: Board, mailbox: Mailbox, index: number) {
    this.base = board.memories[index]!.deviceBase;
    this.coherent = board.coherency !== "none";
    this.#mailbox = mailbox;
    this.#index = index;
  }

  syncForDevice(batch: SyncBatch, direction: SyncDirectionName): void {
    this.#sync(Agent.syncForDevice, batch, direction);
  }

  syncForCpu(batch: SyncBatch, direction: SyncDirectionName): void {
    this.#sync(Agent.syncForCpu, batch, direction);
  }

  #sync(operation: number, batch: SyncBatch, direction: SyncDirectionName): void {
    if (this.coherent) return;
    for (let i = 0; i < batch.count; i++) {
      const offset = batch.offset(i);
      const start = offset - (offset % LINE_OF_CACHE_BYTES);
      this.#mailbox.call(
        operation,
        this.#index,
        SyncDirection[direction],
        start,
        offset - start + batch.lengthBytes(i),
      );
    }
  }
}
