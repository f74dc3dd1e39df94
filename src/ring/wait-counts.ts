/** Waits of one participant for the same thing, whose bit they share. */
export class WaitCounts {
  readonly #counts = new Map<string, number>();

  /** True for the first. `object`: its name in the region. */
  countIn(object: string): boolean {
    const count = this.#counts.get(object) ?? 0;
    this.#counts.set(object, count + 1);
    return count === 0;
  }

  /** True for the last. */
  countOut(object: string): boolean {
    const count = (this.#counts.get(object) ?? 0) - 1;
    if (count > 0) this.#counts.set(object, count);
    else this.#counts.delete(object);
    return count <= 0;
  }
}
