/**
 * Views of a file that may be larger than one buffer.
 *
 * A region of up to one window is one buffer. A larger one is seen through overlapping windows, mapped when first needed:
 *
 *     window 0   |<------- windowBytes ------->|
 *     window 1                  |<------- windowBytes ------->|
 *     window 2                                 |<------- …
 *                0             1/2             1             3/2
 *
 * so that any object of at most windowBytes / 2 that starts on a page lies wholly in one of them. (The last page of a 4 GiB
 * window is missing, because the guard page of the mapping takes its place in the buffer; the next window has it.)
 */
import {
  MAX_BUFFER_BYTES,
  MAX_SHARED_MAPPING_BYTES,
  type Mapping,
  mapPlain,
  mapShared,
  PAGE_BYTES,
} from "../ffi/mapping.ts";
import { addMapping, removeMapping } from "./address-table.ts";
import { regionOffset } from "./brands.ts";
import { RegionError } from "./errors.ts";

export interface WindowOptions {
  /** For error messages. */
  readonly path: string;
  /** Checked by checkWindowBytes; 4 GiB by default. */
  readonly windowBytes?: number | undefined;
  readonly readOnly: boolean;
}

export class Windows {
  readonly #fd: number;
  readonly #fileOffset: number;
  readonly #sizeBytes: number;
  readonly #readOnly: boolean;
  readonly #path: string;
  readonly #strideBytes: number;
  readonly #lengthBytes: number;
  readonly #windows: (Mapping | undefined)[];
  #whole: Mapping | undefined;

  /** Maps nothing yet. */
  constructor(fd: number, fileOffset: number, sizeBytes: number, options: WindowOptions) {
    const windowBytes = options.windowBytes ?? MAX_BUFFER_BYTES;
    if (fileOffset % PAGE_BYTES !== 0) {
      throw new RegionError(
        "OUT_OF_RANGE",
        `offset ${fileOffset} is no multiple of the page size ${PAGE_BYTES}`,
      );
    }
    this.#fd = fd;
    this.#fileOffset = fileOffset;
    this.#sizeBytes = sizeBytes;
    this.#readOnly = options.readOnly;
    this.#path = options.path;
    this.#strideBytes = windowBytes / 2;
    this.#lengthBytes = Math.min(windowBytes, MAX_SHARED_MAPPING_BYTES);
    const beyondFirst = Math.max(0, sizeBytes - this.#lengthBytes);
    this.#windows = new Array<Mapping | undefined>(1 + Math.ceil(beyondFirst / this.#strideBytes)).fill(
      undefined,
    );
  }

  /** Any range of up to so many bytes that starts on a page boundary lies in one window. */
  get objectBytes(): number {
    return this.#strideBytes;
  }

  /** The window that holds a range of the region and the region offset of its first byte. Throws `OUT_OF_RANGE`. */
  find(offset: number, lengthBytes: number): { readonly mapping: Mapping; readonly start: number } {
    this.checkRange(offset, lengthBytes);
    const index = Math.min(Math.floor(offset / this.#strideBytes), this.#windows.length - 1);
    const start = index * this.#strideBytes;
    if (offset + lengthBytes > start + this.#lengthBytes) {
      throw new RegionError(
        "OUT_OF_RANGE",
        `${lengthBytes} bytes at ${offset} do not lie in one window: ranges of up to ${this.#strideBytes} bytes from a page boundary do`,
      );
    }
    return { mapping: this.#window(index), start };
  }

  /** Throws `OUT_OF_RANGE` unless the range lies in the region. */
  checkRange(offset: number, lengthBytes: number): void {
    const valid =
      Number.isSafeInteger(offset) && Number.isSafeInteger(lengthBytes) && offset >= 0 && lengthBytes >= 0;
    if (!valid || lengthBytes > this.#sizeBytes || offset > this.#sizeBytes - lengthBytes) {
      throw new RegionError(
        "OUT_OF_RANGE",
        `${lengthBytes} bytes at ${offset} are not in a region of ${this.#sizeBytes} bytes`,
      );
    }
  }

  /** All of the region in one buffer, where that is possible at all. Throws `REGION_TOO_LARGE`. */
  whole(): Mapping {
    if (this.#windows.length === 1) return this.#window(0);
    if (this.#sizeBytes > MAX_BUFFER_BYTES) {
      throw new RegionError(
        "REGION_TOO_LARGE",
        `${this.#sizeBytes} bytes are more than one buffer (4 GiB): use view(offset, length)`,
      );
    }
    // Larger than one window, but not than a buffer: a view of its own (an ArrayBuffer, which needs no guard page).
    this.#whole ??= this.#register(
      mapPlain(this.#fd, this.#fileOffset, this.#sizeBytes, !this.#readOnly, this.#path),
      0,
    );
    return this.#whole;
  }

  /** Gives all mappings back. */
  release(): void {
    for (const mapping of [...this.#windows, this.#whole]) {
      if (mapping === undefined) continue;
      removeMapping(mapping);
      mapping.release();
    }
    this.#windows.fill(undefined);
    this.#whole = undefined;
  }

  #window(index: number): Mapping {
    const present = this.#windows[index];
    if (present !== undefined) return present;
    const start = index * this.#strideBytes;
    const length = Math.min(this.#lengthBytes, this.#sizeBytes - start);
    const mapping = this.#readOnly
      ? mapPlain(this.#fd, this.#fileOffset + start, length, false, this.#path)
      : mapShared(this.#fd, this.#fileOffset + start, length, this.#path);
    this.#windows[index] = mapping;
    return this.#register(mapping, start);
  }

  #register(mapping: Mapping, start: number): Mapping {
    addMapping({ mapping, regionStart: regionOffset(start), owner: this });
    return mapping;
  }
}
