/** `physring doctor`: what works on this machine, and what to do about what does not. */
import { PhysringError } from "../../ffi/errors.ts";
import { parseSize } from "../../memory/size.ts";
import { type CommandSpec, helpText, parseOptions, UsageError } from "../options.ts";
import type { Check, CheckStatus } from "./check.ts";
import { checkBun } from "./check-bun.ts";
import { checkDevice } from "./check-device.ts";
import { checkKernel } from "./check-kernel.ts";
import { checkMemory } from "./check-memory.ts";
import { collectFacts } from "./collect.ts";
import type { DoctorFacts } from "./facts.ts";
import { probeBun } from "./probe-bun.ts";

export const DOCTOR_COMMAND: CommandSpec = {
  name: "physring doctor",
  usage: "[SIZE...] [OPTIONS]",
  summary:
    "Checks Bun, kernel, memory, module and permissions, and prints what to type for everything that is not as it should be.",
  options: {
    strict: { help: "warnings count as failures" },
    facts: { help: "print what the checks look at, as JSON (for bug reports), instead of the checks" },
    json: { help: "print one JSON object instead of text" },
  },
  notes:
    "SIZE: contiguous buffers that you want: physring doctor 4GiB 2GiB says whether they can be had and what the boot loader must be told.\n" +
    "Exit code: 0 nothing fails, 1 something does, 2 wrong arguments.",
  positionals: 8,
};

export const SECTIONS = {
  "Bun and the library": checkBun,
  Kernel: checkKernel,
  "Contiguous memory": checkMemory,
  "Module and devices": checkDevice,
} as const;

export interface Diagnosis {
  readonly sections: readonly { readonly title: string; readonly checks: readonly Check[] }[];
  readonly counts: Readonly<Record<CheckStatus, number>>;
}

/** All checks on recorded facts. */
export function diagnose(facts: DoctorFacts): Diagnosis {
  const sections = Object.entries(SECTIONS).map(([title, group]) => ({ title, checks: group(facts) }));
  const counts = { ok: 0, note: 0, warning: 0, failure: 0 };
  for (const { status } of sections.flatMap(({ checks }) => checks)) counts[status]++;
  return { sections, counts };
}

function sizeOf(word: string): number {
  try {
    return parseSize(word);
  } catch (error) {
    if (error instanceof PhysringError) throw new UsageError(`physring doctor: ${error.message}`);
    throw error;
  }
}

/** @returns the exit code. @throws UsageError */
export async function runDoctor(args: readonly string[]): Promise<number> {
  const options = parseOptions(DOCTOR_COMMAND, args);
  if (options.has("help")) {
    process.stdout.write(helpText(DOCTOR_COMMAND));
    return 0;
  }
  const facts = collectFacts(await probeBun(), options.positionals.map(sizeOf));
  if (options.has("facts")) {
    process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`);
    return 0;
  }
  const diagnosis = diagnose(facts);
  process.stdout.write(
    options.has("json") ? `${JSON.stringify(diagnosis, null, 2)}\n` : diagnosisText(diagnosis),
  );
  const { failure, warning } = diagnosis.counts;
  return failure > 0 || (options.has("strict") && warning > 0) ? 1 : 0;
}

const MARKS: Readonly<Record<CheckStatus, string>> = {
  ok: "ok  ",
  note: "note",
  warning: "WARN",
  failure: "FAIL",
};

export function diagnosisText({ sections, counts }: Diagnosis): string {
  const lines = sections.flatMap(({ title, checks }) => [title, ...checks.flatMap(checkLines), ""]);
  const { ok, note, warning, failure } = counts;
  return `${lines.join("\n")}\n${ok} ok, ${note} notes, ${warning} warnings, ${failure} failures\n`;
}

function checkLines({ status, text, fix }: Check): string[] {
  return [`  ${MARKS[status]}  ${text}`, ...fix.map((line) => `          ${line}`)];
}
