/**
 * One process of a robustness run: a source, a worker that forwards, or a sink. It checks everything it sees and prints one line of
 * JSON for each fault it finds; typed errors it survives. The runner (kill.ts, live-fuzz.ts) kills it, stops it or scribbles.
 */
import { setStepHook } from "../support/step-hook.ts";

/** Compare-and-swaps to go; then steps to go; then the signal. */
let swaps = 0;
let budget = 0;
let fault = 0;
setStepHook((operation) => {
  if (swaps > 0) {
    if (operation === "compareAndSwap") swaps--;
    return;
  }
  if (budget > 0 && --budget === 0) process.kill(process.pid, fault === 2 ? "SIGSTOP" : "SIGKILL");
});

const { runActor } = await import("./actor-roles.ts");
const options = JSON.parse(process.argv[2]!);
await runActor(options, (steps, kind, extra) => {
  fault = kind;
  // The hook runs before and after each operation: two calls a swap.
  swaps = extra > 0 ? 2 * steps - 1 : 0;
  budget = extra > 0 ? extra : steps;
});
