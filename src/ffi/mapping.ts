/**
 * Mappings that JavaScript can use.
 *
 * A shared mapping is a true SharedArrayBuffer: the buffer of a shared `WebAssembly.Memory` whose pages are replaced, by
 * `mmap(MAP_FIXED)`, with those of the file. JavaScript can post it to Workers and use all of `Atomics` on it.
 *
 *     base (of the memory)     start (of the file)
 *       |  one guard page        |  file, rounded up to a page            |  rest of the last 64 KiB
 *       |  anonymous             |  MAP_SHARED                            |  anonymous
 *
 * When the engine frees a memory it writes 8 zero bytes at its base, and `Worker.terminate()` makes it do so without running
 * any of our code (measured with Bun 1.4.5). The guard page takes that write; without it the file's first word would be lost.
 */
import { type Pointer, toArrayBuffer } from "bun:ffi";
import { PhysringError, SystemError } from "./errors.ts";
import { addressOf, errno, libc, munmapFunction, PAGE_BYTES, pointer } from "./libc.ts";

export { PAGE_BYTES };

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
/** mmap reports failure as (void *)-1, which arrives as a double. */
const MAP_FAILED = 2 ** 64;

const WASM_PAGE_BYTES = 65536;
const MAX_WASM_PAGES = 65536;
/** No buffer of the engine is longer. */
export const MAX_BUFFER_BYTES = 2 ** 32;
/** Longest range that {@link mapShared} can map: one buffer less the guard page. */
export const MAX_SHARED_MAPPING_BYTES = MAX_BUFFER_BYTES - PAGE_BYTES;

export interface Mapping {
  readonly buffer: ArrayBufferLike;
  /** Offset in `buffer` of the first mapped byte. */
  readonly bufferOffset: number;
  /** Virtual address of the first mapped byte. */
  readonly address: number;
  readonly lengthBytes: number;
  /**
   * Puts anonymous zero pages in place of the file; idempotent. Views that somebody still holds, here or in a Worker, then
   * read zeroes and reach no shared memory. The address range stays theirs until the last of them is collected.
   */
  release(): void;
}

/**
 * Memories that still show a file. While they are in here the collector keeps them, whoever else forgets them; per thread,
 * so a thread must release its mappings before it ends (else the guard page is what saves the file).
 */
const mapped = new Set<WebAssembly.Memory>();

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function checkedMmap(
  address: number,
  length: number,
  protection: number,
  flags: number,
  fd: number,
  offset: number,
  path?: string,
): number {
  const result = Number(libc.mmap(pointer(address), length, protection, flags, fd, offset));
  if (result >= MAP_FAILED) throw new SystemError("mmap", errno(), { path });
  return result;
}

function newSharedMemory(pages: number): WebAssembly.Memory {
  const descriptor = { shared: true, initial: pages, maximum: pages };
  try {
    return new WebAssembly.Memory(descriptor);
  } catch {
    // Address space of closed regions is given back by the collector only.
    Bun.gc(true);
  }
  try {
    return new WebAssembly.Memory(descriptor);
  } catch (cause) {
    throw new PhysringError(
      "OUT_OF_ADDRESS_SPACE",
      `the engine refuses a shared memory of ${pages * WASM_PAGE_BYTES} bytes: close regions, or use a smaller windowBytes`,
      { cause },
    );
  }
}

/**
 * Maps `lengthBytes` bytes of a file at `offset` (a multiple of the page size) for reading and writing, as a
 * SharedArrayBuffer. `path` is for the message of the {@link SystemError} that it throws.
 */
export function mapShared(fd: number, offset: number, lengthBytes: number, path?: string): Mapping {
  const fileBytes = roundUp(lengthBytes, PAGE_BYTES);
  if (!(lengthBytes > 0) || fileBytes > MAX_SHARED_MAPPING_BYTES) {
    throw new RangeError(`cannot map ${lengthBytes} bytes in one buffer`);
  }
  // The base is page aligned today; the formula also holds where it is not (64 KiB pages).
  const pages = Math.min(MAX_WASM_PAGES, Math.ceil((2 * PAGE_BYTES + fileBytes) / WASM_PAGE_BYTES));
  const memory = newSharedMemory(pages);
  const buffer = memory.buffer;
  const base = addressOf(new Uint8Array(buffer));
  const start = roundUp(base + 1, PAGE_BYTES);
  if (start + fileBytes > base + buffer.byteLength)
    throw new RangeError(`cannot map ${lengthBytes} bytes in one buffer`);
  checkedMmap(start, fileBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset, path);
  mapped.add(memory);
  return {
    buffer,
    bufferOffset: start - base,
    address: start,
    lengthBytes,
    release(): void {
      if (!mapped.has(memory)) return;
      const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
      checkedMmap(start, fileBytes, PROT_READ | PROT_WRITE, flags, -1, 0);
      mapped.delete(memory);
    },
  };
}

/** The declaration of `toArrayBuffer` in bun-types leaves its two last parameters out. */
const toArrayBufferOwning = toArrayBuffer as (
  address: Pointer,
  byteOffset: number,
  byteLength: number,
  context: Pointer,
  deallocator: Pointer,
) => ArrayBuffer;

/**
 * Maps as an ordinary ArrayBuffer: for read-only files, where `Atomics` would crash (the engine compiles even `Atomics.load`
 * to a locked write), and for a whole 4 GiB, which leave no room for a guard page. The engine unmaps it with its last view.
 */
export function mapPlain(
  fd: number,
  offset: number,
  lengthBytes: number,
  writable: boolean,
  path?: string,
): Mapping {
  const fileBytes = roundUp(lengthBytes, PAGE_BYTES);
  if (!(lengthBytes > 0) || lengthBytes > MAX_BUFFER_BYTES)
    throw new RangeError(`cannot map ${lengthBytes} bytes in one buffer`);
  const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  const address = checkedMmap(0, fileBytes, protection, MAP_SHARED, fd, offset, path);
  // munmap(address, fileBytes) has the very shape of a deallocator(bytes, context).
  const buffer = toArrayBufferOwning(
    address as Pointer,
    0,
    lengthBytes,
    fileBytes as Pointer,
    munmapFunction,
  );
  let live = true;
  return {
    buffer,
    bufferOffset: 0,
    address,
    lengthBytes,
    release(): void {
      if (!live) return;
      checkedMmap(
        address,
        fileBytes,
        protection,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
        -1,
        0,
      );
      live = false;
    },
  };
}
