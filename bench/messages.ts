/**
 * The messages all peers send and the checksum all consumers compute; c/common.h and c/frames.c do the same arithmetic.
 * A message counts only when every one of its words went through the checksum of its consumer, and that checksum equals
 * the one made again from the generator after the timed part.
 */

/** Distinct payloads; message n carries payload n mod 64 with its sequence number as word 0. */
export const MESSAGE_KINDS = 64;
const MAX_MESSAGE_WORDS = 256;
const PAGE_WORDS = 1024;
export const DESCRIPTOR_WORDS = 4;

/** All payloads in one array: payload k starts at `k * MAX_MESSAGE_WORDS`. */
export const payloads = new Int32Array(MESSAGE_KINDS * MAX_MESSAGE_WORDS);
for (let kind = 0; kind < MESSAGE_KINDS; kind++) {
  for (let k = 0; k < MAX_MESSAGE_WORDS; k++)
    payloads[kind * MAX_MESSAGE_WORDS + k] = kind * 977 + k * k * 31 + 5;
}

/** Index of word 0 of the payload of message `sequence`. */
export function payloadStart(sequence: number): number {
  return (sequence & (MESSAGE_KINDS - 1)) << 8;
}

/** One view for each payload, so that no message needs a new one. */
export function payloadViews(words: number): Int32Array[] {
  return Array.from({ length: MESSAGE_KINDS }, (_, kind) => {
    return payloads.subarray(kind * MAX_MESSAGE_WORDS, kind * MAX_MESSAGE_WORDS + words);
  });
}

/** Rotates the sum and adds a word: order, value and number of words all count. */
export function addWord(sum: number, word: number): number {
  return (((sum << 1) | (sum >>> 31)) + word) | 0;
}

/** Adds `count` words from `start`. */
export function addWords(sum: number, words: Int32Array, start: number, count: number): number {
  let result = sum;
  for (let i = start; i < start + count; i++) result = addWord(result, words[i]!);
  return result;
}

/** Word k of message `sequence`. Descriptors (4 words) are computed, not copied. */
function wordOf(words: number, sequence: number, k: number): number {
  if (words === DESCRIPTOR_WORDS) {
    if (k === 0) return sequence;
    if (k === 1) return sequence ^ 0x5a5a5a5a;
    return k === 2 ? (sequence + 7) | 0 : ~sequence;
  }
  return k === 0 ? sequence : payloads[payloadStart(sequence) + k]!;
}

/** Writes message `sequence` to `target` at `start`. */
export function writeMessage(target: Int32Array, start: number, words: number, sequence: number): void {
  if (words === DESCRIPTOR_WORDS) {
    for (let k = 0; k < DESCRIPTOR_WORDS; k++) target[start + k] = wordOf(words, sequence, k);
    return;
  }
  const source = payloadStart(sequence);
  target[start] = sequence;
  for (let k = 1; k < words; k++) target[start + k] = payloads[source + k]!;
}

/** Checksum of messages 0 … count - 1, as an unsigned number. */
export function expectedChecksum(words: number, count: number): number {
  let sum = 0;
  for (let sequence = 0; sequence < count; sequence++) {
    for (let k = 0; k < words; k++) sum = addWord(sum, wordOf(words, sequence, k));
  }
  return sum >>> 0;
}

function fillValue(sequence: number): number {
  return sequence & 0x7f;
}

function marker(sequence: number): number {
  return 0x80 | ((sequence * 5) & 0x7f);
}

/** Fills a frame with one value and puts a marker in its last byte. */
export function fillFrame(frame: Uint8Array, sequence: number): void {
  frame.fill(fillValue(sequence));
  frame[frame.length - 1] = marker(sequence);
}

/** Scans a frame for its marker, which reads every byte; adds where it was found and one word of each page. */
export function scanFrame(sum: number, frame: Uint8Array, words: Int32Array, sequence: number): number {
  let result = addWord(sum, frame.indexOf(marker(sequence)));
  for (let word = 0; word < words.length; word += PAGE_WORDS) result = addWord(result, words[word]!);
  return result;
}

/** Checksum of frames 0 … count - 1. */
export function expectedFrameChecksum(frameBytes: number, count: number): number {
  let sum = 0;
  for (let sequence = 0; sequence < count; sequence++) {
    sum = addWord(sum, frameBytes - 1);
    const word = Math.imul(fillValue(sequence), 0x01010101);
    for (let at = 0; at < frameBytes / 4; at += PAGE_WORDS) sum = addWord(sum, word);
  }
  return sum >>> 0;
}
