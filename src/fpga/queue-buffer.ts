/**
 * A buffer for the memory of hardware queues: descriptors, completions, lists, and nothing else. On a device that is not coherent it is mapped
 * non-cacheable, and touched by plain aligned 32-bit loads and stores only (PROTOCOL.md §10.1).
 */
import { closeFile, openFile } from "../ffi/files.ts";
import { mapShared } from "../ffi/mapping.ts";
import { regionOffset } from "../memory/brands.ts";
import { WORD_BYTES } from "../memory/layout.ts";
import { Region } from "../memory/region.ts";
import { ArgumentError } from "../ring/errors.ts";

export class QueueBuffer implements Disposable {
  readonly path: string;
  readonly sizeBytes: number;
  /** Device address of its first byte. */
  readonly base: number;
  /** All of it. */
  readonly words: Int32Array;
  readonly #release: () => void;

  private constructor(path: string, sizeBytes: number, base: number, words: Int32Array, release: () => void) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.base = base;
    this.words = words;
    this.#release = release;
  }

  /** `/dev/udmabufN`; mapped non-cached unless its device is coherent. */
  static openDevice(path: string): QueueBuffer {
    let region = Region.open(path, { raw: true });
    if (!region.dmaCoherent) {
      region.close();
      region = Region.open(path, { raw: true, syncMode: "noncached" });
    }
    const base = region.deviceAddress(regionOffset(0));
    if (base === null) {
      region.close();
      throw new ArgumentError(`${path} has no device address: it cannot hold queue memory`);
    }
    const words = region.words(regionOffset(0), region.sizeBytes / WORD_BYTES);
    return new QueueBuffer(path, region.sizeBytes, base, words, () => region.close());
  }

  /** A file that a simulated board has at `base`. */
  static openFile(path: string, sizeBytes: number, base: number): QueueBuffer {
    const fd = openFile(path, { noFollow: true });
    try {
      const mapping = mapShared(fd, 0, sizeBytes, path);
      const words = new Int32Array(mapping.buffer, mapping.bufferOffset, Math.floor(sizeBytes / WORD_BYTES));
      return new QueueBuffer(path, sizeBytes, base, words, () => mapping.release());
    } finally {
      closeFile(fd);
    }
  }

  [Symbol.dispose](): void {
    this.#release();
  }
}
