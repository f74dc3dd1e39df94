/** Starts the two ends pinned to their CPUs, collects what they print, and leaves nothing behind. */
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync } from "node:fs";
import { Region } from "../src/memory/region.ts";
import type { Binaries } from "./build.ts";
import { FILE_BLOCKS_OFFSET } from "./file-layout.ts";
import type { Job, PeerResult } from "./job.ts";
import { createSharedRegion } from "./shared-region.ts";
import type { PeerCommand, System } from "./system.ts";

const TIMEOUT_MS = 60_000;

export interface RunResult {
  readonly peer: PeerResult;
  /** CPU time of all processes of the run. */
  readonly cpuMs: number;
}

/** A run gave a wrong checksum, an exit code or no result. */
export class RunError extends Error {
  override readonly name = "RunError";
}

/** Everything the benchmark starts or makes; disposing of it ends and removes all of that. */
export class Launcher implements Disposable {
  readonly #directory = `/dev/shm/physring-bench.${process.pid}`;
  readonly #running = new Set<Bun.Subprocess>();
  readonly #prefix: readonly string[];
  #count = 0;
  #disposed = false;

  /** @param niceness of the measured processes; negative ones need root */
  constructor(niceness: number) {
    this.#prefix = niceness === 0 ? [] : ["nice", "-n", String(niceness)];
    mkdirSync(this.#directory, { mode: 0o700 });
  }

  /** A path nobody has used before. */
  newFile(sizeBytes: number): string {
    const path = this.newPath();
    const fd = openSync(path, "wx+", 0o600);
    ftruncateSync(fd, sizeBytes);
    closeSync(fd);
    return path;
  }

  newPath(): string {
    return `${this.#directory}/${this.#count++}`;
  }

  newRegionName(): string {
    return `bench-${process.pid}-${this.#count++}`;
  }

  remove(path: string): void {
    for (const suffix of ["", ".ping", ".pong"]) rmSync(path + suffix, { force: true });
  }

  async start(peer: PeerCommand): Promise<{ result: PeerResult; cpuMs: number }> {
    if (this.#disposed) throw new RunError("the benchmark was stopped");
    const child = Bun.spawn([...this.#prefix, "taskset", "-c", String(peer.cpu), ...peer.command], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    this.#running.add(child);
    const [text, errors, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    this.#running.delete(child);
    const cpuMs = Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1000;
    const line = text.trim().split("\n").at(-1);
    if (code !== 0 || line === undefined || line === "") {
      throw new RunError(
        `${peer.role} (${peer.command[0]} ${peer.command[1]}): exit ${code ?? child.signalCode}: ${errors.trim()}`,
      );
    }
    return { result: JSON.parse(line) as PeerResult, cpuMs };
  }

  /** Ends all processes of a run of which one has failed. */
  killAll(): void {
    for (const child of this.#running) child.kill("SIGKILL");
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.killAll();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Files are made and removed around the run; `use` gets their name. */
async function withShared<T>(
  launcher: Launcher,
  system: System,
  job: Job,
  use: (name: string) => Promise<T>,
): Promise<T> {
  if (system.shared === "region") {
    const name = launcher.newRegionName();
    try {
      using _region = createSharedRegion({ ...job, name });
      return await use(name);
    } finally {
      Region.destroy(name);
    }
  }
  const blockBytes = job.kind === "frames" ? job.capacity * job.words * 4 : 0;
  const path =
    system.shared === "file" ? launcher.newFile(FILE_BLOCKS_OFFSET + blockBytes) : launcher.newPath();
  try {
    return await use(path);
  } finally {
    launcher.remove(path);
  }
}

/** Runs one system once and checks its checksum.
 * @throws RunError when an end failed or the consumer did not see what the producer sent */
export function runOnce(
  launcher: Launcher,
  system: System,
  job: Job,
  cpus: readonly [number, number],
  binaries: Binaries,
): Promise<RunResult> {
  return withShared(launcher, system, job, async (name) => {
    const peers = system.peers({ ...job, name }, cpus, binaries);
    const ends = await Promise.all(
      peers.map((peer) =>
        launcher.start(peer).catch((error: unknown) => {
          launcher.killAll();
          throw error;
        }),
      ),
    );
    const timed = ends.find((end) => end.result.ns !== undefined)?.result;
    if (timed === undefined) throw new RunError(`${system.id}: no end reported a time`);
    const sums = ends.map((end) => end.result.expected ?? end.result.checksum).concat(timed.checksum);
    if (new Set(sums).size !== 1) {
      throw new RunError(
        `${system.id}: checksums differ (${sums.join(", ")}): messages were lost or changed`,
      );
    }
    return { peer: timed, cpuMs: ends.reduce((sum, end) => sum + end.cpuMs, 0) };
  });
}
