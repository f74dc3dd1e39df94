/** `physring rm`: takes away what programs left behind. */
import { existsSync } from "node:fs";
import { PhysringError } from "../ffi/errors.ts";
import { RegionError, type RegionErrorCode } from "../memory/errors.ts";
import { isInUse } from "../memory/in-use.ts";
import { listRegions, type RegionInfo } from "../memory/list-regions.ts";
import { parseName, sharedMemoryDirectory, sidecarPath } from "../memory/names.ts";
import { Region } from "../memory/region.ts";
import { type CommandSpec, helpText, parseOptions, UsageError } from "./options.ts";

export const RM_COMMAND: CommandSpec = {
  name: "physring rm",
  usage: "REGION... | --dead [OPTIONS]",
  summary: "Removes regions: those named, or with --dead all that nobody uses.",
  options: {
    dead: { help: "all regions in /dev/shm (or PHYSRING_SHM_DIR) that no process has open" },
    force: { help: "also regions in use: who has one open keeps the memory, and nobody finds it any more" },
    "dry-run": { help: "say what would be removed" },
    json: { help: "print one JSON array instead of text" },
  },
  notes: "Exit code 1: one was not removed.",
  positionals: 64,
};

const FOREIGN: ReadonlySet<RegionErrorCode> = new Set(["REGION_NOT_A_REGION", "REGION_TOO_SMALL"]);

interface Outcome {
  readonly name: string;
  readonly removed: boolean;
  /** Why it was not. */
  readonly error?: string;
}

/** @returns the exit code. @throws UsageError */
export async function runRm(args: readonly string[]): Promise<number> {
  const options = parseOptions(RM_COMMAND, args);
  if (options.has("help")) {
    process.stdout.write(helpText(RM_COMMAND));
    return 0;
  }
  const names = options.positionals;
  if (options.has("dead") ? names.length > 0 : names.length === 0)
    throw new UsageError("name the regions to remove (physring ls lists them), or say --dead");
  const chosen = options.has("dead")
    ? listRegions()
        .filter(isDead)
        .map(({ name }) => name)
    : names;
  const dryRun = options.has("dry-run");
  const outcomes = chosen.map((name) => remove(name, options.has("force"), dryRun));
  if (options.has("json")) process.stdout.write(`${JSON.stringify(outcomes, null, 2)}\n`);
  else process.stdout.write(`${outcomes.map((outcome) => text(outcome, dryRun)).join("\n") || nothing()}\n`);
  return outcomes.some(({ error }) => error !== undefined) ? 1 : 0;
}

/** A file that only has a name like ours is not. */
function isDead({ name, path }: RegionInfo): boolean {
  // Of a device only what starts at 0 has a name.
  if (controlFileOf(name) !== path || isInUse(path)) return false;
  try {
    Region.open(name, { readOnly: true }).close();
    return true;
  } catch (error) {
    return error instanceof RegionError && !FOREIGN.has(error.code);
  }
}

/** However the region is named, and though its file may not be there. */
function mayBeUsed(name: string): boolean {
  const path = controlFileOf(name);
  return path !== null && isInUse(path);
}

/** What `Region.destroy(name)` removes; null: not a name. */
function controlFileOf(name: string): string | null {
  try {
    const target = parseName(name);
    if (target.backend === "memfd") return null;
    return target.backend === "udmabuf" ? sidecarPath(target.device, 0) : target.path;
  } catch {
    return null; // destroying it says why
  }
}

function remove(name: string, force: boolean, dryRun: boolean): Outcome {
  if (!force && mayBeUsed(name))
    return {
      name,
      removed: false,
      error: `${name} is in use (physring ls ${name} says by whom): end those programs, or use --force`,
    };
  try {
    const path = controlFileOf(name);
    const removed = dryRun && path !== null ? existsSync(path) : Region.destroy(name);
    return removed
      ? { name, removed }
      : { name, removed, error: `there is no region ${name}; physring ls lists what there is` };
  } catch (error) {
    if (!(error instanceof PhysringError)) throw error;
    return { name, removed: false, error: error.message };
  }
}

function text({ name, error }: Outcome, dryRun: boolean): string {
  return error ?? `${name}: ${dryRun ? "would be removed" : "removed"}`;
}

function nothing(): string {
  return `no region in ${sharedMemoryDirectory()} that nobody uses`;
}
