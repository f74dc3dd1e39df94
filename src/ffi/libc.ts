/**
 * The C library, opened once per thread. Only files of this directory may import it, and this directory is the only
 * place of the tree that imports `bun:ffi`.
 *
 * Variadic functions (`open`, `fcntl`, `ioctl`, `syscall`) are declared with fixed signatures: on x86-64 and arm64 Linux
 * integer arguments travel in the same registers either way.
 */
import { dlopen, FFIType, type Pointer, ptr, read } from "bun:ffi";
import { constants } from "node:os";
import { PhysringError, SystemError } from "./errors.ts";

const SYSCALL_NUMBERS = {
  // include/uapi/asm-generic/unistd.h and arch/x86/entry/syscalls/syscall_64.tbl
  x64: { futex: 202, membarrier: 324, pidfdOpen: 434 },
  arm64: { futex: 98, membarrier: 283, pidfdOpen: 434 },
} as const;

function syscallNumbers(): (typeof SYSCALL_NUMBERS)["x64" | "arm64"] {
  const architecture = process.arch;
  if (process.platform !== "linux" || (architecture !== "x64" && architecture !== "arm64")) {
    throw new PhysringError(
      "UNSUPPORTED_PLATFORM",
      `physring needs 64-bit Linux on x86-64 or arm64, not ${process.platform} on ${architecture}`,
    );
  }
  return SYSCALL_NUMBERS[architecture];
}

export const SYS = syscallNumbers();

const library = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  epoll_create1: { args: ["i32"], returns: "i32" },
  epoll_ctl: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  fallocate: { args: ["i32", "i32", "i64", "i64"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" },
  ftruncate: { args: ["i32", "i64"], returns: "i32" },
  getgrnam: { args: ["ptr"], returns: "ptr" },
  gettid: { args: [], returns: "i32" },
  inotify_add_watch: { args: ["i32", "ptr", "u32"], returns: "i32" },
  inotify_init1: { args: ["i32"], returns: "i32" },
  inotify_rm_watch: { args: ["i32", "i32"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  linkat: { args: ["i32", "ptr", "i32", "ptr", "i32"], returns: "i32" },
  memfd_create: { args: ["ptr", "u32"], returns: "i32" },
  mmap: { args: ["ptr", "u64", "i32", "i32", "i32", "i64"], returns: "ptr" },
  munmap: { args: ["ptr", "u64"], returns: "i32" },
  open: { args: ["ptr", "i32", "u32"], returns: "i32" },
  pread: { args: ["i32", "ptr", "u64", "i64"], returns: FFIType.i64_fast },
  pwrite: { args: ["i32", "ptr", "u64", "i64"], returns: FFIType.i64_fast },
  read: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
  sched_yield: { args: [], returns: "i32" },
  sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: FFIType.i64_fast },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  // Typed for the calls made here: addresses are `ptr`, because a double as `i64` takes a slow conversion.
  syscall: { args: ["i64", "ptr", "i64", "i64", "ptr", "ptr", "i64"], returns: FFIType.i64_fast },
  sysconf: { args: ["i32"], returns: FFIType.i64_fast },
  write: { args: ["i32", "ptr", "u64"], returns: FFIType.i64_fast },
});

export const libc = library.symbols;

/** Address of the C function `munmap`, for a deallocator that the engine calls by itself. */
export const munmapFunction: Pointer = functionAddress(libc.munmap);

function functionAddress(symbol: unknown): Pointer {
  const address = (symbol as { ptr?: unknown }).ptr;
  if (typeof address !== "number")
    throw new PhysringError("UNSUPPORTED_PLATFORM", "bun:ffi hides symbol addresses");
  return address as Pointer;
}

/** `errno` is thread-local and a Worker is one thread with its own copy of this module: the address is looked up once. */
const errnoAddress = libc.__errno_location() as Pointer;

/** The error number of the C call that has just failed. Read it before anything else can make a call. */
export function errno(): number {
  return read.i32(errnoAddress, 0);
}

/** A NUL-terminated copy for a `const char *` argument; a NUL inside would silently name another file. */
export function cString(text: string, call: string): Uint8Array {
  if (text.includes("\0")) throw new SystemError(call, constants.errno.EINVAL, { path: text });
  return Buffer.from(`${text}\0`, "utf8");
}

/** A plain address as an FFI pointer argument; 0 is NULL. */
export function pointer(address: number): Pointer | null {
  return address === 0 ? null : (address as Pointer);
}

/**
 * Address of a scratch buffer's first byte. The view must stand on an `ArrayBuffer` of its own: small typed arrays without
 * one live in movable storage that changes place when `.buffer` is first asked for.
 */
export function addressOf(view: NodeJS.TypedArray): number {
  return ptr(view);
}

const SC_PAGESIZE = 30; // bits/confname.h
/** Bytes of a page of this kernel: 4096 on x86-64; 4096, 16384 or 65536 on arm64. */
export const PAGE_BYTES: number = libc.sysconf(SC_PAGESIZE) as number;
