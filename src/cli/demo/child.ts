/** Entry point of the processes that `physring demo` starts: `bun child.ts source|worker|sink`. Settings come over IPC. */
import { rmdirSync } from "node:fs";
import { Region } from "../../memory/region.ts";
import type { DemoSettings, RegionPlace, Role } from "./messages.ts";
import { ParentLink } from "./parent-link.ts";
import { SinkRole } from "./sink.ts";
import { openFrames, SourceRole } from "./source.ts";
import { WorkerRole } from "./worker.ts";

let region: Region | null = null;
let place: RegionPlace | null = null;

/** The parent was killed: nobody needs the region any more, so whoever notices takes its name away. */
function orphaned(): never {
  const name = place?.destroyName ?? null;
  if (region !== null && name !== null) {
    const { instanceId } = region;
    const { doorbellDirectory } = region.control;
    region.close();
    if (stillNames(name, instanceId)) Region.destroy(name);
    else removeIfEmpty(doorbellDirectory);
  }
  region?.close();
  process.exit(1);
}

/** A sibling that noticed earlier has removed it, and we may have made it again since to wait for something. */
function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Gone, or in use.
  }
}

/** A later run may have made a region of the same name. */
function stillNames(name: string, instanceId: string): boolean {
  try {
    using found = Region.open(name);
    return found.instanceId === instanceId;
  } catch {
    return false;
  }
}

function join(where: RegionPlace): Region {
  place = where;
  region = Region.open(where.region);
  return region;
}

async function runSource(link: ParentLink, settings: DemoSettings): Promise<void> {
  const stop = new AbortController();
  link.on("stop", () => stop.abort(new Error("stopped")));
  const frames = await openFrames(settings);
  link.send({ kind: "format", format: frames.format });
  const role = new SourceRole(join((await link.once("join")).place), settings, frames, stop.signal);
  link.send({ kind: "joined", attachment: 0 });
  await role.run(link);
}

async function runWorker(link: ParentLink, settings: DemoSettings, worker: number): Promise<void> {
  const { place: where } = await link.once("join");
  const role = new WorkerRole(join(where), settings, where.format, worker);
  link.send({ kind: "joined", attachment: role.attachment });
  await role.run();
  link.send({ kind: "worker" });
}

async function runSink(link: ParentLink, settings: DemoSettings): Promise<void> {
  const { place: where } = await link.once("join");
  const role = new SinkRole(join(where), settings, where.format, link);
  link.send({ kind: "joined", attachment: 0 });
  await role.run();
}

async function main(role: Role): Promise<void> {
  // The terminal sends SIGINT to all of us; the parent decides what it means.
  process.on("SIGINT", () => {});
  process.on("SIGHUP", () => {});
  const link = new ParentLink(orphaned);
  link.send({ kind: "booted" });
  const { settings, worker } = await link.once("settings");
  try {
    if (role === "source") await runSource(link, settings);
    else if (role === "sink") await runSink(link, settings);
    else await runWorker(link, settings, worker);
    region?.close();
  } catch (error) {
    link.send({ kind: "failed", error: error instanceof Error ? error.message : String(error) });
  }
  await link.end();
  process.exit(0);
}

await main(process.argv[2] as Role);
