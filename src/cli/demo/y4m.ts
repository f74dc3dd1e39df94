/**
 * Y4M (YUV4MPEG2), the raw video that `ffmpeg -f yuv4mpegpipe` writes: a header line, then for each frame a line starting with
 * `FRAME` and the planes, luma first. Described in mjpegtools' yuv4mpeg(5); the chroma tags beyond it in ffmpeg's libavformat/yuv4mpegenc.c.
 */
import { PhysringError } from "../../ffi/errors.ts";
import type { FrameSource, StreamFormat } from "./frame-source.ts";

/** The input is no Y4M stream, ends within a frame, or has a format we do not know. */
export class Y4mError extends PhysringError {
  constructor(message: string) {
    super("Y4M", message);
  }
}

const SIGNATURE = "YUV4MPEG2";
/** Longest header or FRAME line; real ones have some 80 bytes. */
const MAX_LINE_BYTES = 4096;
const MAX_DIMENSION = 65_536;
/** Largest block of a pool. */
const MAX_FRAME_BYTES = 2 ** 31;

/** Samples of both chroma planes (and alpha) for each frame of so many pixels. */
const CHROMA: Readonly<Record<string, (width: number, height: number) => number>> = {
  mono: () => 0,
  "420": (width, height) => 2 * Math.ceil(width / 2) * Math.ceil(height / 2),
  "411": (width, height) => 2 * Math.ceil(width / 4) * height,
  "422": (width, height) => 2 * Math.ceil(width / 2) * height,
  "444": (width, height) => 2 * width * height,
};
const DEEP = /^(420|422|444)p(9|10|12|14|16)$|^(mono)(9|10|12|14|16)$/;
const SUPPORTED =
  "C420 (also 420jpeg, 420mpeg2, 420paldv), C411, C422, C444, C444alpha, Cmono, and p9, p10, p12, p14, p16 of 420, 422, 444 and mono";

function samplesOf(colorSpace: string, width: number, height: number): { samples: number; bitDepth: number } {
  const luma = width * height;
  if (colorSpace === "444alpha") return { samples: 4 * luma, bitDepth: 8 };
  const deep = DEEP.exec(colorSpace);
  const family = deep?.[1] ?? deep?.[3] ?? colorSpace.replace(/^420(jpeg|mpeg2|paldv)$/, "420");
  const chroma = Object.hasOwn(CHROMA, family) ? CHROMA[family] : undefined;
  if (chroma === undefined)
    throw new Y4mError(`Y4M color space C${colorSpace} is not supported; supported are ${SUPPORTED}`);
  return { samples: luma + chroma(width, height), bitDepth: Number(deep?.[2] ?? deep?.[4] ?? 8) };
}

function dimension(letter: string, text: string | undefined): number {
  const value = text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > MAX_DIMENSION) {
    throw new Y4mError(
      `Y4M header: ${letter}${text ?? " is missing"}; a number from 1 to ${MAX_DIMENSION} is needed`,
    );
  }
  return value;
}

function frameRate(text: string | undefined): number | null {
  const match = /^(\d{1,10}):(\d{1,10})$/.exec(text ?? "");
  if (text !== undefined && match === null)
    throw new Y4mError(`Y4M header: frame rate F${text} is no ratio such as F30000:1001`);
  const rate = match === null ? 0 : Number(match[1]) / Number(match[2]);
  return rate > 0 && Number.isFinite(rate) ? rate : null;
}

/** Reads the header line, without its newline. @throws Y4mError */
export function parseHeader(line: string): StreamFormat {
  const [signature, ...parameters] = line.split(" ");
  if (signature !== SIGNATURE) {
    throw new Y4mError(
      `the input is no Y4M stream (it starts with ${JSON.stringify(line.slice(0, 16))}): make one with ffmpeg … -f yuv4mpegpipe -`,
    );
  }
  const values = new Map<string, string>();
  for (const parameter of parameters)
    if (parameter !== "" && !parameter.startsWith("X")) values.set(parameter[0]!, parameter.slice(1));
  const width = dimension("W", values.get("W"));
  const height = dimension("H", values.get("H"));
  const colorSpace = values.get("C") ?? "420jpeg";
  const { samples, bitDepth } = samplesOf(colorSpace, width, height);
  const frameBytes = samples * (bitDepth > 8 ? 2 : 1);
  if (frameBytes > MAX_FRAME_BYTES)
    throw new Y4mError(`Y4M header: frames of ${frameBytes} bytes; at most ${MAX_FRAME_BYTES} are possible`);
  return { width, height, colorSpace, bitDepth, frameBytes, framesPerSecond: frameRate(values.get("F")) };
}

/** Bytes of a stream of chunks, taken as lines or in given numbers. Holds one chunk at a time. */
class ChunkReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Makes sure that a byte is at hand; false at the end. */
  async #more(): Promise<boolean> {
    while (this.#at === this.#chunk.length) {
      const next = await this.#chunks.next();
      if (next.done === true) return false;
      this.#chunk = next.value;
      this.#at = 0;
    }
    return true;
  }

  /** A line without its newline, which may be missing from the last one; null at the end of the stream. */
  async line(): Promise<{ text: string; terminated: boolean } | null> {
    const collected: Uint8Array[] = [];
    let length = 0;
    while (await this.#more()) {
      const newline = this.#chunk.indexOf(10, this.#at);
      const end = newline < 0 ? this.#chunk.length : newline;
      collected.push(this.#chunk.subarray(this.#at, end));
      length += end - this.#at;
      this.#at = newline < 0 ? end : end + 1;
      if (length > MAX_LINE_BYTES)
        throw new Y4mError(`the input is no Y4M stream: a line of more than ${MAX_LINE_BYTES} bytes`);
      if (newline >= 0) return { text: Buffer.concat(collected).toString("latin1"), terminated: true };
    }
    return length === 0 ? null : { text: Buffer.concat(collected).toString("latin1"), terminated: false };
  }

  /** Fills `target`; returns how many bytes there were. */
  async fill(target: Uint8Array): Promise<number> {
    let done = 0;
    while (done < target.length && (await this.#more())) {
      const part = this.#chunk.subarray(this.#at, this.#at + target.length - done);
      target.set(part, done);
      done += part.length;
      this.#at += part.length;
    }
    return done;
  }
}

/** Frames of a Y4M stream. */
export class Y4mFrames implements FrameSource {
  readonly format: StreamFormat;
  readonly #reader: ChunkReader;
  #frame = 0;

  private constructor(reader: ChunkReader, format: StreamFormat) {
    this.#reader = reader;
    this.format = format;
  }

  /** Reads the header. @throws Y4mError */
  static async open(chunks: AsyncIterable<Uint8Array>): Promise<Y4mFrames> {
    const reader = new ChunkReader(chunks);
    const line = await reader.line();
    if (line === null) throw new Y4mError("the input is empty: no Y4M header");
    if (!line.terminated && line.text.startsWith(SIGNATURE))
      throw new Y4mError("the input ends in the middle of its header");
    return new Y4mFrames(reader, parseHeader(line.text));
  }

  /** @throws Y4mError when the stream ends anywhere but between two frames */
  async next(target: Uint8Array): Promise<boolean> {
    const line = await this.#reader.line();
    if (line === null) return false;
    const { text, terminated } = line;
    if (!terminated) throw new Y4mError(`the input ends in the middle of the header of frame ${this.#frame}`);
    if (text !== "FRAME" && !text.startsWith("FRAME ")) {
      throw new Y4mError(
        `Y4M frame ${this.#frame}: expected FRAME, found ${JSON.stringify(text.slice(0, 16))}`,
      );
    }
    const { frameBytes } = this.format;
    const got = await this.#reader.fill(target);
    if (got < frameBytes) {
      throw new Y4mError(
        `the input ends in the middle of frame ${this.#frame}: ${got} of ${frameBytes} bytes`,
      );
    }
    this.#frame++;
    return true;
  }
}
