/** What is done about live consumers that stand still, as channels, queues and records store it (PROTOCOL.md §7.5, §11, §12). */
import { ArgumentError } from "./errors.ts";
import { type PolicyName, StallAction, type StallActionName } from "./layout.ts";

const MAX_STALL_TIMEOUT_MS = 2 ** 31 - 1;

export interface StallShape {
  /** Who gates a blocked producer for so long without moving is stalled; 0 with action `none`. */
  readonly stallTimeoutMs: number;
  readonly stallAction: StallActionName;
}

export interface StallOptions {
  readonly stallTimeoutMs?: number;
  readonly stallAction?: "evict" | "error";
}

/** `policy`: of an object whose producer looks for stalled consumers only where it waits. @throws ArgumentError naming the limits */
export function stallShapeOf(options: StallOptions, policy: PolicyName = "block"): StallShape {
  const stallTimeoutMs = options.stallTimeoutMs ?? 0;
  const stallAction = stallTimeoutMs === 0 ? "none" : (options.stallAction ?? "evict");
  if (!Number.isInteger(stallTimeoutMs) || stallTimeoutMs < 0 || stallTimeoutMs > MAX_STALL_TIMEOUT_MS)
    throw new ArgumentError(
      `stallTimeoutMs ${stallTimeoutMs}: whole milliseconds from 0 to ${MAX_STALL_TIMEOUT_MS}`,
    );
  if (stallTimeoutMs > 0 && policy !== "block")
    throw new ArgumentError(`stallTimeoutMs goes with policy block; ${policy} never waits for a consumer`);
  if (!(stallAction in StallAction)) throw new ArgumentError(`stallAction ${stallAction}: evict or error`);
  return { stallTimeoutMs, stallAction };
}

/** Reads what {@link stallShapeOf} allows; null for anything else. */
export function readStallShape(
  timeoutWord: number,
  actionWord: number,
  policy: PolicyName = "block",
): StallShape | null {
  const stallTimeoutMs = timeoutWord >>> 0;
  const names = Object.keys(StallAction) as StallActionName[];
  const stallAction = names.find((name) => StallAction[name] === actionWord);
  if (stallAction === undefined) return null;
  const fits =
    stallAction === "none"
      ? stallTimeoutMs === 0
      : policy === "block" && stallTimeoutMs > 0 && stallTimeoutMs <= MAX_STALL_TIMEOUT_MS;
  return fits ? { stallTimeoutMs, stallAction } : null;
}
