/**
 * The whole FPGA suite of the host: tests on the simulated board, a reduced co-simulation with the fixed and a fresh seed, and the mutations (so many of them as asked for, others with each seed). Two to three minutes
 * on two cores.
 *
 *     bun test/fpga/run.ts [--commands N] [--seed N] [--mutations N]
 */
import { parseArgs } from "node:util";
import { whyNoBoards } from "./boards.ts";

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Runs a command, shows its output, and reads its counts: `N passed, N failed, N skipped`, or those of `bun test`. */
async function run(args: readonly string[]): Promise<Counts> {
  const child = Bun.spawn([process.execPath, ...args], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [status, output, errors] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const text = output + errors;
  console.log(text.trimEnd());
  const ours = [...text.matchAll(/(\d+) passed, (\d+) failed, (\d+) skipped/g)].at(-1);
  const bun = (word: string): number => Number(new RegExp(`^ +(\\d+) ${word}$`, "m").exec(text)?.[1] ?? 0);
  const counts =
    ours === undefined
      ? { passed: bun("pass"), failed: bun("fail"), skipped: bun("skip") }
      : { passed: Number(ours[1]), failed: Number(ours[2]), skipped: Number(ours[3]) };
  if (status !== 0 && counts.failed === 0) counts.failed = 1;
  if (counts.passed + counts.failed + counts.skipped === 0) counts.failed = 1;
  return counts;
}

const { values } = parseArgs({
  options: {
    commands: { type: "string", default: "3000" },
    seed: { type: "string", default: String(crypto.getRandomValues(new Uint32Array(1))[0]) },
    mutations: { type: "string", default: "1000" },
  },
});
console.log(`fresh seed of this run: ${values.seed}; ${(await whyNoBoards()) ?? "the simulator is built"}`);
const here = import.meta.dir;
const steps = [
  ["test", "--timeout", "150000", here],
  [`${here}/cosim.ts`, "--commands", values.commands, "--seed", "1"],
  [`${here}/cosim.ts`, "--commands", values.commands, "--seed", values.seed],
  [`${here}/mutations.ts`, "--sample", values.mutations, "--seed", values.seed],
];
const total: Counts = { passed: 0, failed: 0, skipped: 0 };
for (const step of steps) {
  const startMs = performance.now();
  const counts = await run(step);
  console.log(
    `--- ${step[0] === "test" ? "bun test" : step[0]!.slice(here.length + 1)}: ${((performance.now() - startMs) / 1000).toFixed(1)} s`,
  );
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 ? 0 : 1);
