/** Whoever decides what a schedule leaves open: at random (random.ts), or one possibility after the other (systematic.ts). */
import type { Machine, Processor } from "./machine.ts";

export interface Thread {
  readonly name: string;
  /** Is passed over that often (of 32): slow ones let queues fill. */
  readonly slowness: number;
  readonly coroutine: Generator<void, void, void>;
  readonly processor: Processor;
  /** It may be killed at any step; what happens then (its lock is free). */
  readonly onDeath: (() => void) | undefined;
}

/** What a correct algorithm never does; the message says what and where. */
export class Violation extends Error {}

export interface Director {
  /** After so many steps a schedule hangs. */
  readonly mostSteps: number;
  /** How slow a thread that starts is to be. */
  slowness(): number;
  /** 0 … limit − 1: which of several ways a scenario goes on. */
  pick(limit: number): number;
  /** At most so many may die, and be stopped at random, in the first so many steps. */
  allow(deaths: number, stops: number, within: number): void;
  /** Who takes the next step. `due`: who took the one before, or the next in turn if that one waits or has ended. */
  next(awake: readonly Thread[], due: Thread): Thread;
  /** Who dies before `next` takes its step. */
  victim(threads: readonly Thread[], next: Thread): Thread | null;
  /** Whether `next` is stopped (SIGSTOP) before its step. It goes on when nobody else can. */
  stops(next: Thread): boolean;
  /** Whether the first that was stopped goes on although others can. */
  continues(): boolean;
  /** After a store that is in the processor's buffer now. */
  stored(machine: Machine, processor: Processor): void;
  /** The processor goes on after others did, and has stores in its buffer. */
  resumed(machine: Machine, processor: Processor): void;
  /** After each step. */
  stepped(machine: Machine, processor: Processor): void;
  /** Which of `older` older values a plain load returns, from the oldest on; `older`: the newest. */
  loadedEarly(older: number): number;
}
