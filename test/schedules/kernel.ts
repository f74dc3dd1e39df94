/** Stands in for the system calls of a doorbell: futexes and datagram sockets. Each call is one step, in which the caller may fall asleep. */
import { participantRecordWord } from "../../src/memory/layout.ts";
import { doorbellIndex } from "../../src/ring/doorbell-word.ts";
import { access, stage } from "./atomics.ts";
import { type PlainRegion, SOCKETS } from "./bench.ts";
import { Machine } from "./machine.ts";
import type { Schedule } from "./schedule.ts";

/** A socket takes so many datagrams; one more is refused, and means that it has been rung already. */
const MOST_DATAGRAMS = 2;

export class Kernel {
  readonly #words: Int32Array;
  readonly #inFutex = new Set<number>();
  readonly #inEventLoop = new Set<string>();
  /** Datagrams in the sockets that are bound, by path. */
  readonly #datagrams = new Map<string, number>();

  constructor(
    readonly region: PlainRegion,
    readonly schedule: Schedule,
    readonly nameOf: (participant: number) => string,
  ) {
    this.#words = region.control.words;
    current = this;
  }

  #participantAt(address: number): number {
    const index = (address - this.region.control.address) / 4;
    return Math.round((index - doorbellIndex(0)) / (participantRecordWord(1) - participantRecordWord(0)));
  }

  futexWait(address: number, expected: number): void {
    const participant = this.#participantAt(address);
    if (stage.machine.memory[Machine.at(this.#words, doorbellIndex(participant))] !== expected) return;
    this.#inFutex.add(participant);
    this.schedule.sleep(this.nameOf(participant));
  }

  futexWake(address: number): void {
    const participant = this.#participantAt(address);
    if (this.#inFutex.delete(participant)) this.schedule.wake(this.nameOf(participant));
  }

  bind(path: string): void {
    this.#datagrams.set(path, 0);
  }

  /** Its owner is dead, or has left. */
  close(path: string): void {
    this.#datagrams.delete(path);
    this.#inEventLoop.delete(path);
    this.#inFutex.delete(participantOf(path));
  }

  send(path: string): boolean {
    const datagrams = this.#datagrams.get(path);
    if (datagrams === undefined || datagrams === MOST_DATAGRAMS) return false;
    this.#datagrams.set(path, datagrams + 1);
    if (this.#inEventLoop.delete(path)) this.schedule.wake(this.nameOf(participantOf(path)));
    return true;
  }

  /** The event loop: asleep until there are datagrams, all of which are read. */
  *receive(path: string): Generator<void, void, void> {
    yield;
    if (this.#datagrams.get(path) === 0) {
      this.#inEventLoop.add(path);
      this.schedule.sleep(this.nameOf(participantOf(path)));
      yield;
    }
    this.#datagrams.set(path, 0);
  }
}

function participantOf(path: string): number {
  return Number(path.slice(SOCKETS.length + 1).split(".")[0]);
}

let current: Kernel;

export const futexWait = access((address: number, expected: number, _timeoutNs: number) =>
  current.futexWait(address, expected),
);
export const futexWake = access((address: number, _count: number) => current.futexWake(address));
export const sendByteTo = access((_fd: number, path: string) => current.send(path));
export const datagramSocket = (): number => 3;
export const unixAddress = (path: string): string => path;
