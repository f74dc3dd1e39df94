/** Programs of the system. */
import { PhysringError } from "../../ffi/errors.ts";

export interface CommandResult {
  readonly code: number;
  /** What it wrote: standard output, then standard error. */
  readonly output: string;
}

/** Root's programs, which the PATH of other users may lack. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin";

export function commandPath(): string {
  return `${process.env["PATH"] ?? "/usr/bin:/bin"}:${SYSTEM_PATH}`;
}

/** Full path of a program, or null. */
export function findCommand(name: string): string | null {
  return Bun.which(name, { PATH: commandPath() });
}

/** As a shell would need it; for messages. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

export function commandLine(words: readonly string[]): string {
  return words.map(shellQuote).join(" ");
}

/** Runs a program in the C locale to its end. @throws PhysringError `COMMAND_MISSING` */
export async function runCommand(words: readonly string[]): Promise<CommandResult> {
  const program = findCommand(words[0]!);
  if (program === null)
    throw new PhysringError("COMMAND_MISSING", `${words[0]} is not installed, or not in PATH`);
  const child = Bun.spawn([program, ...words.slice(1)], {
    env: { ...process.env, PATH: commandPath(), LC_ALL: "C" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, output: `${output}${errors}` };
}
