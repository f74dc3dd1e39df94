/** Time and interruption for the demo's source. */

/** What `promise` brings, or null as soon as the signal comes. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(null);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Timers of the event loop are not finer; shorter waits are left out, and later ones make up for it. */
const FINEST_WAIT_MS = 1;

/** A steady clock: frame n is due n / rate seconds after the first. Who is late does not wait until it has caught up. */
export class Pacer {
  readonly #periodMs: number;
  #startMs = Number.NaN;

  /** @param framesPerSecond may be Infinity */
  constructor(framesPerSecond: number) {
    this.#periodMs = 1000 / framesPerSecond;
  }

  /** Resolves when the frame is due or the signal comes. */
  async wait(frame: number, signal: AbortSignal): Promise<void> {
    if (this.#periodMs === 0) return;
    if (Number.isNaN(this.#startMs)) this.#startMs = performance.now() - frame * this.#periodMs;
    const waitMs = this.#startMs + frame * this.#periodMs - performance.now();
    if (waitMs >= FINEST_WAIT_MS) await unlessAborted(Bun.sleep(waitMs), signal);
  }
}
