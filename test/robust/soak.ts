/**
 * `npm run soak`: the robustness tests with large counts, one after the other; the numbers can be written down.
 *
 *     bun test/robust/soak.ts [--kills 1000] [--part-kills 2000] [--stress 100000000] [--mutations 10000000] [--live-seconds 120] [--messages 200000000]
 *                             [--records 400000000] [--rounds 20000] [--seed N] [--record]
 *
 * `--record` writes docs/results/<date>-soak.md and .json: commit, seed, machine, durations, counts. A count of 0 leaves a part out.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { seedFrom } from "../support/random.ts";
import { type FuzzResult, fuzzTest } from "./fuzz.ts";
import { type KillResult, killTest } from "./kill.ts";
import { type KillPartsResult, killPartsTest } from "./kill-parts.ts";
import { type RecordsStressResult, recordsStressTest } from "./records-stress.ts";
import { type StressResult, stressTest } from "./stress.ts";
import { type TortureResult, tortureTest } from "./torture.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

interface Machine {
  readonly processor: string;
  readonly processors: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly bun: string;
  /** One minute before the start: more than 0 is foreign. */
  readonly loadAverage: number;
}

interface SoakResult {
  readonly startedAt: string;
  readonly commit: string;
  readonly seed: number;
  readonly machine: Machine;
  readonly kill: KillResult | null;
  readonly killParts: KillPartsResult | null;
  readonly stress: StressResult | null;
  readonly fuzz: FuzzResult | null;
  readonly torture: TortureResult | null;
  readonly records: RecordsStressResult | null;
  readonly faults: readonly string[];
  readonly seconds: number;
}

function machine(): Machine {
  const info = readFileSync("/proc/cpuinfo", "utf8");
  return {
    processor: /^model name\s*: (.*)$/m.exec(info)?.[1] ?? process.arch,
    processors: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    bun: Bun.version,
    loadAverage: Math.round(loadavg()[0]! * 100) / 100,
  };
}

/** Commit of the tree, marked when there is more in it than the commit. */
function commit(): string {
  const git = (...args: string[]): string => {
    const { stdout, success } = Bun.spawnSync(["git", ...args], { cwd: ROOT });
    return success ? stdout.toString().trim() : "";
  };
  const head = git("rev-parse", "HEAD");
  if (head === "") return "unknown";
  return git("status", "--porcelain", "--", "src") === "" ? head : `${head} + changes in src/`;
}

function counts(record: Record<string, number>): string {
  return Object.entries(record)
    .sort(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}

function killLines({
  kills,
  stepKills,
  stops,
  scenarios,
  killsByRole,
  frames,
  rejected,
  errorCodes,
  seconds,
}: KillResult): string[] {
  return [
    `| kills (SIGKILL) | ${kills} in ${scenarios} scenarios: ${counts(killsByRole)} |`,
    `| of them between two protocol steps | ${stepKills} |`,
    `| stopped and continued (SIGSTOP, SIGCONT) | ${stops} |`,
    `| frames checked on the way | ${frames} |`,
    `| descriptors refused | ${rejected} |`,
    `| typed errors that survivors saw | ${counts(errorCodes)} |`,
    `| kill test took | ${seconds} s |`,
  ];
}

function killPartsLines(result: KillPartsResult): string[] {
  const { kills, stepKills, stops, scenarios, killsByTopology, errorCodes, seconds } = result;
  return [
    `| kills over all topologies (SIGKILL) | ${kills} in ${scenarios} scenarios: ${counts(killsByTopology)} |`,
    `| of them between two protocol steps | ${stepKills} |`,
    `| stopped and continued | ${stops} |`,
    `| typed errors that survivors saw | ${counts(errorCodes)} |`,
    `| kill test over all topologies took | ${seconds} s |`,
  ];
}

function stressLines({ topologies, seconds }: StressResult): string[] {
  return [
    ...Object.entries(topologies).map(
      ([title, run]) =>
        `| stress: ${title} | ${run.messages} messages, ${run.received} deliveries, each in order and accounted for; ${run.processes} processes, ${run.seconds} s |`,
    ),
    `| stress took | ${seconds} s |`,
  ];
}

function fuzzLines({ mutations, memory, live, seconds }: FuzzResult): string[] {
  const sum = (pick: (report: FuzzResult["memory"][number]) => number): number =>
    memory.reduce((total, report) => total + pick(report), 0);
  const codes: Record<string, number> = { ...live?.errorCodes };
  for (const report of memory) {
    for (const [code, count] of Object.entries(report.errorCodes)) codes[code] = (codes[code] ?? 0) + count;
  }
  return [
    `| mutations of live regions | ${mutations}, ${live?.mutations ?? 0} of them with several processes |`,
    `| calls under fire, frames that passed | ${sum((r) => r.calls)}, ${sum((r) => r.frames) + (live?.frames ?? 0)} |`,
    `| descriptors refused | ${sum((r) => r.rejected)} |`,
    `| typed errors | ${counts(codes)} |`,
    `| slowest call | ${Math.round(Math.max(0, ...memory.map((r) => r.slowestMs)))} ms |`,
    `| growth of resident memory, descriptors | ${sum((r) => r.rssGrowthBytes)} bytes, ${sum((r) => r.fdGrowth)} |`,
    `| fuzz test took | ${seconds} s |`,
  ];
}

function tortureLines(result: TortureResult): string[] {
  const {
    messages,
    messagesPerSecond,
    rounds,
    sleeps,
    slowRounds,
    unexplained,
    lostWakeUps,
    longestWakeUpMs,
    seconds,
  } = result;
  return [
    `| messages, every word verified | ${messages} (${messagesPerSecond.join(", ")} per second, checks included) |`,
    `| ping-pong rounds, sleeps in them | ${rounds}, ${sleeps} |`,
    `| lost wake-ups | ${lostWakeUps} (${slowRounds} rounds over 40 ms, ${unexplained} of them not explained by the load, longest wake-up ${longestWakeUpMs} ms) |`,
    `| torture took | ${seconds} s |`,
  ];
}

function recordsLines({ messages, deliveries, missed, seconds }: RecordsStressResult): string[] {
  return [
    `| records, every sequence and word verified | ${messages} sent, ${deliveries} delivered; lossy readers missed ${missed} and knew it |`,
    `| stress of records took | ${seconds} s |`,
  ];
}

function markdown(result: SoakResult): string {
  const { machine: host, faults } = result;
  return [
    `# Soak of ${result.startedAt}`,
    "",
    `Commit ${result.commit}, seed ${result.seed}. ${host.processor}, ${host.processors} processors, ${host.memoryGiB} GiB, Linux ${host.kernel}, Bun ${host.bun}, load average at the start ${host.loadAverage}.`,
    "",
    faults.length === 0 ? "**No fault.**" : `**${faults.length} faults:**`,
    ...faults.map((fault) => `- ${fault}`),
    "",
    "| | |",
    "|---|---|",
    ...(result.kill === null ? [] : killLines(result.kill)),
    ...(result.killParts === null ? [] : killPartsLines(result.killParts)),
    ...(result.stress === null ? [] : stressLines(result.stress)),
    ...(result.fuzz === null ? [] : fuzzLines(result.fuzz)),
    ...(result.torture === null ? [] : tortureLines(result.torture)),
    ...(result.records === null ? [] : recordsLines(result.records)),
    "",
  ].join("\n");
}

function record(result: SoakResult): string {
  const directory = `${ROOT}docs/results`;
  mkdirSync(directory, { recursive: true });
  const path = `${directory}/${result.startedAt.slice(0, 16).replace(/[:T]/g, "-")}-soak`;
  writeFileSync(`${path}.json`, `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(`${path}.md`, markdown(result));
  return `${path}.md`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "1000" },
      "part-kills": { type: "string", default: "2000" },
      stress: { type: "string", default: "100000000" },
      mutations: { type: "string", default: "10000000" },
      "live-seconds": { type: "string", default: "120" },
      messages: { type: "string", default: "200000000" },
      records: { type: "string", default: "400000000" },
      rounds: { type: "string", default: "20000" },
      seed: { type: "string" },
      record: { type: "boolean", default: false },
    },
  });
  const seed = seedFrom(values.seed);
  const startedAt = new Date().toISOString();
  const host = machine();
  const startMs = performance.now();
  const [kills, mutations, liveSeconds] = [
    Number(values.kills),
    Number(values.mutations),
    Number(values["live-seconds"]),
  ];
  const [messages, rounds] = [Number(values.messages), Number(values.rounds)];
  console.log(`soak, seed ${seed}`);
  const kill = kills > 0 ? await killTest({ kills, seed }) : null;
  if (kill !== null) console.log(killLines(kill).join("\n"));
  const partKills = Number(values["part-kills"]);
  const killParts = partKills > 0 ? await killPartsTest({ kills: partKills, seed }) : null;
  if (killParts !== null) console.log(killPartsLines(killParts).join("\n"));
  const stressMessages = Number(values.stress);
  const stress = stressMessages > 0 ? await stressTest(stressMessages) : null;
  if (stress !== null) console.log(stressLines(stress).join("\n"));
  const fuzz = mutations + liveSeconds > 0 ? await fuzzTest({ mutations, liveSeconds, seed }) : null;
  if (fuzz !== null) console.log(fuzzLines(fuzz).join("\n"));
  const torture = messages + rounds > 0 ? await tortureTest({ messages, rounds, seed }) : null;
  if (torture !== null) console.log(tortureLines(torture).join("\n"));
  const recordCount = Number(values.records);
  const records = recordCount > 0 ? await recordsStressTest(recordCount) : null;
  if (records !== null) console.log(recordsLines(records).join("\n"));
  const faults = [kill, killParts, stress, fuzz, torture, records].flatMap((part) => part?.faults ?? []);
  const seconds = Math.round(performance.now() - startMs) / 1000;
  const result: SoakResult = {
    startedAt,
    commit: commit(),
    seed,
    machine: host,
    kill,
    killParts,
    stress,
    fuzz,
    torture,
    records,
    faults,
    seconds,
  };
  for (const fault of faults) console.log(`FAULT ${fault}`);
  if (values.record) console.log(`written: ${record(result)}`);
  console.log(faults.length === 0 ? `no fault in ${seconds} s` : `${faults.length} faults`);
  process.exit(faults.length === 0 ? 0 : 1);
}

await main();
