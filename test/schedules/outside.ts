/** Stands in for clocks and for the doorbell sockets, which no schedule depends on. */
export const monotonicNs = (): number => 1;
export const removeDoorbell = (): void => undefined;

/** After so many looks whoever has not moved is stalled. */
export const patience = { looks: 3 };

export class StallWatch {
  readonly leftMs = Number.POSITIVE_INFINITY;
  readonly #seen = new Map<number, { first: number; second: number; looks: number }>();

  startRound(): void {}

  stoodMs(): number {
    return 0;
  }

  forget(obstacle: number): void {
    this.#seen.delete(obstacle);
  }

  hasStalled(obstacle: number, first: number, second: number): boolean {
    const seen = this.#seen.get(obstacle);
    const looks = seen?.first === first && seen.second === second ? seen.looks + 1 : 0;
    this.#seen.set(obstacle, { first, second, looks });
    return looks >= patience.looks;
  }
}
