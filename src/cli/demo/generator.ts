/** Generated frames: a moving test picture, different for every frame number. */
import type { FrameSource, StreamFormat } from "./frame-source.ts";

/** Rows (and columns) after which the picture repeats; the frame number in the first pixels never does. */
const PERIOD = 256;
const STAMP_BITS = 32;

/** Chroma of YUV 4:2:0, rounded up as Y4M does. */
function planar420Bytes(width: number, height: number): number {
  return width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
}

export class GeneratedFrames implements FrameSource {
  readonly format: StreamFormat;
  readonly #canvas: Uint8Array;
  readonly #limit: number;
  #frame = 0;

  /** @param limit number of frames, may be Infinity */
  constructor(width: number, height: number, limit: number) {
    const frameBytes = planar420Bytes(width, height);
    this.format = { width, height, colorSpace: "420jpeg", bitDepth: 8, frameBytes, framesPerSecond: null };
    this.#limit = limit;
    this.#canvas = new Uint8Array(frameBytes + PERIOD * width);
    for (let i = 0; i < this.#canvas.length; i++) {
      const x = i % width;
      const y = (i / width) | 0;
      this.#canvas[i] = (((x >>> 1) + y) & 0xff) ^ ((x * y) >>> 9);
    }
  }

  next(target: Uint8Array): Promise<boolean> {
    if (this.#frame >= this.#limit) return Promise.resolve(false);
    const start = (this.#frame % PERIOD) * this.format.width;
    target.set(this.#canvas.subarray(start, start + target.length));
    // The frame number as black and white pixels, so that no two frames are equal.
    for (let bit = 0; bit < Math.min(STAMP_BITS, target.length); bit++)
      target[bit] = (this.#frame >>> bit) & 1 ? 235 : 16;
    this.#frame++;
    return Promise.resolve(true);
  }
}
