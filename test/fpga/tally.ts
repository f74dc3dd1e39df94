/** What a host process of the co-simulation has done so far. */
export interface Tally {
  submitted: number;
  ok: number;
  failed: number;
  reset: number;
  halted: number;
  timedOut: number;
  refused: number;
  resets: number;
  done: boolean;
}

export const NOTHING_DONE: Readonly<Omit<Tally, "done">> = {
  submitted: 0,
  ok: 0,
  failed: 0,
  reset: 0,
  halted: 0,
  timedOut: 0,
  refused: 0,
  resets: 0,
};
