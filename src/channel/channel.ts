/**
 * A channel carries frames from one producer to up to 30 consumers, zero copy.
 *
 *     using region = Region.create("camera", { size: "64MiB" });
 *     using producer = Channel.create(region, "frames", { frameBytes: 1920 * 1080 }).producer();
 *     const frame = producer.loan();
 *     frame?.bytes.fill(0x80);
 *     if (frame) producer.send(frame);
 */
import type { AppearOptions } from "../memory/appear.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { ObjectKind } from "../memory/layout.ts";
import { openOrCreate } from "../memory/open-or-create.ts";
import type { Region } from "../memory/region.ts";
import {
  type ChannelGeometry,
  type ChannelShape,
  channelSizeBytes,
  createChannelGeometry,
  openChannelGeometry,
} from "../ring/channel-geometry.ts";
import { ArgumentError } from "../ring/errors.ts";
import { expectShape } from "../ring/expect-shape.ts";
import { ChannelLayout, Delivery, type DeliveryName, Policy, type PolicyName } from "../ring/layout.ts";
import { Pool } from "../ring/pool.ts";
import type { OpenOptions } from "../ring/ring.ts";
import { stallShapeOf } from "../ring/stall-shape.ts";
import { type ConsumerOptions, FrameConsumer } from "./consumer.ts";
import { type ChannelCounters, FrameProducer, readCounters } from "./producer.ts";

/** Everything about a channel is fixed here and stored in the segment: who opens it by name needs to know nothing. */
export interface ChannelOptions {
  /** Largest frame in bytes. Not with `pool`. */
  readonly frameBytes?: number;
  /** Blocks in the pool; default: enough for full lanes, two frames held by everybody, and twice the history. */
  readonly frames?: number;
  /** Room for MessagePack metadata beside each frame, bytes; default 4096 (msgpackr packs in place from 2 KiB up). */
  readonly metaBytes?: number;
  /** A pool to share with other channels of this region, instead of one of its own: frames can then be forwarded without a copy. */
  readonly pool?: Pool;
  /** Most consumers at a time, 1-30; default 4. */
  readonly maxConsumers?: number;
  /** Frames waiting for each consumer, a power of two; default 8. */
  readonly laneCapacity?: number;
  /** What happens without room: `block` (default), `fail`, `drop-newest`, `drop-oldest`. */
  readonly policy?: PolicyName;
  /** `all` (default): every consumer sees every frame; `one`: each frame goes to one consumer. */
  readonly delivery?: DeliveryName;
  /**
   * With policy `block`: what to do about a live consumer that gates the blocked producer for so many milliseconds without moving (SIGSTOP, a
   * debugger). 0 (default): wait for ever.
   */
  readonly stallTimeoutMs?: number;
  /** `evict` (default): take its lane and what lies in it; it gets EvictedError and may join again. `error`: StalledError for the producer. */
  readonly stallAction?: "evict" | "error";
  /**
   * A consumer that joins gets so many of the last frames first, or as many as there were; default 0. They stay in their blocks until the producer
   * has sent as many more, or ends: count them in `frames`, or in the `pool` together with those of its other channels. Such frames cannot be forwarded without a copy. With delivery `all`.
   */
  readonly history?: number;
}

/** What an opener relies on; undefined: anything. */
export type ChannelExpectation = Pick<ChannelOptions, "frameBytes" | "policy" | "delivery" | "history">;

const DEFAULT_CONSUMERS = 4;
const DEFAULT_LANE_CAPACITY = 8;
const DEFAULT_META_BYTES = 4096;

function shapeOf(options: ChannelOptions): ChannelShape {
  const policy = options.policy ?? "block";
  const shape: ChannelShape = {
    maxConsumers: options.maxConsumers ?? DEFAULT_CONSUMERS,
    laneCapacity: options.laneCapacity ?? DEFAULT_LANE_CAPACITY,
    policy,
    delivery: options.delivery ?? "all",
    ...stallShapeOf(options, policy),
    history: options.history ?? 0,
  };
  if (!Number.isInteger(shape.history) || shape.history < 0 || shape.history > ChannelLayout.maxHistory)
    throw new ArgumentError(`history ${shape.history}: 0 to ${ChannelLayout.maxHistory} frames`);
  if (shape.history > 0 && shape.delivery !== "all")
    throw new ArgumentError("history goes with delivery all, where every consumer sees every frame");
  if (!(shape.policy in Policy))
    throw new ArgumentError(`policy ${shape.policy}: one of ${Object.keys(Policy).join(", ")}`);
  if (!(shape.delivery in Delivery))
    throw new ArgumentError(`delivery ${shape.delivery}: one of ${Object.keys(Delivery).join(", ")}`);
  return shape;
}

function defaultFrames(shape: ChannelShape): number {
  const lanes = shape.delivery === "one" ? shape.maxConsumers : 1;
  // The history, and once more for one consumer that has joined and not read it yet.
  return lanes * shape.laneCapacity + 2 * (shape.maxConsumers + 1) + 2 * shape.history;
}

export class Channel {
  /** @internal */
  readonly geometry: ChannelGeometry;

  private constructor(geometry: ChannelGeometry) {
    this.geometry = geometry;
  }

  /**
   * Creates a channel, and its pool `<name>.pool` unless one is given.
   * @throws ArgumentError for impossible numbers; the directory's errors when a name exists or the region has no room
   */
  static create(region: Region, name: string, options: ChannelOptions): Channel {
    const shape = shapeOf(options);
    if ((options.pool === undefined) === (options.frameBytes === undefined)) {
      throw new ArgumentError(`channel ${name}: give either frameBytes or a pool`);
    }
    const pool =
      options.pool ??
      Pool.create(region, `${name}.pool`, {
        frameBytes: options.frameBytes!,
        blockCount: options.frames ?? defaultFrames(shape),
        metaBytes: options.metaBytes ?? DEFAULT_META_BYTES,
      });
    try {
      return new Channel(createChannelGeometry(region, name, pool, shape));
    } catch (error) {
      if (options.pool === undefined) region.directory.remove(pool.entry.name);
      throw error;
    }
  }

  /**
   * Opens a channel by name, waiting for it if asked to. All geometry comes from the segment; what is given here is what the caller relies on.
   * @throws RegionError `OBJECT_NOT_FOUND`, `OBJECT_KIND`, `OBJECT_SHAPE`
   */
  static open(region: Region, name: string, options: OpenOptions & ChannelExpectation = {}): Channel {
    return Channel.#checked(region, region.directory.open(name, ObjectKind.channel, options.waitMs), options);
  }

  /** {@link open} if it is there, and of the shape that `options` say; else {@link create}. */
  static openOrCreate(region: Region, name: string, options: ChannelOptions): Channel {
    return openOrCreate(
      () => Channel.open(region, name, options),
      () => Channel.create(region, name, options),
    );
  }

  /** {@link open}, waiting in the event loop; without a time limit by default. */
  static async openAsync(
    region: Region,
    name: string,
    options: AppearOptions & ChannelExpectation = {},
  ): Promise<Channel> {
    return Channel.#checked(
      region,
      await region.directory.openAsync(name, ObjectKind.channel, options),
      options,
    );
  }

  static #checked(region: Region, entry: DirectoryEntry, expected: ChannelExpectation): Channel {
    const channel = new Channel(openChannelGeometry(region, entry));
    const { frameBytes, policy, delivery, history } = expected;
    expectShape<ChannelExpectation>(`channel ${entry.name}`, channel, {
      frameBytes,
      policy,
      delivery,
      history,
    });
    return channel;
  }

  /** Bytes of region that a channel with these options takes, pool included: for {@link Region.create}. */
  static sizeBytes(options: ChannelOptions): number {
    const shape = shapeOf(options);
    const blockBytes = Math.ceil((options.frameBytes ?? 0) / 4096) * 4096;
    const frames = options.frames ?? defaultFrames(shape);
    const poolBytes = 4096 * 2 + frames * (blockBytes + (options.metaBytes ?? DEFAULT_META_BYTES) + 256);
    return Math.ceil((channelSizeBytes(shape) + 4096 + poolBytes) / 4096) * 4096;
  }

  get name(): string {
    return this.geometry.name;
  }

  get policy(): PolicyName {
    return this.geometry.policy;
  }

  get delivery(): DeliveryName {
    return this.geometry.delivery;
  }

  /** Most consumers at a time. */
  get maxConsumers(): number {
    return this.geometry.lanes.length;
  }

  /** Frames that a consumer that joins gets first, if there were so many. */
  get history(): number {
    return this.geometry.history;
  }

  /** Length of a frame as loaned, in bytes. */
  get frameBytes(): number {
    return this.geometry.pool.geometry.frameBytes;
  }

  get pool(): Pool {
    return this.geometry.pool;
  }

  get counters(): ChannelCounters {
    return readCounters(this.geometry);
  }

  /** Becomes the producer. @throws InUseError when another live participant is */
  producer(): FrameProducer {
    return new FrameProducer(this.geometry);
  }

  /** Becomes a consumer: the history arrives first, then what is sent from now on. @throws InUseError when all lanes are taken */
  consumer(options: ConsumerOptions = {}): FrameConsumer {
    return new FrameConsumer(this.geometry, options);
  }
}
