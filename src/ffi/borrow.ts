/** Ordinary ArrayBuffers over memory that somebody else owns, for debug views that can be taken away again. */
import { type Pointer, toArrayBuffer } from "bun:ffi";

/** An ArrayBuffer over `lengthBytes` at a virtual address. Nothing is freed when it is collected: there is no deallocator. */
export function borrowBuffer(address: number, lengthBytes: number): ArrayBuffer {
  return toArrayBuffer(address as Pointer, 0, lengthBytes);
}

/** Detaches a borrowed buffer: every view of it has length 0 from now on. The memory itself is untouched. */
export function detachBuffer(buffer: ArrayBuffer): void {
  buffer.transfer();
}
