/** Producers of the kill test that send numbered things, one after the other, as fast as there is room for them. */
import { WaitTimeoutError } from "../../src/index.ts";
import { type Actor, PATIENCE_MS } from "./actor-roles.ts";
import { MOST_NUMBERS } from "./ledger.ts";

/** `send` may give up after {@link PATIENCE_MS} with WaitTimeoutError: then the same number comes again. */
export async function sendNumbers(
  actor: Actor,
  send: (number: number, limit: { readonly timeoutMs: number }) => Promise<void>,
): Promise<void> {
  for (let number = 0; !actor.stopping; ) {
    actor.beat();
    if (number >= MOST_NUMBERS) {
      actor.frame();
      await Bun.sleep(2);
      continue;
    }
    try {
      await send(number, { timeoutMs: PATIENCE_MS });
    } catch (error) {
      if (!(error instanceof WaitTimeoutError)) throw error;
      continue;
    }
    number++;
    actor.frame();
    if (actor.random.oneIn(32)) await Bun.sleep(actor.random.below(2));
  }
}
