/** Counting the system calls of another process, where strace is installed and may attach. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { firstLine } from "./lines.ts";

/** Why there is no counting here, for people; null: there is. Attaching needs root, the same user without ptrace_scope, or CAP_SYS_PTRACE. */
export async function whyNoStrace(): Promise<string | null> {
  if (Bun.which("strace") === null) return "no strace: apt-get install strace";
  const victim = Bun.spawn(["sleep", "60"]);
  try {
    const tracer = await Strace.attach(victim.pid, []);
    await tracer.counts();
    return null;
  } catch (error) {
    return String(error);
  } finally {
    victim.kill("SIGKILL");
    await victim.exited;
  }
}

export class Strace {
  readonly #process: Bun.Subprocess<"ignore", "ignore", "pipe">;
  readonly #directory: string;

  private constructor(process: Bun.Subprocess<"ignore", "ignore", "pipe">, directory: string) {
    this.#process = process;
    this.#directory = directory;
  }

  /** @param options `-f`: all threads; default: the first one */
  static async attach(pid: number, options: readonly string[]): Promise<Strace> {
    const directory = mkdtempSync(`${tmpdir()}/physring-strace-`);
    const argv = ["strace", ...options, "-c", "-o", `${directory}/counts`, "-p", String(pid)];
    const child = Bun.spawn(argv, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
    const says = await firstLine(child.stderr);
    if (says.includes("attached")) return new Strace(child, directory);
    rmSync(directory, { recursive: true });
    throw new Error(says);
  }

  /** Ends the counting. Calls by name. */
  async counts(): Promise<Map<string, number>> {
    this.#process.kill("SIGINT");
    await this.#process.exited;
    const text = readFileSync(`${this.#directory}/counts`, "utf8");
    rmSync(this.#directory, { recursive: true });
    const rows = text.matchAll(/^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$/gm);
    const counts = new Map([...rows].map(([, calls, name]) => [name!, Number(calls)]));
    counts.delete("total");
    return counts;
  }
}
