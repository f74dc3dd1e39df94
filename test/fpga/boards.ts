/** Simulated boards for tests, each with a region of its own; gone with the test. */
import { closeSync, openSync, writeSync } from "node:fs";
import {
  buildSimulator,
  SimulatedBoard,
  type SimulationOptions,
  SimulatorMissingError,
} from "../../src/fpga/simulation.ts";
import { Region } from "../../src/memory/region.ts";
import { boardDirectory } from "../../src/memory/register-file.ts";
import { uniqueName } from "../support/regions.ts";

/** Null when boards can be run; else why not (no Verilator). */
export async function whyNoBoards(): Promise<string | null> {
  try {
    await buildSimulator();
    return null;
  } catch (error) {
    if (error instanceof SimulatorMissingError) return error.message;
    throw error;
  }
}

export interface TestBoardOptions extends Omit<Partial<SimulationOptions>, "region" | "name"> {
  readonly regionBytes?: number;
  /** Makes what is to be in the region before the board starts; more arguments of the board. */
  readonly prepare?: (region: Region) => readonly string[];
}

/** Signals by which tests end a board. */
const ENDED_BY_TESTS: readonly (NodeJS.Signals | number | null)[] = ["SIGKILL", "SIGTERM"];

/** In the agent's file, see PROTOCOL.md §10.9. */
const HOLD_OFFSET = 128;

export class TestBoard implements AsyncDisposable {
  readonly name: string;
  readonly where: string;
  readonly region: Region;
  readonly simulation: SimulatedBoard;

  private constructor(simulation: SimulatedBoard, region: Region) {
    this.name = simulation.name;
    this.where = simulation.where;
    this.simulation = simulation;
    this.region = region;
  }

  static async start(options: TestBoardOptions = {}): Promise<TestBoard> {
    const name = uniqueName("fpga");
    const region = Region.create(name, { size: options.regionBytes ?? 16 * 2 ** 20 });
    try {
      const more = [...(options.arguments ?? []), ...(options.prepare?.(region) ?? [])];
      // A violation of the bus protocol ends the board, and with that the test.
      const simulation = await SimulatedBoard.start({
        ...options,
        name,
        region,
        arguments: ["--fatal", ...more],
      });
      return new TestBoard(simulation, region);
    } catch (error) {
      region.close();
      Region.destroy(name);
      throw error;
    }
  }

  /** While it is held, the bus answers nothing (PROTOCOL.md §10.9, the agent's line for testers). */
  hold(on: boolean): void {
    const fd = openSync(`${boardDirectory(this.name)}/agent`, "r+");
    writeSync(fd, Uint8Array.of(on ? 1 : 0, 0, 0, 0), 0, 4, HOLD_OFFSET);
    closeSync(fd);
  }

  /** Ends {@link hold} after a while, also while this process waits synchronously. */
  releaseLater(seconds: number): Promise<unknown> {
    const write = `printf '\\000' | dd of=${boardDirectory(this.name)}/agent bs=1 seek=${HOLD_OFFSET} count=1 conv=notrunc`;
    return Bun.spawn(["sh", "-c", `sleep ${seconds}; ${write} 2>/dev/null`]).exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.region.close();
    Region.destroy(this.name);
    await this.simulation[Symbol.asyncDispose]();
    const { exitCode, signalCode } = this.simulation.process;
    if (exitCode === 0 || ENDED_BY_TESTS.includes(signalCode)) return;
    const report = await this.simulation.stop().catch(String);
    throw new Error(`board ${this.name} ended by itself with ${exitCode ?? signalCode}: ${report}`);
  }
}
