/** Trying until something succeeds, asleep in between: the one loop behind every waiting call of a channel. */

import { WaitTimeoutError } from "../ring/errors.ts";
import type { Participant } from "../ring/participant.ts";
import type { AwaitOptions, BlockOptions } from "../ring/ring.ts";
import type { Condition } from "../ring/sleeper.ts";

/** What is waited for. `undefined` from `attempt`: not yet. */
export interface Attempt<T> {
  readonly participant: Participant;
  /** Worth attempting again; a hint. */
  readonly condition: Condition;
  attempt(): T | undefined;
  /** For the error at the time limit. */
  readonly what: string;
  /** Attempt again after so many milliseconds at most, even if the condition does not come true. */
  readonly pauseMs?: () => number;
}

/** Blocks the thread. @throws WaitTimeoutError, and what `attempt` throws */
export function attemptBlocking<T>(goal: Attempt<T>, options: BlockOptions): T {
  const timeoutMs = options.timeoutMs ?? Number.POSITIVE_INFINITY;
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const result = goal.attempt();
    if (result !== undefined) return result;
    // Looked at in every round: a spoilt segment may make the condition true for ever and the attempt fail for ever.
    const leftMs = deadlineMs - performance.now();
    if (leftMs <= 0) throw new WaitTimeoutError(goal.what, timeoutMs);
    const pauseMs = Math.min(leftMs, goal.pauseMs?.() ?? leftMs);
    goal.participant.doorbell.block(goal.condition, pauseMs, options.strategy ?? "spin-then-futex");
  }
}

/** Leaves the event loop free. @throws WaitTimeoutError, the signal's reason, and what `attempt` throws */
export async function attemptAsync<T>(goal: Attempt<T>, options: AwaitOptions): Promise<T> {
  const timeoutMs = options.timeoutMs ?? Number.POSITIVE_INFINITY;
  const deadlineMs = performance.now() + timeoutMs;
  for (let fruitless = 0; ; fruitless++) {
    const result = goal.attempt();
    if (result !== undefined) return result;
    const leftMs = deadlineMs - performance.now();
    if (leftMs <= 0) throw new WaitTimeoutError(goal.what, timeoutMs);
    // A condition that holds at once costs no turn of the event loop; if it was wrong, take one.
    if (fruitless > 0 && goal.condition.ready()) await Bun.sleep(0);
    const pauseMs = Math.min(leftMs, goal.pauseMs?.() ?? leftMs);
    await goal.participant.doorbell.wait(goal.condition, pauseMs, options.signal);
  }
}
