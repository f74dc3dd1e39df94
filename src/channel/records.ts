/**
 * Records: messages of any length in one stream, to one consumer or to many (PROTOCOL.md §12).
 *
 *     const records = Records.create(region, "log", { capacityBytes: 2 ** 20 });       // reliable, one consumer
 *     using tx = records.producer();
 *     tx.send(bytes);                                    // or: reserve, write into tx.bytes at tx.offset, commit
 *
 *     using rx = Records.open(region, "log").consumer(); // another process
 *     for await (const bytes of rx) …                    // or: while (rx.next()) … rx.bytes, rx.offset, rx.length; rx.release()
 */
import type { AppearOptions } from "../memory/appear.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { ObjectKind } from "../memory/layout.ts";
import { openOrCreate } from "../memory/open-or-create.ts";
import type { Region } from "../memory/region.ts";
import { ArgumentError, InUseError } from "../ring/errors.ts";
import { expectShape } from "../ring/expect-shape.ts";
import type { PolicyName } from "../ring/layout.ts";
import { attachOwner, detachOwner } from "../ring/owner.ts";
import { Participant } from "../ring/participant.ts";
import { joinRecords } from "../ring/record-reader.ts";
import {
  createRecordsGeometry,
  openRecordsGeometry,
  type RecordsGeometry,
} from "../ring/records-geometry.ts";
import { RecordsLayout, type RecordsModeName } from "../ring/records-layout.ts";
import type { OpenOptions } from "../ring/ring.ts";
import { stallShapeOf } from "../ring/stall-shape.ts";
import { RecordConsumer, type RecordConsumerOptions } from "./record-consumer.ts";
import { RecordProducer } from "./record-producer.ts";

/** What records are created with. */
export interface RecordsOptions {
  /** A power of two from 4096 to 2^30. The largest record is half of it, less 8 bytes. */
  readonly capacityBytes: number;
  /** `reliable` (default): the slowest consumer holds the producer up. `lossy`: nobody does; a reader that was overtaken learns how many records it missed. */
  readonly mode?: RecordsModeName;
  /** Reliable: how many consumers at the same time, 1 (default) to 31. */
  readonly maxConsumers?: number;
  /** Reliable: `block` (default), `fail` or `drop-newest` when there is no room. */
  readonly policy?: PolicyName;
  /** A new consumer starts with so many of the last records, as far as they fit half the capacity, unless it asks for fewer. Default 0. */
  readonly history?: number;
  /** A live consumer that holds the producer up for so many milliseconds without moving is `evict`ed (default), or the send fails (`error`). Default: never. */
  readonly stallTimeoutMs?: number;
  readonly stallAction?: "evict" | "error";
  /** Bytes that everybody who opens the records finds in `geometry.annotation`: a schema, say. At most 64 KiB. */
  readonly annotation?: Uint8Array;
}

/** What an opener relies on; undefined: anything. */
export type RecordsExpectation = Partial<
  Pick<RecordsOptions, "capacityBytes" | "mode" | "maxConsumers" | "policy" | "history">
>;

export class Records {
  readonly region: Region;
  readonly geometry: RecordsGeometry;

  private constructor(region: Region, geometry: RecordsGeometry) {
    this.region = region;
    this.geometry = geometry;
  }

  /** Creates empty records. @throws ArgumentError; the directory's errors when the name exists or space is short */
  static create(region: Region, name: string, options: RecordsOptions): Records {
    const mode = options.mode ?? "reliable";
    const geometry = createRecordsGeometry(region, name, {
      capacityBytes: options.capacityBytes,
      mode,
      maxConsumers: options.maxConsumers ?? (mode === "lossy" ? 0 : 1),
      policy: options.policy ?? (mode === "lossy" ? "drop-oldest" : "block"),
      history: options.history ?? 0,
      ...stallShapeOf(options),
      annotation: options.annotation ?? new Uint8Array(0),
    });
    return new Records(region, geometry);
  }

  /**
   * Opens records by name, waiting for them if asked to. Their shape comes from the segment; what is given here is what the caller relies on.
   * @throws RegionError `OBJECT_NOT_FOUND`, `OBJECT_KIND`, `OBJECT_SHAPE`
   */
  static open(region: Region, name: string, options: OpenOptions & RecordsExpectation = {}): Records {
    return Records.#checked(region, region.directory.open(name, ObjectKind.records, options.waitMs), options);
  }

  /** {@link open} if it is there, and of the shape that `options` say; else {@link create}. */
  static openOrCreate(region: Region, name: string, options: RecordsOptions): Records {
    return openOrCreate(
      () => Records.open(region, name, options),
      () => Records.create(region, name, options),
    );
  }

  /** {@link open}, waiting in the event loop; without a time limit by default. */
  static async openAsync(
    region: Region,
    name: string,
    options: AppearOptions & RecordsExpectation = {},
  ): Promise<Records> {
    const entry = await region.directory.openAsync(name, ObjectKind.records, options);
    return Records.#checked(region, entry, options);
  }

  static #checked(region: Region, entry: DirectoryEntry, expected: RecordsExpectation): Records {
    const geometry = openRecordsGeometry(region, entry);
    const { capacityBytes, mode, maxConsumers, policy, history } = expected;
    expectShape<RecordsExpectation>(`records ${entry.name}`, geometry, {
      capacityBytes,
      mode,
      maxConsumers,
      policy,
      history,
    });
    return new Records(region, geometry);
  }

  get name(): string {
    return this.geometry.name;
  }

  /** Becomes the producer. @throws InUseError when another live participant is */
  producer(): RecordProducer {
    const participant = Participant.of(this.region);
    const { words, name } = this.geometry;
    const attach = (): boolean =>
      attachOwner(words, RecordsLayout.producerOwnerWord, participant.index) !== 0;
    if (!attach()) {
      participant.recoverDead();
      if (!attach())
        throw new InUseError(
          `the producer end of records ${name}`,
          "close that one first, or use records each",
        );
    }
    try {
      return new RecordProducer(this.geometry, participant);
    } catch (error) {
      detachOwner(words, RecordsLayout.producerOwnerWord, participant.index);
      throw error;
    }
  }

  /**
   * Joins as a consumer: reliable, or a lossy reader, which changes nothing in the region unless it waits.
   * @throws InUseError when every cursor has a live consumer; ArgumentError when more history is asked for than is kept
   */
  consumer(options: RecordConsumerOptions = {}): RecordConsumer {
    const { geometry, region } = this;
    const history = options.history ?? geometry.history;
    const most = geometry.mode === "lossy" ? geometry.indexCount : geometry.history;
    if (!(Number.isInteger(history) && history >= 0 && history <= most))
      throw new ArgumentError(`records ${geometry.name} keep ${most} records of history, not ${history}`);
    if (geometry.mode === "lossy") {
      const reader = new RecordConsumer(geometry, null, -1, 0, options);
      reader.start(history);
      return reader;
    }
    const participant = Participant.of(region);
    const make = (cursor: number, owner: number): RecordConsumer =>
      new RecordConsumer(geometry, participant, cursor, owner, options);
    const join = (): RecordConsumer | null => joinRecords(geometry, participant.index, history, make);
    let reader = join();
    if (reader === null) {
      participant.recoverDead();
      reader = join();
    }
    if (reader === null)
      throw new InUseError(
        `every cursor of records ${geometry.name} (${geometry.maxConsumers})`,
        "close a consumer, or create the records with more maxConsumers",
      );
    reader.ringProducer();
    return reader;
  }
}
