/** Counters in shared words, for people to read. Nothing is decided by them. */
import { loadHint, storePlain } from "../memory/atomics.ts";

/** Adds to a counter. The caller is the word's single writer, so that no read-modify-write is needed. */
export function addToCounter(words: Int32Array, word: number, by = 1): void {
  storePlain(words, word, (loadHint(words, word) + by) | 0);
}
