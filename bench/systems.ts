/** The systems side by side: which measures each can do, with how many messages, and which processes run it. */
import { FILE_BACK_OFFSET, FILE_BLOCKS_OFFSET, FILE_THERE_OFFSET } from "./file-layout.ts";
import type { Job } from "./job.ts";
import { FRAME_CAPACITY, type Measure } from "./measures.ts";
import { QUEUE_SYSTEMS } from "./queue-systems.ts";
import { RECORDS_SYSTEMS } from "./records-systems.ts";
import type { PeerCommand, System, Volume } from "./system.ts";

const PEERS = `${import.meta.dir}/peers`;

function bun(script: string, job: Job, role: string, cpu: number): PeerCommand {
  return { role, cpu, command: [process.execPath, `${PEERS}/${script}`, JSON.stringify({ ...job, role })] };
}

/** The producer (or pong) first: the other one times. */
function rolesOf(job: Job): readonly [string, string] {
  return job.kind === "roundtrip" ? ["pong", "ping"] : ["producer", "consumer"];
}

/** Messages in a leg of about 30 ms, for the rings. Multiples of the burst. */
const RING_LEGS: Readonly<Record<string, number>> = {
  "descriptor-1": 2_000_000,
  "descriptor-32": 6_000_000,
  "inline64-1": 600_000,
  "inline64-32": 1_200_000,
  "inline1k-1": 120_000,
  "inline1k-32": 240_000,
  "frames-1m": 800,
  objects: 200_000,
  "roundtrip-spin": 40_000,
  "roundtrip-futex": 40_000,
  "roundtrip-idle": 150,
  "roundtrip-await": 1_500,
};

/** Spinning round trips are short, and a compiler thread shares its CPU with the spinning end: they need the most legs to warm up. */
function ringVolume(measure: Measure): Volume {
  const spins = measure.kind === "roundtrip" && measure.waiting !== "await" && measure.idleMs === 0;
  return { leg: RING_LEGS[measure.id]!, warm: spins ? 12 : 4, legs: 4 };
}

const MODES = { spin: 0, "spin-then-futex": 1, await: 2 } as const;

function cArguments(job: Job): string[] {
  const common = [`offset=${FILE_THERE_OFFSET}`, `capacity=${job.capacity}`];
  const legs = [`leg=${job.leg}`, `warm=${job.warm}`, `legs=${job.legs}`];
  if (job.kind === "stream") return [...common, ...legs, `words=${job.words}`, `burst=${job.burst}`];
  if (job.kind === "frames")
    return [...common, ...legs, `blocks=${FILE_BLOCKS_OFFSET}`, `frameBytes=${job.words * 4}`];
  const counts = [`warm=${job.leg * job.warm}`, `count=${job.leg * job.legs}`];
  return [
    ...common,
    ...counts,
    `back=${FILE_BACK_OFFSET}`,
    `mode=${MODES[job.waiting]}`,
    `idleUs=${job.idleMs * 1000}`,
  ];
}

function nativePeers(binary: string, job: Job, cpus: readonly [number, number]): PeerCommand[] {
  return rolesOf(job).map((role, index) => ({
    role,
    cpu: cpus[index]!,
    command: [binary, role, job.name, ...cArguments(job)],
  }));
}

const c: System = {
  id: "c",
  title: "C, the same ring (the limit)",
  shared: "file",
  volume: (measure) => (measure.kind === "objects" ? null : ringVolume(measure)),
  peers: (job, cpus, binaries) => {
    const program = job.kind === "stream" ? "oneway" : job.kind;
    return nativePeers(binaries.require(program), job, cpus);
  },
};

const physring: System = {
  id: "physring",
  title: "physring (TypeScript)",
  shared: "region",
  volume: ringVolume,
  peers: (job, cpus) => {
    const script =
      job.kind === "stream"
        ? "ring-stream.ts"
        : job.kind === "objects"
          ? "message-stream.ts"
          : `ring-${job.kind}.ts`;
    return rolesOf(job).map((role, index) => bun(script, job, role, cpus[index]!));
  },
};

const physringWaking: System = {
  ...physring,
  id: "physring-waking",
  title: "physring, ends that wake sleepers",
  volume: (measure) => (measure.kind === "stream" ? ringVolume(measure) : null),
  peers: (job, cpus) => physring.peers({ ...job, waiting: "spin-then-futex" }, cpus, undefined as never),
};

const boost: System = {
  id: "boost",
  title: "boost::lockfree::spsc_queue (C++)",
  shared: "file",
  volume: (measure) => (measure.words === 4 ? ringVolume(measure) : null),
  peers: (job, cpus, binaries) => nativePeers(binaries.require("boost"), job, cpus),
};

/** Messages in a leg for systems that make a call for each. */
function slowVolume(measure: Measure): Volume {
  if (measure.kind === "frames") return { leg: 96, warm: 1, legs: 2 };
  if (measure.kind === "roundtrip") return { leg: 1_500, warm: 2, legs: 4 };
  return { leg: measure.burst > 1 ? 320_000 : 32_000, warm: 2, legs: 2 };
}

const ringbuf: System = {
  id: "ringbuf.js",
  title: "ringbuf.js, main thread to Worker",
  shared: "none",
  volume: (measure) => {
    if (measure.kind === "frames" || measure.kind === "objects" || measure.waiting !== "spin") return null;
    if (measure.kind === "roundtrip") return ringVolume(measure);
    return { leg: measure.words > 16 ? 19_200 : 160_000, warm: 2, legs: 2 };
  },
  peers: (job, cpus) => [bun("ringbuf.ts", job, "driver", cpus[0])],
};

const ipc: System = {
  id: "bun-ipc",
  title: "Bun.spawn IPC, advanced",
  shared: "none",
  volume: (measure) => (messagesOneByOne(measure) ? slowVolume(measure) : null),
  peers: (job, cpus) => [bun("ipc.ts", job, "parent", cpus[0])],
};

const postMessage: System = {
  id: "post-message",
  title: "Worker postMessage, clone",
  shared: "none",
  volume: (measure) => (messagesOneByOne(measure) && measure.kind !== "objects" ? slowVolume(measure) : null),
  peers: (job, cpus) => [bun("post-message.ts", job, "driver", cpus[0])],
};

const unixSocket: System = {
  id: "unix-socket",
  title: "unix socket, Bun",
  shared: "none",
  volume: (measure) =>
    measure.kind !== "objects" && (measure.kind !== "roundtrip" || measure.waiting === "await")
      ? slowVolume(measure)
      : null,
  peers: (job, cpus) => {
    // The side that listens drives: ping listens here, while it is the second of a pair of rings.
    const roles =
      job.kind === "roundtrip" ? (["pong", "ping"] as const) : (["producer", "consumer"] as const);
    return roles.map((role, index) => bun("unix-socket.ts", job, role, cpus[index]!));
  },
};

function messagesOneByOne(measure: Measure): boolean {
  return measure.burst === 1 && (measure.kind !== "roundtrip" || measure.waiting === "await");
}

/** Work queues and records have systems of their own. */
function ringsOnly(system: System): System {
  const others: readonly Job["kind"][] = ["queue", "records"];
  return { ...system, volume: (measure) => (others.includes(measure.kind) ? null : system.volume(measure)) };
}

export const SYSTEMS: readonly System[] = [
  ...[c, physring, physringWaking, boost, ringbuf, ipc, unixSocket, postMessage].map(ringsOnly),
  ...QUEUE_SYSTEMS,
  ...RECORDS_SYSTEMS,
];

export function jobFor(
  system: System,
  measure: Measure,
  name: string,
  capacity: number,
  secondCpu: number,
): Job {
  const volume = system.volume(measure);
  if (volume === null) throw new Error(`${system.id} does not do ${measure.id}`);
  const { kind, words, burst, waiting, idleMs, queue, readers } = measure;
  const slots = kind === "frames" ? FRAME_CAPACITY : capacity;
  const job = { role: "", name, kind, words, burst, waiting, idleMs, capacity: slots, secondCpu, ...volume };
  if (readers !== undefined) return { ...job, readers };
  return queue === undefined ? job : { ...job, queue };
}
