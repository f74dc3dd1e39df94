/** What types would not allow, or cannot say: each is refused with a typed error before anything is written, and the queue goes on. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { PhysringError } from "../../src/ffi/errors.ts";
import {
  type Block,
  BlockBusyError,
  type Command,
  CommandInvalidError,
  CommandQueue,
  Core,
  type Status,
  statusName,
} from "../../src/fpga/index.ts";
import { Pool } from "../../src/ring/pool.ts";
import { expectCode } from "../support/errors.ts";
import { TestBoard, whyNoBoards } from "./boards.ts";

setDefaultTimeout(60_000);
const missing = await whyNoBoards();
const WRAPPED = 2 ** 32;

interface Malformed {
  readonly what: string;
  /** COMMAND_INVALID with this status, or ARGUMENT. */
  readonly expected: keyof typeof Status | "ARGUMENT";
  readonly command: (source: Block, destination: Block) => unknown;
}

const CASES: readonly Malformed[] = [
  { what: "an unknown opcode", expected: "OPCODE", command: () => ({ opcode: "Copy" }) },
  { what: "an opcode that objects inherit", expected: "OPCODE", command: () => ({ opcode: "toString" }) },
  { what: "no opcode", expected: "OPCODE", command: () => ({}) },
  {
    what: "an opcode with flags",
    expected: "OPCODE",
    command: (source, destination) => ({ opcode: 0x101, source, destination }),
  },
  { what: "half an opcode", expected: "OPCODE", command: () => ({ opcode: 0.5 }) },
  {
    what: "a length of 33 bits",
    expected: "LENGTH",
    command: (source, destination) => ({ opcode: "copy", source, destination, lengthBytes: WRAPPED + 64 }),
  },
  {
    what: "a length of 33 bits of a list",
    expected: "LENGTH",
    command: (source, destination) => ({
      opcode: "copy",
      source: [{ frame: source, lengthBytes: 64 }],
      destination,
      lengthBytes: WRAPPED + 64,
    }),
  },
  {
    what: "a fractional length",
    expected: "LENGTH",
    command: (source) => ({ opcode: "crc32", source, lengthBytes: 64.5 }),
  },
  {
    what: "a negative length",
    expected: "LENGTH",
    command: (source) => ({ opcode: "crc32", source, lengthBytes: -64 }),
  },
  {
    what: "no length",
    expected: "LENGTH",
    command: (source) => ({ opcode: "crc32", source, lengthBytes: Number.NaN }),
  },
  {
    what: "a level of 33 bits",
    expected: "PARAMETER",
    command: (source, destination) => ({ opcode: "threshold", source, destination, level: WRAPPED + 5 }),
  },
  {
    what: "no level",
    expected: "PARAMETER",
    command: (source, destination) => ({ opcode: "threshold", source, destination }),
  },
  {
    what: "a fractional level",
    expected: "PARAMETER",
    command: (source, destination) => ({ opcode: "threshold", source, destination, level: 5.5 }),
  },
  { what: "no word", expected: "PARAMETER", command: (_, destination) => ({ opcode: "fill", destination }) },
  {
    what: "a word of 33 bits",
    expected: "PARAMETER",
    command: (_, destination) => ({ opcode: "fill", destination, word: WRAPPED }),
  },
  {
    what: "no width",
    expected: "PARAMETER",
    command: (source, destination) => ({ opcode: "filter3x3", source, destination }),
  },
  {
    what: "a parameter that is a string",
    expected: "PARAMETER",
    command: (source) => ({ opcode: "crc32", source, continues: "0" }),
  },
  {
    what: "parameters of another engine, too few",
    expected: "PARAMETER",
    command: (source) => ({ opcode: 3, source, parameters: [0] }),
  },
  { what: "no source", expected: "ARGUMENT", command: (_, destination) => ({ opcode: "copy", destination }) },
  { what: "no destination", expected: "ARGUMENT", command: (source) => ({ opcode: "copy", source }) },
  {
    what: "a part outside a list",
    expected: "ARGUMENT",
    command: (source, destination) => ({
      opcode: "copy",
      source: { frame: source, lengthBytes: 64 },
      destination,
    }),
  },
  {
    what: "a block in a list as it is",
    expected: "ARGUMENT",
    command: (source) => ({ opcode: "crc32", source: [source] }),
  },
  {
    what: "nothing in a list",
    expected: "ARGUMENT",
    command: (source) => ({
      opcode: "crc32",
      source: [{ frame: source, lengthBytes: 64 }, null],
      lengthBytes: 64,
    }),
  },
  { what: "null", expected: "ARGUMENT", command: () => ({ opcode: "crc32", source: null, lengthBytes: 64 }) },
  { what: "bytes", expected: "ARGUMENT", command: (source) => ({ opcode: "crc32", source: source.bytes }) },
  {
    what: "a part with a fractional offset",
    expected: "LIST",
    command: (source) => ({
      opcode: "crc32",
      source: [{ frame: source, offsetBytes: 64.5, lengthBytes: 64 }],
    }),
  },
  {
    what: "a part with a fractional length",
    expected: "LIST",
    command: (source) => ({ opcode: "crc32", source: [{ frame: source, lengthBytes: 0.5 }], lengthBytes: 1 }),
  },
  {
    what: "a part without a length",
    expected: "LIST",
    command: (source) => ({ opcode: "crc32", source: [{ frame: source }], lengthBytes: 64 }),
  },
];

describe.skipIf(missing !== null)("malformed commands", () => {
  test("are refused one by one, alone and behind a good one", async () => {
    await using board = await TestBoard.start({ program: "stub" });
    const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: 4, metaBytes: 0 });
    using core = Core.open(board.where);
    using queue = CommandQueue.create(core, board.region, "queue", { queue: 0, pool, capacity: 4 });
    const [source, destination] = [queue.loan()!, queue.loan()!];
    const found = CASES.map(({ what, command }) => {
      let thrown: unknown = null;
      try {
        for (const done of queue.submit([{ opcode: "nop" }, command(source, destination) as Command]))
          done.catch(() => undefined);
      } catch (error) {
        thrown = error;
      }
      const code = thrown instanceof PhysringError ? thrown.code : String(thrown);
      return [what, thrown instanceof CommandInvalidError ? statusName(thrown.status) : code];
    });
    expect(found).toEqual(CASES.map(({ what, expected }) => [what, expected]));
    expect([queue.underWay, queue.room]).toEqual([0, 4]);
    await queue.run({ opcode: "fill", destination, word: -1 });
    await queue.run({ opcode: "threshold", source, destination, level: 255 });
    expect(() => queue.blocks.stage(3, source.block, 0, -1, 0, WRAPPED + 64, 0, 0, 0)).toThrow(
      CommandInvalidError,
    );
  });

  test("a block of a command that timed out: the error says where it is, and reset() gives it back", async () => {
    await using board = await TestBoard.start({ seed: 1 });
    const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: 4, metaBytes: 0 });
    using core = Core.open(board.where);
    using queue = CommandQueue.create(core, board.region, "queue", { queue: 0, pool });
    const source = queue.loan()!;
    board.hold(true);
    const error = await queue
      .run({ opcode: "crc32", source }, { timeoutMs: 1 })
      .catch((thrown: unknown) => thrown);
    expect(error).toHaveProperty("code", "COMMAND_TIMEOUT");
    const busy = expectCode("BLOCK_BUSY", () => queue.submit([{ opcode: "crc32", source }]));
    expect(busy.message).toMatch(/timed out .* reset\(\)/);
    board.hold(false);
    await queue.reset();
    await queue.run({ opcode: "crc32", source });
    source.release();
    const free = expectCode("BLOCK_BUSY", () => queue.submit([{ opcode: "crc32", source }]));
    expect(free).toBeInstanceOf(BlockBusyError);
    expect(free.message).not.toContain("timed out");
  });
});
