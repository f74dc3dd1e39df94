/** Processes that take part in a region, to be killed or to survive. */
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import type { DeathEvent } from "../../src/ring/deaths.ts";
import { lines } from "../support/lines.ts";
import { Patience } from "../support/patience.ts";

const SURVIVOR = new URL("fixtures/survivor.ts", import.meta.url).pathname;
const STOPPING_CLEANER = new URL("fixtures/stopping-cleaner.ts", import.meta.url).pathname;
const started: Survivor[] = [];

/** After each test: however it went, nobody is left. */
export async function endSurvivors(): Promise<void> {
  await Promise.all(started.splice(0).map((survivor) => survivor.kill()));
}

/** One process of fixtures/survivor.ts, or, `stop …`, of stopping-cleaner.ts; `wrap` is a command that runs it. */
export class Survivor {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;
  participant = -1;

  private constructor(region: string, mode: string, wrap: readonly string[]) {
    const [first, ...rest] = mode.split(" ");
    const program =
      first === "stop" ? [STOPPING_CLEANER, region, ...rest] : [SURVIVOR, region, first!, ...rest];
    this.#process = Bun.spawn([...wrap, process.execPath, ...program], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    this.#lines = lines(this.#process.stdout);
    started.push(this);
  }

  static async start(region: string, mode: string, wrap: readonly string[] = []): Promise<Survivor> {
    const survivor = new Survivor(region, mode, wrap);
    const line = await survivor.#next();
    survivor.participant = Number(/^ready (\d+)$/.exec(line)?.[1]);
    expect(line).toStartWith("ready ");
    return survivor;
  }

  get pid(): number {
    return this.#process.pid;
  }

  async #next(): Promise<string> {
    const { value, done } = await this.#lines.next();
    return done ? "" : value;
  }

  /** The next death it is told of. */
  async death(): Promise<DeathEvent & { notices: { events: boolean; reason: string | null } }> {
    return JSON.parse(await this.#next());
  }

  /** Everything it prints until it ends. */
  async end(): Promise<string> {
    this.#process.stdin.end();
    let text = "";
    for (let line = await this.#next(); line !== ""; line = await this.#next()) text += line;
    await this.#process.exited;
    return text;
  }

  /** Resolves when it has stopped (SIGSTOP). */
  async stopped(): Promise<void> {
    const state = (): string | undefined =>
      readFileSync(`/proc/${this.pid}/stat`, "utf8").split(") ")[1]?.[0];
    for (const patience = new Patience(10_000); state() !== "T"; await Bun.sleep(1))
      if (patience.isOver) throw new Error(`process ${this.pid} is in state ${state()}, not stopped`);
  }

  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}
