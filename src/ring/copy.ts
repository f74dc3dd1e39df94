/** Copying out of memory that another party may be changing: what was read counts only if a later check says so. */
import { loadHint } from "../memory/atomics.ts";

/** Copies `count` words by plain loads. A loop, because views for `set` would be objects, and for some lines it is no slower. */
export function copyWords(
  source: Int32Array,
  from: number,
  target: Int32Array,
  to: number,
  count: number,
): void {
  const end = (from + (count & ~3)) | 0;
  let s = from | 0;
  let t = to | 0;
  for (; s < end; s = (s + 4) | 0, t = (t + 4) | 0) {
    target[t] = loadHint(source, s);
    target[t + 1] = loadHint(source, s + 1);
    target[t + 2] = loadHint(source, s + 2);
    target[t + 3] = loadHint(source, s + 3);
  }
  const last = (from + count) | 0;
  for (; s < last; s = (s + 1) | 0, t = (t + 1) | 0) target[t] = loadHint(source, s);
}
