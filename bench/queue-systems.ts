/** Who takes part in the measures of work queues: physring's, the same in C, the SPSC ring beside it, and DPDK's rte_ring. */
import type { Binaries } from "./build.ts";
import { FILE_THERE_OFFSET } from "./file-layout.ts";
import type { Job } from "./job.ts";
import type { Measure } from "./measures.ts";
import type { PeerCommand, System, Volume } from "./system.ts";

const PEER = `${import.meta.dir}/peers/queue-stream.ts`;
/** Messages of all producers in a leg: a multiple of the burst for each of them. */
const LEG = 3_200_000;
const CROWDED_LEG = 1_600_000;
/** Of 15 ms, with two producers and the engine's compiler threads on one CPU: after four of them code is still being compiled. */
const CROWDED_LEGS = 16;

function volume(measure: Measure): Volume | null {
  if (measure.queue === undefined) return null;
  return measure.queue.producers > 1
    ? { leg: CROWDED_LEG, warm: CROWDED_LEGS, legs: CROWDED_LEGS }
    : { leg: LEG, warm: 4, legs: 4 };
}

/** All producers share the first CPU. */
function roles({ producers }: { readonly producers: number }): readonly (readonly [string, 0 | 1])[] {
  const ends = Array.from({ length: producers }, (_, i) => [`producer-${i}`, 0] as const);
  return [...ends, ["consumer-0", 1]];
}

function typescript(job: Job, cpus: readonly [number, number]): PeerCommand[] {
  return roles(job.queue!).map(([role, cpu]) => ({
    role,
    cpu: cpus[cpu],
    command: [process.execPath, PEER, JSON.stringify({ ...job, role })],
  }));
}

function native(binary: string, job: Job, cpus: readonly [number, number]): PeerCommand[] {
  const { producers, structure } = job.queue!;
  return roles(job.queue!).map(([role, cpu], index) => {
    const numbers = {
      offset: FILE_THERE_OFFSET,
      capacity: job.capacity,
      burst: job.burst,
      leg: job.leg,
      warm: job.warm,
      legs: job.legs,
      producers,
      producer: index,
      shared: structure === "shared" ? 1 : 0,
      sleep: job.waiting === "spin" ? 0 : 1,
    };
    const options = Object.entries(numbers).map(([key, value]) => `${key}=${value}`);
    return { role, cpu: cpus[cpu], command: [binary, role.split("-")[0]!, job.name, ...options] };
  });
}

const queue: System = {
  id: "queue",
  title: "physring work queue (TypeScript)",
  shared: "region",
  volume,
  peers: typescript,
};

const queueC: System = {
  id: "queue-c",
  title: "C, the same queue (the limit)",
  shared: "file",
  volume,
  peers: (job, cpus, binaries: Binaries) => native(binaries.require("queue"), job, cpus),
};

const ring: System = {
  id: "queue-ring",
  title: "physring SPSC ring, same messages",
  shared: "region",
  volume: (measure) => (measure.queue?.producers === 1 ? volume(measure) : null),
  peers: (job, cpus) => typescript({ ...job, queue: { producers: 1, structure: "ring" } }, cpus),
};

const rte: System = {
  id: "rte_ring",
  title: "DPDK rte_ring, MP/MC",
  shared: "file",
  volume: (measure) => (measure.queue?.producers === 1 ? volume(measure) : null),
  peers: (job, cpus, binaries: Binaries) => native(binaries.require("rte"), job, cpus),
};

export const QUEUE_SYSTEMS: readonly System[] = [queueC, queue, ring, rte];
