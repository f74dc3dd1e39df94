/** The executable itself, `physring ls`, and input from ffmpeg. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { Channel, Queue, Records, Region } from "../../src/index.ts";
import { type DemoReport, demo, physring, SharedDirectory } from "./command.ts";

setDefaultTimeout(90_000);

test("--help, --version, no command, a wrong one", async () => {
  const help = await physring(["--help"]);
  expect([help.code, help.stderr]).toEqual([0, ""]);
  for (const name of ["demo", "ls", "rm", "v2p"]) expect(help.stdout).toContain(`\n  ${name}`);
  const { version } = await Bun.file(`${import.meta.dir}/../../package.json`).json();
  expect((await physring(["--version"])).stdout).toBe(`${version}\n`);
  expect((await physring([])).code).toBe(2);
  const wrong = await physring(["dmeo"]);
  expect([wrong.code, wrong.stdout]).toEqual([2, ""]);
  expect(wrong.stderr).toContain("did you mean demo?");
});

test("wrong usage of the demo: exit code 2 and the remedy", async () => {
  const cases: [string[], string][] = [
    [["--polciy", "block"], "did you mean --policy?"],
    [["--policy", "drop"], "block, fail, drop-newest, drop-oldest"],
    [["--size", "1920"], "WIDTHxHEIGHT"],
    [["--workers", "99"], "from 1 to 27"],
    [["--rate", "source"], "needs an --input"],
    [["--input", "/no/such/file"], "/no/such/file"],
    [["--chaos-ms", "5"], "goes with --chaos"],
  ];
  const runs = await Promise.all(cases.map(([args]) => physring(["demo", ...args])));
  runs.forEach(({ code, stderr }, i) => {
    expect(stderr).toContain(cases[i]![1]);
    expect(code).toBe(2);
  });
});

test("ls: objects, participants, counters, and what is no region", async () => {
  using shm = new SharedDirectory();
  process.env["PHYSRING_SHM_DIR"] = shm.path;
  try {
    using region = Region.create("listed", { size: "1MiB" });
    const channel = Channel.create(region, "frames", {
      frameBytes: 1000,
      frames: 6,
      policy: "drop-newest",
      history: 1,
    });
    using reader = Region.open("listed");
    const consumer = Channel.open(reader, "frames").consumer();
    const producer = channel.producer();
    for (let i = 0; i < 3; i++) producer.send(producer.loan()!);
    consumer.tryReceive()!.release();
    const records = Records.create(region, "log", { capacityBytes: 4096, history: 2 });
    const sender = records.producer();
    using follower = Records.open(reader, "log").consumer();
    sender.send(new Uint8Array(20));
    using refusing = Records.create(region, "tight", { capacityBytes: 4096, policy: "fail" }).producer();
    using _idle = Records.open(reader, "tight").consumer();
    while (refusing.tryReserve(2000)) refusing.commit(2000);
    expect(() => refusing.send(new Uint8Array(2000))).toThrow(/no room/);
    const dropping = { slotBytes: 16, capacity: 2, policy: "drop-oldest" } as const;
    using jobs = Queue.create(region, "jobs", dropping).producer();
    for (let i = 0; i < 5; i++) jobs.commit(jobs.reserve(1));
    writeFileSync(`${shm.path}/physring.garbage`, "not a region");
    const { code, stdout } = await physring(["ls", "--json"], shm);
    expect(code).toBe(1);
    const [garbage, listed] = JSON.parse(stdout);
    expect(garbage).toMatchObject({ name: "garbage", code: "REGION_TOO_SMALL" });
    expect(listed).toMatchObject({
      name: "listed",
      backend: "shm",
      sizeBytes: 2 ** 20,
      instanceId: region.instanceId,
    });
    expect(
      listed.participants.map(({ pid, alive }: { pid: number; alive: boolean }) => [pid, alive]),
    ).toEqual([
      [process.pid, true],
      [process.pid, true],
    ]);
    const [pool, frames, log, tightLog, queue] = listed.objects;
    expect(tightLog.counters).toEqual({ droppedNewest: 0, failed: 1, blocked: 0, evicted: 0 });
    expect(queue.counters).toEqual({
      queued: 2,
      droppedNewest: 0,
      droppedOldest: 3,
      refused: 0,
      waits: 0,
      evicted: 0,
    });
    expect(follower.next()).toBe(true);
    expect(log).toMatchObject({
      kind: "records",
      mode: "reliable",
      history: 2,
      published: 1,
      producer: 1,
      consumers: [{ queuedBytes: 32 }],
    });
    expect(pool).toMatchObject({ kind: "pool", name: "frames.pool", blockCount: 6, freeBlocks: 4 });
    expect(frames).toMatchObject({
      kind: "channel",
      policy: "drop-newest",
      delivery: "all",
      history: 1,
      counters: { published: 3 },
      consumers: [{ queued: 2 }],
    });
    const text = await physring(["ls", "listed"], shm);
    expect(text.code).toBe(0);
    expect(text.stdout).toContain("4/6 blocks");
    expect(text.stdout).toContain("channel frames  drop-newest, all, history 1  ");
    expect(text.stdout).toContain("published 3");
    expect(text.stdout).toContain(
      "records log  4.10 kB, block  participant 1 -> participant 0 (32 B behind)  published 1, dropped 0, refused 0, waits 0, evicted 0",
    );
    expect(text.stdout).toContain("published 2, dropped 0, refused 1, waits 0, evicted 0");
    expect(text.stdout).toContain("queued 2, dropped newest 0, oldest 3, refused 0, waits 0, evicted 0");
    expect(text.stdout).toContain("published 3, dropped newest 0, oldest 0, dropped whole 0");
    await Bun.file(`${shm.path}/physring.garbage`).delete();
  } finally {
    Region.destroy("listed");
    delete process.env["PHYSRING_SHM_DIR"];
  }
  expect((await physring(["ls"], shm)).stdout).toBe(`no regions in ${shm.path}\n`);
});

const FFMPEG = Bun.which("ffmpeg");
if (FFMPEG === null)
  console.warn(
    "SKIPPED: the tests of `physring demo --input` with ffmpeg; to run them: apt-get install ffmpeg",
  );

async function testsrc2(options: readonly string[]): Promise<Uint8Array> {
  const filter = "testsrc2=size=160x90:rate=25:duration=1.2";
  const process_ = Bun.spawn(
    [FFMPEG!, "-loglevel", "error", "-f", "lavfi", "-i", filter, ...options, "-f", "yuv4mpegpipe", "-"],
    { stdin: "ignore" },
  );
  const data = await new Response(process_.stdout).bytes();
  expect(await process_.exited).toBe(0);
  return data;
}

test.skipIf(FFMPEG === null)("ffmpeg | physring demo --input -, at the speed of the source", async () => {
  using shm = new SharedDirectory();
  const data = await testsrc2(["-pix_fmt", "yuv420p"]);
  const startMs = performance.now();
  const { code, stdout } = await physring(["demo", "--json", "--input", "-"], shm, data);
  expect(performance.now() - startMs).toBeGreaterThan(29 * 40);
  expect(code).toBe(0);
  const report = JSON.parse(stdout) as DemoReport;
  expect(report).toMatchObject({
    frames: 30,
    delivered: 30,
    lost: 0,
    corrupted: 0,
    width: 160,
    height: 90,
    colorSpace: "420jpeg",
  });
});

test.skipIf(FFMPEG === null)("--input FILE --rate max --frames N, 10 bits", async () => {
  using shm = new SharedDirectory();
  const path = `${import.meta.dir}/testsrc2-${process.pid}.y4m`;
  writeFileSync(path, await testsrc2(["-strict", "-1", "-pix_fmt", "yuv422p10le"]));
  try {
    const { code, report } = await demo(
      ["--input", path, "--rate", "max", "--frames", "20", "--fanout"],
      shm,
    );
    expect(code).toBe(0);
    expect(report).toMatchObject({ frames: 20, delivered: 20, colorSpace: "422p10" });
  } finally {
    await Bun.file(path).delete();
  }
});

test("truncated input: what came before arrives, and the error is reported", async () => {
  using shm = new SharedDirectory();
  const frame = `FRAME\n${"x".repeat(16 * 16 * 1.5)}`;
  const input = `YUV4MPEG2 W16 H16 F100:1\n${frame}${frame}${frame.slice(0, 100)}`;
  const { code, stdout, stderr } = await physring(["demo", "--json", "--input", "-"], shm, input);
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({
    frames: 2,
    delivered: 2,
    errors: ["the input ends in the middle of frame 2: 94 of 384 bytes"],
  });
  expect(stderr).toContain("in the middle of frame 2");
  const none = await physring(["demo", "--json", "--input", "-"], shm, "RIFF this is no video");
  expect([none.code, none.stdout]).toEqual([1, ""]);
  expect(none.stderr).toContain("no Y4M stream");
});
