/** Command lines: one table of options for each command gives the parser, the help text and the suggestions. */
import { parseArgs } from "node:util";
import { PhysringError } from "../ffi/errors.ts";

/** The command line is wrong; the message says what would be right. Exit code 2. */
export class UsageError extends PhysringError {
  constructor(message: string) {
    super("USAGE", message);
  }
}

export interface OptionSpec {
  /** Placeholder of the value in the help text; absent: a switch. */
  readonly value?: string;
  readonly short?: string;
  /** One or more lines for the help text. */
  readonly help: string;
}

export interface CommandSpec {
  /** As the user types it: `physring demo`. */
  readonly name: string;
  /** Usage line after the name. */
  readonly usage: string;
  readonly summary: string;
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** Text below the options. */
  readonly notes?: string;
  /** Most positional arguments; default 0. */
  readonly positionals?: number;
}

export interface ParsedOptions {
  /** Value of an option that takes one, as the user wrote it (the last one counts). */
  text(name: string): string | undefined;
  has(name: string): boolean;
  readonly positionals: readonly string[];
}

const HELP: OptionSpec = { short: "h", help: "show this text" };

function optionsOf(command: CommandSpec): Record<string, OptionSpec> {
  return { ...command.options, help: HELP };
}

/** @throws UsageError naming the wrong argument and, where one is near, the right one */
export function parseOptions(command: CommandSpec, args: readonly string[]): ParsedOptions {
  const specs = optionsOf(command);
  const config: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const [name, spec] of Object.entries(specs)) {
    config[name] = {
      type: spec.value === undefined ? "boolean" : "string",
      ...(spec.short && { short: spec.short }),
    };
  }
  const { tokens, positionals } = parseArgs({
    args: [...args],
    options: config,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const values = new Map<string, string | undefined>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    // Other runtimes refuse `--input --json` themselves; Bun's parser takes the next option for the value.
    const swallowed = token.inlineValue === false && token.value.startsWith("-") && token.value !== "-";
    checkOption(command, specs, token.rawName, token.name, swallowed ? undefined : token.value);
    values.set(token.name, token.value);
  }
  const most = command.positionals ?? 0;
  if (positionals.length > most) {
    throw new UsageError(
      `${command.name}: unexpected argument ${JSON.stringify(positionals[most])}; see ${command.name} --help`,
    );
  }
  return { text: (name) => values.get(name), has: (name) => values.has(name), positionals };
}

function checkOption(
  command: CommandSpec,
  specs: Record<string, OptionSpec>,
  rawName: string,
  name: string,
  value: string | undefined,
): void {
  const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
  if (spec === undefined) {
    const near = nearest(name, Object.keys(specs));
    const hint = near === null ? "" : `; did you mean --${near}?`;
    throw new UsageError(`${command.name}: unknown option ${rawName}${hint} (see ${command.name} --help)`);
  }
  if (spec.value !== undefined && value === undefined) {
    throw new UsageError(`${command.name}: ${rawName} needs a value: ${rawName} ${spec.value}`);
  }
  if (spec.value === undefined && value !== undefined)
    throw new UsageError(`${command.name}: ${rawName} takes no value`);
}

/** The candidate that `word` was probably meant to be, or null. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const isPrefix = word.length >= 2 && candidate.startsWith(word);
    const distance = isPrefix ? 1 : editDistance(word, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours count 1 each. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, beforeLast[j - 2]! + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

/** The help text of a command. */
export function helpText(command: CommandSpec): string {
  const specs = Object.entries(optionsOf(command));
  const heads = specs.map(([name, spec]) => {
    const short = spec.short === undefined ? "    " : `-${spec.short}, `;
    return `${short}--${name}${spec.value === undefined ? "" : ` ${spec.value}`}`;
  });
  const width = Math.max(...heads.map((head) => head.length));
  const lines = specs.map(([, spec], i) => {
    const help = spec.help.split("\n").join(`\n${" ".repeat(width + 4)}`);
    return `  ${heads[i]!.padEnd(width)}  ${help}`;
  });
  const notes = command.notes === undefined ? "" : `\n${command.notes}\n`;
  return `${command.summary}\n\nUsage: ${command.name} ${command.usage}\n\nOptions:\n${lines.join("\n")}\n${notes}`;
}

/** A whole number of an option, within limits. @throws UsageError */
export function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) {
    throw new UsageError(`--${option} ${text}: a whole number from ${least} to ${most} is needed`);
  }
  return value;
}

/** One of the words that an option allows. @throws UsageError */
export function oneOf<T extends string>(option: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((word) => word === text);
  if (found !== undefined) return found;
  const near = nearest(text, allowed);
  throw new UsageError(
    `--${option} ${text}: one of ${allowed.join(", ")}${near === null ? "" : `; did you mean ${near}?`}`,
  );
}
