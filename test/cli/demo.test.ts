/** The main job, end to end: real processes, small frames. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { demo, physring, SharedDirectory } from "./command.ts";

setDefaultTimeout(90_000);

const SMALL = ["--size", "64x48"];

test("each frame to one worker: everything arrives, the object has the promised keys", async () => {
  using shm = new SharedDirectory();
  const { code, report, stdout } = await demo([...SMALL, "--frames", "60", "--workers", "2"], shm);
  expect(code).toBe(0);
  expect(report).toMatchObject({
    frames: 60,
    delivered: 60,
    dropped: 0,
    corrupted: 0,
    workers: 2,
    backend: "shm",
    policy: "block",
    errors: [],
  });
  expect(Object.keys(report).slice(0, 12)).toEqual(
    "frames,lost,dropped,duplicated,corrupted,framesPerSecond,bytesPerSecond,latencyNs,workers,backend,policy,cpuPercent".split(
      ",",
    ),
  );
  const { p50, p99, p999, max } = report.latencyNs;
  expect(p50).toBeGreaterThan(0);
  expect([p50, p99, p999, max]).toEqual([p50, p99, p999, max].sort((a, b) => a - b));
  expect(report.cpuPercent).toBeGreaterThan(0);
  expect(report.bytesPerSecond / report.framesPerSecond).toBeCloseTo(64 * 48 * 1.5, -1);
  expect(stdout.trim().split("\n")).toHaveLength(1);
});

test("--fanout: every worker and the sink see every frame", async () => {
  using shm = new SharedDirectory();
  const { code, report } = await demo([...SMALL, "--frames", "60", "--workers", "3", "--fanout"], shm);
  expect(code).toBe(0);
  expect(report).toMatchObject({ frames: 60, delivered: 60, dropped: 0, workers: 3 });
});

test("memfd: no name, no leftovers", async () => {
  using shm = new SharedDirectory();
  const { code, report } = await demo(
    [...SMALL, "--frames", "30", "--backend", "memfd", "--workers", "1"],
    shm,
  );
  expect(code).toBe(0);
  expect(report).toMatchObject({ delivered: 30, backend: "memfd" });
});

test("the summary says what happened, and --rate keeps to it", async () => {
  using shm = new SharedDirectory();
  const startMs = performance.now();
  const { code, stdout } = await physring(["demo", ...SMALL, "--frames", "20", "--rate", "50"], shm);
  // 20 frames at 50 a second: the last is due 380 ms after the first.
  expect(performance.now() - startMs).toBeGreaterThan(380);
  expect(code).toBe(0);
  expect(stdout).toContain("20 delivered, 0 dropped, 0 lost");
  expect(stdout).toContain("every frame arrived once, in order, intact");
});

test("policy fail: refused frames are tried again, nothing is dropped", async () => {
  using shm = new SharedDirectory();
  const { code, report } = await demo(
    [...SMALL, "--frames", "300", "--policy", "fail", "--workers", "1"],
    shm,
  );
  expect(code).toBe(0);
  expect(report).toMatchObject({ delivered: 300, dropped: 0, policy: "fail" });
  expect(report.refusals).toBeGreaterThan(0);
});

for (const policy of ["drop-newest", "drop-oldest"]) {
  for (const mode of [[], ["--fanout"]]) {
    test(`policy ${policy} ${mode}: what is missing was dropped and counted`, async () => {
      using shm = new SharedDirectory();
      const { code, report } = await demo(
        [...SMALL, "--frames", "400", "--policy", policy, "--workers", "1", ...mode],
        shm,
      );
      expect(code).toBe(0);
      expect(report).toMatchObject({ frames: 400, policy, errors: [] });
      expect(report.dropped).toBeGreaterThan(0);
      expect(report.delivered).toBeGreaterThan(0);
    });
  }
}

for (const mode of [[], ["--fanout"]]) {
  test(`a byte flipped on the way is noticed ${mode}`, async () => {
    using shm = new SharedDirectory();
    const { code, report } = await demo([...SMALL, "--frames", "20", "--corrupt-frame", "7", ...mode], shm);
    expect(code).toBe(1);
    expect(report).toMatchObject({ corrupted: 1, delivered: 20 });
    expect(report.errors[0]).toContain("1 frame corrupted");
  });
}

// Workers must be busy when they die: as fast as it goes, or with policy drop-oldest faster than it goes.
const BUSY = ["--size", "320x240", "--chaos"];
for (const args of [
  ["--workers", "2", "--frames", "1500", "--chaos-ms", "60"],
  ["--workers", "1", "--frames", "1500", "--chaos-ms", "60"],
  ["--workers", "2", "--frames", "1000", "--chaos-ms", "60", "--fanout"],
  ["--workers", "2", "--frames", "1000", "--chaos-ms", "60", "--policy", "drop-oldest", "--rate", "1500"],
]) {
  test(`--chaos ${args.join(" ")}: workers die, the books stay right, all blocks come back`, async () => {
    using shm = new SharedDirectory();
    const { code, report } = await demo([...BUSY, ...args], shm);
    expect(code).toBe(0);
    expect(report.errors).toEqual([]);
    expect(report.killedWorkers).toBeGreaterThan(0);
    expect(report.delivered).toBeGreaterThan(0);
    if (args.includes("--policy")) return;
    expect(report.dropped).toBe(report.droppedWithWorkers);
    if (report.killedWorkers > 2) expect(report.dropped).toBeGreaterThan(0);
  });
}

test("a missing device is an error that says so", async () => {
  using shm = new SharedDirectory();
  const { code, stderr, stdout } = await physring(
    ["demo", ...SMALL, "--backend", "udmabuf", "--region", "no-such-buffer"],
    shm,
  );
  expect(code).toBe(1);
  expect(stderr).toContain("/dev/no-such-buffer");
  expect(stdout).not.toContain("ok");
});

test("the default run needs less than the 64 MiB that Docker gives /dev/shm", async () => {
  const { regionBytes } = await import("../../src/cli/demo/plan.ts");
  const settings = {
    frames: 1,
    width: 1920,
    height: 1080,
    workers: 4,
    policy: "block",
    fanout: false,
    rate: "max",
    input: null,
    corruptFrame: null,
  } as const;
  expect(regionBytes(settings, 1920 * 1080 * 1.5)).toBeLessThan(60 * 2 ** 20);
});
