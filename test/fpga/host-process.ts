/** A host process (cosim-host.ts) as whoever started it sees it. */
import { Patience } from "../support/patience.ts";
import type { HostPlan } from "./cosim-host.ts";
import { NOTHING_DONE, type Tally } from "./tally.ts";

const HOST = new URL("./cosim-host.ts", import.meta.url).pathname;
const SILENCE_LIMIT_MS = 60_000;

/** One host process until it is done, or dead. */
export class HostProcess {
  readonly #process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly ended: Promise<void>;
  tally: Tally = { ...NOTHING_DONE, done: false };
  readonly #patience = new Patience(SILENCE_LIMIT_MS);
  killed = false;

  constructor(plan: HostPlan) {
    this.#process = Bun.spawn([process.execPath, HOST, JSON.stringify(plan)], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.ended = this.#follow();
  }

  async #follow(): Promise<void> {
    let rest = "";
    for await (const chunk of this.#process.stdout) {
      const lines = (rest + new TextDecoder().decode(chunk)).split("\n");
      rest = lines.pop()!;
      const last = lines.at(-1);
      if (last !== undefined) this.tally = JSON.parse(last) as Tally;
      this.#patience.renew();
    }
    const status = await this.#process.exited;
    if (!this.killed && (status !== 0 || !this.tally.done)) {
      throw new Error(
        `a host ended with ${status} after ${this.tally.submitted} commands: ${await new Response(this.#process.stderr).text()}`,
      );
    }
  }

  get silent(): boolean {
    return this.#patience.isOver;
  }

  /** Asks it to be done soon. */
  finish(): void {
    this.#process.kill("SIGTERM");
  }

  kill(): void {
    this.killed = true;
    this.#process.kill("SIGKILL");
  }
}
