/**
 * bun bench/idle.ts [--seconds 10] [--channels 10]: what a process costs that waits for frames on idle channels, beside a Bun process that
 * does nothing: system calls (strace, if it is there) and context switches (/proc) of all its threads.
 */
import { readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Channel, Region, waitAny } from "../src/index.ts";

/** Bun collects garbage once a second after it did something, and every 30 s when the heap has stayed as it is for a while. */
const SETTLE_MS = 40_000;
const FRAME_BYTES = 4096;

interface Cost {
  readonly voluntarySwitches: number;
  readonly otherSwitches: number;
  /** Null: no strace. */
  readonly systemCalls: number | null;
}

/** Waits on every channel of a region in one way or the other, until stdin ends. */
async function idle(name: string): Promise<void> {
  const waiting: Promise<unknown>[] = [];
  if (name !== "") {
    const region = Region.open(name);
    const names = region.directory.list().flatMap(({ name: object, kind }) => (kind === 3 ? [object] : []));
    const consumers = names.map((channel) => Channel.open(region, channel).consumer());
    for (const consumer of consumers) waiting.push(consumer.receiveAsync());
    waiting.push(waitAny(consumers));
  }
  console.log("ready");
  for await (const _ of Bun.stdin.stream());
  process.exit(0);
}

/** Of each thread: voluntary, other. */
function switches(pid: number): Map<string, [number, number]> {
  const threads = new Map<string, [number, number]>();
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${task}/status`, "utf8");
    const voluntary = Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]);
    threads.set(task, [voluntary, Number(/^nonvoluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1])]);
  }
  return threads;
}

/** Switches since `before`; threads that have ended do not count, new ones wholly. */
function switchesSince(pid: number, before: ReadonlyMap<string, [number, number]>): [number, number] {
  const sum: [number, number] = [0, 0];
  for (const [task, now] of switches(pid)) {
    const then = before.get(task) ?? [0, 0];
    sum[0] += now[0] - then[0];
    sum[1] += now[1] - then[1];
  }
  return sum;
}

async function systemCalls(pid: number, seconds: number): Promise<number | null> {
  const strace = Bun.which("strace");
  if (strace === null) {
    console.warn("SKIPPED system calls: no strace (apt-get install strace)");
    return null;
  }
  const run = Bun.spawn([strace, "-f", "-c", "-p", String(pid)], { stderr: "pipe", stdout: "ignore" });
  await Bun.sleep(seconds * 1000);
  run.kill("SIGINT");
  const text = await new Response(run.stderr).text();
  if (process.env["VERBOSE"]) console.log(text);
  const total = /^\s*100\.00\s+\S+\s+\S*\s+(\d+).*total$/m.exec(text);
  return total === null ? 0 : Number(total[1]);
}

async function start(name: string): Promise<Bun.Subprocess> {
  const run = Bun.spawn([process.execPath, import.meta.path, "--run", name], {
    stdin: "pipe",
    stdout: "pipe",
  });
  await run.stdout.getReader().read();
  return run;
}

async function measure(run: Bun.Subprocess, seconds: number): Promise<Cost> {
  const before = switches(run.pid);
  await Bun.sleep(seconds * 1000);
  const [voluntarySwitches, otherSwitches] = switchesSince(run.pid, before);
  const calls = await systemCalls(run.pid, seconds);
  run.kill("SIGKILL");
  await run.exited;
  return { voluntarySwitches, otherSwitches, systemCalls: calls };
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "10" },
    channels: { type: "string", default: "10" },
    run: { type: "string" },
  },
});

if (values.run !== undefined) {
  await idle(values.run);
} else {
  const [seconds, channels] = [Number(values.seconds), Number(values.channels)];
  const name = `idle-${process.pid}`;
  const options = { frameBytes: FRAME_BYTES, maxConsumers: 1 };
  const region = Region.create(name, { size: 65536 + channels * Channel.sizeBytes(options) });
  try {
    const producers = Array.from({ length: channels }, (_, i) =>
      Channel.create(region, `c${i}`, options).producer(),
    );
    const processes = [await start(name), await start("")];
    await Bun.sleep(SETTLE_MS);
    const [waiting, nothing] = await Promise.all(processes.map((run) => measure(run, seconds)));
    console.log(`${seconds} s, ${producers.length} idle channels, each awaited twice`);
    console.table({ "waiting for frames": waiting, "idle Bun": nothing });
  } finally {
    region.close();
    Region.destroy(name);
  }
}
