/**
 * Reading a non-blocking descriptor in the event loop while somebody cares. Not by `Bun.connect`, whose sockets cost the process a
 * wake-up every 4 s, and one every second besides, even when nothing arrives (Bun 1.4.5).
 */

/** Reading goes on so long after the last hold, so that a series of short waits does not stop and start it each time. */
const LINGER_MS = 100;

interface Stream {
  read(): Promise<{ done: boolean; value: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

export interface ReaderEvents {
  /** What one read returned; from the event loop, must not throw. */
  onBytes(bytes: Uint8Array): void;
  /** A read failed or returned nothing: reading has stopped, and a next {@link EventLoopReader.hold} starts it again. */
  onEnd(): void;
}

/** Reads `fd`, which stays the caller's, while it is held. Reading keeps the process alive. */
export class EventLoopReader {
  readonly #fd: number;
  readonly #events: ReaderEvents;
  #stream: Stream | null = null;
  #holds = 0;
  #lingering: ReturnType<typeof setTimeout> | null = null;

  constructor(fd: number, events: ReaderEvents) {
    this.#fd = fd;
    this.#events = events;
  }

  /** Somebody cares. True when reading starts with it: what arrived since it last stopped may be lost. */
  hold(): boolean {
    this.#holds++;
    return this.restart();
  }

  /** Undoes one {@link hold}. */
  letGo(): void {
    this.#holds--;
    this.#lingering ??= setTimeout(() => {
      this.#lingering = null;
      if (this.#holds === 0) this.stop();
    }, LINGER_MS).unref();
  }

  /** Starts reading if it is held and has ended. */
  restart(): boolean {
    if (this.#stream !== null || this.#holds === 0) return false;
    this.#stream = Bun.file(this.#fd).stream().getReader();
    void this.#run(this.#stream);
    return true;
  }

  async #run(stream: Stream): Promise<void> {
    for (;;) {
      const chunk = await stream.read().catch(() => null);
      if (this.#stream !== stream) return;
      if (chunk === null || chunk.done || chunk.value === undefined) break;
      this.#events.onBytes(chunk.value);
    }
    this.#stream = null;
    this.#events.onEnd();
  }

  /** Stops reading at once; before the descriptor is closed. */
  stop(): void {
    const stream = this.#stream;
    this.#stream = null;
    void stream?.cancel();
  }
}
