/** Each example as a user would run it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { Y4mFrames } from "../../src/cli/demo/y4m.ts";
import { Job, SharedDirectory, until } from "../cli/command.ts";

setDefaultTimeout(90_000);

function example(name: string, args: readonly string[], shm: SharedDirectory): Job {
  return new Job(`${import.meta.dir}/../../examples/${name}.ts`, args, { shm });
}

async function camera(frames: number, shm: SharedDirectory): Promise<Job> {
  const producer = example("producer", [String(frames)], shm);
  await until("the camera sends", () => producer.stdout.includes("sending"));
  return producer;
}

/** A consumer may come when the camera has begun: what it sees is one run of numbers up to the last frame, except what was dropped. */
test("producer and two consumers", async () => {
  using shm = new SharedDirectory();
  const producer = await camera(60, shm);
  const consumers = [example("consumer", [], shm), example("consumer", [], shm)];
  const done = await Promise.all([producer, ...consumers].map((job) => job.finished));
  expect(done.map(({ code, stderr }) => [code, stderr])).toEqual([
    [0, ""],
    [0, ""],
    [0, ""],
  ]);
  const crcs = new Map<number, string>();
  for (const { stdout } of done.slice(1)) {
    const lines = [...stdout.matchAll(/^frame (\d+): 345600 bytes, crc ([0-9a-f]+)/gm)];
    expect(lines.length).toBeGreaterThan(0);
    const numbers = lines.map((line) => Number(line[1]));
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    expect(numbers.at(-1)).toBe(59);
    // Both see the same pixels, and no two frames are equal within a period of the bars.
    for (const [, number, crc] of lines) {
      expect(crcs.get(Number(number)) ?? crc).toBe(crc);
      crcs.set(Number(number), crc!);
    }
    expect(new Set(lines.map((line) => line[2])).size).toBe(lines.length);
    expect(stdout).toContain("framesPerSecond: 30");
    expect(stdout).toContain("the camera has ended the stream");
  }
});

test("the consumer may be started first", async () => {
  using shm = new SharedDirectory();
  const consumer = example("consumer", [], shm);
  const producer = await camera(20, shm);
  const done = await Promise.all([consumer.finished, producer.finished]);
  expect(done.map(({ code, stderr }) => [code, stderr])).toEqual([
    [0, ""],
    [0, ""],
  ]);
  expect(done[0].stdout).toContain("frame 19: 345600 bytes");
});

test("Ctrl-C at the camera ends the stream for everybody", async () => {
  using shm = new SharedDirectory();
  const producer = await camera(1800, shm);
  const consumer = example("consumer", [], shm);
  await until("frames arrive", () => consumer.stdout.includes("frame "));
  producer.signalGroup("SIGINT");
  expect((await consumer.finished).stdout).toContain("the camera has ended the stream");
  expect((await producer.finished).code).toBe(0);
});

test("pipeline: one block through three processes", async () => {
  using shm = new SharedDirectory();
  const { code, stdout, stderr } = await example("pipeline", [], shm).finished;
  expect([code, stderr]).toEqual([0, ""]);
  // Each sample of frame i is 2 i: 2 · 4096 · (0 + 1 + … + 999).
  expect(stdout).toBe(`1000 frames, sum ${2 * 4096 * ((999 * 1000) / 2)}\n`);
});

test("ffmpeg-out: what comes out is Y4M with the camera's pixels", async () => {
  using shm = new SharedDirectory();
  const producer = await camera(40, shm);
  const out = Bun.spawn([process.execPath, `${import.meta.dir}/../../examples/ffmpeg-out.ts`], {
    env: { ...process.env, PHYSRING_SHM_DIR: shm.path },
    stdin: "ignore",
  });
  const frames = await Y4mFrames.open(out.stdout);
  expect(frames.format).toMatchObject({
    width: 640,
    height: 360,
    colorSpace: "420jpeg",
    framesPerSecond: 30,
  });
  const picture = new Uint8Array(frames.format.frameBytes);
  let count = 0;
  for (; await frames.next(picture); count++) {
    for (let y = 0; y < 360; y++) expect(picture[y * 640 + 639]).toBe((picture[0]! + y) & 0xff);
    expect([picture[640 * 360], picture.at(-1)]).toEqual([0x80, 0x80]);
  }
  expect(count).toBeGreaterThan(0);
  expect(await out.exited).toBe(0);
  expect((await producer.finished).code).toBe(0);
});

test("ffmpeg-out: a player that is closed ends it", async () => {
  using shm = new SharedDirectory();
  const producer = await camera(1800, shm);
  const script = `"$0" "$1" | head -c 1000000 | wc -c`;
  const shell = Bun.spawn(
    ["sh", "-c", script, process.execPath, `${import.meta.dir}/../../examples/ffmpeg-out.ts`],
    {
      env: { ...process.env, PHYSRING_SHM_DIR: shm.path },
    },
  );
  expect((await new Response(shell.stdout).text()).trim()).toBe("1000000");
  await shell.exited;
  producer.signalGroup("SIGINT");
  expect((await producer.finished).code).toBe(0);
});

test.each(["sdr", "pipeline"])("Ctrl-C at %s leaves nothing behind", async (name) => {
  using shm = new SharedDirectory();
  const job = example(name, [], shm);
  await until("its children run", () => job.children().length > 0);
  job.signalGroup("SIGINT");
  expect((await job.finished).code).toBe(130);
  await until("everybody is gone", () => shm.files().length === 0);
});

for (const args of [[], ["--slow"]]) {
  test(`sdr ${args}: every block was received or is in a marked gap`, async () => {
    using shm = new SharedDirectory();
    const { code, stdout, stderr } = await example("sdr", args, shm).finished;
    expect([code, stderr]).toEqual([0, ""]);
    const [, received, missing, level] = /^(\d+) blocks received, (\d+) missing, (-?[\d.]+) dBFS$/m.exec(
      stdout,
    )!;
    expect(Number(received) + Number(missing)).toBe(200);
    expect(Number(received)).toBeGreaterThan(0);
    expect(Number(level)).toBeCloseTo(-6.02, 1);
    const gaps = [...stdout.matchAll(/: (\d+) samples are missing$/gm)].reduce(
      (sum, gap) => sum + Number(gap[1]) / 16_384,
      0,
    );
    expect(gaps).toBeLessThanOrEqual(Number(missing));
    if (args.length > 0) expect(gaps).toBeGreaterThan(0);
  });
}

test("a motor and two clients that ask it", async () => {
  using shm = new SharedDirectory();
  const motor = example("service", ["serve"], shm);
  await until("the motor is ready", () => motor.stdout.includes("ready"));
  const clients = [example("service", ["move", "30", "45"], shm), example("service", ["move", "-10"], shm)];
  const done = await Promise.all(clients.map((job) => job.finished));
  motor.signalGroup("SIGINT");
  expect(done.map(({ code, stderr }) => [code, stderr])).toEqual([
    [0, ""],
    [0, ""],
  ]);
  expect(done[0]!.stdout).toContain("axis 0 is at 30\naxis 0 is at 45\n");
  expect(done[1]!.stdout).toContain("axis 0 is at -10\n");
  for (const { stdout } of done)
    expect(Number(/(\d+) positions seen, 0 missed/.exec(stdout)?.[1])).toBeGreaterThan(9);
  expect((await motor.finished).code).toBe(0);
});
