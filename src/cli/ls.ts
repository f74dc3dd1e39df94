/** `physring ls`: the regions of this machine. */
import { PhysringError } from "../ffi/errors.ts";
import { listRegions } from "../memory/list-regions.ts";
import { sharedMemoryDirectory } from "../memory/names.ts";
import { bytes, count, plural } from "./format.ts";
import type { HeldLock } from "./held-lock.ts";
import { type CommandSpec, helpText, parseOptions } from "./options.ts";
import {
  type ObjectReport,
  type ParticipantReport,
  type RegionReport,
  reportRegion,
} from "./region-report.ts";

export const LS_COMMAND: CommandSpec = {
  name: "physring ls",
  usage: "[REGION...] [OPTIONS]",
  summary:
    "Lists regions with their objects, participants and counters: all in /dev/shm (or PHYSRING_SHM_DIR), or those named.",
  options: { json: { help: "print one JSON array instead of text" } },
  notes:
    "Regions without a name (memfd) are listed when named: physring ls memfd:/proc/PID/fd/N. Exit code 1: one could not be read.",
  positionals: 64,
};

interface Unreadable {
  readonly name: string;
  readonly error: string;
  readonly code: string;
}

function read(name: string): RegionReport | Unreadable {
  try {
    return reportRegion(name);
  } catch (error) {
    if (!(error instanceof PhysringError)) throw error;
    return { name, error: error.message, code: error.code };
  }
}

/** A region that ended while we looked is no region any more. */
function isGone(report: RegionReport | Unreadable): boolean {
  return "code" in report && report.code === "REGION_NOT_FOUND";
}

/** @returns the exit code. @throws UsageError */
export async function runLs(args: readonly string[]): Promise<number> {
  const options = parseOptions(LS_COMMAND, args);
  if (options.has("help")) {
    process.stdout.write(helpText(LS_COMMAND));
    return 0;
  }
  const named = options.positionals.length > 0;
  const all = (named ? options.positionals : listRegions().map(({ name }) => name)).map(read);
  const reports = named ? all : all.filter((report) => !isGone(report));
  if (options.has("json")) process.stdout.write(`${JSON.stringify(reports, null, 2)}\n`);
  else
    process.stdout.write(
      reports.length === 0
        ? `no regions in ${sharedMemoryDirectory()}\n`
        : `${reports.map(text).join("\n")}\n`,
    );
  return reports.some((report) => "error" in report) ? 1 : 0;
}

function text(report: RegionReport | Unreadable): string {
  if ("error" in report) return `${report.name}: ${report.error}`;
  const alive = report.participants.filter((participant) => participant.alive).length;
  const lines = [
    `${report.name}  ${report.backend}  ${bytes(report.sizeBytes)}  ${plural(alive, "live participant")} (of at most ${report.maxParticipants})  ${report.path}`,
  ];
  for (const participant of report.participants) lines.push(`  ${participantText(participant)}`);
  if (report.cleaner !== null) lines.push(`  ${cleanerText(report.cleaner)}`);
  for (const object of report.objects) lines.push(`  ${objectText(object)}`);
  return lines.join("\n");
}

function participantText({ index, pid, name, alive }: ParticipantReport): string {
  return `participant ${index}  process ${pid} (${name})${alive ? "" : "  DEAD, not cleaned up yet"}`;
}

function cleanerText({ pid, command, stopped }: HeldLock): string {
  const who =
    pid === null
      ? "a process that cannot be seen from here"
      : `process ${pid} (${command}${stopped ? ", stopped" : ""})`;
  return `CLEANING IS HELD UP: ${who} has the cleaner's lock; nobody is cleaned up behind until it goes on or ends`;
}

function end(participant: number | null): string {
  return participant === null ? "nobody" : `participant ${participant}`;
}

function ends(participants: readonly number[]): string {
  return participants.length === 0 ? "nobody" : participants.map(end).join(", ");
}

function drops(counters: { readonly droppedNewest: number; readonly droppedOldest: number }): string {
  return `dropped newest ${count(counters.droppedNewest)}, oldest ${count(counters.droppedOldest)}`;
}

function objectText(object: ObjectReport): string {
  const head = `${object.kind} ${object.name}`;
  switch (object.kind) {
    case "ring":
      return `${head}  ${object.used}/${object.capacity} slots of ${bytes(object.slotBytes)} used  ${end(object.producer)} -> ${end(object.consumer)}`;
    case "pool":
      return `${head}  ${object.freeBlocks}/${object.blockCount} blocks free for frames of ${bytes(object.frameBytes)}`;
    case "channel": {
      const { counters } = object;
      const history = object.history > 0 ? `, history ${count(object.history)}` : "";
      const consumers = object.consumers.map(
        ({ participant, queued }) => `${end(participant)} (queue ${queued}/${object.laneCapacity})`,
      );
      return (
        `${head}  ${object.policy}, ${object.delivery}${history}${object.ended ? ", ended" : ""}  ${end(object.producer)} -> ` +
        `${consumers.length === 0 ? "nobody" : consumers.join(", ")}  published ${count(counters.published)}, ` +
        `${drops(counters)}, dropped whole ${count(counters.dropped)}, unclaimed ${count(counters.unclaimed)}, rejected ${count(counters.rejected)}, ` +
        `refused ${count(counters.failed)}, waits ${count(counters.blocked)}, evicted ${count(counters.evicted)}`
      );
    }
    case "records": {
      const { counters } = object;
      const lossy = object.mode === "lossy";
      const consumers = object.consumers.map(
        ({ participant, queuedBytes }) => `${end(participant)} (${bytes(queuedBytes)} behind)`,
      );
      return (
        `${head}  ${bytes(object.capacityBytes)}, ${lossy ? "lossy" : object.policy}${object.ended ? ", ended" : ""}  ` +
        `${end(object.producer)} -> ${lossy ? "any reader" : consumers.length === 0 ? "nobody" : consumers.join(", ")}  ` +
        `published ${count(object.published)}, dropped ${count(counters.droppedNewest)}, refused ${count(counters.failed)}, ` +
        `waits ${count(counters.blocked)}, evicted ${count(counters.evicted)}`
      );
    }
    case "hardware queue": {
      const who = object.quarantined ? "QUARANTINED" : end(object.owner);
      return `${head}  queue ${object.queue} of ${object.registers}, ${object.capacity} commands  ${who}  ${plural(object.heldBlocks, "block")} with the hardware`;
    }
    case "cell":
      return `${head}  version ${count(object.version)}, up to ${bytes(object.valueBytes)} in ${object.bufferCount} buffers  ${end(object.writer)} -> any reader`;
    case "queue": {
      const { counters } = object;
      return (
        `${head}  ${object.policy}, ${object.manyConsumers ? "many consumers" : "one consumer"}${object.ended ? ", ended" : ""}  ` +
        `${ends(object.producers)} -> ${ends(object.consumers)}  ${object.producers.length}/${object.maxProducers} lanes of ` +
        `${count(object.laneCapacity)} x ${bytes(object.slotBytes)} in use, queued ${count(counters.queued)}, ` +
        `${drops(counters)}, refused ${count(counters.refused)}, waits ${count(counters.waits)}, evicted ${count(counters.evicted)}`
      );
    }
    case "service": {
      const { counters, clients } = object;
      return (
        `${head}  ${end(object.server)} for ${clients.length === 0 ? "nobody" : clients.map(({ participant }) => end(participant)).join(", ")}  ` +
        `${clients.length}/${object.maxClients} clients, answered ${count(counters.answered)}, skipped ${count(counters.skipped)}, undelivered ${count(counters.undelivered)}`
      );
    }
    case "unknown":
      return `object ${object.name}: ${object.error}`;
  }
}
