/** A slot of a lane or of a history (PROTOCOL.md §7, §7.6): how it is written. What is read of one is checked from a copy. */
import { storePlain } from "../memory/atomics.ts";
import { LaneSlotLayout } from "./layout.ts";

/** What a frame says of itself besides its block. */
export interface SendFields {
  /** Offset of the payload in the region; inside the block. */
  offset: number;
  lengthBytes: number;
  tag: number;
  metaLength: number;
  /** The frame was handed to this participant alone: another holder can only be its sender, about to let go. */
  soleReceiver: boolean;
}

/** Fills the slot at word `slot`; an index store publishes it later. `receiver`: an owner word, or the number in a history. */
export function writeLaneSlot(
  words: Int32Array,
  slot: number,
  block: number,
  fields: Readonly<SendFields>,
  sequence: number,
  timestampNs: number,
  generation: number,
  receiver: number,
  receiverCount: number,
): void {
  storePlain(words, slot + LaneSlotLayout.offsetLowWord, fields.offset | 0);
  storePlain(words, slot + LaneSlotLayout.offsetHighWord, (fields.offset / 2 ** 32) | 0);
  storePlain(words, slot + LaneSlotLayout.lengthWord, fields.lengthBytes | 0);
  storePlain(words, slot + LaneSlotLayout.tagWord, fields.tag | 0);
  storePlain(words, slot + LaneSlotLayout.blockWord, block);
  storePlain(words, slot + LaneSlotLayout.generationWord, generation);
  storePlain(words, slot + LaneSlotLayout.sequenceLowWord, sequence | 0);
  storePlain(words, slot + LaneSlotLayout.sequenceHighWord, (sequence / 2 ** 32) | 0);
  storePlain(words, slot + LaneSlotLayout.timestampLowWord, timestampNs | 0);
  storePlain(words, slot + LaneSlotLayout.timestampHighWord, (timestampNs / 2 ** 32) | 0);
  storePlain(words, slot + LaneSlotLayout.metaLengthWord, fields.metaLength);
  storePlain(words, slot + LaneSlotLayout.receiverWord, receiver);
  storePlain(words, slot + LaneSlotLayout.receiverCountWord, receiverCount);
}

/** What two words say, low first; never more than a double can say exactly. */
export function wideNumber(low: number, high: number): number {
  return (low >>> 0) + (high & 0x1f_ffff) * 2 ** 32;
}

/** Sequence number in the slot copied to word `slot`. */
export function slotSequence(words: Int32Array, slot: number): number {
  return wideNumber(
    words[slot + LaneSlotLayout.sequenceLowWord]!,
    words[slot + LaneSlotLayout.sequenceHighWord]!,
  );
}
