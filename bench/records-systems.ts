/** Who takes part in the measures of records and broadcast: physring's, and the same protocol in C (include/physring_records.h). */
import type { Job } from "./job.ts";
import type { Measure } from "./measures.ts";
import type { PeerCommand, System, Volume } from "./system.ts";

const PEER = `${import.meta.dir}/peers/records-stream.ts`;
/** Records in a leg of about 30 ms: a multiple of the burst. */
const LEG = 960_000;
/** With more processes than CPUs a leg is mostly taking turns, and the engine's compiler threads want theirs: see queue-systems.ts. */
const CROWDED_LEG = 480_000;
const CROWDED = { leg: CROWDED_LEG, warm: 32, legs: 16 };

function volume(measure: Measure): Volume | null {
  if (measure.readers === undefined) return null;
  return measure.readers > 1 ? CROWDED : { leg: LEG, warm: 4, legs: 4 };
}

/** All consumers share the second CPU. */
function roles(job: Job): string[] {
  return ["producer", ...Array.from({ length: job.readers! }, (_, reader) => `consumer-${reader}`)];
}

function typescript(job: Job, cpus: readonly [number, number]): PeerCommand[] {
  return roles(job).map((role, index) => ({
    role,
    cpu: cpus[index === 0 ? 0 : 1],
    command: [process.execPath, PEER, JSON.stringify({ ...job, role })],
  }));
}

function native(binary: string, job: Job, cpus: readonly [number, number]): PeerCommand[] {
  const { leg, warm, legs, burst, readers } = job;
  const sleep = job.waiting === "spin" ? 0 : 1;
  return roles(job).map((role, index) => {
    const numbers = { leg, warm, legs, burst, readers, sleep, reader: Math.max(0, index - 1) };
    const options = Object.entries(numbers).map(([key, value]) => `${key}=${value}`);
    return {
      role,
      cpu: cpus[index === 0 ? 0 : 1],
      command: [binary, role.split("-")[0]!, job.name, ...options],
    };
  });
}

export const RECORDS_SYSTEMS: readonly System[] = [
  {
    id: "records-c",
    title: "C, the same records (the limit)",
    shared: "region",
    volume,
    peers: (job, cpus, binaries) => native(binaries.require("records"), job, cpus),
  },
  { id: "records", title: "physring records (TypeScript)", shared: "region", volume, peers: typescript },
];
