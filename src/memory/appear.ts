/** Waiting for something that nobody announces: a name that another process is about to make, or a state that it is about to leave. */

/** How long to wait in the event loop for something to appear. */
export interface AppearOptions {
  /** Milliseconds; default: no limit. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Longest pause between two looks for something that nobody announces. */
const MAX_PAUSE_MS = 10;

/** {@link retryUntil} in the event loop. Rejects with the signal's reason. */
export async function retryUntilAsync<T>(options: AppearOptions, attempt: () => T | null): Promise<T | null> {
  const deadline = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
  for (let pauseMs = 0.25; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    options.signal?.throwIfAborted();
    const result = attempt();
    const leftMs = deadline - performance.now();
    if (result !== null || leftMs <= 0) return result;
    await Bun.sleep(Math.min(pauseMs, leftMs));
  }
}

/** Tries `attempt` until it gives something, for `waitMs` milliseconds; null when the time is over. */
export function retryUntil<T>(waitMs: number, attempt: () => T | null): T | null {
  const deadline = performance.now() + waitMs;
  for (let pauseMs = 0.25; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    const result = attempt();
    const leftMs = deadline - performance.now();
    if (result !== null || leftMs <= 0) return result;
    Bun.sleepSync(Math.min(pauseMs, leftMs));
  }
}
