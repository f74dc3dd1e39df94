/** The processes of the stress: each has a role, and says at its end what it saw. */

import { RUNNER_VARIABLE } from "../support/orphan.ts";
import { Patience } from "../support/patience.ts";

/** Nobody stalls for so long on a machine that runs us at all: the lanes are those of eviction, and nobody is evicted. */
export const NEVER_MS = 60_000;
/** No messages for so long: somebody sleeps beside them. */
export const STUCK_MS = 20_000;
const ATTACH_MS = 20_000;
export const BEFORE_WRAP = -1000;

export interface Role {
  readonly region: string;
  readonly role: string;
  readonly index: number;
  /** Of each producer. */
  readonly messages: number;
  readonly producers: number;
}

/** What a process says at its end. */
export interface Report {
  readonly received: number;
  /** Per producer: sum of the numbers received, modulo 2^53 by being small enough. */
  readonly sums: readonly number[];
  readonly faults: readonly string[];
}

/** What a topology came to. */
export interface Outcome {
  /** Messages that consumers received, all together. */
  readonly received: number;
  readonly faults: readonly string[];
}

export const SENT: Report = { received: 0, sums: [], faults: [] };

export async function start(role: Role): Promise<Report> {
  const child = Bun.spawn(
    [process.execPath, `${import.meta.dir}/stress.ts`, "--role", JSON.stringify(role)],
    {
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, [RUNNER_VARIABLE]: String(process.pid) },
    },
  );
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (child.exitCode === 0) return JSON.parse(output) as Report;
  return {
    received: 0,
    sums: [],
    faults: [`${role.role} ${role.index}: exit ${child.exitCode}: ${errors.slice(-800)}`],
  };
}

export function outcomeOf(reports: readonly Report[], faults: readonly string[] = []): Outcome {
  return {
    received: reports.reduce((total, { received }) => total + received, 0),
    faults: [...reports.flatMap((report) => report.faults), ...faults],
  };
}

/** Until it is so, or nobody attaches: then who starts now says what it did not get. */
export async function untilAttached(attached: () => boolean): Promise<void> {
  for (const patience = new Patience(ATTACH_MS); !attached() && !patience.isOver; ) await Bun.sleep(5);
}

/** Indices started just below 2^32: the run must have gone beyond. */
export function roundFaults(words: Int32Array, index: number): string[] {
  return words[index]! < 0 ? [`index ${words[index]! >>> 0} did not go round`] : [];
}
