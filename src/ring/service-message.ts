/** One message of a service in a record: a header, then a value (PROTOCOL.md §14). */
import { loadHint, storePlain } from "../memory/atomics.ts";
import type { RecordReader } from "./record-reader.ts";
import type { RecordWriter } from "./record-writer.ts";
import { ServiceHeader } from "./service-layout.ts";

/** What stands before the value. */
export interface ServiceAddress {
  readonly correlation: number;
  readonly stay: number;
  readonly kind: number;
}

/** A message as it was taken. `error`: its value could not be decoded. */
export interface ServiceMessage extends ServiceAddress {
  readonly value: unknown;
  readonly error: unknown;
}

/** What makes values of bytes. */
export interface ServiceDecoder {
  /** @throws any error: nothing that can be decoded */
  unpack(bytes: Uint8Array, start: number, end: number): unknown;
}

/** Into the record that is reserved; the value goes behind it. */
export function writeServiceHeader(tx: RecordWriter, { correlation, stay, kind }: ServiceAddress): void {
  const { data, word } = tx;
  storePlain(data, word + ServiceHeader.correlationWord, correlation);
  storePlain(data, word + ServiceHeader.stayWord, stay);
  storePlain(data, word + ServiceHeader.kindWord, kind);
  storePlain(data, word + ServiceHeader.reservedWord, 0);
}

/** Takes the next message and gives its record back; null when there is none now. What is too short to be one is passed over. */
export function takeMessage(rx: RecordReader, decoder: ServiceDecoder): ServiceMessage | null {
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
      message.value = decoder.unpack(bytes, offset + ServiceHeader.sizeBytes, offset + length);
    } catch (error) {
      message.error = error;
    }
    // Throws when our place was taken: what was read may be torn then.
    rx.release();
    return message;
  }
  return null;
}
