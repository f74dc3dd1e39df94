/**
 * Device registers and barriers. JavaScript has no volatile access: the engine may hoist, repeat, widen or drop a load or store of a
 * typed array, and an atomic load writes back. So each access is a call of a few instructions of machine code, which the engine
 * can neither see into nor move memory accesses across (2-4 ns on x86-64, docs/BENCHMARKS.md):
 *
 *              x86-64     arm64
 *     read     mov        ldr; dmb oshld    later loads are not older than the register's value
 *     write    mov        str               ordered among the registers of one device, and behind nothing else: wmb first
 *     wmb      sfence     dsb sy            what this thread stored before, write-combined or not, and loaded before, is done before a later `write`
 *     rmb      lfence     dmb oshld         later loads are not older than earlier ones: entry after its validity word
 *
 * On x86-64 ordinary memory keeps these orders by itself, and the calls are compiler barriers; the fences are for write-combined mappings.
 *
 * The code lies in a memfd that is mapped for execution, never in a page that is writable; the kernel makes the instruction cache agree when it
 * maps such a page (arm64 __sync_icache_dcache). TinyCC (`cc()` of bun:ffi) would be one more experimental part.
 */
import { linkSymbols, type Pointer } from "bun:ffi";
import { SystemError } from "./errors.ts";
import { closeFile, createMemfd, withFile } from "./files.ts";
import { addressOf, errno, libc, PAGE_BYTES, pointer } from "./libc.ts";

const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_FAILED = 2 ** 64;

/** Where the functions are in the code page; each has 64 bytes. */
const ENTRIES = { read: 0, write: 64, wmb: 128, rmb: 192, cacheType: 256 } as const;
/** In an arm64 entry, the base address lies here as a literal. */
const LITERAL_BYTES = 32;

function littleEndian64(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, value % 2 ** 32, true);
  view.setUint32(4, Math.floor(value / 2 ** 32), true);
  return new Uint8Array(view.buffer);
}

function x64Code(base: number): Uint8Array {
  const code = new Uint8Array(new ArrayBuffer(PAGE_BYTES)).fill(0xcc); // int3
  const loadBase = [0x89, 0xff, 0x48, 0xb8, ...littleEndian64(base)]; // mov edi, edi; movabs rax, base
  code.set([...loadBase, 0x8b, 0x04, 0x38, 0xc3], ENTRIES.read); // mov eax, [rax + rdi]; ret
  code.set([...loadBase, 0x89, 0x34, 0x38, 0xc3], ENTRIES.write); // mov [rax + rdi], esi; ret
  code.set([0x0f, 0xae, 0xf8, 0xc3], ENTRIES.wmb); // sfence; ret
  code.set([0x0f, 0xae, 0xe8, 0xc3], ENTRIES.rmb); // lfence; ret
  code.set([0x31, 0xc0, 0xc3], ENTRIES.cacheType); // xor eax, eax; ret
  return code;
}

function arm64Code(base: number): Uint8Array {
  const code = new Uint8Array(new ArrayBuffer(PAGE_BYTES));
  const words = new Uint32Array(code.buffer);
  const RET = 0xd65f03c0;
  const DMB_OSHLD = 0xd50331bf;
  const DSB_SY = 0xd5033f9f;
  /** ldr x<register>, the literal of this entry; for the first instruction of an entry. */
  const loadBase = (register: number): number => 0x58000000 | ((LITERAL_BYTES / 4) << 5) | register;
  const entry = (offset: number, instructions: readonly number[]): void => {
    words.set(instructions, offset / 4);
    code.set(littleEndian64(base), offset + LITERAL_BYTES);
  };
  entry(ENTRIES.read, [loadBase(1), 0xb8604820, DMB_OSHLD, RET]); // ldr w0, [x1, w0, uxtw]
  entry(ENTRIES.write, [loadBase(2), 0xb8204841, RET]); // str w1, [x2, w0, uxtw]
  entry(ENTRIES.wmb, [DSB_SY, RET]);
  entry(ENTRIES.rmb, [DMB_OSHLD, RET]);
  entry(ENTRIES.cacheType, [0xd53b0020, RET]); // mrs x0, ctr_el0
  return code;
}

/** @internal For tests: the code of an architecture for registers at `base`. */
export function registerCode(architecture: string, base: number): Uint8Array {
  return architecture === "arm64" ? arm64Code(base) : x64Code(base);
}

function mapFile(
  fd: number,
  length: number,
  protection: number,
  flags: number,
  offset: number,
  path: string,
): number {
  const address = Number(libc.mmap(null, length, protection, flags, fd, offset));
  if (address >= MAP_FAILED) throw new SystemError("mmap", errno(), { path });
  return address;
}

function mapCode(code: Uint8Array): number {
  const fd = createMemfd("physring-registers");
  return withFile(fd, () => {
    const written = Number(libc.write(fd, pointer(addressOf(code)), code.byteLength));
    if (written !== code.byteLength) throw new SystemError("write", errno(), { path: "machine code" });
    const address = mapFile(fd, code.byteLength, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0, "machine code");
    closeFile(fd);
    return address;
  });
}

function link(base: number): { readonly address: number; readonly symbols: RegisterFunctions } {
  const address = mapCode(registerCode(process.arch, base));
  const at = (entry: number): Pointer => (address + entry) as Pointer;
  const { symbols } = linkSymbols({
    read: { ptr: at(ENTRIES.read), args: ["i32"], returns: "i32" },
    write: { ptr: at(ENTRIES.write), args: ["i32", "i32"], returns: "void" },
    wmb: { ptr: at(ENTRIES.wmb), args: [], returns: "void" },
    rmb: { ptr: at(ENTRIES.rmb), args: [], returns: "void" },
    cacheType: { ptr: at(ENTRIES.cacheType), args: [], returns: "i32" },
  });
  return { address, symbols };
}

interface RegisterFunctions {
  readonly read: (offset: number) => number;
  readonly write: (offset: number, value: number) => void;
  readonly wmb: () => void;
  readonly rmb: () => void;
  readonly cacheType: () => number;
}

/** Mapped registers. The functions do not check `offset`: a multiple of 4 below `lengthBytes`, and none after `release`. */
export interface RegisterMapping extends RegisterFunctions {
  readonly lengthBytes: number;
  /** Unmaps; idempotent. A later access would end the process. */
  release(): void;
}

/** Maps `lengthBytes` bytes of registers of an open file at `fileOffset`, both multiples of the page size. Throws SystemError. */
export function mapRegisters(
  fd: number,
  fileOffset: number,
  lengthBytes: number,
  path: string,
): RegisterMapping {
  const base = mapFile(fd, lengthBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fileOffset, path);
  let code: ReturnType<typeof link>;
  try {
    code = link(base);
  } catch (error) {
    libc.munmap(pointer(base), lengthBytes);
    throw error;
  }
  let live = true;
  return {
    ...code.symbols,
    lengthBytes,
    release(): void {
      if (!live) return;
      live = false;
      libc.munmap(pointer(base), lengthBytes);
      libc.munmap(pointer(code.address), PAGE_BYTES);
    },
  };
}

/** Two words with different writers never share so many bytes: the prefetcher of x86-64 pulls pairs of lines. */
const LEAST_GRANULE_BYTES = 128;
/** CTR_EL0.CWG = 0 says nothing: the architecture's maximum. */
const GREATEST_GRANULE_BYTES = 2048;

/** Bytes that the cache may write back together (PROTOCOL.md §10.1 G): 128 on x86-64, by CTR_EL0.CWG on arm64. */
export function writebackGranuleBytes(): number {
  if (process.arch !== "arm64") return LEAST_GRANULE_BYTES;
  const code = link(0);
  const wordsLog2 = (code.symbols.cacheType() >>> 24) & 15;
  libc.munmap(pointer(code.address), PAGE_BYTES);
  return wordsLog2 === 0 ? GREATEST_GRANULE_BYTES : Math.max(LEAST_GRANULE_BYTES, 4 << wordsLog2);
}
