/**
 * A mask of participants that sleep, or are about to, until something is published (PROTOCOL.md §11 "Sleep", "Wake one"; a cell's
 * `waiters`). Publishers look at one word, and make a system call only when somebody sleeps.
 */
import { fetchAnd, fetchOr, loadAfterFence } from "../memory/atomics.ts";
import { ParticipantRecord } from "../memory/layout.ts";

/** What wakes a participant; says whether it was asleep. */
export interface Ringer {
  ring(participant: number): boolean;
}

export class Sleepers {
  private readonly words: Int32Array;
  private readonly index: number;

  constructor(words: Int32Array, index: number) {
    this.words = words;
    this.index = index;
  }

  /** Before the doorbell is armed: SYNC doorbell, its fence orders the sleeper's look behind this as well. */
  lieDown(bit: number): void {
    fetchOr(this.words, this.index, bit);
  }

  getUp(bit: number): void {
    fetchAnd(this.words, this.index, ~bit);
  }

  /** Somebody sleeps. The caller has published before, with the fence of §3 or the sleeper's. */
  any(): boolean {
    return loadAfterFence(this.words, this.index) !== 0;
  }

  /** Rings one after the other until one was asleep: the others have been rung already, or have not looked yet. */
  rouseOne(ringer: Ringer): void {
    let sleepers = loadAfterFence(this.words, this.index);
    while (sleepers !== 0) {
      const participant = 31 - Math.clz32(sleepers & -sleepers);
      sleepers &= sleepers - 1;
      if (participant < ParticipantRecord.capacity && ringer.ring(participant)) return;
    }
  }

  rouseAll(ringer: Ringer): void {
    let sleepers = loadAfterFence(this.words, this.index);
    while (sleepers !== 0) {
      const participant = 31 - Math.clz32(sleepers & -sleepers);
      sleepers &= sleepers - 1;
      if (participant < ParticipantRecord.capacity) ringer.ring(participant);
    }
  }
}
