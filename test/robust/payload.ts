/**
 * What the frames of a robustness run carry: who made it (a process incarnation), its number, and a pattern that depends on both.
 *
 *     w0 incarnation | w1 number | w2 stamp of the last stage | w3 … pattern
 */
const PATTERN_START = 3;

export interface Payload {
  readonly incarnation: number;
  readonly number: number;
}

function wordsOf(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
}

function patternWord(incarnation: number, number: number, i: number): number {
  return (Math.imul(incarnation ^ Math.imul(number, 0x85ebca6b), 0x9e3779b1) + Math.imul(i, 0x27d4eb2f)) | 0;
}

export function writePayload(bytes: Uint8Array, incarnation: number, number: number): void {
  const words = wordsOf(bytes);
  words[0] = incarnation;
  words[1] = number;
  words[2] = 0;
  for (let i = PATTERN_START; i < words.length; i++) words[i] = patternWord(incarnation, number, i);
}

/** Marks a frame on its way: only its exclusive holder may. */
export function stampPayload(bytes: Uint8Array, stamp: number): void {
  wordsOf(bytes)[2] = stamp;
}

export function readStamp(bytes: Uint8Array): number {
  return wordsOf(bytes)[2]!;
}

/** The payload, or what is wrong with it. */
export function checkPayload(bytes: Uint8Array): Payload | string {
  const words = wordsOf(bytes);
  const incarnation = words[0]!;
  const number = words[1]!;
  for (let i = PATTERN_START; i < words.length; i++) {
    const expected = patternWord(incarnation, number, i);
    if (words[i] !== expected) {
      return `frame ${incarnation}:${number} word ${i} is ${words[i]! >>> 0}, not ${expected >>> 0}`;
    }
  }
  return { incarnation, number };
}
