/**
 * Starting a simulated board: builds fpga/sim (once for each version of its sources) and runs it as a child process that ends with this one. What
 * uses it afterwards is the same code as for hardware:
 *
 *     await using simulation = await SimulatedBoard.start({ name: "demo", region });
 *     using core = Core.open(simulation.where);
 */
import { rmSync } from "node:fs";
import { PhysringError } from "../ffi/errors.ts";
import { sharedMemoryPath } from "../memory/names.ts";
import type { Region } from "../memory/region.ts";
import { boardDirectory } from "../memory/register-file.ts";
import type { Coherency } from "./board.ts";

/** The simulator's compiler is missing, or what it compiles is. `remedy` is the line to type. */
export class SimulatorMissingError extends PhysringError {
  constructor(message: string) {
    super("SIMULATOR_MISSING", message);
  }
}

const BUILD_SCRIPT = new URL("../../fpga/sim/build.sh", import.meta.url).pathname;
const MISSING_PACKAGES_STATUS = 4;
const READY_LIMIT_MS = 30_000;
const QUEUE_MEMORY_BYTES = 2 ** 20;

export interface BuildOptions {
  /** Install missing system packages with apt (root) instead of saying which. */
  readonly installDeps?: boolean;
  /** Parameters of the core, `NAME=VALUE`, see fpga/rtl/physring_core.sv. */
  readonly parameters?: readonly string[];
}

/** By parameters: what this process has built, or found built. */
const built = new Map<string, Promise<string>>();

/** Builds the simulator, once in a process and once on a machine; returns the directory of its programs. @throws SimulatorMissingError */
export function buildSimulator(options: BuildOptions = {}): Promise<string> {
  const key = (options.parameters ?? []).join(" ");
  let result = built.get(key);
  if (result === undefined) {
    result = build(options);
    built.set(key, result);
    // A failed build may be tried again.
    result.catch(() => built.delete(key));
  }
  return result;
}

async function build(options: BuildOptions): Promise<string> {
  const script = Bun.spawn(
    ["bash", BUILD_SCRIPT, ...(options.installDeps ? ["--install-deps"] : []), ...(options.parameters ?? [])],
    {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  const [status, output, errors] = await Promise.all([
    script.exited,
    new Response(script.stdout).text(),
    new Response(script.stderr).text(),
  ]);
  if (status === MISSING_PACKAGES_STATUS) throw new SimulatorMissingError(errors.trim());
  if (status !== 0) throw new PhysringError("SIMULATOR_BUILD", `${BUILD_SCRIPT} failed:\n${errors.trim()}`);
  return output.trim().split("\n").at(-1)!;
}

export interface SimulationOptions extends BuildOptions {
  /** Name of the board: `board:NAME` is where it is found. */
  readonly name: string;
  /** The region that it shares. */
  readonly region: Region;
  /** `full` (default): caches and device see the same bytes; `io`: queue memory is weakly ordered; `none`: payload is behind a cache as well. */
  readonly coherency?: Coherency;
  readonly seed?: number;
  /** `stub`: completes at once and moves no data, for measuring the host. */
  readonly program?: "board" | "stub";
  /** More options of the program, see its usage. */
  readonly arguments?: readonly string[];
}

export class SimulatedBoard implements AsyncDisposable {
  readonly name: string;
  /** For Core.open. */
  readonly where: string;
  /** The file of the queues' memory. */
  readonly queueMemory: string;
  readonly process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  #output: Promise<[number, string, string]>;
  /** For programs that end with `process.exit`. */
  readonly #onExit = (): void => this.#removeFiles();

  private constructor(name: string, queueMemory: string, process: Bun.Subprocess<"ignore", "pipe", "pipe">) {
    this.name = name;
    this.where = `board:${name}`;
    this.queueMemory = queueMemory;
    this.process = process;
    this.#output = Promise.all([
      process.exited,
      new Response(process.stdout).text(),
      new Response(process.stderr).text(),
    ]);
    globalThis.process.on("exit", this.#onExit);
  }

  /** @throws SimulatorMissingError; PhysringError when it does not come up */
  static async start(options: SimulationOptions): Promise<SimulatedBoard> {
    const programs = await buildSimulator(options);
    const queueMemory = sharedMemoryPath(`${options.name}-queues`);
    await Bun.write(queueMemory, new Uint8Array(QUEUE_MEMORY_BYTES));
    const child = Bun.spawn(
      [
        `${programs}/${options.program ?? "board"}`,
        options.name,
        ...["--memory", `${options.region.path}:payload`],
        ...["--memory", `${queueMemory}:queue`],
        ...["--coherency", options.coherency ?? "full"],
        ...(options.seed === undefined ? [] : ["--seed", String(options.seed)]),
        "--with-parent",
        ...(options.arguments ?? []),
      ],
      // Ctrl-C is the parent's to handle: it ends the board when it is done with it.
      { stdin: "ignore", stdout: "pipe", stderr: "pipe", detached: true },
    );
    const board = new SimulatedBoard(options.name, queueMemory, child);
    try {
      await board.#ready();
    } catch (error) {
      await board[Symbol.asyncDispose]();
      throw error;
    }
    return board;
  }

  async #ready(): Promise<void> {
    const deadlineMs = performance.now() + READY_LIMIT_MS;
    while (!(await Bun.file(`${boardDirectory(this.name)}/registers`).exists())) {
      if (this.process.exitCode !== null)
        throw new PhysringError("SIMULATOR_FAILED", `the board ended: ${(await this.#output)[2].trim()}`);
      if (performance.now() > deadlineMs)
        throw new PhysringError("SIMULATOR_FAILED", `the board did not come up within ${READY_LIMIT_MS} ms`);
      await Bun.sleep(5);
    }
  }

  /** Ends the board; what it printed, its report last. @throws PhysringError when it found a violation of the bus protocol */
  async stop(): Promise<string> {
    this.process.kill("SIGTERM");
    const [status, output, errors] = await this.#output;
    if (status !== 0)
      throw new PhysringError("SIMULATOR_FAILED", `the board ended with ${status}: ${errors}${output}`);
    return output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // SIGTERM, so that it removes its directory; whatever then is left goes here.
    this.process.kill("SIGTERM");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), 2000);
    await this.process.exited;
    clearTimeout(timer);
    globalThis.process.off("exit", this.#onExit);
    this.#removeFiles();
  }

  #removeFiles(): void {
    rmSync(this.queueMemory, { force: true });
    rmSync(boardDirectory(this.name), { recursive: true, force: true });
  }
}
