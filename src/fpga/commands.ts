/** Commands as objects, and what becomes of them. */
import { ArgumentError } from "../ring/errors.ts";
import { Pool } from "../ring/pool.ts";
import type { BlockHolder, BlockPart, Operand } from "./block.ts";
import type { BlockQueue } from "./block-queue.ts";
import { CommandInvalidError } from "./errors.ts";
import { CompletionLayout, HAS_DESTINATION, HAS_SOURCE, Opcode, Status, statusName } from "./layout.ts";

interface Common {
  /** Comes back in the completion; any number. */
  readonly tag?: number;
  /** Bytes; default: the length of the source, else of the destination. */
  readonly lengthBytes?: number;
}

/** One command of the engines of PROTOCOL.md §10.2, or of an engine of one's own by its number. */
export type Command =
  | (Common & { readonly opcode: "nop" })
  | (Common & { readonly opcode: "copy"; readonly source: Operand; readonly destination: Operand })
  | (Common & { readonly opcode: "fill"; readonly destination: Operand; readonly word: number })
  | (Common & { readonly opcode: "crc32"; readonly source: Operand; readonly continues?: number })
  | (Common & {
      readonly opcode: "threshold";
      readonly source: Operand;
      readonly destination: Operand;
      readonly level: number;
    })
  | (Common & {
      readonly opcode: "filter3x3";
      readonly source: Operand;
      readonly destination: Operand;
      readonly width: number;
    })
  | (Common & { readonly opcode: "source"; readonly destination: Operand; readonly seed?: number })
  | (Common & { readonly opcode: "sink"; readonly source: Operand })
  | (Common & {
      readonly opcode: number;
      readonly source?: Operand;
      readonly destination?: Operand;
      readonly parameters?: readonly [number, number, number];
    });

/** What the core says of a command. */
export interface Completion {
  readonly tag: number;
  /** 0 is OK; names in {@link statusName}. */
  readonly status: number;
  readonly bytes: number;
  /** Of the engine: a CRC, a count, a sequence number. */
  readonly result: number;
  /** The core's clock counter when the command finished, as a double. */
  readonly cycles: number;
}

export { statusName };

function isList(operand: Operand): operand is readonly BlockPart[] {
  return Array.isArray(operand);
}

function operandBytes(operand: Operand | undefined): number {
  if (operand === undefined) return 0;
  return isList(operand) ? operand.reduce((sum, part) => sum + part.lengthBytes, 0) : operand.lengthBytes;
}

function parameterOf(command: Command): number {
  switch (command.opcode) {
    case "fill":
      return command.word;
    case "crc32":
      return command.continues ?? 0;
    case "threshold":
      return command.level;
    case "filter3x3":
      return command.width;
    case "source":
      return command.seed ?? 0;
    default:
      return 0;
  }
}

function partsOf(operand: Operand | undefined, lengthBytes: number): readonly BlockPart[] | null {
  if (operand === undefined) return null;
  return isList(operand) ? operand : [{ frame: operand, lengthBytes }];
}

/** Stages a command; returns its entry. @throws CommandInvalidError, BlockBusyError, QueueFullError, ArgumentError */
export function stageCommand(blocks: BlockQueue, command: Command): number {
  const opcode = opcodeOf(command);
  // An operand that the opcode does not have is not looked at (§10.2).
  const source = "source" in command && (HAS_SOURCE[opcode] ?? true) ? command.source : undefined;
  const destination =
    "destination" in command && (HAS_DESTINATION[opcode] ?? true) ? command.destination : undefined;
  checkOperand(blocks, "source", source, HAS_SOURCE[opcode] ?? false);
  checkOperand(blocks, "destination", destination, HAS_DESTINATION[opcode] ?? false);
  const lengthBytes = command.lengthBytes ?? (operandBytes(source) || operandBytes(destination));
  const parameters = "parameters" in command ? (command.parameters ?? NO_PARAMETERS) : NO_PARAMETERS;
  const parameter = checkedWord(typeof command.opcode === "number" ? parameters[0] : parameterOf(command));
  const [parameter1, parameter2] = [checkedWord(parameters[1]), checkedWord(parameters[2])];
  if ((source !== undefined && isList(source)) || (destination !== undefined && isList(destination))) {
    return blocks.stageLists(
      opcode,
      partsOf(source, lengthBytes),
      partsOf(destination, lengthBytes),
      lengthBytes,
      [parameter, parameter1, parameter2],
    );
  }
  const [from, to] = [source as BlockHolder | undefined, destination as BlockHolder | undefined];
  return blocks.stage(
    opcode,
    from?.block ?? -1,
    offsetInBlock(from),
    to?.block ?? -1,
    offsetInBlock(to),
    lengthBytes,
    parameter,
    parameter1,
    parameter2,
  );
}

const NO_PARAMETERS = [0, 0, 0] as const;
const MAX_OPCODE = 255;

/** Types end where plain JavaScript, a cast or a parsed file begins; what is wrong there must not become another command. */
function opcodeOf({ opcode }: Command): number {
  const number = typeof opcode === "string" && Object.hasOwn(Opcode, opcode) ? Opcode[opcode] : opcode;
  if (typeof number === "number" && Number.isInteger(number) && number >= 0 && number <= MAX_OPCODE)
    return number;
  throw new CommandInvalidError(
    Status.OPCODE,
    `${JSON.stringify(opcode)} is none of ${Object.keys(Opcode).join(", ")} and no number from 0 to ${MAX_OPCODE}`,
  );
}

/** 32 bits, read as signed or unsigned. */
function checkedWord(value: number): number {
  if (Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 32) return value;
  throw new CommandInvalidError(Status.PARAMETER, `a parameter is a whole number of 32 bits, not ${value}`);
}

function offsetInBlock(holder: BlockHolder | undefined): number {
  return holder === undefined ? 0 : holder.offset - holder.pool.blockOffset(holder.block);
}

function checkOperand(blocks: BlockQueue, name: string, operand: Operand | undefined, needed: boolean): void {
  if (operand === undefined) {
    if (needed) throw new ArgumentError(`this command needs a ${name}`);
    return;
  }
  const holders = isList(operand) ? operand.map((part) => (part as BlockPart | null)?.frame) : [operand];
  for (const holder of holders) {
    if (!(holder?.pool instanceof Pool))
      throw new ArgumentError(
        `the ${name} of a command is a block or frame, or an array of parts { frame, offsetBytes?, lengthBytes }`,
      );
    checkPool(blocks, holder.pool);
  }
}

function checkPool(blocks: BlockQueue, pool: Pool): void {
  if (pool.entry.index !== blocks.pool.entry.index || pool.region !== blocks.pool.region)
    throw new ArgumentError(
      `a block of pool ${pool.entry.name}: this queue takes blocks of ${blocks.pool.entry.name}, by the same region handle`,
    );
}

/** Reads completion `i` of the last reap. */
export function readCompletion(completed: Int32Array, i: number, tag: number): Completion {
  const at = i * CompletionLayout.sizeWords;
  return {
    tag,
    status: completed[at + CompletionLayout.statusWord]! & CompletionLayout.statusMask,
    bytes: completed[at + CompletionLayout.bytesWord]! >>> 0,
    result: completed[at + CompletionLayout.resultWord]! >>> 0,
    cycles:
      (completed[at + CompletionLayout.cyclesLowWord]! >>> 0) +
      (completed[at + CompletionLayout.cyclesHighWord]! >>> 0) * 2 ** 32,
  };
}
