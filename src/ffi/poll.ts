/**
 * Waiting in the event loop for a descriptor that cannot be read as a stream (a UIO device answers reads of exactly 4 bytes only). An epoll instance is
 * readable when something in it is, and reading it fails with EINVAL: so a stream over it, which Bun's event loop waits for, ends with an error at the very
 * moment the descriptor has something (measured: 20 µs).
 */
import { constants } from "node:os";
import { SystemError } from "./errors.ts";
import { closeFile } from "./files.ts";
import { addressOf, errno, libc, pointer } from "./libc.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
/** struct epoll_event is packed on x86-64: events at 0; elsewhere padded to 16 bytes. The data is not used. */
const EVENT_BYTES = 16;
const { EAGAIN, EINTR, EINVAL } = constants.errno;

export class ReadinessWatch implements Disposable {
  #epoll: number;
  readonly #onReady: () => void;
  #reader: { cancel(): Promise<void> } | null = null;

  /** Calls `onReady` once after each {@link arm}, when `fd` is readable. `fd` stays the caller's, and is to be closed after the watch. */
  constructor(fd: number, onReady: () => void) {
    this.#epoll = libc.epoll_create1(EPOLL_CLOEXEC);
    if (this.#epoll < 0) throw new SystemError("epoll_create1", errno());
    this.#onReady = onReady;
    const event = new Uint8Array(new ArrayBuffer(EVENT_BYTES));
    event[0] = EPOLLIN;
    const added = libc.epoll_ctl(this.#epoll, EPOLL_CTL_ADD, fd, pointer(addressOf(event)));
    // Bun waits for readiness only where a read would not block.
    if (added < 0 || libc.fcntl(this.#epoll, F_SETFL, pointer(O_NONBLOCK)) < 0) {
      const error = errno();
      closeFile(this.#epoll);
      throw new SystemError(added < 0 ? "epoll_ctl" : "fcntl(F_SETFL)", error);
    }
  }

  /** Watches for the next readiness; twice is once. */
  arm(): void {
    if (this.#reader !== null || this.#epoll < 0) return;
    const reader = Bun.file(this.#epoll).stream().getReader();
    this.#reader = reader;
    const ended = (error?: unknown): void => {
      if (this.#reader !== reader) return;
      this.#reader = null;
      const ready =
        error === undefined ||
        (error as { errno?: number }).errno === -EINVAL ||
        (error as { code?: string }).code === "EINVAL";
      if (!ready) throw error;
      this.#onReady();
    };
    void reader.read().then(() => ended(), ended);
  }

  [Symbol.dispose](): void {
    if (this.#epoll < 0) return;
    const reader = this.#reader;
    this.#reader = null;
    void reader?.cancel().catch(() => undefined);
    closeFile(this.#epoll);
    this.#epoll = -1;
  }
}

const word = new Uint32Array(new ArrayBuffer(4));
const wordAddress = pointer(addressOf(word));

/** Reads the 4 bytes that a UIO device or a board's socket gives; −1 when there is nothing now. Throws SystemError. */
export function readWord(fd: number, path: string): number {
  for (;;) {
    if (Number(libc.read(fd, wordAddress, 4)) === 4) return word[0]!;
    const error = errno();
    if (error === EAGAIN) return -1;
    if (error !== EINTR) throw new SystemError("read", error, { path });
  }
}

/** Writes 4 bytes; false where the device takes none (EIO, ENOSYS: a UIO driver without irqcontrol). */
export function writeWord(fd: number, value: number): boolean {
  word[0] = value;
  return Number(libc.write(fd, wordAddress, 4)) === 4;
}

/** Writes bytes at an offset of a file. Throws SystemError. */
export function writeAt(fd: number, bytes: Uint8Array, offset: number, path: string): void {
  const copy = new Uint8Array(new ArrayBuffer(bytes.byteLength));
  copy.set(bytes);
  const written = Number(libc.pwrite(fd, pointer(addressOf(copy)), copy.byteLength, offset));
  if (written !== copy.byteLength)
    throw new SystemError("pwrite", written < 0 ? errno() : constants.errno.EIO, { path });
}
