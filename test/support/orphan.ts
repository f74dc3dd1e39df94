/** Helper processes of a test end with the test, however that ends. */
import { readdirSync, readFileSync } from "node:fs";
import { Region } from "../../src/memory/region.ts";

const CHECK_MS = 500;
/** Environment variable in which a runner tells its helpers its pid. */
export const RUNNER_VARIABLE = "PHYSRING_TEST_RUNNER";

/** Looks now and then whether the runner lives; when not, ends the helpers of the run (stopped ones as well) and removes its regions. */
export class OrphanGuard {
  readonly #regions: readonly string[];
  readonly #marker: string;
  readonly #runner = Number(process.env[RUNNER_VARIABLE] ?? process.ppid);
  #nextMs = 0;

  /** @param marker a name that is in the command line of every helper of this run, and of nobody else */
  constructor(regions: readonly string[], marker: string) {
    this.#regions = regions;
    this.#marker = marker;
    setInterval(() => this.check(), CHECK_MS).unref();
  }

  /** For helpers whose event loop stands still. */
  check(): void {
    const nowMs = performance.now();
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + CHECK_MS;
    if (process.ppid === this.#runner) return;
    // First this: a sibling that noticed at the same moment may end us next.
    for (const name of this.#regions) Region.destroy(name);
    for (const pid of this.#siblings()) process.kill(pid, "SIGKILL");
    process.exit(9);
  }

  #siblings(): number[] {
    return readdirSync("/proc")
      .map(Number)
      .filter((pid) => pid > 0 && pid !== process.pid && this.#isSibling(pid));
  }

  #isSibling(pid: number): boolean {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`"${this.#marker}"`);
    } catch {
      return false;
    }
  }
}
