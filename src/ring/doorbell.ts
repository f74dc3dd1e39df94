/**
 * Doorbells: how a participant sleeps and how others wake it (PROTOCOL.md §3 "Doorbell"). One for each participant, however
 * many rings it waits on. A wake-up costs a system call only when somebody sleeps.
 */
import { chmodSync, rmSync } from "node:fs";
import { EventLoopReader } from "../ffi/event-loop-reader.ts";
import { closeFile } from "../ffi/files.ts";
import { bindUnix, datagramSocket } from "../ffi/sockets.ts";
import { pause } from "../memory/atomics.ts";
import type { ControlArea } from "../memory/control.ts";
import { Courtesy } from "./courtesy.ts";
import { socketPath } from "./doorbell-word.ts";
import { type LifeListener, lifePath, lifeWatch } from "./life.ts";
import { type Condition, type PendingWait, SLICE_WITHOUT_FENCE_MS, Sleeper } from "./sleeper.ts";
import { Suspicion, type Vigil } from "./suspicion.ts";

/** How a blocking wait passes the time: never sleep, spin for a while and then sleep in the kernel, or sleep at once. */
export type WaitStrategy = "spin" | "spin-then-futex" | "futex";

/** Longest blocking sleep before a waiter looks whether a peer has died; the decision itself is the kernel lock's. An event loop sleeps on without end. */
const SLICE_MS = 50;
const SPIN_MS = 0.02;
/** The longest a timer runs, in milliseconds: with a longer one it would end at once. Longer limits (24.8 days) are none. */
export const MAX_TIMER_MS = 2 ** 31 - 1;
const SPINS_PER_CLOCK_READ = 32;
/** Pause before reading the doorbell's socket again after it seemed to end. */
const RESUME_MS = 1;

/** Takes away the socket and the life file that a participant left. Another user's may have to stay. */
export function removeDoorbell(control: ControlArea, participant: number, generation: number): void {
  for (const path of [socketPath, lifePath].map((of) =>
    of(control.doorbellDirectory, participant, generation),
  )) {
    try {
      rmSync(path, { force: true });
    } catch {
      // Harmless: its name is never used again, and the region's destruction or replacement takes it away.
    }
  }
}

/** The sleeping side: the doorbell of one participant. */
export class Doorbell implements Disposable {
  readonly #control: ControlArea;
  readonly #sleeper: Sleeper;
  readonly #path: string;
  readonly #vigil: Vigil;
  readonly #life: LifeListener;
  readonly #suspicion: Suspicion;
  readonly #courtesy = new Courtesy();
  /** Notices of deaths come; else the event loop looks every {@link SLICE_MS}. Null: not asked for yet. */
  #noticed: boolean | null = null;
  #socketFd = -1;
  #reader: EventLoopReader | null = null;
  #sliceTimer: ReturnType<typeof setInterval> | null = null;
  #unfencedTimer: ReturnType<typeof setTimeout> | null = null;
  #closed = false;

  constructor(control: ControlArea, participant: number, generation: number, vigil: Vigil) {
    this.#control = control;
    this.#sleeper = new Sleeper(control, participant, generation);
    this.#path = socketPath(control.doorbellDirectory, participant, generation);
    this.#vigil = vigil;
    this.#suspicion = new Suspicion(vigil, () => this.#lookForDead());
    const directory = control.doorbellDirectory;
    this.#life = {
      directory,
      ownPaths: [this.#path, lifePath(directory, participant, generation)],
      onLifeEnded: (dead, deadGeneration) => {
        if (this.#suspicion.add(dead, deadGeneration)) this.#slice();
      },
      onMissed: () => {
        this.#suspicion.begin();
        this.#slice();
      },
      onLost: () => this.#loseNotices(),
    };
  }

  /** Whether a wait of the event loop is under way. */
  get asleep(): boolean {
    return this.#sleeper.waits > 0;
  }

  /** False where the event loop has to look for dead peers every 50 ms, because the kernel gives no notices of deaths. */
  get noticed(): boolean {
    return this.#noticed ?? true;
  }

  /**
   * Blocks the thread until `condition.ready()` or the time limit; true when ready. The event loop stands still.
   * @param timeoutMs milliseconds, may be Infinity
   */
  block(condition: Condition, timeoutMs: number, strategy: WaitStrategy): boolean {
    if (condition.ready()) return true;
    const startMs = performance.now();
    const deadlineMs = startMs + timeoutMs;
    if (strategy === "spin" && this.#spin(condition, deadlineMs, Number.POSITIVE_INFINITY)) return true;
    if (strategy === "spin-then-futex" && this.spinBriefly(condition, timeoutMs)) return true;
    while (performance.now() < deadlineMs && !this.#closed) {
      if (this.#sleep(condition, Math.min(SLICE_MS, deadlineMs - performance.now()))) return true;
      this.#vigil.recoverDead();
    }
    return condition.ready();
  }

  /** Spins for 20 µs at most, or until a yield that took longer, or the time limit; true when ready. */
  spinBriefly(condition: Condition, timeoutMs: number): boolean {
    const startMs = performance.now();
    return this.#spin(condition, startMs + timeoutMs, startMs + SPIN_MS);
  }

  /** Spins until ready (true), `deadlineMs` or `spinUntilMs` (false). */
  #spin(condition: Condition, deadlineMs: number, spinUntilMs: number): boolean {
    const brief = Number.isFinite(spinUntilMs);
    const yields = brief && condition.yieldsCpu === true && this.#courtesy.begin();
    let nowMs = performance.now();
    let nextSliceMs = nowMs + SLICE_MS;
    for (;;) {
      for (let i = 0; i < SPINS_PER_CLOCK_READ; i++) {
        if (condition.ready()) return true;
        pause();
      }
      nowMs = yields ? this.#courtesy.yield(nowMs) : performance.now();
      if (nowMs >= deadlineMs || nowMs >= spinUntilMs || this.#closed) return false;
      if (nowMs >= nextSliceMs) {
        nextSliceMs = nowMs + SLICE_MS;
        this.#vigil.recoverDead();
      }
    }
  }

  /** One futex sleep; true when ready after it. */
  #sleep(condition: Condition, sleepMs: number): boolean {
    try {
      this.#sleeper.sleepInFutex(condition, sleepMs);
    } finally {
      // A waiter in the event loop shares the doorbell: it looks again, and arms anew, once this thread is back there.
      if (this.#sleeper.waits > 0) queueMicrotask(() => this.#look());
    }
    this.#vigil.noticeDeaths();
    return condition.ready();
  }

  /** Resolves to true when `condition.ready()`, to false at the time limit; the event loop stays free. Rejects with the signal's reason. */
  async wait(condition: Condition, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted();
    if (condition.ready()) return true;
    if (this.#closed) return condition.ready();
    this.#reader ??= this.#openSocket();
    if (this.#noticed === null) {
      this.#noticed = lifeWatch.add(this.#life);
      this.#suspicion.begin();
      this.#suspicion.look(); // who died before was not noticed
    }
    return new Promise<boolean>((resolve, reject) => {
      const wait: PendingWait = {
        condition,
        settle: (ready, error) => {
          clearTimeout(timer);
          signal?.removeEventListener("abort", onAbort);
          if (this.#sleeper.waits === 0) this.#rest();
          if (error === undefined) resolve(ready);
          else reject(error);
        },
      };
      const onAbort = (): void => this.#sleeper.finish(wait, false, signal?.reason);
      const timer =
        timeoutMs <= MAX_TIMER_MS
          ? setTimeout(() => this.#sleeper.lookFor(wait, true), timeoutMs)
          : undefined;
      signal?.addEventListener("abort", onAbort);
      this.#sleeper.add(wait);
      if (this.#sleeper.waits === 1) this.#begin();
      this.#look();
    });
  }

  /** The first of the waits begins. */
  #begin(): void {
    this.#adjustSlices();
    this.#reader?.hold();
    if (this.#noticed === true) lifeWatch.hold();
  }

  /** The last of the waits is over. */
  #rest(): void {
    this.#adjustSlices();
    this.#reader?.letGo();
    if (this.#noticed === true) lifeWatch.letGo();
  }

  /** Time slices only where nobody tells us what we wait for. */
  #adjustSlices(): void {
    const needed = this.#sleeper.waits > 0 && (this.#noticed !== true || this.#vigil.restless());
    if (needed) this.#sliceTimer ??= setInterval(() => this.#slice(), SLICE_MS);
    else if (this.#sliceTimer !== null) {
      clearInterval(this.#sliceTimer);
      this.#sliceTimer = null;
    }
  }

  /** An error of cleaning belongs to those who wait, not to the event loop. Who is cleaned up behind rings everybody, also us. */
  #lookForDead(): void {
    if (this.#closed) return;
    try {
      this.#suspicion.look();
    } catch (error) {
      this.#sleeper.failAll(error);
    }
    this.#adjustSlices();
  }

  #slice(): void {
    this.#lookForDead();
    this.#look();
  }

  /** The directory of the region is gone, or our files in it are: from now on only looking helps. */
  #loseNotices(): void {
    if (this.#noticed !== true || this.#closed) return;
    this.#noticed = false;
    if (this.#sleeper.waits > 0) lifeWatch.letGo();
    lifeWatch.remove(this.#life);
    if (this.#sleeper.waits > 0) this.#slice();
  }

  /** @internal Something began that nobody rings for ({@link Vigil.restless}). */
  unsettle(): void {
    this.#adjustSlices();
  }

  /** Somebody rang, or something changed: ends the waits that are over. */
  #look(): void {
    this.#vigil.noticeDeaths();
    if (!this.#sleeper.look()) this.#lookAgainSoon();
  }

  /** See {@link SLICE_WITHOUT_FENCE_MS}. */
  #lookAgainSoon(): void {
    this.#unfencedTimer ??= setTimeout(() => {
      this.#unfencedTimer = null;
      this.#look();
    }, SLICE_WITHOUT_FENCE_MS);
  }

  /** Binds the socket that wakers look for. */
  #openSocket(): EventLoopReader {
    this.#control.makeDoorbellDirectory();
    rmSync(this.#path, { force: true });
    this.#socketFd = datagramSocket();
    bindUnix(this.#socketFd, this.#path);
    chmodSync(this.#path, this.#control.fileMode);
    return new EventLoopReader(this.#socketFd, {
      onBytes: () => this.#look(),
      onEnd: () => this.#resume(),
    });
  }

  /** A datagram of length zero reads as the end of the stream; some other end must not make us spin. */
  #resume(): void {
    setTimeout(() => {
      if (!this.#closed && this.#reader?.restart()) this.#look();
    }, RESUME_MS);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#suspicion.close();
    this.#sleeper.end();
    if (this.#noticed === true) lifeWatch.remove(this.#life);
    this.#reader?.stop();
    if (this.#socketFd >= 0) closeFile(this.#socketFd);
  }
}
