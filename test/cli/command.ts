/** Runs `physring` and other scripts as a user would, with a shared-memory directory of their own. */
import { expect } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";

const ROOT = `${import.meta.dir}/../..`;
export const PHYSRING = `${ROOT}/src/cli/physring.ts`;
/** A run that needs longer hangs. */
const LIMIT_MS = 60_000;

/** A directory on the shared-memory file system in place of /dev/shm. Empty at the end, or the test fails; jobs still running are killed. */
export class SharedDirectory implements Disposable {
  readonly path = mkdtempSync("/dev/shm/physring-test-cli-");
  readonly jobs: Job[] = [];

  files(): string[] {
    return readdirSync(this.path);
  }

  [Symbol.dispose](): void {
    for (const job of this.jobs) if (isRunning(job.pid)) job.signalGroup("SIGKILL");
    const left = this.files();
    rmSync(this.path, { recursive: true });
    expect(left).toEqual([]);
  }
}

export interface Finished {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process that leads a process group, as a job of an interactive shell does. */
export class Job {
  readonly process: ChildProcess;
  readonly finished: Promise<Finished>;
  stdout = "";
  stderr = "";

  constructor(
    script: string,
    args: readonly string[],
    options: { shm?: SharedDirectory; env?: Record<string, string> } = {},
  ) {
    const shm = options.shm === undefined ? {} : { PHYSRING_SHM_DIR: options.shm.path };
    this.process = spawn(process.execPath, [script, ...args], {
      detached: true,
      env: { ...process.env, ...shm, ...options.env },
    });
    options.shm?.jobs.push(this);
    this.process.stdout!.on("data", (chunk) => {
      this.stdout += chunk;
    });
    this.process.stderr!.on("data", (chunk) => {
      this.stderr += chunk;
    });
    const timer = setTimeout(() => this.signalGroup("SIGKILL"), LIMIT_MS);
    this.finished = new Promise((resolve) => {
      this.process.on("close", (code, signal) => {
        clearTimeout(timer);
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  get pid(): number {
    return this.process.pid!;
  }

  /** To all processes of the job, as a terminal does for Ctrl-C. */
  signalGroup(signal: NodeJS.Signals): void {
    process.kill(-this.pid, signal);
  }

  /** Ids of the processes that this one started and that still run. */
  children(): number[] {
    return readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, "latin1")
      .split(" ")
      .filter(Boolean)
      .map(Number);
  }
}

/** Runs `physring ARGS` to its end. */
export function physring(
  args: readonly string[],
  shm?: SharedDirectory,
  input?: Uint8Array | string,
): Promise<Finished> {
  const job = new Job(PHYSRING, args, shm === undefined ? {} : { shm });
  if (input !== undefined) {
    // The command may end before it has read everything.
    job.process.stdin!.on("error", () => {});
    job.process.stdin!.end(input);
  }
  return job.finished;
}

/** What `physring demo --json` prints. */
export interface DemoReport {
  readonly frames: number;
  readonly delivered: number;
  readonly lost: number;
  readonly dropped: number;
  readonly droppedWithWorkers: number;
  readonly duplicated: number;
  readonly corrupted: number;
  readonly misordered: number;
  readonly framesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly latencyNs: {
    readonly p50: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
  };
  readonly workers: number;
  readonly backend: string;
  readonly policy: string;
  readonly cpuPercent: number;
  readonly refusals: number;
  readonly killedWorkers: number;
  readonly leakedBlocks: number;
  readonly colorSpace: string;
  readonly width: number;
  readonly height: number;
  readonly interrupted: boolean;
  readonly errors: readonly string[];
}

/** Small frames, JSON. Checks what must hold of every run that ends by itself or by Ctrl-C. */
export async function demo(
  args: readonly string[],
  shm: SharedDirectory,
): Promise<Finished & { report: DemoReport }> {
  const finished = await physring(["demo", "--json", ...args], shm);
  if (finished.stdout.trim() === "")
    throw new Error(`no JSON; exit code ${finished.code}: ${finished.stderr}`);
  const report = JSON.parse(finished.stdout) as DemoReport;
  expect(report.frames).toBe(report.delivered + report.dropped + report.lost);
  expect(report.lost).toBe(0);
  expect(report.duplicated).toBe(0);
  expect(report.misordered).toBe(0);
  expect(report.leakedBlocks).toBe(0);
  return { ...finished, report };
}

/** Resolves when `condition` holds; fails after the limit. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + LIMIT_MS;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`did not happen: ${what}`);
    await Bun.sleep(10);
  }
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ");
  } catch {
    return false;
  }
}
