/**
 * MessagePack for shared memory (msgpackr): values are packed where the receiver will read them, and unpacked from there. Shapes
 * (the field names of records that are sent often) are fixed when a channel is created and lie in the segment, so that late joiners
 * and the survivors of a crash can decode; every other value describes itself.
 *
 * Decoding takes hostile bytes, even bytes that change meanwhile: nothing is read outside the source, strings and binaries are copies,
 * counts are checked against the bytes that are left (msgpackr's budget), values are nested {@link MAX_DEPTH} levels at most;
 * whatever is wrong is a {@link MessageInvalidError}.
 */
// The subpath leaves out msgpackr's native string extractor: C++ code must not parse bytes that a peer may be rewriting.
import type { Options } from "msgpackr";
import { Packr, Unpackr } from "msgpackr/pack";
import { PhysringError } from "../ffi/errors.ts";
import { ArgumentError, CorruptError } from "../ring/errors.ts";

/** A value that cannot be packed, or bytes that are no MessagePack value. */
export class MessageInvalidError extends PhysringError {
  constructor(cause: unknown) {
    super("MESSAGE_INVALID", `no MessagePack value: ${cause instanceof Error ? cause.message : cause}`);
  }
}

/** Field names of one kind of record, in order. An object with exactly these keys in this order is sent without them. */
export type Shape = readonly string[];

const MAX_SHAPES = 32; // msgpackr's one-byte ids 0x40-0x5f
const MAX_FIELDS = 64;
const MAX_NAME_CHARACTERS = 64;

/** Most bytes that {@link encodeShapes} gives. */
export const MAX_SHAPES_BYTES = 65536;

/** Arrays and objects may lie in each other so many levels deep. */
export const MAX_DEPTH = 256;

/** msgpackr starts in place only with this much room; with less it packs into memory of its own. */
export const IN_PLACE_BYTES = 0x800 + 10 + 8;

/** msgpackr's documented mode in which `pack` returns its buffer, with the bounds of the value in it: no object for each value. */
const REUSE_BUFFER = 512;

interface Bounds {
  readonly start: number;
  readonly end: number;
}

/** Whether arrays, objects, sets and maps lie in each other more than `levels` deep. Each level has taken a byte at least: shorter values need not be asked. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return false;
  const parts = partsOf(value);
  if (parts === null) return false;
  if (levels === 0) return true;
  for (const part of parts) if (isDeeper(part, levels - 1)) return true;
  return false;
}

/** Null: a value that has no parts of its own, such as a date. */
function partsOf(value: object): Iterable<unknown> | null {
  if (Array.isArray(value) || value instanceof Set) return value;
  if (value instanceof Map) return [...value].flat();
  if (value instanceof Date || value instanceof RegExp || value instanceof ArrayBuffer) return null;
  return Object.values(value);
}

const TOO_DEEP = `it is nested more than ${MAX_DEPTH} levels deep`;

/** Parts of msgpackr's documented interface that its type declarations of 2.1.3 leave out. */
interface InPlacePackr {
  useBuffer(buffer: Uint8Array): void;
  pack(value: unknown, mode: number): Buffer & Bounds;
  position: number;
}

interface RangeUnpackr {
  unpack(source: Uint8Array, range: { start: number; end: number }): unknown;
}

/** @throws ArgumentError naming the limits */
export function checkShapes(shapes: readonly Shape[]): void {
  if (isShapes(shapes)) return;
  throw new ArgumentError(
    `shapes: at most ${MAX_SHAPES} arrays of 1-${MAX_FIELDS} different field names of at most ${MAX_NAME_CHARACTERS} characters`,
  );
}

function isShapes(shapes: unknown): shapes is Shape[] {
  return Array.isArray(shapes) && shapes.length <= MAX_SHAPES && shapes.every(isShape);
}

function isShape(shape: unknown): shape is Shape {
  if (!Array.isArray(shape) || shape.length < 1 || shape.length > MAX_FIELDS) return false;
  const isName = (name: unknown): boolean =>
    typeof name === "string" && name !== "__proto__" && name.length <= MAX_NAME_CHARACTERS;
  return shape.every(isName) && new Set(shape).size === shape.length;
}

/** Shapes as they lie in the segment: JSON, UTF-8, so that a peer in any language can read them. */
export function encodeShapes(shapes: readonly Shape[]): Uint8Array {
  checkShapes(shapes);
  const bytes = new TextEncoder().encode(JSON.stringify(shapes));
  if (bytes.byteLength > MAX_SHAPES_BYTES)
    throw new ArgumentError(`shapes: ${bytes.byteLength} bytes of names; at most ${MAX_SHAPES_BYTES}`);
  return bytes;
}

/** From a private copy of what lies in the segment. @throws CorruptError */
export function decodeShapes(bytes: Uint8Array): Shape[] {
  if (bytes.byteLength === 0) return [];
  let shapes: unknown;
  try {
    shapes = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new CorruptError("shapes of a channel");
  }
  if (!isShapes(shapes)) throw new CorruptError("shapes of a channel");
  return shapes;
}

/**
 * Packs and unpacks values of one channel. Not shared between threads.
 *
 * What arrives is what was sent for JSON's types, bigints, dates, regular expressions, sets, errors, `Buffer` (MessagePack's binary), other
 * typed arrays, `ArrayBuffer` and `DataView` (msgpackr's extension 0x74). A `Map` arrives as an object; a function inside of a value as undefined.
 */
export class Codec {
  readonly #packr: InPlacePackr;
  readonly #unpackr: RangeUnpackr;
  readonly #range = { start: 0, end: 0 };

  constructor(shapes: readonly Shape[] = []) {
    const structures = (): string[][] => shapes.map((shape) => [...shape]);
    const shaped = shapes.length > 0;
    const packing = {
      useRecords: shaped,
      ...(shaped && { structures: structures() }),
      shouldShareStructure: () => false,
      maxSharedStructures: shapes.length,
      maxOwnStructures: 0, // anything that has no shape describes itself
      moreTypes: true, // without it msgpackr writes one byte of each element of a typed array, and leaves the rest as it was
    };
    const unpacking = {
      useRecords: shaped,
      ...(shaped && { structures: structures() }),
      mapsAsObjects: true,
      copyBuffers: true,
      int64AsType: "auto", // a number where it is exact; missing in the declarations of 2.1.3
    };
    this.#packr = new Packr(packing as Options) as unknown as InPlacePackr;
    this.#unpackr = new Unpackr(unpacking as Options) as unknown as RangeUnpackr;
  }

  /**
   * Packs `value` into `area` from byte `start` (a multiple of 8) on; `area` ends where it may write. Returns the length in bytes, or −1
   * when the value did not fit in place: the area may be overwritten in part then, and {@link packApart} gives the bytes.
   * @throws MessageInvalidError when it is no value for MessagePack (circular, too deep, a function)
   */
  packInto(area: Buffer, start: number, value: unknown): number {
    this.#packr.useBuffer(area);
    this.#packr.position = start;
    const packed = this.#pack(value);
    return packed === area && packed.start === start ? packed.end - start : -1;
  }

  /** Packs into memory of msgpackr's own, valid until the next call. @throws MessageInvalidError */
  packApart(value: unknown): Uint8Array {
    this.#packr.useBuffer(Buffer.allocUnsafeSlow(IN_PLACE_BYTES * 2));
    const packed = this.#pack(value);
    return packed.subarray(packed.start, packed.end);
  }

  #pack(value: unknown): Buffer & Bounds {
    if (value === undefined || typeof value === "function" || typeof value === "symbol")
      throw new MessageInvalidError(`${typeof value} cannot be sent; null can`);
    let packed: Buffer & Bounds;
    try {
      packed = this.#packr.pack(value, REUSE_BUFFER);
    } catch (error) {
      throw new MessageInvalidError(error);
    }
    if (packed.end - packed.start > MAX_DEPTH && isDeeper(value, MAX_DEPTH))
      throw new MessageInvalidError(TOO_DEEP);
    return packed;
  }

  /** Unpacks bytes [start, end) of `source`, which others may be writing. Nothing of the result aliases it. @throws MessageInvalidError */
  unpack(source: Uint8Array, start: number, end: number): unknown {
    this.#range.start = start;
    this.#range.end = end;
    if (start >= end) throw new MessageInvalidError("it is empty"); // msgpackr takes end 0 for none
    let value: unknown;
    try {
      value = this.#unpackr.unpack(source, this.#range);
    } catch (error) {
      throw new MessageInvalidError(error);
    }
    if (value === undefined) throw new MessageInvalidError("it is undefined");
    if (end - start > MAX_DEPTH && isDeeper(value, MAX_DEPTH)) throw new MessageInvalidError(TOO_DEEP);
    return value;
  }
}
