/** Writes messages of a service, a header and a MessagePack value each (PROTOCOL.md §14), into the records of one place. */
import type { AwaitOptions, BlockOptions } from "../ring/ring.ts";
import { ServiceHeader } from "../ring/service-layout.ts";
import { type ServiceAddress, writeServiceHeader } from "../ring/service-message.ts";
import type { Codec } from "./codec.ts";
import { RecordPacker } from "./message-producer.ts";
import type { RecordProducer } from "./record-producer.ts";

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
    writeServiceHeader(this.tx, address);
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
    writeServiceHeader(this.tx, address);
    this.tx.bytes.set(packed, this.tx.offset + ServiceHeader.sizeBytes);
    this.tx.commit(ServiceHeader.sizeBytes + packed.length);
  }
}
