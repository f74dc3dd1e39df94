/**
 * A named work queue in a region: many producers, one consumer or many, each message to exactly one of them (PROTOCOL.md §11).
 *
 *     const queue = Queue.create(region, "jobs", { slotBytes: 64, capacity: 1024, producers: 4, consumers: "many" });
 *     using tx = queue.producer();                                        // up to 4 processes
 *     using rx = Queue.open(region, "jobs").taker();                      // others
 *
 * Order: first in, first out for each producer, none between producers.
 */
import type { AppearOptions } from "../memory/appear.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { ObjectKind } from "../memory/layout.ts";
import { openOrCreate } from "../memory/open-or-create.ts";
import type { Region } from "../memory/region.ts";
import { ArgumentError, InUseError } from "./errors.ts";
import { expectShape } from "./expect-shape.ts";
import { type PolicyName, RingLayout } from "./layout.ts";
import { ownerParticipant } from "./owner.ts";
import { Participant } from "./participant.ts";
import { QueueConsumer } from "./queue-consumer.ts";
import { endQueue } from "./queue-ends.ts";
import {
  createQueueGeometry,
  openQueueGeometry,
  type QueueGeometry,
  type QueueShape,
} from "./queue-geometry.ts";
import { type ConsumersModeName, QueueLayout } from "./queue-layout.ts";
import { QueueProducer } from "./queue-producer.ts";
import { QueueTaker } from "./queue-taker.ts";
import type { OpenOptions } from "./ring.ts";
import { stallShapeOf } from "./stall-shape.ts";

const DEFAULT_BURST = 64;

export interface QueueOptions {
  /** 16, 32, 64 … 4096 bytes, a power of two. */
  readonly slotBytes: number;
  /** Slots of each producer's lane, a power of two from 2 to 2^24. */
  readonly capacity: number;
  /** Producers at a time, 1 to 31; default 8. */
  readonly producers?: number;
  /** `one` (default): read in place, {@link Queue.consumer}. `many`: each message to one of them, {@link Queue.taker}. */
  readonly consumers?: ConsumersModeName;
  /** What `reserve` does when the producer's lane is full; default `block`. */
  readonly policy?: PolicyName;
  /**
   * With policy `block`: consumers that are alive and leave a full lane alone for so many milliseconds are stalled (a debugger, SIGSTOP, a bug).
   * Default 0: they may hold a producer up for ever.
   */
  readonly stallTimeoutMs?: number;
  /**
   * `evict` (default): they lose their places and get EvictedError; what is queued goes to whoever comes next. Such a queue has takers, also with
   * one consumer. `error`: StalledError for the producer.
   */
  readonly stallAction?: "evict" | "error";
}

/** What an opener relies on; undefined: anything. */
export type QueueExpectation = Partial<
  Pick<QueueOptions, "slotBytes" | "capacity" | "producers" | "consumers" | "policy">
>;

/** Sums over all lanes; each wraps at 2^32. */
export interface QueueCounters {
  readonly queued: number;
  readonly droppedNewest: number;
  readonly droppedOldest: number;
  /** Messages refused by policy `fail`. */
  readonly refused: number;
  /** Times that a producer waited for room. */
  readonly waits: number;
  /** Consumers whose places were taken because they had stalled. */
  readonly evicted: number;
}

function shapeOf(options: QueueOptions): QueueShape {
  const { slotBytes, capacity, producers = 8, consumers = "one", policy = "block" } = options;
  return { slotBytes, capacity, producers, consumers, policy, ...stallShapeOf(options, policy) };
}

/** What a queue's words say, without changing any: may be called on read-only mappings. */
export function readQueueCounters(queue: QueueGeometry): QueueCounters {
  const sum = (pick: (words: Int32Array) => number): number =>
    queue.lanes.reduce((total, lane) => total + (pick(lane.words) >>> 0), 0);
  return {
    queued: sum((words) => words[RingLayout.tailWord]! - words[RingLayout.headWord]!),
    droppedNewest: sum((words) => words[RingLayout.droppedNewestWord]!),
    droppedOldest: sum((words) => words[RingLayout.droppedOldestWord]!),
    refused: sum((words) => words[RingLayout.refusedWord]!),
    waits: sum((words) => words[RingLayout.waitsWord]!),
    evicted: sum((words) => words[RingLayout.evictedWord]!),
  };
}

/** Participants that produce (one entry for each lane they have) and that consume. */
export function readQueueParties(queue: QueueGeometry): { producers: number[]; consumers: number[] } {
  const mask = queue.words[QueueLayout.consumersWord]!;
  return {
    producers: queue.lanes
      .map((lane) => ownerParticipant(lane.words[RingLayout.producerOwnerWord]!))
      .filter((participant) => participant >= 0),
    consumers: Array.from({ length: 31 }, (_, bit) => bit).filter((bit) => (mask & (1 << bit)) !== 0),
  };
}

/** A queue as one region handle sees it. */
export class Queue {
  readonly region: Region;
  readonly geometry: QueueGeometry;

  private constructor(region: Region, geometry: QueueGeometry) {
    this.region = region;
    this.geometry = geometry;
  }

  /** Creates an empty queue.
   * @throws ArgumentError when the shape is outside the limits; the directory's errors when the name exists or space is short */
  static create(region: Region, name: string, options: QueueOptions): Queue {
    return new Queue(region, createQueueGeometry(region, name, shapeOf(options)));
  }

  /**
   * Opens a queue by name, waiting for it if asked to. Its shape comes from the segment; what is given here is what the caller relies on.
   * @throws RegionError `OBJECT_NOT_FOUND`, `OBJECT_KIND`, `OBJECT_SHAPE`
   */
  static open(region: Region, name: string, options: OpenOptions & QueueExpectation = {}): Queue {
    return Queue.#checked(region, region.directory.open(name, ObjectKind.queue, options.waitMs), options);
  }

  /** {@link open} if it is there, and of the shape that `options` say; else {@link create}. */
  static openOrCreate(region: Region, name: string, options: QueueOptions): Queue {
    return openOrCreate(
      () => Queue.open(region, name, options),
      () => Queue.create(region, name, options),
    );
  }

  /** {@link open}, waiting in the event loop; without a time limit by default. */
  static async openAsync(
    region: Region,
    name: string,
    options: AppearOptions & QueueExpectation = {},
  ): Promise<Queue> {
    return Queue.#checked(region, await region.directory.openAsync(name, ObjectKind.queue, options), options);
  }

  static #checked(region: Region, entry: DirectoryEntry, expected: QueueExpectation): Queue {
    const geometry = openQueueGeometry(region, entry);
    const { slotBytes, capacity, producers, consumers, policy } = expected;
    expectShape(`queue ${entry.name}`, geometry, { slotBytes, capacity, producers, consumers, policy });
    return new Queue(region, geometry);
  }

  /** Becomes one of the producers.
   * @throws InUseError when every lane has a live producer, QueueEndedError after {@link end} */
  producer(): QueueProducer {
    return this.#attach((participant) => QueueProducer.attach(this.geometry, participant));
  }

  /** Becomes the one consumer, who reads messages in place.
   * @throws InUseError when there is a live one; ArgumentError when the queue wants takers */
  consumer(): QueueConsumer {
    if (this.geometry.sharedHeads) {
      throw new ArgumentError(
        `queue ${this.geometry.name} has ${this.geometry.consumers} consumers, policy ${this.geometry.policy}, ` +
          `stall action ${this.geometry.stallAction}: messages are copied before they are taken, use taker()`,
      );
    }
    return this.#attach((participant) => QueueConsumer.attach(this.geometry, participant));
  }

  /** Becomes one of many consumers, or the one of a queue that drops its oldest messages or evicts.
   * @param options `burst`: most messages of one take, default 64
   * @throws InUseError when this handle has one, or there may be no other; ArgumentError when messages are read in place */
  taker(options: { readonly burst?: number } = {}): QueueTaker {
    if (!this.geometry.sharedHeads) {
      throw new ArgumentError(
        `queue ${this.geometry.name} has one consumer, who reads in place: use consumer()`,
      );
    }
    return this.#attach((participant) =>
      QueueTaker.attach(this.geometry, participant, options.burst ?? DEFAULT_BURST),
    );
  }

  /** No producer may join any more; those that are there go on until they close. Consumers learn the end from `ended`. For good. */
  end(): void {
    endQueue(this.geometry, Participant.of(this.region).ringer);
  }

  get counters(): QueueCounters {
    return readQueueCounters(this.geometry);
  }

  /** Tries again behind a dead participant that was cleaned up. */
  #attach<T>(attach: (participant: Participant) => T): T {
    const participant = Participant.of(this.region);
    try {
      return attach(participant);
    } catch (error) {
      if (!(error instanceof InUseError) || participant.recoverDead() === 0) throw error;
      return attach(participant);
    }
  }
}
