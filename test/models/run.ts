/**
 * Checks the SPIN models of docs/PROTOCOL.md: every good model exhaustively, every broken variant until it fails.
 *
 *     bun test/models/run.ts [--install-deps] [--deep] [words to select cases by]
 *
 * Exit code 0 when nothing failed. Without spin or gcc everything is skipped, visibly.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ModelCase, modelCases } from "./cases.ts";

const APT_LINE = "apt-get install -y --no-install-recommends spin gcc libc6-dev";
const CASE_LIMIT_MS = 600_000; // the whole table takes about a minute and a half of processor time; this is for a crowded machine
const DEEP_LIMIT_MS = 1_800_000;
const MEMORY_LIMIT_MB = 6000;
const SEARCH_DEPTH = 100_000;
const WORKERS = 2;

interface Outcome {
  readonly ok: boolean;
  readonly detail: string;
}

interface CommandResult {
  readonly exitCode: number;
  readonly output: string;
}

async function command(argv: string[], cwd: string, limitMs: number): Promise<CommandResult> {
  const child = Bun.spawn(argv, {
    cwd,
    stdout: "pipe",
    stderr: "pipe",
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, output: stdout + stderr };
}

/** What a finished search says; undefined when it was cut short in any way (depth, memory, time). */
interface Search {
  readonly states: number;
  readonly errors: number;
  readonly firstError: string;
}

/** Reads the report of `pan`. A search that stopped at its first error is complete for our purpose. */
function readSearch(output: string): Search | undefined {
  const states = /(\d+) states, stored/.exec(output)?.[1];
  const errors = /errors: (\d+)/.exec(output)?.[1];
  if (states === undefined || errors === undefined) return undefined;
  const firstError = /^pan:1: (.*)$/m.exec(output)?.[1] ?? "";
  const cutShort =
    /max search depth too small|out of memory|memory limit|reached -DMEMLIM|interrupted|bit.?state/i.test(
      output,
    );
  const stoppedEarly = /Search not completed/.test(output);
  if (cutShort || !/^Full statespace search for:/m.test(output)) return undefined;
  if (stoppedEarly !== Number(errors) > 0) return undefined;
  return { states: Number(states), errors: Number(errors), firstError };
}

function judge(model: ModelCase, search: Search): Outcome {
  const states = `${search.states.toLocaleString("en-US")} states`;
  if (model.fails === undefined) {
    return search.errors === 0
      ? { ok: true, detail: states }
      : { ok: false, detail: `${states}, ${search.firstError}` };
  }
  const found = search.errors > 0 && model.fails.test(search.firstError);
  return {
    ok: found,
    detail: `${states}, ${found ? "broken as it must be" : "NOT as expected"}: ${search.firstError || "no error"}`,
  };
}

async function check(model: ModelCase, directory: string): Promise<Outcome> {
  const limitMs = model.deep ? DEEP_LIMIT_MS : CASE_LIMIT_MS;
  const source = join(import.meta.dir, `${model.file}.pml`);
  const defines = model.defines.map((define) => `-D${define}`);
  const spin = await command(["spin", "-a", ...defines, source], directory, limitMs);
  if (spin.exitCode !== 0) return { ok: false, detail: `spin: ${spin.output.trim()}` };
  // Without partial order reduction: it is not safe with rendezvous in an `unless`, and here it saves nothing.
  const options = [
    "-DSAFETY",
    "-DNOREDUCE",
    `-DMEMLIM=${MEMORY_LIMIT_MB}`,
    ...(model.deep ? ["-DCOLLAPSE"] : []),
  ];
  const optimize = model.fails === undefined ? "-O1" : "-O0"; // most cases end sooner than better code compiles
  const gcc = await command(["gcc", optimize, "-w", ...options, "-o", "pan", "pan.c"], directory, limitMs);
  if (gcc.exitCode !== 0) return { ok: false, detail: `gcc: ${gcc.output.trim().slice(0, 500)}` };
  const pan = await command(["./pan", `-m${SEARCH_DEPTH}`, "-w22"], directory, limitMs);
  const search = readSearch(pan.output);
  if (search === undefined)
    return { ok: false, detail: `search not exhaustive: ${pan.output.trim().slice(0, 300)}` };
  return judge(model, search);
}

async function installDependencies(): Promise<void> {
  const argv = ["apt-get", "-o", "DPkg::Lock::Timeout=600", ...APT_LINE.split(" ").slice(1)];
  const result = await command(argv, "/", 900_000);
  if (result.exitCode !== 0) throw new Error(`${argv.join(" ")} failed:\n${result.output}`);
}

async function main(args: readonly string[]): Promise<number> {
  const words = args.filter((arg) => !arg.startsWith("--"));
  const unknown = args.find((arg) => arg.startsWith("--") && arg !== "--install-deps" && arg !== "--deep");
  if (unknown !== undefined) throw new Error(`unknown option ${unknown}`);
  const selected = modelCases.filter(
    (model) =>
      (!model.deep || args.includes("--deep")) &&
      words.every((word) => `${model.file} ${model.title} ${model.defines}`.includes(word)),
  );
  if (selected.length === 0) throw new Error("no case matches");
  const missing = () => ["spin", "gcc"].filter((tool) => Bun.which(tool) === null);
  if (missing().length > 0 && args.includes("--install-deps")) await installDependencies();
  if (missing().length > 0) {
    console.log(
      `SKIP: ${missing().join(" and ")} not installed. Install with --install-deps or:\n  ${APT_LINE}`,
    );
    console.log(`0 passed, 0 failed, ${selected.length} skipped`);
    return 0;
  }

  const root = await mkdtemp(join(tmpdir(), "physring-models-"));
  let passed = 0;
  let next = 0;
  const worker = async (directory: string): Promise<void> => {
    for (let model = selected[next++]; model !== undefined; model = selected[next++]) {
      const startMs = performance.now();
      const outcome = await check(model, directory);
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
      if (outcome.ok) passed++;
      console.log(
        `${outcome.ok ? "ok  " : "FAIL"} ${model.file}: ${model.title} [${model.defines.join(" ")}]: ${outcome.detail}, ${seconds} s`,
      );
    }
  };
  try {
    // each worker has a directory of its own: spin writes pan.* into the current one
    await Promise.all(
      Array.from({ length: WORKERS }, async (_, index) => worker(await mkdtemp(join(root, `${index}-`)))),
    );
  } finally {
    await rm(root, { recursive: true, force: true });
  }
  console.log(`${passed} passed, ${selected.length - passed} failed, 0 skipped`);
  return passed === selected.length ? 0 : 1;
}

if (import.meta.main) {
  try {
    process.exit(await main(process.argv.slice(2)));
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(2);
  }
}
