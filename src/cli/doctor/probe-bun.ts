/** Tries what the library rests on, in this very process. What may fail is imported inside: FFI itself is the first to be tried. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { sharedMemoryDirectory } from "../../memory/names.ts";
import type { Probe } from "./facts.ts";

/** A probe that takes longer hangs. */
const LIMIT_MS = 5000;

async function probe(name: string, body: () => string | Promise<string>): Promise<Probe> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${LIMIT_MS} ms`)), LIMIT_MS);
  try {
    return { name, ok: true, detail: await Promise.race([body(), late]) };
  } catch (error) {
    return { name, ok: false, detail: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
  }
}

export const PROBES = {
  ffi: "FFI",
  mapping: "file mapped as SharedArrayBuffer",
  futex: "futex",
  membarrier: "membarrier",
  unnamedFile: "O_TMPFILE",
  locks: "OFD locks",
  deaths: "death notices (inotify)",
  sockets: "datagram sockets in the event loop",
} as const;

/** All of {@link PROBES} in their order; only the first where that fails. */
export async function probeBun(): Promise<Probe[]> {
  const ffi = await probe(PROBES.ffi, async () => {
    const { PAGE_BYTES } = await import("../../ffi/libc.ts");
    return `the C library answers (pages of ${PAGE_BYTES} bytes)`;
  });
  if (!ffi.ok) return [ffi];
  const bodies = { mapping, futex, membarrier, unnamedFile, locks, deaths, sockets };
  const probes = [ffi];
  for (const name of Object.keys(bodies) as (keyof typeof bodies)[])
    probes.push(await probe(PROBES[name], bodies[name]));
  return probes;
}

const PROBE_BYTES = 65536;
const PATTERN = 0x5eed;

/** Runs `body` with a memfd and a shared mapping of it. */
async function withMapping<T>(
  body: (fd: number, words: Int32Array, address: number) => T | Promise<T>,
): Promise<T> {
  const { createMemfd, setFileSize, closeFile } = await import("../../ffi/files.ts");
  const { mapShared } = await import("../../ffi/mapping.ts");
  const fd = createMemfd("physring-doctor");
  try {
    setFileSize(fd, PROBE_BYTES);
    const mapped = mapShared(fd, 0, PROBE_BYTES);
    try {
      const words = new Int32Array(mapped.buffer, mapped.bufferOffset, PROBE_BYTES / 4);
      return await body(fd, words, mapped.address);
    } finally {
      mapped.release();
    }
  } finally {
    closeFile(fd);
  }
}

async function mapping(): Promise<string> {
  const { readAt } = await import("../../ffi/files.ts");
  return withMapping((fd, words) => {
    Atomics.store(words, 1, PATTERN);
    const copy = new Int32Array(new ArrayBuffer(8));
    readAt(fd, new Uint8Array(copy.buffer), 0);
    if (copy[1] !== PATTERN) throw new Error("a store to the mapping did not reach the file");
    return "a WebAssembly memory takes the mapping, and stores reach the file";
  });
}

async function futex(): Promise<string> {
  const { futexWait, futexWake, FutexResult } = await import("../../ffi/futex.ts");
  return withMapping((_fd, words, address) => {
    if (futexWake(address, 1) !== 0) throw new Error("somebody sleeps on a new word");
    if (futexWait(address, words[0]! + 1, 1e6) !== FutexResult.valueDiffered)
      throw new Error("a wait did not see the word's value");
    if (futexWait(address, words[0]!, 1e6) !== FutexResult.timedOut) throw new Error("a wait ended too soon");
    return "wait and wake on shared memory";
  });
}

async function membarrier(): Promise<string> {
  const { membarrier: call, Membarrier } = await import("../../ffi/process.ts");
  const wanted = Membarrier.globalExpedited | Membarrier.registerGlobalExpedited;
  if ((call(Membarrier.query) & wanted) !== wanted) throw new Error("the kernel has no GLOBAL_EXPEDITED");
  return "GLOBAL_EXPEDITED";
}

async function unnamedFile(): Promise<string> {
  const { openUnnamedFile, closeFile } = await import("../../ffi/files.ts");
  const directory = sharedMemoryDirectory();
  closeFile(openUnnamedFile(directory, 0o600));
  return `files without a name in ${directory}`;
}

/** Two descriptions of one file exclude each other even within a process. */
async function locks(): Promise<string> {
  const { createMemfd, reopen, closeFile } = await import("../../ffi/files.ts");
  const { tryLockByte } = await import("../../ffi/locks.ts");
  const first = createMemfd("physring-doctor");
  const second = reopen(first);
  try {
    if (!tryLockByte(first, 0)) throw new Error("a new file is locked");
    if (tryLockByte(second, 0)) throw new Error("two descriptions hold one lock");
    closeFile(first);
    if (!tryLockByte(second, 0)) throw new Error("closing did not release the lock");
    return "exclusive, and released by close";
  } finally {
    closeFile(second);
  }
}

/** The event loop hears that a file was closed, as src/ring/life.ts wants it: that is how it learns of deaths without polling. */
async function deaths(): Promise<string> {
  const { inotifyOpen, inotifyWatch, InotifyMask, parseInotify } = await import("../../ffi/inotify.ts");
  const { closeFile, openFile } = await import("../../ffi/files.ts");
  const directory = mkdtempSync(`${sharedMemoryDirectory()}/physring-doctor-`);
  try {
    const fd = inotifyOpen();
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    const stop = await readInEventLoop(fd, resolve);
    try {
      inotifyWatch(fd, directory, InotifyMask.closeWrite);
      closeFile(openFile(`${directory}/0.1.life`, { createMode: 0o600 }));
      const names = parseInotify(await promise).map(({ name }) => name);
      if (!names.includes("0.1.life")) throw new Error(`the notice names ${names.join(", ")}`);
      return "the event loop hears of a file that is closed";
    } finally {
      stop();
      closeFile(fd);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function sockets(): Promise<string> {
  const { datagramSocket, bindUnix, unixAddress, sendByteTo } = await import("../../ffi/sockets.ts");
  const { closeFile } = await import("../../ffi/files.ts");
  const directory = mkdtempSync(`${tmpdir()}/physring-doctor-`);
  const sender = datagramSocket();
  const fd = datagramSocket();
  try {
    bindUnix(fd, `${directory}/bell`);
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    const stop = await readInEventLoop(fd, resolve);
    if (!sendByteTo(sender, unixAddress(`${directory}/bell`))) throw new Error("the socket took no datagram");
    await promise;
    stop();
    return "a stream of the socket is woken by a datagram";
  } finally {
    closeFile(fd);
    closeFile(sender);
    rmSync(directory, { recursive: true });
  }
}

/** Returns what ends the reading. */
async function readInEventLoop(fd: number, onBytes: (bytes: Uint8Array) => void): Promise<() => void> {
  const { EventLoopReader } = await import("../../ffi/event-loop-reader.ts");
  const reader = new EventLoopReader(fd, { onBytes, onEnd: () => undefined });
  reader.hold();
  return () => reader.stop();
}
