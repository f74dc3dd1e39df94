/** One message of a service in a record: a header, then a MessagePack value (PROTOCOL.md §14). */
import { loadHint, storePlain } from "../memory/atomics.ts";
import type { AwaitOptions, BlockOptions } from "../ring/ring.ts";
import { ServiceHeader } from "../ring/service-layout.ts";
import type { Codec } from "./codec.ts";
import { RecordPacker } from "./message-producer.ts";
import type { RecordConsumer } from "./record-consumer.ts";
import type { RecordProducer } from "./record-producer.ts";

/** What stands before the value. */
export interface ServiceAddress {
  readonly correlation: number;
  readonly stay: number;
  readonly kind: number;
}

/** Writes messages into the records of one place. */
export class ServiceWriter {
  readonly tx: RecordProducer;
  readonly #codec: Codec;
  readonly #packer: RecordPacker;

  constructor(tx: RecordProducer, codec: Codec) {
    this.tx = tx;
    this.#codec = codec;
    this.#packer = new RecordPacker(tx, codec);
  }

  /** Sends at once if there is room; false if not. @throws MessageInvalidError */
  trySend(address: ServiceAddress, value: unknown): boolean {
    const length = this.#packer.tryPack(ServiceHeader.sizeBytes, value);
    if (length < 0) return false;
    this.#writeHeader(address);
    this.tx.commit(length);
    return true;
  }

  /** Waits for room, blocking the thread. @throws MessageInvalidError, WaitTimeoutError, ArgumentError (larger than any record) */
  send(address: ServiceAddress, value: unknown, options: BlockOptions): void {
    if (this.trySend(address, value)) return;
    const packed = this.#codec.packApart(value);
    this.tx.reserve(ServiceHeader.sizeBytes + packed.length, options);
    this.#write(address, packed);
  }

  /** Like {@link send}, leaving the event loop free; `proceed` is asked at the last moment whether to send after all. */
  async sendAsync(
    address: ServiceAddress,
    value: unknown,
    options: AwaitOptions,
    proceed: () => boolean,
  ): Promise<boolean> {
    if (!proceed()) return false;
    if (this.trySend(address, value)) return true;
    const packed = this.#codec.packApart(value).slice();
    const length = ServiceHeader.sizeBytes + packed.length;
    do {
      await this.tx.reserveAsync(length, options);
      if (!proceed()) {
        this.tx.abort();
        return false;
      }
      // Others may have sent while this continuation waited for its turn: what was reserved is theirs now.
    } while (!this.tx.tryReserve(length));
    this.#write(address, packed);
    return true;
  }

  #write(address: ServiceAddress, packed: Uint8Array): void {
    this.#writeHeader(address);
    this.tx.bytes.set(packed, this.tx.offset + ServiceHeader.sizeBytes);
    this.tx.commit(ServiceHeader.sizeBytes + packed.length);
  }

  #writeHeader(address: ServiceAddress): void {
    const { data, word } = this.tx;
    storePlain(data, word + ServiceHeader.correlationWord, address.correlation);
    storePlain(data, word + ServiceHeader.stayWord, address.stay);
    storePlain(data, word + ServiceHeader.kindWord, address.kind);
    storePlain(data, word + ServiceHeader.kindWord + 1, 0);
  }
}

/** A message as it was taken. `error`: its value could not be decoded. */
export interface ServiceMessage extends ServiceAddress {
  readonly value: unknown;
  readonly error: unknown;
}

/** Takes the next message and gives its record back; null when there is none now, or what came is too short to be one. */
export function takeMessage(rx: RecordConsumer, codec: Codec): ServiceMessage | null {
  while (rx.next()) {
    if (rx.length < ServiceHeader.sizeBytes) {
      rx.release();
      continue;
    }
    const { data, word, bytes, offset, length } = rx;
    const message = {
      correlation: loadHint(data, word + ServiceHeader.correlationWord),
      stay: loadHint(data, word + ServiceHeader.stayWord),
      kind: loadHint(data, word + ServiceHeader.kindWord),
      value: undefined as unknown,
      error: null as unknown,
    };
    try {
      message.value = codec.unpack(bytes, offset + ServiceHeader.sizeBytes, offset + length);
    } catch (error) {
      message.error = error;
    }
    // Throws when our place was taken: what was read may be torn then.
    rx.release();
    return message;
  }
  return null;
}
