/** The descriptors that examples/c/pattern.h sends, for the TypeScript ends of the tests. */
import { HEADER_BYTES } from "../../src/memory/layout.ts";
import { DescriptorLayout as D } from "../../src/ring/layout.ts";

/** The finalizer of MurmurHash3. */
function hashOf(index: number): number {
  let x = index | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Writes the descriptor of ring index `index` at word `at`. */
export function writePattern(words: Int32Array, at: number, index: number, sizeBytes: number): void {
  const hash = hashOf(index);
  const offset = HEADER_BYTES + (hash % (sizeBytes - HEADER_BYTES));
  words[at + D.offsetLowWord] = offset | 0;
  words[at + D.offsetHighWord] = Math.floor(offset / 2 ** 32);
  words[at + D.lengthWord] = (hash >>> 7) % (sizeBytes - offset);
  words[at + D.tagWord] = hash ^ index;
}

/** Adds the four words of the descriptor at `at`; depends on the order. */
export function addChecksum(sum: number, words: Int32Array, at: number): number {
  let result = sum;
  for (let word = 0; word < 4; word++) result = (Math.imul(result, 31) + words[at + word]!) | 0;
  return result;
}

const expected = new Int32Array(4);

/** Whether the descriptor at `at` is the one of ring index `index`. */
export function isPattern(words: Int32Array, at: number, index: number, sizeBytes: number): boolean {
  writePattern(expected, 0, index, sizeBytes);
  for (let word = 0; word < 4; word++) if (words[at + word] !== expected[word]) return false;
  return true;
}
