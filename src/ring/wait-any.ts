/** Waiting for several things at once: rings, queues, channels, pools, of one region or of many. */
import type { Condition, WaitStrategy } from "./doorbell.ts";
import { ArgumentError } from "./errors.ts";
import type { Participant } from "./participant.ts";

/** What can be waited for together with others. Whoever makes `ready` true rings the doorbell of `participant`. */
export interface Waitable extends Condition {
  readonly participant: Participant;
  /** A wait for it begins: from now on others have to know that it is wanted. Before `ready` is asked. */
  beginWait?(): void;
  /** Undoes one `beginWait`; the region may be closed. */
  endWait?(): void;
}

export interface WaitAnyOptions {
  /** Milliseconds; default: no limit. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

function anyOf(waitables: readonly Waitable[]): Condition {
  return {
    ready: () => waitables.some((waitable) => waitable.ready()),
    yieldsCpu: waitables.every(({ yieldsCpu }) => yieldsCpu === true),
  };
}

function assertSome(call: string, waitables: readonly Waitable[]): void {
  if (waitables.length === 0) throw new ArgumentError(`${call}: there is nothing to wait for`);
}

function endAll(begun: readonly Waitable[]): void {
  for (const waitable of begun) waitable.endWait?.();
}

function beginAll(waitables: readonly Waitable[]): Waitable[] {
  const begun: Waitable[] = [];
  try {
    for (const waitable of waitables) {
      waitable.beginWait?.();
      begun.push(waitable);
    }
  } catch (error) {
    endAll(begun);
    throw error;
  }
  return begun;
}

/**
 * Resolves to true when at least one is ready: then try each. To false at the time limit. Rejects with the signal's reason.
 * They may belong to different regions.
 */
export async function waitAny(
  waitables: readonly Waitable[],
  options: WaitAnyOptions = {},
): Promise<boolean> {
  assertSome("waitAny", waitables);
  options.signal?.throwIfAborted();
  const begun = beginAll(waitables);
  try {
    return await waitForEach(waitables, options);
  } finally {
    endAll(begun);
  }
}

/** One wait at each doorbell; the first that ends ends the others. */
async function waitForEach(waitables: readonly Waitable[], options: WaitAnyOptions): Promise<boolean> {
  const timeoutMs = options.timeoutMs ?? Number.POSITIVE_INFINITY;
  const groups = [...Map.groupBy(waitables, ({ participant }) => participant)];
  const [only] = groups;
  if (groups.length === 1 && only !== undefined)
    return only[0].doorbell.wait(anyOf(only[1]), timeoutMs, options.signal);
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal]);
  const waits = groups.map(([{ doorbell }, group]) => doorbell.wait(anyOf(group), timeoutMs, signal));
  try {
    return (await Promise.race(waits)) || anyOf(waitables).ready();
  } finally {
    stop.abort();
    await Promise.allSettled(waits);
  }
}

/** Like {@link waitAny}, blocking the thread; all must belong to one region handle, for a thread sleeps in one futex. */
export function blockAny(
  waitables: readonly Waitable[],
  options: { readonly timeoutMs?: number; readonly strategy?: WaitStrategy } = {},
): boolean {
  assertSome("blockAny", waitables);
  const { doorbell } = waitables[0]!.participant;
  if (waitables.some(({ participant }) => participant !== waitables[0]!.participant))
    throw new ArgumentError(
      "blockAny: the ends must come from one region handle; waitAny takes those of several",
    );
  const begun = beginAll(waitables);
  try {
    return doorbell.block(
      anyOf(waitables),
      options.timeoutMs ?? Number.POSITIVE_INFINITY,
      options.strategy ?? "spin-then-futex",
    );
  } finally {
    endAll(begun);
  }
}
