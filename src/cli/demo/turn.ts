/** Loops that find work all the time must let the event loop run now and then: signals, IPC and timers come through it. */

const TURN_MS = 5;

export class Turn {
  #lastMs = performance.now();

  /** Yields to the event loop when this has not happened for 5 ms. */
  async yieldIfDue(): Promise<void> {
    if (performance.now() - this.#lastMs < TURN_MS) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#lastMs = performance.now();
  }
}
