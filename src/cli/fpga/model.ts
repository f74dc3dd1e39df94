/** What the engines of the reference core compute (PROTOCOL.md §10.2), in software: to check the hardware against. */
import { crc32 } from "node:zlib";
import { sourceWord } from "../../fpga/layout.ts";

/** CRC-32 as the engine CRC32 and SINK give it. */
export function modelCrc32(bytes: Uint8Array, continues = 0): number {
  return crc32(bytes, continues) >>> 0;
}

/** THRESHOLD in place of `out`; returns the number of bytes at or above the level. */
export function modelThreshold(source: Uint8Array, level: number, out: Uint8Array): number {
  let above = 0;
  for (let i = 0; i < source.length; i++) {
    const is = source[i]! >= level;
    out[i] = is ? 255 : 0;
    if (is) above++;
  }
  return above;
}

/** FILTER3X3: weights 1 2 1 / 2 4 2 / 1 2 1, divided by 16, edge pixels repeated. */
export function modelFilter(source: Uint8Array, width: number, out: Uint8Array): void {
  const height = source.length / width;
  const at = (x: number, y: number): number =>
    source[Math.min(height - 1, Math.max(0, y)) * width + Math.min(width - 1, Math.max(0, x))]!;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let dy = -1; dy <= 1; dy++)
        for (let dx = -1; dx <= 1; dx++) sum += at(x + dx, y + dy) * (2 - Math.abs(dx)) * (2 - Math.abs(dy));
      out[y * width + x] = sum >> 4;
    }
  }
}

/** FILL: the 32-bit word repeated, low byte first. */
export function modelFill(word: number, out: Uint8Array): void {
  for (let i = 0; i < out.length; i++) out[i] = word >>> (8 * (i & 3));
}

/** SOURCE: frame `sequence` of `seed`. */
export function modelSource(seed: number, sequence: number, out: Uint8Array): void {
  for (let i = 0; i < out.length; i++) out[i] = sourceWord(seed, sequence, i >> 2) >>> (8 * (i & 3));
}
