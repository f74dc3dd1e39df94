/** Who takes part in records (PROTOCOL.md §12): leaving, ending, and whom it wakes. */
import { loadAfterFence } from "../memory/atomics.ts";
import { detachOwner, ownerParticipant } from "./owner.ts";
import type { RecordReader } from "./record-reader.ts";
import type { RecordWriter } from "./record-writer.ts";
import { RecordsLayout } from "./records-layout.ts";
import type { Ringer } from "./sleepers.ts";

/** Wakes the producer if it waits for room, or for consumers. */
export function ringRecordProducer(words: Int32Array, ringer: Ringer): void {
  const owner = loadAfterFence(words, RecordsLayout.producerOwnerWord);
  ringer.ring(ownerParticipant(owner));
}

/** The producer waits for this consumer no longer. */
export function leaveRecords(reader: RecordReader, words: Int32Array, ringer: Ringer): void {
  reader.leave();
  ringRecordProducer(words, ringer);
}

/** Ends the stream, gives the owner word back, and tells everybody. */
export function endRecords(
  writer: RecordWriter,
  words: Int32Array,
  participant: number,
  ringer: { wakeAll(): void },
): void {
  writer.finishStream();
  detachOwner(words, RecordsLayout.producerOwnerWord, participant);
  ringer.wakeAll();
}
