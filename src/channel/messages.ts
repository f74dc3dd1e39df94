/**
 * Messages: MessagePack values in records (PROTOCOL.md §15), packed where the consumer unpacks them.
 *
 *     const log = Messages.create<Pose>(region, "poses", { capacityBytes: 2 ** 20, shapes: [["id", "x", "y", "stampNs"]] });
 *     using tx = log.producer();
 *     tx.send({ id: 7, x: 1.5, y: -2, stampNs: 0 });
 *
 *     using rx = Messages.open<Pose>(region, "poses").consumer();          // another process
 *     for await (const pose of rx) …
 *
 * What is decoded is a plain value: nothing in it aliases shared memory, so there is nothing to release. A type parameter is a promise
 * among the programs; whoever must not trust its peers checks what it gets.
 */
import type { AppearOptions } from "../memory/appear.ts";
import { openOrCreate } from "../memory/open-or-create.ts";
import type { Region } from "../memory/region.ts";
import type { OpenOptions } from "../ring/ring.ts";
import { Codec, decodeShapes, encodeShapes, type Shape } from "./codec.ts";
import { MessageConsumer } from "./message-consumer.ts";
import { MessageProducer } from "./message-producer.ts";
import type { RecordConsumerOptions } from "./record-consumer.ts";
import { Records, type RecordsExpectation, type RecordsOptions } from "./records.ts";

/** What a message channel is created with; everything is stored in the segment. */
export interface MessagesOptions extends Omit<RecordsOptions, "annotation"> {
  /**
   * Field names, in order, of the objects that are sent often (at most 32 shapes of 64 fields): these travel without their field names.
   * Anything else may be sent too, and describes itself.
   */
  readonly shapes?: readonly Shape[];
}

export class Messages<T = unknown> {
  readonly records: Records;
  /** Shapes as the creator fixed them. */
  readonly shapes: readonly Shape[];

  private constructor(records: Records) {
    this.records = records;
    this.shapes = decodeShapes(records.geometry.annotation);
  }

  /** Creates an empty message channel. @throws ArgumentError; the directory's errors when the name exists or space is short */
  static create<T = unknown>(region: Region, name: string, options: MessagesOptions): Messages<T> {
    const { shapes = [], ...rest } = options;
    return new Messages<T>(Records.create(region, name, { ...rest, annotation: encodeShapes(shapes) }));
  }

  /** Opens one by name as {@link Records.open} does. @throws CorruptError when its shapes make no sense */
  static open<T = unknown>(
    region: Region,
    name: string,
    options: OpenOptions & RecordsExpectation = {},
  ): Messages<T> {
    return new Messages<T>(Records.open(region, name, options));
  }

  /** {@link open} if it is there, and of the shape that `options` say; else {@link create}. */
  static openOrCreate<T = unknown>(region: Region, name: string, options: MessagesOptions): Messages<T> {
    return openOrCreate(
      () => Messages.open<T>(region, name, options),
      () => Messages.create<T>(region, name, options),
    );
  }

  /** {@link open}, waiting in the event loop; without a time limit by default. */
  static async openAsync<T = unknown>(
    region: Region,
    name: string,
    options: AppearOptions & RecordsExpectation = {},
  ): Promise<Messages<T>> {
    return new Messages<T>(await Records.openAsync(region, name, options));
  }

  get name(): string {
    return this.records.name;
  }

  /** Becomes the producer. @throws InUseError when another live participant is */
  producer(): MessageProducer<T> {
    return new MessageProducer<T>(this.records.producer(), new Codec(this.shapes));
  }

  /** Joins as a consumer (see {@link Records.consumer}). @throws InUseError, ArgumentError */
  consumer(options: RecordConsumerOptions = {}): MessageConsumer<T> {
    return new MessageConsumer<T>(this.records.consumer(options), new Codec(this.shapes), this.name);
  }
}
