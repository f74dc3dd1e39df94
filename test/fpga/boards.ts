/** Simulated boards for tests: built once on a machine (fpga/sim/build.sh), one process each, gone with the test. */
import { rmSync } from "node:fs";
import type { Coherency } from "../../src/fpga/board.ts";
import { sharedMemoryPath } from "../../src/memory/names.ts";
import { Region } from "../../src/memory/region.ts";
import { boardDirectory } from "../../src/memory/register-file.ts";
import { uniqueName } from "../support/regions.ts";

const BUILD = new URL("../../fpga/sim/build.sh", import.meta.url).pathname;
const READY_MS = 20_000;

let built: { readonly directory: string } | { readonly missing: string } | undefined;

/** Directory of the programs `board` and `stub`, or why there is none. */
export function boardPrograms(
  stubOnly = false,
): { readonly directory: string } | { readonly missing: string } {
  if (built !== undefined) return built;
  const script = process.env["PHYSRING_FPGA_BUILD"] ?? BUILD;
  const result = Bun.spawnSync(["bash", script, ...(stubOnly ? ["--stub-only"] : [])], { stderr: "pipe" });
  const directory = result.stdout.toString().trim().split("\n").at(-1) ?? "";
  if (result.exitCode === 4) built = { missing: result.stderr.toString().trim() };
  else if (result.exitCode === 0) built = { directory };
  else throw new Error(`${script} failed:\n${result.stderr.toString()}`);
  return built;
}

export interface TestBoardOptions {
  readonly coherency?: Coherency;
  readonly seed?: number;
  /** `stub` completes at once and moves nothing. */
  readonly program?: "board" | "stub";
  readonly regionBytes?: number;
  readonly queueBytes?: number;
  readonly arguments?: readonly string[];
}

/** A region, a file for queue memory, and a board that has both. */
export class TestBoard implements AsyncDisposable {
  readonly name: string;
  readonly region: Region;
  readonly queueFile: string;
  readonly process: Bun.Subprocess<"ignore", "pipe", "pipe">;

  private constructor(
    name: string,
    region: Region,
    queueFile: string,
    process: Bun.Subprocess<"ignore", "pipe", "pipe">,
  ) {
    this.name = name;
    this.region = region;
    this.queueFile = queueFile;
    this.process = process;
  }

  static async start(options: TestBoardOptions = {}): Promise<TestBoard> {
    const programs = boardPrograms();
    if ("missing" in programs) throw new Error(programs.missing);
    const name = uniqueName("fpga");
    const region = Region.create(name, { size: options.regionBytes ?? 16 * 2 ** 20 });
    const queueFile = sharedMemoryPath(`${name}-queues`);
    await Bun.write(queueFile, new Uint8Array(options.queueBytes ?? 2 ** 20));
    const child = Bun.spawn(
      [
        `${programs.directory}/${options.program ?? "board"}`,
        name,
        "--region",
        name,
        "--memory",
        `${queueFile}:queue`,
        "--coherency",
        options.coherency ?? "full",
        "--with-parent",
        ...(options.seed === undefined ? [] : ["--seed", String(options.seed)]),
        ...(options.arguments ?? []),
      ],
      { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    );
    const board = new TestBoard(name, region, queueFile, child);
    try {
      await board.#ready();
    } catch (error) {
      await board[Symbol.asyncDispose]();
      throw error;
    }
    return board;
  }

  async #ready(): Promise<void> {
    const deadlineMs = performance.now() + READY_MS;
    while (!(await Bun.file(`${boardDirectory(this.name)}/registers`).exists())) {
      if (this.process.exitCode !== null)
        throw new Error(`the board ended: ${await new Response(this.process.stderr).text()}`);
      if (performance.now() > deadlineMs) throw new Error("the board does not come up");
      await Bun.sleep(5);
    }
  }

  /** Ends the board; what it printed at the end. Throws when it found a violation of the bus protocol. */
  async stop(): Promise<string> {
    this.process.kill("SIGTERM");
    const [status, output, errors] = await Promise.all([
      this.process.exited,
      new Response(this.process.stdout).text(),
      new Response(this.process.stderr).text(),
    ]);
    if (status !== 0) throw new Error(`the board ended with ${status}: ${errors}${output}`);
    return output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
    this.region.close();
    Region.destroy(this.name);
    rmSync(this.queueFile, { force: true });
    rmSync(boardDirectory(this.name), { recursive: true, force: true });
  }
}
