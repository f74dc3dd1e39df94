/** Starting this same file as a Worker on a CPU of its own. */
import { readlinkSync } from "node:fs";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import type { Job } from "../job.ts";

export { isMainThread };

export interface WorkerStart {
  readonly job: Job;
  /** Two buffers, or none. */
  readonly memory: { readonly there: SharedArrayBuffer; readonly back: SharedArrayBuffer } | null;
}

/** Starts `file` as a Worker; resolves when it is ready. */
export async function startWorker(file: string, start: WorkerStart): Promise<Worker> {
  const worker = new Worker(file, { workerData: start });
  await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  return worker;
}

/** What the main thread passed; pins this thread to the job's second CPU. */
export function workerStart(): WorkerStart {
  const start = workerData as WorkerStart;
  const threadId = readlinkSync("/proc/thread-self").split("/").at(-1)!;
  const pinned = Bun.spawnSync(["taskset", "-cp", String(start.job.secondCpu), threadId]);
  if (pinned.exitCode !== 0) throw new Error(`taskset: ${pinned.stderr.toString()}`);
  return start;
}
