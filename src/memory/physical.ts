/**
 * Physical addresses of this process's mappings from /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst). One read for
 * a whole mapping, then a table lookup. A fact of the moment for ordinary memory: the kernel may move or swap its pages.
 */
import { SystemError } from "../ffi/errors.ts";
import { closeFile, openFile, readAt } from "../ffi/files.ts";
import { type Mapping, PAGE_BYTES } from "../ffi/mapping.ts";
import { type PhysicalAddress, physicalAddress } from "./brands.ts";

/** Why there is no address of a kind. */
export interface AddressAbsence {
  readonly code: "no-device" | "needs-cap-sys-admin" | "pages-not-walked" | "not-present" | "no-pagemap";
  readonly message: string;
}

const ENTRY_BYTES = 8;
/** An entry: bits 0-54 page frame number, 61 file page, 62 swapped, 63 present. */
const HIGH_PRESENT = 0x8000_0000;
const HIGH_FRAME_MASK = 0x007f_ffff;

/** Decodes one entry given as two words; the frame number is null when there is none to see. */
export function decodePagemapEntry(
  low: number,
  high: number,
): { readonly present: boolean; readonly frame: number | null } {
  const present = (high & HIGH_PRESENT) !== 0;
  const frame = (low >>> 0) + (high & HIGH_FRAME_MASK) * 2 ** 32;
  return { present, frame: present && frame !== 0 ? frame : null };
}

/** Reads the entries of `pageCount` pages from a virtual address of a process; two words an entry. Throws SystemError. */
export function readPagemap(pid: number | "self", address: number, pageCount: number): Uint32Array {
  const path = `/proc/${pid}/pagemap`;
  const fd = openFile(path, { readOnly: true });
  try {
    const words = new Uint32Array(pageCount * 2);
    const bytes = new Uint8Array(words.buffer);
    const got = readAt(fd, bytes, Math.floor(address / PAGE_BYTES) * ENTRY_BYTES, path);
    return words.subarray(0, Math.floor(got / ENTRY_BYTES) * 2);
  } finally {
    closeFile(fd);
  }
}

export const NEEDS_CAPABILITY: AddressAbsence = {
  code: "needs-cap-sys-admin",
  message: "the kernel shows page frame numbers only to CAP_SYS_ADMIN in the initial namespace (run as root)",
};

export const NOT_WALKED: AddressAbsence = {
  code: "pages-not-walked",
  message:
    "pagemap is zero although the page was just touched: the driver maps raw page frames (VM_PFNMAP), which the kernel's page walker skips (mm/pagewalk.c, walk_page_test)",
};

/** The physical addresses behind one mapping. */
export class PageTable {
  readonly #mapping: Mapping;
  readonly #bytes: Uint8Array;
  #entries: Uint32Array | undefined;

  constructor(mapping: Mapping) {
    this.#mapping = mapping;
    this.#bytes = new Uint8Array(mapping.buffer, mapping.bufferOffset, mapping.lengthBytes);
  }

  /** Physical address of the byte at `position` of the mapping, or why there is none to be had. */
  lookup(position: number): PhysicalAddress | AddressAbsence {
    const page = Math.floor(position / PAGE_BYTES);
    const known = this.#frame(page);
    if (typeof known === "number") return physicalAddress(known * PAGE_BYTES + (position % PAGE_BYTES));
    return known;
  }

  #frame(page: number): number | AddressAbsence {
    let entries: Uint32Array;
    try {
      entries = this.#entries ??= readPagemap(
        "self",
        this.#mapping.address,
        Math.ceil(this.#mapping.lengthBytes / PAGE_BYTES),
      );
      let entry = decodePagemapEntry(entries[page * 2] ?? 0, entries[page * 2 + 1] ?? 0);
      if (!entry.present) {
        this.#touch(page);
        const fresh = readPagemap("self", this.#mapping.address + page * PAGE_BYTES, 1);
        entries.set(fresh, page * 2);
        entry = decodePagemapEntry(fresh[0] ?? 0, fresh[1] ?? 0);
        if (!entry.present) return NOT_WALKED;
      }
      return entry.frame ?? NEEDS_CAPABILITY;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return { code: "no-pagemap", message: error.message };
    }
  }

  /** A page that this process never touched is in no page table: one plain read puts it there. */
  #touch(page: number): void {
    const byte = this.#bytes[Math.min(page * PAGE_BYTES, this.#bytes.length - 1)];
    // The check keeps the read from being left out.
    if (byte === undefined) throw new RangeError(`page ${page} is not mapped`);
  }
}
