/** Waiting for a free block of a pool, alone or together with other things. */
import type { Participant } from "./participant.ts";
import type { Pool } from "./pool.ts";
import type { Waitable } from "./wait-any.ts";

/** Ready when a block is free, for whoever is faster. All waits of one participant for one pool share its bit among the waiters. */
export class FreeBlock implements Waitable {
  readonly participant: Participant;
  /** See {@link Waitable}; called while no block is free. */
  readonly lookMs: () => number;
  readonly #pool: Pool;
  readonly #assertOpen: () => void;

  /** @param assertOpen throws when whoever wants the block is closed */
  constructor(pool: Pool, participant: Participant, assertOpen: () => void, lookMs: () => number) {
    this.#pool = pool;
    this.participant = participant;
    this.#assertOpen = assertOpen;
    this.lookMs = lookMs;
  }

  ready(): boolean {
    this.#assertOpen();
    return this.#pool.hasFree();
  }

  beginWait(): void {
    if (this.participant.waits.countIn(this.#pool.entry.name)) this.#pool.addWaiter(this.participant.bit);
  }

  endWait(): void {
    const last = this.participant.waits.countOut(this.#pool.entry.name);
    if (last && !this.#pool.region.closed) this.#pool.removeWaiter(this.participant.bit);
  }
}
