/** Waiting on several consumers at once: all ring the one doorbell of their region handle. */
import type { Condition } from "../ring/doorbell.ts";
import { ArgumentError } from "../ring/errors.ts";
import type { AwaitOptions } from "../ring/ring.ts";
import type { FrameConsumer } from "./consumer.ts";

/**
 * Resolves when at least one of `consumers` (all of one region handle) has a frame or its stream is over: then try each with
 * `tryReceive()` and `ended`. False at the time limit.
 */
export function waitAny(consumers: readonly FrameConsumer[], options: AwaitOptions = {}): Promise<boolean> {
  const [first] = consumers;
  if (first === undefined) throw new ArgumentError("waitAny: no consumers");
  if (consumers.some((consumer) => consumer.participant !== first.participant)) {
    throw new ArgumentError("waitAny: the consumers must come from one region handle");
  }
  const any: Condition = { ready: () => consumers.some((consumer) => consumer.ready()) };
  return first.participant.doorbell.wait(any, options.timeoutMs ?? Infinity, options.signal);
}
