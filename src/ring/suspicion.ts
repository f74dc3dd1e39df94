/**
 * Looking again for the dead (PROTOCOL.md §8 "Look again"). A look may come too early: the kernel says that a participant has ended before its
 * locks are free; or in vain: somebody else holds the cleaner's byte, who may be stopped, or die itself. Nothing is suspected: nothing is done.
 */

/** What a doorbell asks of its participant. */
export interface Vigil {
  /** Looks for dead participants and cleans up behind them. False when somebody is left: a next look may do it. */
  recoverDead(): boolean;
  /** Whether this participant has neither left nor been cleaned up behind. */
  isThere(participant: number, generation: number): boolean;
  /** Somebody rang: it may have been a cleaner. Cheap when not. */
  noticeDeaths(): void;
  /** Something is left to do that nobody rings for. */
  restless(): boolean;
}

/** A look that left something to do is followed by another after so many milliseconds, and so on; the last one repeats. */
const AGAIN_MS = [1, 2, 5, 10, 20, 50, 100, 200, 400, 1000] as const;
/** Looks for those who ended just before we could hear of it, and hold their locks still: 188 ms. */
const WARY_LOOKS = 8;

interface Suspect {
  readonly participant: number;
  readonly generation: number;
}

/** What one event loop suspects of the other participants of a region. */
export class Suspicion {
  readonly #vigil: Vigil;
  readonly #again: () => void;
  /** Who has ended, as the kernel said, and is not cleaned up behind. */
  readonly #suspects = new Map<string, Suspect>();
  #attempt = 0;
  #waryLooks = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #closed = false;

  /** @param again called from the event loop when it is time for another {@link look} */
  constructor(vigil: Vigil, again: () => void) {
    this.#vigil = vigil;
    this.#again = again;
  }

  /** From now on we hear of every end, but may not have heard of the last ones. Look. */
  begin(): void {
    this.#waryLooks = WARY_LOOKS;
    this.#attempt = 0;
  }

  /** The kernel says that this participant has ended. True: it is new; look. */
  add(participant: number, generation: number): boolean {
    const key = `${participant}.${generation}`;
    if (this.#suspects.has(key)) return false;
    this.#suspects.set(key, { participant, generation });
    this.#attempt = 0;
    return true;
  }

  /** Cleans up behind everybody who is found dead, and comes again as long as somebody is left. Throws what the cleaning throws, and comes again then, too. */
  look(): void {
    let settled = false;
    try {
      settled = this.#vigil.recoverDead();
    } finally {
      for (const [key, { participant, generation }] of this.#suspects)
        if (!this.#vigil.isThere(participant, generation)) this.#suspects.delete(key);
      if (this.#waryLooks > 0) this.#waryLooks--;
      this.#plan(settled && this.#suspects.size === 0 && this.#waryLooks === 0);
    }
  }

  #plan(done: boolean): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (done) this.#attempt = 0;
    if (done || this.#closed) return;
    const delayMs = AGAIN_MS[Math.min(this.#attempt++, AGAIN_MS.length - 1)];
    this.#timer = setTimeout(this.#again, delayMs);
    this.#timer.unref();
  }

  close(): void {
    this.#closed = true;
    this.#plan(true);
  }
}
