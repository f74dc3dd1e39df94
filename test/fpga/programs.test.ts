/** The examples and the demo as a user runs them; nothing is left in shared memory. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { Job, PHYSRING, SharedDirectory, until } from "../cli/command.ts";
import { whyNoBoards } from "./boards.ts";

setDefaultTimeout(90_000);
const missing = await whyNoBoards();
const testOnBoard = test.skipIf(missing !== null);
if (missing !== null) console.log(`skipped: ${missing}`);

async function run(script: string, args: readonly string[] = []): Promise<string> {
  using shm = new SharedDirectory();
  const { code, stdout, stderr } = await new Job(script, args, { shm }).finished;
  expect([code, stderr]).toEqual([0, ""]);
  return stdout;
}

function example(name: string): string {
  return `${import.meta.dir}/../../examples/fpga-${name}.ts`;
}

const MODES = ["full", "io", "none"];

testOnBoard.each(MODES)(
  "fpga-commands: hardware and software agree, and nonsense is refused, coherency %s",
  async (coherency) => {
    const lines = (await run(example("commands"), ["--coherency", coherency])).trim().split("\n");
    expect(lines.length).toBe(3);
    for (const line of lines.slice(0, 2)) {
      const [, hardware, software] =
        /lines? +([0-9a-f]+), by software ([0-9a-f]+)|image +([0-9a-f]+), by software ([0-9a-f]+)/
          .exec(line)!
          .filter((part) => part !== undefined);
      expect(hardware).toBe(software!);
    }
    expect(lines[2]).toContain("PARAMETER");
  },
);

testOnBoard.each(MODES)(
  "fpga-stream: frames in order, what was lost is counted, coherency %s",
  async (coherency) => {
    const match = /^30 frames from the core, 0 wrong, (\d+) lost to the pace; 30 taken by the sink\n$/.exec(
      await run(example("stream"), ["--coherency", coherency]),
    );
    expect(Number(match?.[1])).toBeGreaterThan(0);
  },
);

testOnBoard.each(MODES)(
  "fpga-pipeline: a killed worker does not stop hardware, and no frame is wrong, coherency %s",
  async (coherency) => {
    expect(await run(example("pipeline"), ["--coherency", coherency])).toContain(
      "to hardware: 0 wrong, a worker killed on the way: true",
    );
  },
);

testOnBoard("Ctrl-C at fpga-pipeline leaves nothing behind", async () => {
  using shm = new SharedDirectory();
  const pipeline = new Job(example("pipeline"), [], { shm });
  await until("the workers and the board run", () => pipeline.children().length === 3);
  pipeline.signalGroup("SIGINT");
  expect((await pipeline.finished).code).toBe(130);
  await until("the board has removed its directory", () => shm.files().length === 0);
});

test.each(["commands", "stream", "pipeline"])(
  "fpga-%s --help, and what it does not understand",
  async (name) => {
    expect(await run(example(name), ["--help"])).toContain("--coherency MODE");
    for (const args of [
      ["--coherency", "half"],
      ["--coherence", "none"],
      ["a", "b", "c", "d"],
    ]) {
      using shm = new SharedDirectory();
      const { code, stdout, stderr } = await new Job(example(name), args, { shm }).finished;
      expect([code, stdout]).toEqual([2, ""]);
      expect(stderr).toContain(`usage: bun examples/fpga-${name}.ts`);
    }
  },
);

testOnBoard.each(MODES)("demo-fpga --json on coherency %s", async (coherency) => {
  const report = JSON.parse(
    await run(PHYSRING, [
      "demo-fpga",
      "--json",
      "--frames",
      "6",
      "--size",
      "128x32",
      "--batch",
      "4",
      "--coherency",
      coherency,
      "--seed",
      "3",
    ]),
  ) as Record<string, unknown>;
  expect(report).toMatchObject({
    ok: true,
    frames: 6,
    wrong: 0,
    commands: 18,
    machine: `simulated, coherency ${coherency}`,
  });
  expect(report["commandsPerSecond"]).toBeGreaterThan(0);
  expect((report["bus"] as Record<string, number>)["descriptorFetches"]).toBeLessThanOrEqual(1.1);
});

testOnBoard("demo-fpga for people", async () => {
  const text = await run(PHYSRING, ["demo-fpga", "--frames", "4", "--size", "64x32"]);
  for (const word of ["all as the software model has them", "commands/s", "latency", "descriptor fetches"])
    expect(text).toContain(word);
});

testOnBoard("Ctrl-C ends demo-fpga with its summary", async () => {
  using shm = new SharedDirectory();
  const job = new Job(PHYSRING, ["demo-fpga", "--frames", "100000", "--size", "64x32"], { shm });
  await until("the board runs", () => shm.files().some((file) => file.startsWith("physring-board.")));
  await Bun.sleep(300);
  job.signalGroup("SIGINT");
  const { code, stdout, stderr } = await job.finished;
  expect([code, stderr]).toEqual([130, ""]);
  expect(stdout).toContain("all as the software model has them");
});

test("demo-fpga without a compiler says what to install, and leaves nothing", async () => {
  using shm = new SharedDirectory();
  const tools = mkdtempSync("/tmp/physring-tools-");
  try {
    for (const tool of ["bash", "dirname", "cat", "sed"]) symlinkSync(Bun.which(tool)!, `${tools}/${tool}`);
    const { code, stdout, stderr } = await new Job(PHYSRING, ["demo-fpga"], { shm, env: { PATH: tools } })
      .finished;
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain("apt-get install");
    expect(stderr).toContain("verilator");
  } finally {
    rmSync(tools, { recursive: true });
  }
});

test.each([
  [["--size", "100x10"], "multiple of 64"],
  [["--coherency", "half"], "one of full, io, none"],
  [["--region", "x"], "goes with --core"],
  [["--core", "/dev/uio0"], "needs --region"],
  [["--frame", "1"], "did you mean --frames"],
] as const)("demo-fpga %p is refused", async (args, reason) => {
  using shm = new SharedDirectory();
  const { code, stderr } = await new Job(PHYSRING, ["demo-fpga", ...args], { shm }).finished;
  expect(code).toBe(2);
  expect(stderr).toContain(reason);
});

test("demo-fpga --help", async () => {
  expect(await run(PHYSRING, ["demo-fpga", "--help"])).toContain("--coherency");
});
