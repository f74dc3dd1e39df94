/**
 * Frame metadata: any MessagePack value, packed and decoded in a private
 * buffer of at most the size of the block's metadata area, so that nothing decoded aliases shared memory and no peer can rewrite bytes meanwhile.
 */
import { PhysringError } from "../ffi/errors.ts";
import { PoolLayout } from "../ring/layout.ts";
import { Codec, IN_PLACE_BYTES } from "./codec.ts";

/** Packed metadata is larger than the block's metadata area. */
export class MetadataTooLargeError extends PhysringError {
  constructor(packedBytes: number, capacityBytes: number) {
    super(
      "METADATA_TOO_LARGE",
      `metadata takes ${packedBytes} bytes, its area has ${capacityBytes}; create the channel with metaBytes: ${Math.ceil(packedBytes / 128) * 128}`,
    );
  }
}

/** A value that cannot be packed, or bytes of a received frame that cannot be decoded. */
export class MetadataInvalidError extends PhysringError {
  constructor(cause: unknown) {
    super("METADATA_INVALID", `metadata: ${cause instanceof Error ? cause.message : cause}`);
  }
}

// Self-contained: no shapes.
const codec = new Codec();
/** In ordinary memory: a value that does not fit is not written over the area, and what is decoded does not change meanwhile. */
const scratch = Buffer.allocUnsafeSlow(PoolLayout.maxMetaBytes + IN_PLACE_BYTES);

/**
 * Packs `value` into `area` (over shared memory). Returns the packed length in bytes.
 * @throws MetadataTooLargeError when it does not fit; MetadataInvalidError when it is no value for MessagePack (circular, too deep)
 */
export function packMetadata(value: unknown, area: Uint8Array): number {
  const packed = pack(value);
  if (packed.byteLength > area.byteLength)
    throw new MetadataTooLargeError(packed.byteLength, area.byteLength);
  area.set(packed);
  return packed.byteLength;
}

function pack(value: unknown): Uint8Array {
  try {
    const lengthBytes = codec.packInto(scratch, 0, value);
    return lengthBytes < 0 ? codec.packApart(value) : scratch.subarray(0, lengthBytes);
  } catch (error) {
    throw new MetadataInvalidError(error);
  }
}

/** Decodes `lengthBytes` of `area`, which another process may be writing. Nothing of the result aliases it.
 * @throws MetadataInvalidError */
export function unpackMetadata(area: Uint8Array, lengthBytes: number): unknown {
  scratch.set(area.subarray(0, lengthBytes));
  try {
    return codec.unpack(scratch, 0, lengthBytes);
  } catch (error) {
    throw new MetadataInvalidError(error);
  }
}
