/** Builds the C programs of the tests, and runs them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = new URL("../../", import.meta.url).pathname;
const STRICT = ["-O2", "-Wall", "-Wextra", "-Werror", `-I${ROOT}include`, `-I${ROOT}examples/c`];

export const C_COMPILER = Bun.which("cc") ?? Bun.which("gcc") ?? Bun.which("clang");
export const CXX_COMPILER = Bun.which("c++") ?? Bun.which("g++") ?? Bun.which("clang++");

/** Prints what cannot be tested here and the line that changes it. */
export function announceSkip(what: string, packages: string): void {
  console.warn(`SKIPPED: ${what}; apt-get install -y --no-install-recommends ${packages}`);
}

export type JsonObject = Readonly<Record<string, number | string>>;

/** A temporary directory with programs; it goes when this is disposed. */
export class Programs implements Disposable {
  #directory: string | undefined;

  /** Compiles `source` (a path in the repository) with -std=c11 and all warnings as errors. Throws with the compiler's output. */
  build(source: string, ...flags: readonly string[]): string {
    return this.#compile(C_COMPILER!, "-std=c11", source, flags);
  }

  buildCxx(source: string, ...flags: readonly string[]): string {
    return this.#compile(CXX_COMPILER!, "-std=c++11", source, ["-x", "c++", ...flags]);
  }

  #compile(compiler: string, standard: string, source: string, flags: readonly string[]): string {
    this.#directory ??= mkdtempSync(join(tmpdir(), "physring-c-"));
    const program = join(this.#directory, `${source.replace(/.*\/|\.c$/g, "")}${standard}`);
    const command = [compiler, standard, ...STRICT, ...flags, "-o", program, join(ROOT, source)];
    const { exitCode, stderr } = Bun.spawnSync(command, { stderr: "pipe" });
    if (exitCode !== 0) throw new Error(`${command.join(" ")}\n${stderr}`);
    return program;
  }

  [Symbol.dispose](): void {
    if (this.#directory !== undefined) rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** A process of the test; killed when disposed. */
export class Run implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #ended: Promise<void>;
  readonly #heard: (() => void)[] = [];
  #output = "";
  readonly #complaints: Promise<string>;

  constructor(program: string, ...args: readonly (string | number)[]) {
    const command = program.endsWith(".ts") ? [process.execPath, program] : [program];
    this.#process = Bun.spawn([...command, ...args.map(String)], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#ended = this.#listen();
    this.#complaints = new Response(this.#process.stderr).text();
  }

  get pid(): number {
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  async #listen(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#process.stdout) {
      this.#output += decoder.decode(chunk, { stream: true });
      for (const heard of this.#heard.splice(0)) heard();
    }
    await this.#process.exited;
    for (const heard of this.#heard.splice(0)) heard();
  }

  /** Resolves once it has printed `line`, which then no longer counts as output; rejects when it ended before. */
  async says(line: string): Promise<void> {
    while (!this.#output.startsWith(`${line}\n`)) {
      if (!this.running) throw new Error(`ended without saying ${line}: ${await this.#complaints}`);
      await new Promise<void>((resolve) => this.#heard.push(resolve));
    }
    this.#output = this.#output.slice(line.length + 1);
  }

  write(text: string): void {
    this.#process.stdin.write(text);
    this.#process.stdin.flush();
  }

  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }

  /** What it printed, after its end. */
  async output(): Promise<string> {
    await this.#ended;
    return this.#output;
  }

  /** What it printed, after its end, as JSON; throws with its complaints when it is none. */
  async result(): Promise<JsonObject> {
    const output = await this.output();
    try {
      return JSON.parse(output) as JsonObject;
    } catch (cause) {
      const complaints = await this.#complaints;
      throw new Error(`${this.#process.exitCode ?? this.#process.signalCode}: ${output}${complaints}`, {
        cause,
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) await this.kill();
  }
}

export const TYPESCRIPT_PEER = join(ROOT, "test/c/peer.ts");
