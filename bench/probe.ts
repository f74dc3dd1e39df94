/** How far apart the two CPUs are right now: a virtual machine's CPUs move between rounds. */
import type { Binaries } from "./build.ts";
import type { Launcher } from "./launch.ts";

/** By the round trip of a cache line: the same core's two threads, the same cache, or further; unknown without a C compiler. */
export type Placement = "smt" | "near" | "far" | "unknown";
export const PLACEMENT_LIMITS_NS = { smt: 95, near: 220 } as const;

const ROUND_TRIPS = 60_000;

export interface Probe {
  /** Null when unknown. */
  readonly roundTripNs: number | null;
  readonly placement: Placement;
}

export function placementOf(roundTripNs: number): Placement {
  if (roundTripNs < PLACEMENT_LIMITS_NS.smt) return "smt";
  return roundTripNs <= PLACEMENT_LIMITS_NS.near ? "near" : "far";
}

export async function probePlacement(
  launcher: Launcher,
  cpus: readonly [number, number],
  binaries: Binaries,
): Promise<Probe> {
  if (binaries.missing("probe") !== null) return { roundTripNs: null, placement: "unknown" };
  const file = launcher.newFile(4096);
  const peer = (role: string, cpu: number) => ({
    role,
    cpu,
    command: [binaries.require("probe"), role, file, `count=${ROUND_TRIPS}`],
  });
  try {
    const echo = launcher.start(peer("pong", cpus[0])).catch(() => null);
    const { result } = await launcher.start(peer("ping", cpus[1]));
    await echo;
    const roundTripNs = (result as unknown as { roundTripNs: number }).roundTripNs;
    return { roundTripNs, placement: placementOf(roundTripNs) };
  } finally {
    launcher.remove(file);
  }
}
