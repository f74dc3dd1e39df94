/** What can be said of a region from outside: read by `physring ls`, without becoming a participant and without changing a byte. */
import { type ChannelCounters, readCounters } from "../channel/producer.ts";
import { type RecordsCounters, readRecordsCounters } from "../channel/record-producer.ts";
import { readServiceCounters, type ServiceCounters } from "../channel/service-server.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { LockByte, ObjectKind, ParticipantRecord } from "../memory/layout.ts";
import { Region } from "../memory/region.ts";
import { openCellGeometry } from "../ring/cell-geometry.ts";
import { CellLayout } from "../ring/cell-layout.ts";
import { openChannelGeometry } from "../ring/channel-geometry.ts";
import { usedSlots } from "../ring/drop-oldest.ts";
import { HardwareQueue } from "../ring/hardware-queue.ts";
import { ChannelLayout, RingLayout } from "../ring/layout.ts";
import { ownerParticipant } from "../ring/owner.ts";
import { listParticipants } from "../ring/participant.ts";
import { Pool } from "../ring/pool.ts";
import { type QueueCounters, readQueueCounters, readQueueParties } from "../ring/queue.ts";
import { openQueueGeometry } from "../ring/queue-geometry.ts";
import { QueueLayout } from "../ring/queue-layout.ts";
import { openRecordsGeometry } from "../ring/records-geometry.ts";
import { cursorOwnerWord, cursorPositionWord, RecordsLayout } from "../ring/records-layout.ts";
import { openRingGeometry } from "../ring/ring-geometry.ts";
import { openServiceGeometry } from "../ring/service-geometry.ts";
import { ServiceLayout } from "../ring/service-layout.ts";
import { type HeldLock, heldForLong } from "./held-lock.ts";

export interface ParticipantReport {
  readonly index: number;
  readonly pid: number;
  readonly name: string;
  /** The kernel holds its lock. A dead one that is listed has not been cleaned up behind yet. */
  readonly alive: boolean;
}

/** Participants by index; null: nobody. */
export type ObjectDetail =
  | {
      readonly kind: "ring";
      readonly slotBytes: number;
      readonly capacity: number;
      readonly used: number;
      readonly producer: number | null;
      readonly consumer: number | null;
    }
  | {
      readonly kind: "pool";
      readonly frameBytes: number;
      readonly blockBytes: number;
      readonly blockCount: number;
      readonly freeBlocks: number;
      readonly metaBytes: number;
    }
  | {
      readonly kind: "channel";
      readonly policy: string;
      readonly delivery: string;
      readonly pool: string;
      readonly laneCapacity: number;
      readonly history: number;
      readonly producer: number | null;
      readonly ended: boolean;
      readonly consumers: readonly {
        readonly lane: number;
        readonly participant: number;
        readonly queued: number;
      }[];
      readonly maxConsumers: number;
      readonly counters: ChannelCounters;
    }
  | {
      readonly kind: "service";
      readonly server: number | null;
      readonly clients: readonly {
        readonly place: number;
        readonly participant: number;
        readonly requestBytes: number;
        readonly responseBytes: number;
      }[];
      readonly maxClients: number;
      readonly counters: ServiceCounters;
    }
  | {
      readonly kind: "records";
      readonly mode: string;
      readonly policy: string;
      readonly capacityBytes: number;
      readonly history: number;
      readonly producer: number | null;
      readonly ended: boolean;
      /** `queuedBytes`: published and not released. Lossy readers do not show. */
      readonly consumers: readonly { readonly participant: number; readonly queuedBytes: number }[];
      readonly maxConsumers: number;
      /** Records published so far, modulo 2^32. */
      readonly published: number;
      readonly counters: RecordsCounters;
    }
  | {
      readonly kind: "cell";
      readonly valueBytes: number;
      readonly bufferCount: number;
      /** Values written so far; 0: none. */
      readonly version: number;
      readonly writer: number | null;
    }
  | {
      readonly kind: "queue";
      readonly slotBytes: number;
      readonly laneCapacity: number;
      readonly policy: string;
      readonly ended: boolean;
      /** One entry for each lane that has a producer. */
      readonly producers: readonly number[];
      readonly maxProducers: number;
      readonly consumers: readonly number[];
      readonly manyConsumers: boolean;
      readonly counters: QueueCounters;
    }
  | {
      readonly kind: "hardware queue";
      readonly registers: string;
      readonly queue: number;
      readonly capacity: number;
      readonly owner: number | null;
      /** Its owner died and it did not go idle. */
      readonly quarantined: boolean;
      /** Blocks that the hardware has. */
      readonly heldBlocks: number;
    }
  | { readonly kind: "unknown"; readonly error: string };

export type ObjectReport = {
  readonly name: string;
  readonly offset: number;
  readonly sizeBytes: number;
} & ObjectDetail;

export interface RegionReport {
  readonly name: string;
  readonly backend: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly instanceId: string;
  readonly participants: readonly ParticipantReport[];
  readonly maxParticipants: number;
  /** Who keeps everybody from cleaning up behind the dead; null: nobody. */
  readonly cleaner: HeldLock | null;
  readonly objects: readonly ObjectReport[];
}

/** @throws RegionError when the region cannot be opened */
export function reportRegion(name: string): RegionReport {
  using region = Region.open(name, { readOnly: true });
  const participants = listParticipants(region.control)
    .filter(({ phase }) => phase === ParticipantRecord.phaseLive || phase === ParticipantRecord.phaseDying)
    .map(({ index, pid, name: label, alive }) => ({ index, pid, name: label, alive }));
  const objects = region.directory.list().map((entry) => reportObject(region, entry));
  const cleaner = heldForLong(region, LockByte.cleaner);
  const { backend, path, sizeBytes, instanceId } = region;
  const maxParticipants = ParticipantRecord.capacity;
  return { name, backend, path, sizeBytes, instanceId, participants, maxParticipants, cleaner, objects };
}

function reportObject(region: Region, entry: DirectoryEntry): ObjectReport {
  const { name, offset, sizeBytes } = entry;
  return { name, offset, sizeBytes, ...detailOf(region, entry) };
}

function detailOf(region: Region, entry: DirectoryEntry): ObjectDetail {
  try {
    if (entry.kind === ObjectKind.ring) return ringDetail(region, entry);
    if (entry.kind === ObjectKind.pool) return poolDetail(region, entry);
    if (entry.kind === ObjectKind.channel) return channelDetail(region, entry);
    if (entry.kind === ObjectKind.records) return recordsDetail(region, entry);
    if (entry.kind === ObjectKind.cell) return cellDetail(region, entry);
    if (entry.kind === ObjectKind.queue) return queueDetail(region, entry);
    if (entry.kind === ObjectKind.service) return serviceDetail(region, entry);
    if (entry.kind === ObjectKind.hardwareQueue) return hardwareQueueDetail(region, entry);
    return { kind: "unknown", error: `kind ${entry.kind} is unknown to this version` };
  } catch (error) {
    return { kind: "unknown", error: error instanceof Error ? error.message : String(error) };
  }
}

function owner(words: Int32Array, index: number): number | null {
  const participant = ownerParticipant(words[index]!);
  return participant < 0 ? null : participant;
}

function ringDetail(region: Region, entry: DirectoryEntry): ObjectDetail {
  const { words, slotBytes, capacity } = openRingGeometry(region, entry);
  return {
    kind: "ring",
    slotBytes,
    capacity,
    used: (words[RingLayout.tailWord]! - words[RingLayout.headWord]!) >>> 0,
    producer: owner(words, RingLayout.producerOwnerWord),
    consumer: owner(words, RingLayout.consumerOwnerWord),
  };
}

function poolDetail(region: Region, entry: DirectoryEntry): ObjectDetail {
  const pool = Pool.at(region, entry);
  return { kind: "pool", ...pool.geometry, freeBlocks: pool.countFree() };
}

function hardwareQueueDetail(region: Region, entry: DirectoryEntry): ObjectDetail {
  const queue = HardwareQueue.at(region, entry);
  return {
    kind: "hardware queue",
    registers: queue.registers,
    queue: queue.queue,
    capacity: 1 << queue.capacityLog2,
    owner: queue.owner < 0 ? null : queue.owner,
    quarantined: queue.quarantined,
    heldBlocks: queue.heldHint(),
  };
}

function cellDetail(region: Region, entry: DirectoryEntry): ObjectDetail {
  const { words, valueBytes, bufferCount } = openCellGeometry(region, entry);
  const version = words[CellLayout.latestWord]! >>> 0;
  return { kind: "cell", valueBytes, bufferCount, version, writer: owner(words, CellLayout.writerOwnerWord) };
}

function queueDetail(region: Region, entry: DirectoryEntry): ObjectDetail {
  const queue = openQueueGeometry(region, entry);
  return {
    kind: "queue",
    slotBytes: queue.slotBytes,
    laneCapacity: queue.capacity,
    policy: queue.policy,
    ended: queue.words[QueueLayout.endedWord] !== 0,
    ...readQueueParties(queue),
    maxProducers: queue.lanes.length,
    manyConsumers: queue.consumers === "many",
    counters: readQueueCounters(queue),
  };
}

function channelDetail(region: Region, entry: DirectoryEntry): ObjectDetail {
  const channel = openChannelGeometry(region, entry);
  const consumers = channel.lanes.flatMap((words, lane) => {
    const participant = owner(words, RingLayout.consumerOwnerWord);
    if (participant === null) return [];
    const tail = words[RingLayout.tailWord]!;
    const head = words[RingLayout.headWord]!;
    return [
      { lane, participant, queued: channel.claimedHeads ? usedSlots(tail, head) : (tail - head) >>> 0 },
    ];
  });
  return {
    kind: "channel",
    policy: channel.policy,
    delivery: channel.delivery,
    pool: channel.pool.entry.name,
    laneCapacity: channel.laneCapacity,
    history: channel.history,
    producer: owner(channel.words, ChannelLayout.producerOwnerWord),
    ended: channel.words[ChannelLayout.endedWord] !== ChannelLayout.endedOpen,
    consumers,
    maxConsumers: channel.lanes.length,
    counters: readCounters(channel),
  };
}

function recordsDetail(region: Region, entry: DirectoryEntry): ObjectDetail {
  const { words, mode, policy, capacityBytes, history, maxConsumers } = openRecordsGeometry(region, entry);
  const tail = words[RecordsLayout.tailWord]!;
  const consumers = Array.from({ length: maxConsumers }, (_, k) => k).flatMap((k) => {
    const participant = owner(words, cursorOwnerWord(k));
    if (participant === null) return [];
    return [{ participant, queuedBytes: (tail - words[cursorPositionWord(k)]!) >>> 0 }];
  });
  const first = RecordsLayout.firstMarkWord;
  const mark = words[first] === tail ? first : first + RecordsLayout.markWords;
  return {
    kind: "records",
    mode,
    policy,
    capacityBytes,
    history,
    producer: owner(words, RecordsLayout.producerOwnerWord),
    ended: words[RecordsLayout.endedWord] !== RecordsLayout.endedOpen,
    consumers,
    maxConsumers,
    published: words[mark + RecordsLayout.markSequenceWord]! >>> 0,
    counters: readRecordsCounters(words),
  };
}

function serviceDetail(region: Region, entry: DirectoryEntry): ObjectDetail {
  const { words, places } = openServiceGeometry(region, entry);
  const clients = places.flatMap(({ index, requests, responses }) => {
    const participant = owner(requests.words, RecordsLayout.producerOwnerWord);
    if (participant === null) return [];
    const queued = ({ words }: { words: Int32Array }): number =>
      (words[RecordsLayout.tailWord]! - words[cursorPositionWord(0)]!) >>> 0;
    return [{ place: index, participant, requestBytes: queued(requests), responseBytes: queued(responses) }];
  });
  return {
    kind: "service",
    server: owner(words, ServiceLayout.serverOwnerWord),
    clients,
    maxClients: places.length,
    counters: readServiceCounters(words),
  };
}
