/**
 * A buffer for the memory of hardware queues: descriptors, completions, lists, and nothing else. On a device that is not coherent it is mapped
 * non-cacheable, and touched by plain aligned 32-bit loads and stores only (PROTOCOL.md §10.1).
 */
import { closeFile, openFile } from "../ffi/files.ts";
import { tryLockBytes } from "../ffi/locks.ts";
import { mapShared } from "../ffi/mapping.ts";
import { regionOffset } from "../memory/brands.ts";
import { Superblock, WORD_BYTES } from "../memory/layout.ts";
import { Region } from "../memory/region.ts";
import { ArgumentError, InUseError } from "../ring/errors.ts";

/** A region begins with a superblock, which the start of a queue would zero. */
function refuseRegion(path: string, words: Int32Array): void {
  if (
    words[Superblock.magicLowWord] === Superblock.magicLow &&
    words[Superblock.magicHighWord] === Superblock.magicHigh
  )
    throw new ArgumentError(
      `${path} holds a region, so it cannot hold queue memory: use another buffer, or Region.destroy() it if nobody needs it`,
    );
}

export class QueueBuffer implements Disposable {
  readonly path: string;
  readonly sizeBytes: number;
  /** Device address of its first byte. */
  readonly base: number;
  /** All of it. */
  readonly words: Int32Array;
  readonly #release: () => void;
  #lockFd = -1;

  private constructor(path: string, sizeBytes: number, base: number, words: Int32Array, release: () => void) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.base = base;
    this.words = words;
    this.#release = release;
  }

  /** `/dev/udmabufN`; mapped non-cached unless its device is coherent. @throws ArgumentError when it holds a region */
  static openDevice(path: string): QueueBuffer {
    let region = Region.open(path, { raw: true });
    try {
      if (!region.dmaCoherent) {
        region.close();
        region = Region.open(path, { raw: true, syncMode: "noncached" });
      }
      // Not before: the first look maps it, and who has it mapped otherwise would be in the way.
      refuseRegion(path, region.words(regionOffset(0), Superblock.sizeBytes / WORD_BYTES));
      const base = region.deviceAddress(regionOffset(0));
      if (base === null)
        throw new ArgumentError(`${path} has no device address: it cannot hold queue memory`);
      const words = region.words(regionOffset(0), region.sizeBytes / WORD_BYTES);
      return new QueueBuffer(path, region.sizeBytes, base, words, () => region.close());
    } catch (error) {
      region.close();
      throw error;
    }
  }

  /** A file that a simulated board has at `base`. @throws ArgumentError when it holds a region */
  static openFile(path: string, sizeBytes: number, base: number): QueueBuffer {
    const fd = openFile(path, { noFollow: true });
    try {
      const mapping = mapShared(fd, 0, sizeBytes, path);
      const words = new Int32Array(mapping.buffer, mapping.bufferOffset, Math.floor(sizeBytes / WORD_BYTES));
      try {
        refuseRegion(path, words);
      } catch (error) {
        mapping.release();
        throw error;
      }
      return new QueueBuffer(path, sizeBytes, base, words, () => mapping.release());
    } finally {
      closeFile(fd);
    }
  }

  /**
   * Locks the bytes of one queue until dispose. Regions do not know of each other's queues; two that use one buffer would both begin at its start.
   * @throws InUseError when another queue has any of them
   */
  claim(offset: number, lengthBytes: number): void {
    this.#lockFd = openFile(this.path);
    if (tryLockBytes(this.#lockFd, offset, lengthBytes)) return;
    throw new InUseError(
      `bytes ${offset} to ${offset + lengthBytes} of ${this.path}`,
      "the queue memory of another region lies there: use a buffer of its own for each region",
    );
  }

  [Symbol.dispose](): void {
    if (this.#lockFd >= 0) closeFile(this.#lockFd);
    this.#lockFd = -1;
    this.#release();
  }
}
