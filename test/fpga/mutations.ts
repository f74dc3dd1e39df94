/**
 * Mutations: each takes one sync call, one barrier or one rule of ownership out of the host's code, and the co-simulation must notice. What it does not notice is
 * either not needed or not tested.
 *
 *     bun test/fpga/mutations.ts [--only REGEX] [--seeds N] [--sample N --seed S]
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { whyNoBoards } from "./boards.ts";

interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Arguments of cosim.ts under which it must fail; a seed is added. */
  readonly run?: readonly string[];
  /** Or tests that must fail: of which file, and a part of their names. */
  readonly tests?: readonly [file: string, names: string];
}

const IO = ["--coherency", "io", "--commands", "400", "--kill-every", "1000000"];
const NONE = ["--coherency", "none", "--commands", "400", "--kill-every", "1000000"];
const KILLS = ["--coherency", "full", "--commands", "4000", "--kill-every", "60", "--error-rate", "0"];

const MUTATIONS: readonly Mutation[] = [
  {
    name: "no barrier before the doorbell",
    file: "src/fpga/command-ring.ts",
    from: "    this.order.wmb();\n",
    to: "",
    run: IO,
  },
  {
    name: "the barrier comes after the doorbell",
    file: "src/fpga/command-ring.ts",
    from: "    this.order.wmb();\n    if (this.acknowledged !== this.reaped) this.writeHead();\n    this.registers.write(this.page + HostRegister.sqTail, submitted);\n",
    to: "    if (this.acknowledged !== this.reaped) this.writeHead();\n    this.registers.write(this.page + HostRegister.sqTail, submitted);\n    this.order.wmb();\n",
    run: IO,
  },
  {
    name: "no barrier between validity word and completion",
    file: "src/fpga/command-ring.ts",
    from: "    this.order.rmb();\n",
    to: "",
    run: IO,
  },
  {
    name: "sources are not synced for the device",
    file: "src/fpga/block-queue.ts",
    from: "      if (this.toDevice.count > 0) this.syncNow(this.toDevice);\n",
    to: "      this.toDevice.clear();\n",
    run: NONE,
  },
  {
    name: "destinations are not synced before they are handed over",
    file: "src/fpga/block-queue.ts",
    from: "      if (this.fromDevice.count > 0) this.syncNow(this.fromDevice);\n",
    to: "      this.fromDevice.clear();\n",
    run: NONE,
  },
  {
    name: "destinations are not synced after completion",
    file: "src/fpga/block-queue.ts",
    from: '    this.memory.syncForCpu(this.forCpu, "from-device");\n',
    to: "",
    run: NONE,
  },
  {
    name: "only the first destination of a batch is synced after completion",
    file: "src/fpga/block-queue.ts",
    from: "      for (let i = 0; i < count; i++)\n        this.syncEntryForCpu(",
    to: "      for (let i = 0; i < 1; i++)\n        this.syncEntryForCpu(",
    run: NONE,
  },
  {
    name: "ranges end where the data ends, in the middle of a granule",
    file: "src/fpga/block-queue.ts",
    from: "Math.min(roundUp(offset + lengthBytes, granuleBytes), this.blockBytes)",
    to: "offset + roundUp(lengthBytes, 64)",
    run: NONE,
  },
  {
    name: "ranges start where the data starts, in the middle of a granule",
    file: "src/fpga/block-queue.ts",
    from: "offset - (offset % granuleBytes)",
    to: "offset",
    run: NONE,
  },
  {
    name: "the parts of a list are not synced for the device",
    file: "src/fpga/block-queue.ts",
    from: "for (const part of source ?? []) this.syncPart(this.toDevice, part);",
    to: "",
    run: NONE,
  },
  {
    name: "the parts of a list are not synced before they are handed over",
    file: "src/fpga/block-queue.ts",
    from: "for (const part of destination ?? []) this.syncPart(this.fromDevice, part);",
    to: "",
    run: NONE,
  },
  {
    name: "the parts of a list are not synced after completion",
    file: "src/fpga/block-queue.ts",
    from: "} else if (destination === LIST) {",
    to: "} else if (destination === LIST - 1) {",
    run: NONE,
  },
  {
    name: "the first ranges of a long batch are not synced for the device",
    file: "src/fpga/block-queue.ts",
    from: "    if (batch.full) this.syncNow(batch);\n",
    to: "    if (batch.full) batch.clear();\n",
    tests: ["engines", "coherency none a batch with more ranges"],
  },
  {
    name: "the first ranges of a long burst of completions are not synced",
    file: "src/fpga/block-queue.ts",
    from: "    if (this.forCpu.full) this.finishSyncForCpu();\n",
    to: "    if (this.forCpu.full) this.forCpu.clear();\n",
    tests: ["engines", "coherency none a batch with more ranges"],
  },
  ...(["full", "io", "none"] as const).map((coherency) => ({
    name: `recovery does not wait for idle, coherency ${coherency}`,
    file: "src/ring/hardware-recovery.ts",
    from: "if (awaitStopped(registers, page, queue.epoch, IDLE_LIMIT_MS)) return null;",
    to: "if (page > 0) return null;",
    tests: ["recovery", `killed, coherency ${coherency} in mid-burst`] as const,
  })),
  {
    name: "recovery does not stop the queue",
    file: "src/ring/hardware-recovery.ts",
    from: "    requestStop(registers, page, queue.epoch);\n    if (awaitStopped(registers, page, queue.epoch, IDLE_LIMIT_MS)) return null;",
    to: "    if (page > 0) return null;",
    run: KILLS,
  },
  {
    name: "recovery does not take the hardware's blocks back",
    file: "src/ring/hardware-recovery.ts",
    from: "  queue.takeAll(ringer);\n",
    to: "",
    run: KILLS,
  },
  {
    name: "blocks are not given to the hardware",
    file: "src/ring/hardware-queue.ts",
    from: "if (this.pool.handOver(block, bit, DEVICE_BIT)) return true;",
    to: "if (this.pool.holders(block) === bit) return true;",
    tests: ["engines", "ownership"],
  },
  {
    name: "interrupts are not enabled",
    file: "src/fpga/completion-waiter.ts",
    from: "      if (!this.#enable()) return;\n",
    to: "",
    tests: ["interrupts", "noticed at once"],
  },
  {
    name: "interrupts are not acknowledged",
    file: "src/fpga/completion-waiter.ts",
    from: "      this.#ring.acknowledge();\n",
    to: "",
    tests: ["interrupts", "eight commands"],
  },
  {
    name: "each completion is an interrupt",
    file: "src/fpga/completion-waiter.ts",
    from: "Math.min(this.#moderation.count, underWay)",
    to: "1",
    tests: ["interrupts", "two register writes"],
  },
  {
    name: "reset does not wait for idle",
    file: "src/fpga/command-queue.ts",
    from: "while (!this.#attachment.stopped) {",
    to: "while (this.#attachment.ring.capacity < 0) {",
    run: ["--coherency", "full", "--commands", "3000", "--kill-every", "1000000"],
  },
];

const SAME = { file: "src/fpga/command-ring.ts", from: "this.order.wmb();", to: "this.order.wmb();" };
const UNCHANGED: readonly Mutation[] = [
  { ...SAME, name: "an unchanged copy, co-simulated", run: NONE },
  { ...SAME, name: "an unchanged copy, tested", tests: ["engines", "ownership"] },
  { ...SAME, name: "an unchanged copy, killed", tests: ["recovery", "coherency full in mid-burst"] },
  {
    ...SAME,
    name: "an unchanged copy, interrupted",
    tests: ["interrupts", "noticed at once|eight commands|two register writes"],
  },
];

const ROOT = new URL("../..", import.meta.url).pathname;
const LIMIT_MS = 120_000;
/** Says nothing: a busy machine may be the reason. */
const OVERDUE = `did not end within ${LIMIT_MS / 1000} s`;

/** A copy of the sources with one change: how the co-simulation or the test failed on it, null when it did not. */
async function isCaught(mutation: Mutation, seeds: number): Promise<string | null> {
  const place = mkdtempSync(`${tmpdir()}/physring-mutation-`);
  try {
    for (const part of ["src", "test", "package.json", "tsconfig.json"])
      cpSync(`${ROOT}/${part}`, `${place}/${part}`, { recursive: true });
    for (const part of ["fpga", "include", "node_modules"])
      symlinkSync(`${ROOT}/${part}`, `${place}/${part}`);
    const file = `${place}/${mutation.file}`;
    const source = readFileSync(file, "utf8");
    if (source.split(mutation.from).length !== 2)
      throw new Error(`${mutation.name}: the text to change is not once in ${mutation.file}`);
    writeFileSync(file, source.replace(mutation.from, mutation.to));
    const tries = mutation.run === undefined ? 1 : seeds;
    for (let seed = 1; seed <= tries; seed++) {
      const command =
        mutation.run === undefined
          ? ["test", `${place}/test/fpga/${mutation.tests![0]}.test.ts`, "-t", mutation.tests![1]]
          : [`${place}/test/fpga/cosim.ts`, ...mutation.run, "--seed", String(seed)];
      const run = Bun.spawn([process.execPath, ...command], {
        cwd: place,
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      });
      let overdue = false;
      const timer = setTimeout(() => {
        overdue = true;
        run.kill("SIGKILL");
      }, LIMIT_MS);
      const [status, output, errors] = await Promise.all([
        run.exited,
        new Response(run.stdout).text(),
        new Response(run.stderr).text(),
      ]);
      clearTimeout(timer);
      if (overdue) return OVERDUE;
      if (status !== 0)
        return `seed ${seed}: ${/(\w*(Error|Mismatch)[^\n]*)/.exec(output + errors)?.[1] ?? `ended with ${status}`}`;
    }
    return null;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: "" },
      seeds: { type: "string", default: "25" },
      sample: { type: "string", default: String(MUTATIONS.length) },
      seed: { type: "string", default: "1" },
    },
  });
  const missing = await whyNoBoards();
  if (missing !== null) {
    console.log(`${missing}\n0 passed, 0 failed, ${MUTATIONS.length} skipped`);
    return 0;
  }
  const matching = MUTATIONS.filter((mutation) => new RegExp(values.only).test(mutation.name));
  // A window that the seed moves over the list: runs with many seeds look at all of them.
  const first = Number(values.seed) % Math.max(1, matching.length);
  const chosen = [...matching, ...matching]
    .slice(first, first + matching.length)
    .slice(0, Number(values.sample));
  let failed = 0;
  // A copy that fails unchanged would catch everything.
  for (const unchanged of UNCHANGED) {
    const how = await isCaught(unchanged, 1);
    if (how === null) continue;
    failed++;
    console.log(`FAILED ${unchanged.name} (${how})`);
  }
  for (const mutation of chosen) {
    const how = await isCaught(mutation, Number(values.seeds));
    const missed = how === null || how === OVERDUE;
    if (missed) failed++;
    console.log(
      missed
        ? `MISSED "${mutation.name}" (${how ?? "nothing failed"})`
        : `caught "${mutation.name}" (${how.slice(0, 160)})`,
    );
  }
  console.log(`${chosen.length + UNCHANGED.length - failed} passed, ${failed} failed, 0 skipped`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main());
