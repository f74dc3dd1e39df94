/** Ctrl-C, and processes that are killed: nothing goes on running, nothing stays in shared memory. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { type DemoReport, isRunning, Job, PHYSRING, physring, SharedDirectory, until } from "./command.ts";

setDefaultTimeout(90_000);

const ENDLESS = ["demo", "--json", "--size", "64x48", "--workers", "2", "--frames", "6000", "--rate", "100"];

interface ListedRegion {
  readonly objects: readonly { readonly name: string; readonly counters?: { readonly published: number } }[];
}

/** Starts a run; resolves when frames flow, with the ids of all its processes. */
async function streaming(
  shm: SharedDirectory,
  args: readonly string[] = ENDLESS,
): Promise<{ job: Job; pids: number[] }> {
  const job = new Job(PHYSRING, args, { shm });
  for (let flows = false; !flows; ) {
    const { stdout } = await physring(["ls", "--json"], shm);
    const regions = JSON.parse(stdout) as ListedRegion[];
    flows = regions.some(({ objects }) =>
      objects.some(({ name, counters }) => name === "out.0" && (counters?.published ?? 0) > 3),
    );
  }
  return { job, pids: [job.pid, ...job.children()] };
}

/** Process id of worker 1. */
async function workerPid(shm: SharedDirectory): Promise<number> {
  const { stdout } = await physring(["ls", "--json"], shm);
  const [region] = JSON.parse(stdout) as { participants: { pid: number; name: string }[] }[];
  return region!.participants.find(({ name }) => name === "demo worker 1")!.pid;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} to the whole job: the stream ends, the report comes, all processes are gone`, async () => {
    using shm = new SharedDirectory();
    const { job, pids } = await streaming(shm);
    expect(pids).toHaveLength(5);
    if (signal === "SIGINT") job.signalGroup(signal);
    else process.kill(job.pid, signal);
    const { code, stdout } = await job.finished;
    expect(code).toBe(signal === "SIGINT" ? 130 : 143);
    const report = JSON.parse(stdout) as DemoReport;
    expect(report).toMatchObject({
      interrupted: true,
      lost: 0,
      duplicated: 0,
      corrupted: 0,
      leakedBlocks: 0,
      errors: [],
    });
    expect(report.delivered).toBe(report.frames);
    expect(pids.filter(isRunning)).toEqual([]);
  });
}

test("Ctrl-C while the input has nothing to say", async () => {
  using shm = new SharedDirectory();
  const job = new Job(PHYSRING, ["demo", "--json", "--input", "-"], { shm });
  job.process.stdin!.write("YUV4MPEG2 W16 H16 F30:1 C420jpeg\nFRAME\n");
  await until("the region is there", () => shm.files().length > 0);
  const pids = [job.pid, ...job.children()];
  job.signalGroup("SIGINT");
  const { code, stderr } = await job.finished;
  expect([code, stderr]).toEqual([130, expect.any(String)]);
  expect(pids.filter(isRunning)).toEqual([]);
});

test("a second Ctrl-C does not wait for a worker that is stuck", async () => {
  using shm = new SharedDirectory();
  const { job, pids } = await streaming(shm);
  process.kill(await workerPid(shm), "SIGSTOP");
  await until("the demo is gone", () => {
    if (isRunning(job.pid)) process.kill(job.pid, "SIGINT");
    return job.process.exitCode !== null;
  });
  expect((await job.finished).code).toBe(130);
  expect(pids.filter(isRunning)).toEqual([]);
});

test("the parent is killed: its children notice, end, and take the region away", async () => {
  using shm = new SharedDirectory();
  const { job, pids } = await streaming(shm);
  process.kill(job.pid, "SIGKILL");
  await job.finished;
  await until("all processes are gone", () => !pids.some(isRunning));
  expect(shm.files()).toEqual([]);
});

test("everybody is killed: the next run clears away", async () => {
  using shm = new SharedDirectory();
  const { job, pids } = await streaming(shm);
  job.signalGroup("SIGKILL");
  await job.finished;
  await until("all processes are gone", () => !pids.some(isRunning));
  const [region] = JSON.parse((await physring(["ls", "--json"], shm)).stdout) as {
    participants: { alive: boolean }[];
  }[];
  expect(region!.participants.map(({ alive }) => alive)).toEqual([false, false, false, false]);
  const { code } = await physring(["demo", "--size", "64x48", "--frames", "5"], shm);
  expect(code).toBe(0);
});

test("a worker that is killed without --chaos is an error, not a hang", async () => {
  using shm = new SharedDirectory();
  const { job, pids } = await streaming(shm);
  const worker = await workerPid(shm);
  process.kill(worker, "SIGKILL");
  const { code, stderr } = await job.finished;
  expect(code).toBe(1);
  expect(stderr).toContain(`worker 1 (process ${worker}) ended unexpectedly: SIGKILL`);
  expect(pids.filter(isRunning)).toEqual([]);
});

test("a second run under the same name is refused and does not disturb the first", async () => {
  using shm = new SharedDirectory();
  const { job } = await streaming(shm, [...ENDLESS, "--region", "shared"]);
  const second = await physring(["demo", "--region", "shared", "--size", "64x48"], shm);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain("shared is in use");
  expect(isRunning(job.pid)).toBe(true);
  job.signalGroup("SIGINT");
  const { code, stdout } = await job.finished;
  expect(code).toBe(130);
  expect(JSON.parse(stdout)).toMatchObject({ lost: 0, errors: [] });
});
