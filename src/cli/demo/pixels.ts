/** What the demo's workers compute on the pixels, in place. */

export const HISTOGRAM_BINS = 256;

/** The luma plane at the start of a frame. */
export interface LumaPlane {
  readonly samples: number;
  /** Bits of a sample; above 8 a sample takes two bytes, low byte first. */
  readonly bitDepth: number;
}

/** CRC-32 (that of zlib) of a frame. */
export function crc32(bytes: Uint8Array): number {
  return Bun.hash.crc32(bytes);
}

const partial = new Uint32Array(4 * HISTOGRAM_BINS);

/** Counts the luma values of a frame in 256 bins (deeper samples by their upper 8 bits). `frame` starts at a multiple of 4 bytes. */
export function lumaHistogram(frame: Uint8Array, luma: LumaPlane): number[] {
  partial.fill(0);
  if (luma.bitDepth === 8) countBytes(frame, luma.samples);
  else countWide(new Uint16Array(frame.buffer, frame.byteOffset, luma.samples), luma.bitDepth - 8);
  const histogram = new Array<number>(HISTOGRAM_BINS);
  for (let bin = 0; bin < HISTOGRAM_BINS; bin++) {
    histogram[bin] =
      partial[bin]! +
      partial[HISTOGRAM_BINS + bin]! +
      partial[2 * HISTOGRAM_BINS + bin]! +
      partial[3 * HISTOGRAM_BINS + bin]!;
  }
  return histogram;
}

/** Four samples a load into four tables: neighbours of equal value do not wait for each other's increment. */
function countBytes(frame: Uint8Array, samples: number): void {
  const quads = samples >>> 2;
  const words = new Uint32Array(frame.buffer, frame.byteOffset, quads);
  for (let i = 0; i < quads; i++) {
    const word = words[i]!;
    partial[word & 0xff]!++;
    partial[HISTOGRAM_BINS + ((word >>> 8) & 0xff)]!++;
    partial[2 * HISTOGRAM_BINS + ((word >>> 16) & 0xff)]!++;
    partial[3 * HISTOGRAM_BINS + (word >>> 24)]!++;
  }
  for (let i = quads * 4; i < samples; i++) partial[frame[i]!]!++;
}

function countWide(samples: Uint16Array, shift: number): void {
  for (let i = 0; i < samples.length; i++) {
    const value = samples[i]! >>> shift;
    // A stream may hold values above its depth.
    partial[value < HISTOGRAM_BINS ? value : HISTOGRAM_BINS - 1]!++;
  }
}
