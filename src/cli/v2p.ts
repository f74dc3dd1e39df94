/** `physring v2p`: all addresses of one byte, cross-checked with the page tables. */
import { parseArgs } from "node:util";
import { PhysringError } from "../ffi/errors.ts";
import type { AddressAbsence } from "../memory/physical.ts";
import { type Translation, translateAddress, translateOffset } from "../memory/translate.ts";
import { hex } from "./format.ts";

const USAGE = `physring v2p: where a byte is

  physring v2p --region NAME OFFSET             a byte of a region (or device, or any file in shared memory)
  physring v2p --pid PID --region NAME OFFSET   the same byte in the mapping of another process
  physring v2p --pid PID ADDRESS                a virtual address of another process

  OFFSET and ADDRESS are decimal or 0x… hexadecimal. --json prints one object. Physical addresses need root.
  Exit code: 0 translated, 1 not translated or the addresses contradict each other, 2 wrong arguments.`;

class UsageError extends Error {}

interface Arguments {
  readonly pid: number | null;
  readonly region: string | null;
  readonly position: number;
  readonly json: boolean;
}

function parseNumber(text: string | undefined, what: string): number {
  const value = text !== undefined && /^(\d+|0x[0-9a-fA-F]+)$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value))
    throw new UsageError(`${what} ${JSON.stringify(text ?? "")} is no number`);
  return value;
}

/** Null: help is asked for. Throws UsageError. */
function parseArguments(argv: readonly string[]): Arguments | null {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(argv);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  if (values.help) return null;
  if (positionals.length !== 1) throw new UsageError("say one ADDRESS or OFFSET");
  return {
    pid: values.pid === undefined ? null : parseNumber(values.pid, "PID"),
    region: values.region ?? null,
    position: parseNumber(positionals[0], values.region === undefined ? "ADDRESS" : "OFFSET"),
    json: values.json,
  };
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      pid: { type: "string" },
      region: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
}

function translate({ pid, region, position }: Arguments): Translation {
  if (region !== null) return translateOffset(region, position, pid ?? process.pid);
  if (pid === null) throw new UsageError("an address is one of a process: say --pid or --region");
  return translateAddress(pid, position);
}

type Check = "agrees" | "differs" | "not checked";

/** Do the driver and the page table name the same byte? */
function crossCheck({ physical, pagemap }: Translation): Check {
  if (typeof physical !== "number" || typeof pagemap !== "number") return "not checked";
  return physical === pagemap ? "agrees" : "differs";
}

function describe(value: number | AddressAbsence): string {
  return typeof value === "number" ? hex(value) : `-  (${value.message})`;
}

function jsonValue(value: number | AddressAbsence): string | null {
  return typeof value === "number" ? hex(value) : null;
}

function toJson(translation: Translation, check: Check): string {
  const { pid, path, offset, virtual, device, physical, pagemap } = translation;
  const absent = Object.entries({ device, physical, pagemap }).filter(
    ([, value]) => typeof value !== "number",
  );
  return JSON.stringify({
    pid,
    path,
    offset,
    virtual: hex(virtual),
    device: jsonValue(device),
    physical: jsonValue(physical),
    pagemap: jsonValue(pagemap),
    check,
    absent: Object.fromEntries(absent),
  });
}

function toText(translation: Translation, check: Check): string {
  const { pid, path, offset, virtual, device, physical, pagemap } = translation;
  const own = pid === process.pid ? "a mapping made for this answer" : `process ${pid}`;
  return [
    `file      ${path === "" ? "-  (anonymous memory)" : path}`,
    `offset    ${offset} (${hex(offset)})`,
    `virtual   ${hex(virtual)}  in ${own}`,
    `device    ${describe(device)}`,
    `physical  ${describe(physical)}`,
    `pagemap   ${describe(pagemap)}${check === "not checked" ? "" : `  ${check}`}`,
  ].join("\n");
}

/** Runs the command; returns the exit code. */
export function runV2p(argv: readonly string[]): number {
  try {
    const args = parseArguments(argv);
    if (args === null) {
      console.log(USAGE);
      return 0;
    }
    const translation = translate(args);
    const check = crossCheck(translation);
    console.log(args.json ? toJson(translation, check) : toText(translation, check));
    return check === "differs" ? 1 : 0;
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`physring v2p: ${error.message}\n\n${USAGE}`);
      return 2;
    }
    if (!(error instanceof PhysringError)) throw error;
    console.error(`physring v2p: ${error.code}: ${error.message}`);
    return 1;
  }
}
