/** One run of the demo, from the parent's side: starts the processes, watches them, kills some on request, collects the results. */
import type { Backend } from "../../memory/names.ts";
import { Region } from "../../memory/region.ts";
import { Participant } from "../../ring/participant.ts";
import { Pool } from "../../ring/pool.ts";
import { ChaosMonkey } from "./chaos.ts";
import { ChildProcess } from "./child-process.ts";
import type { StreamFormat } from "./frame-source.ts";
import type { ChildMessage, DemoSettings, Role, SinkProgress, SinkReport, SourceReport } from "./messages.ts";
import { createRegion, type DemoRegion } from "./place.ts";
import { createObjects, createOutput, FRAME_POOL } from "./plan.ts";

export interface RunOptions {
  readonly settings: DemoSettings;
  readonly backend: Backend;
  readonly regionName: string | null;
  /** Mean time between kills of workers, in milliseconds; null: none is killed. */
  readonly chaosMs: number | null;
  readonly onFormat: (format: StreamFormat) => void;
  readonly onProgress: (progress: SinkProgress) => void;
}

export interface RunResult {
  readonly format: StreamFormat;
  readonly source: SourceReport;
  readonly sink: SinkReport;
  readonly killedWorkers: number;
  /** Blocks of the frame pool that somebody still held when all processes were gone. */
  readonly leakedBlocks: number;
  /** CPU time of all processes over wall time, 100 for one busy core. */
  readonly cpuPercent: number;
}

/** The user ended the run before there was a result. */
export class InterruptedError extends Error {}

/** After Ctrl-C the frames on their way get so long to arrive. */
const STOP_GRACE_MS = 3000;

export class DemoRun {
  readonly #options: RunOptions;
  readonly #children: ChildProcess[] = [];
  readonly #failure = Promise.withResolvers<never>();
  #demo: DemoRegion | null = null;
  #source: ChildProcess | null = null;
  #sink: ChildProcess | null = null;
  #nextWorker = 0;
  #ending = false;
  #stopping = false;

  constructor(options: RunOptions) {
    this.#options = options;
    // Whoever waits is told; that nobody waits at the moment is no crash.
    this.#failure.promise.catch(() => {});
  }

  /** Runs to the end of the stream. Whatever happens, no process and no file is left behind. @throws Error saying what went wrong */
  async run(): Promise<RunResult> {
    const startMs = performance.now();
    const { settings } = this.#options;
    try {
      this.#source = this.#spawn("source", 0);
      this.#sink = this.#spawn("sink", 0);
      const workers = Array.from({ length: settings.workers }, () =>
        this.#spawn("worker", this.#nextWorker++),
      );
      const { format } = await this.#orFailure(this.#source.expect("format"));
      this.#options.onFormat(format);
      const { backend, regionName } = this.#options;
      this.#demo = createRegion(backend, regionName, settings, format);
      const { region, place } = this.#demo;
      createObjects(region, settings, format.frameBytes);
      for (const child of [this.#sink, this.#source]) {
        child.send({ kind: "join", place });
        await this.#orFailure(child.expect("joined"));
      }
      await Promise.all(workers.map((worker) => this.#joinWorker(worker)));
      return await this.#stream(startMs, region, format);
    } finally {
      await this.#cleanUp();
    }
  }

  async #stream(startMs: number, region: Region, format: StreamFormat): Promise<RunResult> {
    const { settings, chaosMs } = this.#options;
    this.#source!.send({ kind: "start", consumers: settings.workers + (settings.fanout ? 1 : 0) });
    if (this.#stopping) this.#source!.send({ kind: "stop" });
    const chaos = chaosMs === null ? null : this.#startChaos(region, chaosMs);
    const { report: sink } = await this.#orFailure(this.#sink!.expect("sink"));
    const { report: source } = await this.#orFailure(this.#source!.expect("source"));
    this.#ending = true;
    await chaos?.stop();
    await this.#orFailure(Promise.all(this.#children.map((child) => this.#goneAfterLast(child))));
    const wallMs = performance.now() - startMs;
    return {
      format,
      source,
      sink,
      killedWorkers: chaos?.killed ?? 0,
      leakedBlocks: countLeaked(region),
      cpuPercent: (this.#cpuMs() / wallMs) * 100,
    };
  }

  /** A worker whose stream has ended normally says so and goes; a stalled one is killed. */
  async #goneAfterLast(child: ChildProcess): Promise<void> {
    const timer = setTimeout(() => child.kill(), STOP_GRACE_MS);
    await child.exited();
    clearTimeout(timer);
  }

  #cpuMs(): number {
    const own = process.cpuUsage();
    const children = this.#children.reduce((sum, child) => sum + child.cpuMicroseconds, 0);
    return (own.user + own.system + children) / 1000;
  }

  #spawn(role: Role, worker: number): ChildProcess {
    const stdin = role === "source" && this.#options.settings.input === "-";
    const child = new ChildProcess(role, worker, stdin, (message) => this.#received(child, message));
    this.#children.push(child);
    child.send({ kind: "settings", settings: this.#options.settings, worker });
    void child.exited().then((how) => this.#exited(child, how));
    return child;
  }

  #received(child: ChildProcess, message: ChildMessage): void {
    if (message.kind === "failed") {
      this.#failure.reject(
        new Error(child.role === "source" ? message.error : `${child.label}: ${message.error}`),
      );
    } else if (message.kind === "worker") {
      this.#sink?.send({ kind: "done", worker: child.worker });
    } else if (message.kind === "progress") {
      this.#options.onProgress(message.progress);
    }
  }

  #exited(child: ChildProcess, how: string): void {
    if (child.finished || child.killed || this.#ending) return;
    // The terminal's Ctrl-C reached a child that did not listen yet.
    if (how === "SIGINT" || how === "SIGHUP") this.#failure.reject(new InterruptedError("interrupted"));
    this.#failure.reject(new Error(`${child.label} (process ${child.pid}) ended unexpectedly: ${how}`));
  }

  /** The sink listens before the worker speaks. */
  async #joinWorker(worker: ChildProcess): Promise<void> {
    const { region, place } = this.#demo!;
    createOutput(region, this.#options.settings, worker.worker);
    this.#sink!.send({ kind: "open", worker: worker.worker });
    worker.send({ kind: "join", place });
    const { attachment } = await this.#orFailure(worker.expect("joined"));
    this.#sink!.send({ kind: "introduce", worker: worker.worker, attachment });
  }

  #startChaos(region: Region, meanMs: number): ChaosMonkey {
    const chaos = new ChaosMonkey({
      region,
      meanMs,
      sink: this.#sink!,
      victims: () =>
        this.#children.filter((child) => child.role === "worker" && child.running && !child.finished),
      isOver: () => this.#ending || this.#stopping || this.#source!.finished,
      replace: () => {
        const worker = this.#spawn("worker", this.#nextWorker++);
        this.#joinWorker(worker).catch((error) => this.#failure.reject(error));
      },
    });
    chaos.run().catch((error) => this.#failure.reject(error));
    return chaos;
  }

  #orFailure<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#failure.promise]);
  }

  /** Ctrl-C: the source stops, and the run ends as soon as what is on its way has arrived. A second time: at once. */
  interrupt(): void {
    if (this.#stopping || this.#demo === null) {
      this.#failure.reject(new InterruptedError("interrupted"));
      return;
    }
    this.#stopping = true;
    this.#source?.send({ kind: "stop" });
    setTimeout(() => this.#failure.reject(new InterruptedError("interrupted")), STOP_GRACE_MS).unref();
  }

  async #cleanUp(): Promise<void> {
    this.#ending = true;
    for (const child of this.#children) if (child.running) child.kill();
    await Promise.all(this.#children.map((child) => child.exited()));
    if (this.#demo === null) return;
    const { region, place } = this.#demo;
    region.close();
    if (place.destroyName !== null) Region.destroy(place.destroyName);
  }
}

function countLeaked(region: Region): number {
  Participant.of(region).recoverDead();
  const pool = Pool.open(region, FRAME_POOL);
  return pool.geometry.blockCount - pool.countFree();
}
