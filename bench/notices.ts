/**
 * bun bench/notices.ts [--trips 2000] [--kills 20] [--json]: what an event loop can wait for. How long a byte takes to the event loop of
 * another process and back, by each kind of descriptor that is found by name; how long after SIGKILL the end of a process is noticed, by
 * what the kernel offers; and when physring's survivors, in their event loop or blocked, have cleaned up behind the dead one.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { monotonicNs } from "../src/ffi/clock.ts";
import { EventLoopReader } from "../src/ffi/event-loop-reader.ts";
import { closeFile, openFile } from "../src/ffi/files.ts";
import { ReadinessWatch, writeWord } from "../src/ffi/poll.ts";
import { pidfdOpen } from "../src/ffi/process.ts";
import { bindUnix, datagramSocket, sendByteTo, unixAddress } from "../src/ffi/sockets.ts";
import { Records, Region } from "../src/index.ts";
import { Participant } from "../src/ring/participant.ts";
import { choosePair, describeMachine } from "./machine.ts";

const TRIP_WARM_UP = 200;
const SETTLE_MS = 100;
const LIMIT_MS = 5000;
const KINDS = ["datagram", "fifo", "stream"] as const;
type Kind = (typeof KINDS)[number];

/** One end of a connection by which single bytes travel. */
interface Line {
  send(): void;
}

function swap(role: string): string {
  return role === "ping" ? "pong" : "ping";
}

/** A unix datagram socket per end, bound to a name: what physring's doorbells are. */
function datagramLine(path: string, role: string, onByte: () => void): Line {
  const fd = datagramSocket();
  bindUnix(fd, `${path}.${role}`);
  new EventLoopReader(fd, { onBytes: onByte, onEnd: () => process.exit(3) }).hold();
  const address = unixAddress(`${path}.${swap(role)}`);
  return { send: () => sendByteTo(fd, address) };
}

/** A FIFO per end. Opened for reading and writing, so that neither open waits and no end sees the other's absence. */
function fifoLine(path: string, role: string, onByte: () => void): Line {
  const mine = openFile(`${path}.${role}`);
  const theirs = openFile(`${path}.${swap(role)}`);
  new EventLoopReader(mine, { onBytes: onByte, onEnd: () => process.exit(3) }).hold();
  return { send: () => void writeWord(theirs, 1) };
}

/** A unix stream, by Bun's own sockets. */
async function streamLine(path: string, role: string, onByte: () => void): Promise<Line> {
  const socket = { data: onByte, close: () => process.exit(0) };
  if (role === "pong") {
    const peers: Bun.Socket[] = [];
    Bun.listen({ unix: path, socket: { ...socket, open: (peer) => void peers.push(peer) } });
    return { send: () => void peers[0]?.write("x") };
  }
  const peer = await Bun.connect({ unix: path, socket });
  return { send: () => void peer.write("x") };
}

function openLine(kind: Kind, path: string, role: string, onByte: () => void): Line | Promise<Line> {
  if (kind === "datagram") return datagramLine(path, role, onByte);
  return kind === "fifo" ? fifoLine(path, role, onByte) : streamLine(path, role, onByte);
}

/** One end: pong answers each byte; ping prints the median of its round trips in microseconds. */
async function runTrips(kind: Kind, path: string, role: string, trips: number): Promise<void> {
  const times: number[] = [];
  let sentNs = 0;
  const line = await openLine(kind, path, role, () => {
    if (role === "pong") return line.send();
    times.push(monotonicNs() - sentNs);
    if (times.length === trips + TRIP_WARM_UP) finish();
    else next();
  });
  const next = (): void => {
    sentNs = monotonicNs();
    line.send();
  };
  const finish = (): void => {
    console.log(JSON.stringify({ us: median(times.slice(TRIP_WARM_UP)) / 1000 }));
    process.exit(0);
  };
  console.log("ready");
  if (role === "ping") next();
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

/** The promise's result, for which a benchmark does not wait for ever. */
async function withLimit<T>(what: string, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what} did not come in ${LIMIT_MS} ms`)), LIMIT_MS);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A child of this file in another role; its stdout line by line. */
class Child implements Disposable {
  readonly process: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  /** @param cpu where it runs; null: anywhere */
  constructor(cpu: number | null, ...args: string[]) {
    const pinned = cpu === null ? [] : ["taskset", "-c", String(cpu)];
    this.process = Bun.spawn([...pinned, process.execPath, import.meta.path, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#lines = linesOf(this.process.stdout);
  }

  async line(): Promise<string> {
    const result = await withLimit("a line of a child", this.#lines.next());
    if (result.done === true) throw new Error("a child of the benchmark ended early");
    return result.value;
  }

  [Symbol.dispose](): void {
    this.process.kill("SIGKILL");
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}

async function measureTrips(
  directory: string,
  kind: Kind,
  trips: number,
  cpus: readonly [number, number],
): Promise<number> {
  const path = `${directory}/${kind}`;
  if (kind === "fifo") for (const role of ["ping", "pong"]) Bun.spawnSync(["mkfifo", `${path}.${role}`]);
  using pong = new Child(cpus[0], "--role", "pong", "--kind", kind, "--path", path, "--trips", String(trips));
  await pong.line();
  using ping = new Child(cpus[1], "--role", "ping", "--kind", kind, "--path", path, "--trips", String(trips));
  await ping.line();
  return (JSON.parse(await ping.line()) as { us: number }).us;
}

/** A survivor: prints pid and time of each death once it has been cleaned up behind. */
async function survive(name: string, blocks: boolean): Promise<void> {
  using region = Region.open(name);
  const rx = Records.open(region, "records").consumer();
  Participant.of(region).onDeath(({ pid }) => console.log(`${pid} ${monotonicNs()}`));
  console.log("ready");
  // Blocked, the thread prints when it comes back: it waits in steps, and the time was taken by then.
  while (blocks) {
    rx.block({ timeoutMs: 400 });
    await Bun.sleep(0);
  }
  await rx.wait();
}

/** Takes part and holds what else can tell of its end, until it is killed. */
async function beVictim(name: string, path: string): Promise<void> {
  using region = Region.open(name);
  Participant.of(region);
  openFile(`${path}.fifo`);
  await Bun.connect({ unix: `${path}.stream`, socket: { data: () => undefined } });
  console.log("ready");
  await Bun.sleep(LIMIT_MS * 2);
}

type Deaths = Record<"pidfd" | "stream" | "fifo" | "eventLoop" | "blocked", number[]>;

/** Milliseconds from SIGKILL of one victim to each notice. */
async function killOne(
  name: string,
  directory: string,
  survivor: Child,
  survivorKind: "eventLoop" | "blocked",
  into: Deaths,
): Promise<void> {
  const path = `${directory}/victim`;
  const heard = {
    pidfd: Promise.withResolvers<number>(),
    stream: Promise.withResolvers<number>(),
    fifo: Promise.withResolvers<number>(),
  };
  Bun.spawnSync(["mkfifo", `${path}.fifo`]);
  const server = Bun.listen({
    unix: `${path}.stream`,
    socket: { data: () => undefined, close: () => heard.stream.resolve(monotonicNs()) },
  });
  const fifoFd = openFile(`${path}.fifo`, { readOnly: true });
  using victim = new Child(null, "--role", "victim", "--region", name, "--path", path);
  await victim.line();
  const pidFd = pidfdOpen(victim.process.pid);
  using ended = new ReadinessWatch(pidFd, () => heard.pidfd.resolve(monotonicNs()));
  ended.arm();
  const fifo = new EventLoopReader(fifoFd, {
    onBytes: () => undefined,
    onEnd: () => heard.fifo.resolve(monotonicNs()),
  });
  fifo.hold();
  await Bun.sleep(SETTLE_MS);
  const killedNs = monotonicNs();
  process.kill(victim.process.pid, "SIGKILL");
  const toMs = (ns: number): number => (ns - killedNs) / 1e6;
  for (const kind of ["pidfd", "stream", "fifo"] as const)
    into[kind].push(toMs(await withLimit(kind, heard[kind].promise)));
  const [pid, ns] = (await survivor.line()).split(" ").map(Number);
  if (pid !== victim.process.pid)
    throw new Error(`the survivor names ${pid}, killed was ${victim.process.pid}`);
  into[survivorKind].push(toMs(ns!));
  fifo.stop();
  server.stop(true);
  closeFile(fifoFd);
  closeFile(pidFd);
  for (const kind of ["fifo", "stream"]) rmSync(`${path}.${kind}`, { force: true });
}

async function measureDeaths(directory: string, kills: number): Promise<Deaths> {
  const name = `bench-notices-${process.pid}`;
  const deaths: Deaths = { pidfd: [], stream: [], fifo: [], eventLoop: [], blocked: [] };
  using region = Region.create(name, { size: "1MiB" });
  try {
    Records.create(region, "records", { capacityBytes: 4096, maxConsumers: 2 });
    // One after the other: whoever hears of a death first wakes the others.
    for (const kind of ["eventLoop", "blocked"] as const) {
      using survivor = new Child(null, "--role", kind, "--region", name);
      await survivor.line();
      for (let kill = 0; kill < kills; kill++) await killOne(name, directory, survivor, kind, deaths);
    }
  } finally {
    Region.destroy(name);
  }
  return deaths;
}

const TITLES: Readonly<Record<keyof Deaths, string>> = {
  pidfd: "pidfd, told",
  stream: "hang-up of a unix stream, told",
  fifo: "hang-up of a FIFO, told",
  eventLoop: "physring survivor in its event loop, cleaned up",
  blocked: "physring survivor in a blocking wait, cleaned up",
};

async function main(trips: number, kills: number, json: boolean): Promise<void> {
  const directory = mkdtempSync(`${tmpdir()}/notices-`);
  try {
    const cpus = choosePair();
    const roundTripUs: Partial<Record<Kind, number>> = {};
    for (const kind of KINDS) roundTripUs[kind] = await measureTrips(directory, kind, trips, cpus);
    const deathsMs = await measureDeaths(directory, kills);
    const machine = describeMachine(cpus);
    if (json) return console.log(JSON.stringify({ machine, roundTripUs, deathsMs }));
    console.log(
      `${machine.processor}, ${machine.logicalCpus} CPUs, Linux ${machine.kernel}, Bun ${machine.bun}`,
    );
    console.log(`round trip between event loops on CPUs ${cpus.join(" and ")}, p50 of ${trips}, us`);
    for (const kind of KINDS) console.log(`  ${kind.padEnd(50)} ${roundTripUs[kind]?.toFixed(1)}`);
    console.log(`after SIGKILL of a Bun process, ms: median (least … most) of ${kills}`);
    for (const [kind, times] of Object.entries(deathsMs))
      console.log(
        `  ${TITLES[kind as keyof Deaths].padEnd(50)} ${median(times).toFixed(1)} (${Math.min(...times).toFixed(1)} … ${Math.max(...times).toFixed(1)})`,
      );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const { values } = parseArgs({
  options: {
    trips: { type: "string", default: "2000" },
    kills: { type: "string", default: "20" },
    json: { type: "boolean", default: false },
    role: { type: "string", default: "main" },
    kind: { type: "string", default: "datagram" },
    path: { type: "string", default: "" },
    region: { type: "string", default: "" },
  },
});
if (values.role === "main") await main(Number(values.trips), Number(values.kills), values.json);
else if (values.role === "victim") await beVictim(values.region, values.path);
else if (values.role === "eventLoop" || values.role === "blocked")
  await survive(values.region, values.role === "blocked");
else await runTrips(values.kind as Kind, values.path, values.role, Number(values.trips));
