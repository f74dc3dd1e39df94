/**
 * Frame metadata: any MessagePack value, packed by msgpackr straight into the block's metadata area and decoded from a private
 * copy of at most that size, so that nothing decoded aliases shared memory and no peer can rewrite bytes while we decode.
 */
import { Packr, Unpackr } from "msgpackr/pack";
import { PhysringError } from "../ffi/errors.ts";
import { PoolLayout } from "../ring/layout.ts";

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
    super(
      "METADATA_INVALID",
      `this metadata is no MessagePack value: ${cause instanceof Error ? cause.message : cause}`,
    );
  }
}

/** msgpackr's documented buffer hook (`useBuffer`), which its type declarations of 2.1.3 leave out. */
interface BufferPackr extends Packr {
  useBuffer(buffer: Uint8Array): void;
}

// Self-contained: no record structures, which would live in one process only. Binaries are copied, not sliced.
const packr = new Packr({ useRecords: false }) as BufferPackr;
const unpackr = new Unpackr({ useRecords: false, copyBuffers: true });

/**
 * Packs `value` into `area` (a Buffer over shared memory). Returns the packed length in bytes.
 * @throws MetadataTooLargeError when it does not fit: `area` may be overwritten in part, and says nothing until it is sent
 * @throws MetadataInvalidError when it is no value for MessagePack (circular, too deep)
 */
export function packMetadata(value: unknown, area: Buffer): number {
  const packed = pack(value, area);
  if (packed.byteLength > area.byteLength)
    throw new MetadataTooLargeError(packed.byteLength, area.byteLength);
  // msgpackr packs in place when the area has 2 KiB to spare beyond the value; else it packs into memory of its own.
  const inPlace = packed.buffer === area.buffer && packed.byteOffset === area.byteOffset;
  if (!inPlace) area.set(packed);
  return packed.byteLength;
}

function pack(value: unknown, area: Buffer): Uint8Array {
  packr.useBuffer(area);
  try {
    return packr.pack(value);
  } catch (error) {
    throw new MetadataInvalidError(error);
  }
}

const scratch = new Uint8Array(PoolLayout.maxMetaBytes);

/** Decodes `lengthBytes` of `area`, which another process may be writing. Nothing of the result aliases it.
 * @throws MetadataInvalidError */
export function unpackMetadata(area: Uint8Array, lengthBytes: number): unknown {
  const copy = scratch.subarray(0, lengthBytes);
  copy.set(area.subarray(0, lengthBytes));
  try {
    return unpackr.unpack(copy);
  } catch (error) {
    throw new MetadataInvalidError(error);
  }
}
