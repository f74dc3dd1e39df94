/** Waiting for several things at once: every end of everything, and pools, of one region or of many. */
import type { WaitStrategy } from "./doorbell.ts";
import { ArgumentError } from "./errors.ts";
import type { Participant } from "./participant.ts";
import type { Condition } from "./sleeper.ts";

/** What can be waited for together with others. Whoever makes `ready` true rings the doorbell of `participant`. */
export interface Waitable extends Condition {
  readonly participant: Participant;
  /** A wait for it begins: from now on others have to know that it is wanted. Before `ready` is asked. */
  beginWait?(): void;
  /** Undoes one `beginWait`; the region may be closed. */
  endWait?(): void;
  /** Not ready: looks for somebody who stands in the way and does not move. Milliseconds until it wants to look again; may throw. */
  lookMs?(): number;
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

/** How long to sleep at most: until the time limit, or until one of them wants to look for who stands still. */
function sleepMs(waitables: readonly Waitable[], condition: Condition, deadlineMs: number): number {
  let mostMs = deadlineMs - performance.now();
  if (!condition.ready())
    for (const waitable of waitables) mostMs = Math.min(mostMs, waitable.lookMs?.() ?? mostMs);
  return Math.max(0, mostMs);
}

function isOver({ region }: Participant, deadlineMs: number): boolean {
  return region.closed || performance.now() >= deadlineMs;
}

/** One wait at one doorbell. */
async function waitTogether(
  participant: Participant,
  waitables: readonly Waitable[],
  deadlineMs: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const condition = anyOf(waitables);
  for (;;) {
    const mostMs = sleepMs(waitables, condition, deadlineMs);
    if (await participant.doorbell.wait(condition, mostMs, signal)) return true;
    if (isOver(participant, deadlineMs)) return false;
  }
}

/** One wait at each doorbell; the first that ends ends the others. */
async function waitForEach(waitables: readonly Waitable[], options: WaitAnyOptions): Promise<boolean> {
  const deadlineMs = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
  const groups = [...Map.groupBy(waitables, ({ participant }) => participant)];
  const [only] = groups;
  if (groups.length === 1 && only !== undefined)
    return waitTogether(only[0], only[1], deadlineMs, options.signal);
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal]);
  const waits = groups.map(([participant, group]) => waitTogether(participant, group, deadlineMs, signal));
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
  const { participant } = waitables[0]!;
  if (waitables.some((waitable) => waitable.participant !== participant))
    throw new ArgumentError(
      "blockAny: the ends must come from one region handle; waitAny takes those of several",
    );
  const { strategy = "spin-then-futex" } = options;
  const deadlineMs = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
  const condition = anyOf(waitables);
  const begun = beginAll(waitables);
  try {
    for (;;) {
      const mostMs = sleepMs(waitables, condition, deadlineMs);
      if (participant.doorbell.block(condition, mostMs, strategy)) return true;
      if (isOver(participant, deadlineMs)) return false;
    }
  } finally {
    endAll(begun);
  }
}
