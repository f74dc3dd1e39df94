/** Interrupts of a device in the event loop: by UIO, or by a socket that a simulated board sends to (PROTOCOL.md §10.5, §10.9). */
import { rmSync } from "node:fs";
import { SystemError } from "../ffi/errors.ts";
import { closeFile, openFile, readAt, withFile } from "../ffi/files.ts";
import { ReadinessWatch, readWord, writeAt, writeWord } from "../ffi/poll.ts";
import { bindUnix, datagramSocket } from "../ffi/sockets.ts";

/** A line that calls back. Interrupts are hints: whoever is called looks at the queue. */
export interface InterruptSource extends Disposable {
  /** What is called at an interrupt; one listener. */
  onInterrupt: () => void;
  /** Lets the next interrupt through; after the acknowledgement, before the last look. */
  enable(): void;
}

const PCI_COMMAND_OFFSET = 4;
const PCI_COMMAND_INTX_DISABLE_BYTE = 1 + PCI_COMMAND_OFFSET;
const INTX_DISABLE_BIT = 1 << 2;

/**
 * `/dev/uioN`. The kernel masks the line at each interrupt. Writing 1 unmasks it; uio_pci_generic has no such write and is unmasked
 * in the PCI command register, which takes root.
 */
export class UioInterrupt implements InterruptSource {
  onInterrupt: () => void = () => undefined;
  readonly #path: string;
  readonly #fd: number;
  readonly #watch: ReadinessWatch;
  #configFd = -1;
  #closed = false;

  /** @throws SystemError */
  constructor(path: string) {
    this.#path = path;
    this.#fd = openFile(path, { remedy: "is the UIO driver bound, and may this user open it?" });
    this.#watch = withFile(this.#fd, () => new ReadinessWatch(this.#fd, () => this.#ready()));
  }

  /** The kernel's count of interrupts at the last one. */
  count = 0;

  #ready(): void {
    try {
      const count = readWord(this.#fd, this.#path);
      if (count >= 0) this.count = count;
      this.#watch.arm();
    } catch (error) {
      // EIO: unplugged. Whoever listens looks at the device next, and finds that.
      if (!(error instanceof SystemError)) throw error;
    }
    this.onInterrupt();
  }

  enable(): void {
    if (this.#closed) return;
    this.#watch.arm();
    if (this.#configFd < 0 && writeWord(this.#fd, 1)) return;
    this.#unmaskPci();
  }

  #unmaskPci(): void {
    const config = `/sys/class/uio/${this.#path.replace("/dev/", "")}/device/config`;
    if (this.#configFd < 0)
      this.#configFd = openFile(config, { remedy: "unmasking a uio_pci_generic interrupt takes root" });
    const byte = new Uint8Array(new ArrayBuffer(1));
    readAt(this.#configFd, byte, PCI_COMMAND_INTX_DISABLE_BYTE, config);
    byte[0] = byte[0]! & ~INTX_DISABLE_BIT;
    writeAt(this.#configFd, byte, PCI_COMMAND_INTX_DISABLE_BYTE, config);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch[Symbol.dispose]();
    closeFile(this.#fd);
    if (this.#configFd >= 0) closeFile(this.#configFd);
  }
}

/** The socket `irq.<q>` of a simulated board: each datagram is an interrupt. */
export class SocketInterrupt implements InterruptSource {
  onInterrupt: () => void = () => undefined;
  readonly #path: string;
  #socket: Promise<Bun.Socket> | null = null;
  #closed = false;

  constructor(path: string) {
    this.#path = path;
  }

  enable(): void {
    if (!this.#closed && this.#socket === null) this.#open();
  }

  /** A board that is gone took the directory with it: the queue's next look at its core finds that, and until then nothing is to be heard. */
  #open(): void {
    const socket = this.#listen();
    this.#socket = socket;
    socket.catch(() => {
      if (this.#socket === socket) this.#socket = null;
    });
  }

  async #listen(): Promise<Bun.Socket> {
    rmSync(this.#path, { force: true });
    const fd = datagramSocket();
    withFile(fd, () => bindUnix(fd, this.#path));
    const options = {
      fd,
      socket: {
        data: () => this.onInterrupt(),
        error: () => this.#reopen(),
        // A datagram of length zero reads as end of file and closes the socket for good.
        close: () => this.#reopen(),
      },
    };
    const socket = await Bun.connect(options as unknown as Bun.UnixSocketOptions);
    socket.unref();
    // What was sent before the event loop listened.
    this.onInterrupt();
    return socket;
  }

  #reopen(): void {
    if (!this.#closed) this.#open();
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#socket === null) return;
    this.#socket.then(
      (socket) => socket.terminate(),
      () => undefined,
    );
    rmSync(this.#path, { force: true });
  }
}
