/**
 * Doorbells: how a participant sleeps and how others wake it (PROTOCOL.md §3 "Doorbell"). One for each participant, however
 * many rings it waits on. A wake-up costs a system call only when somebody sleeps.
 */
import { chmodSync, rmSync } from "node:fs";
import { EventLoopReader } from "../ffi/event-loop-reader.ts";
import { closeFile } from "../ffi/files.ts";
import { futexWait, futexWake } from "../ffi/futex.ts";
import { bindUnix, datagramSocket, sendByteTo, unixAddress } from "../ffi/sockets.ts";
import { compareAndSwap, loadAfterFence, pause, sleepersFence, storeRelease } from "../memory/atomics.ts";
import type { ControlArea } from "../memory/control.ts";
import { ParticipantRecord, participantRecordWord, WORD_BYTES } from "../memory/layout.ts";
import { Courtesy } from "./courtesy.ts";
import { type LifeListener, lifePath, lifeWatch } from "./life.ts";
import { Suspicion, type Vigil } from "./suspicion.ts";

/** Something that may become true by another participant's doing. `ready` must not block and must not allocate. */
export interface Condition {
  ready(): boolean;
  /** Spinning for it lets others run: set where the one who waits has a message to get, not where it has one to send ({@link Courtesy}). */
  readonly yieldsCpu?: boolean;
}

/** How a blocking wait passes the time: never sleep, spin for a while and then sleep in the kernel, or sleep at once. */
export type WaitStrategy = "spin" | "spin-then-futex" | "futex";

const AWAKE = 0;
const ASLEEP_FUTEX = 1;
/** Low byte of the doorbell of a sleeper in its event loop; above it a number that no other sleep of it has. */
const ASLEEP_EVENT_LOOP = 2;
const MODE_MASK = 0xff;
const SLEEP_NUMBER_SHIFT = 8;

/** Longest blocking sleep before a waiter looks whether a peer has died; the decision itself is the kernel lock's. An event loop sleeps on without end. */
const SLICE_MS = 50;
/** The same where a publisher may have left its fence to us and the kernel does not help. */
const SLICE_WITHOUT_FENCE_MS = 1;
const SPIN_MS = 0.02;
/** The longest a timer runs, in milliseconds: with a longer one it would end at once. Longer limits (24.8 days) are none. */
export const MAX_TIMER_MS = 2 ** 31 - 1;
const SPINS_PER_CLOCK_READ = 32;
/** Pause before reading the doorbell's socket again after it seemed to end. */
const RESUME_MS = 1;

const FIRST_DOORBELL_WORD = participantRecordWord(0) + ParticipantRecord.doorbellWord;
const RECORD_WORDS = participantRecordWord(1) - participantRecordWord(0);

/** Word index of a doorbell in the control area. On the path of every commit: one multiplication. */
export function doorbellIndex(participant: number): number {
  return (FIRST_DOORBELL_WORD + participant * RECORD_WORDS) | 0;
}

function stateIndex(participant: number): number {
  return participantRecordWord(participant) + ParticipantRecord.stateWord;
}

function socketPath(directory: string, participant: number, generation: number): string {
  return `${directory}/${participant}.${generation}`;
}

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

/** The waking side. One for each region handle; holds the socket that datagrams leave from. */
export class DoorbellRinger implements Disposable {
  // On the path of every commit: TypeScript-private, see spsc.ts.
  private readonly words: Int32Array;
  readonly #control: ControlArea;
  #socketFd = -1;
  readonly #addresses: { generation: number; address: Uint8Array }[] = [];

  constructor(control: ControlArea) {
    this.#control = control;
    this.words = control.words;
  }

  /**
   * Wakes `participant` if it sleeps. The caller has published before (SYNC doorbell: publish, fence, read against arm, fence,
   * look). True when it was asleep, and nobody else has rung it.
   */
  ring(participant: number): boolean {
    // The index may come from an owner word in shared memory: out of range is nobody.
    if (participant < 0 || participant >= ParticipantRecord.capacity) return false;
    const index = doorbellIndex(participant);
    return loadAfterFence(this.words, index) !== AWAKE && this.#wake(participant);
  }

  /**
   * The doorbell changed meanwhile: somebody else woke it, or it looked again after we had published. A datagram leaves before the
   * doorbell is disarmed: stopped in between, we have woken it; stopped before, others still can.
   */
  #wake(participant: number): boolean {
    const index = doorbellIndex(participant);
    const armed = loadAfterFence(this.words, index);
    const mode = armed & MODE_MASK;
    if (mode === ASLEEP_EVENT_LOOP) this.#send(participant);
    if (armed === AWAKE || !compareAndSwap(this.words, index, armed, AWAKE)) return false;
    if (mode === ASLEEP_FUTEX) this.#futexWake(participant);
    return true;
  }

  #futexWake(participant: number): void {
    futexWake(this.#control.address + doorbellIndex(participant) * WORD_BYTES, 1);
  }

  #send(participant: number): void {
    if (this.#socketFd < 0) this.#socketFd = datagramSocket();
    sendByteTo(this.#socketFd, this.#addressOf(participant));
  }

  #addressOf(participant: number): Uint8Array {
    const state = loadAfterFence(this.#control.words, stateIndex(participant));
    const generation = state >>> ParticipantRecord.generationShift;
    const cached = this.#addresses[participant];
    if (cached?.generation === generation) return cached.address;
    const address = unixAddress(socketPath(this.#control.doorbellDirectory, participant, generation));
    this.#addresses[participant] = { generation, address };
    return address;
  }

  /** Wakes everybody, whatever the doorbells say: a waker may have died between disarming one and waking (§8 step 7). */
  wakeAll(): void {
    for (let participant = 0; participant < ParticipantRecord.capacity; participant++) {
      const phase =
        loadAfterFence(this.#control.words, stateIndex(participant)) & ParticipantRecord.phaseMask;
      if (phase !== ParticipantRecord.phaseLive) continue;
      // An old waker disarmed first.
      this.#send(participant);
      this.#wake(participant);
      this.#futexWake(participant);
    }
  }

  [Symbol.dispose](): void {
    if (this.#socketFd >= 0) closeFile(this.#socketFd);
    this.#socketFd = -1;
  }
}

interface PendingWait {
  readonly condition: Condition;
  readonly resolve: (ready: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** The sleeping side: the doorbell of one participant. */
export class Doorbell implements Disposable {
  readonly #control: ControlArea;
  readonly #index: number;
  readonly #path: string;
  readonly #vigil: Vigil;
  readonly #life: LifeListener;
  readonly #pending = new Set<PendingWait>();
  readonly #suspicion: Suspicion;
  readonly #courtesy = new Courtesy();
  /** Notices of deaths come; else the event loop looks every {@link SLICE_MS}. Null: not asked for yet. */
  #noticed: boolean | null = null;
  #sleepNumber: number;
  #socketFd = -1;
  #reader: EventLoopReader | null = null;
  #sliceTimer: ReturnType<typeof setInterval> | null = null;
  #unfencedTimer: ReturnType<typeof setTimeout> | null = null;
  #closed = false;

  constructor(control: ControlArea, participant: number, generation: number, vigil: Vigil) {
    this.#control = control;
    this.#index = doorbellIndex(participant);
    this.#path = socketPath(control.doorbellDirectory, participant, generation);
    this.#vigil = vigil;
    this.#suspicion = new Suspicion(vigil, () => this.#lookForDead());
    // Far from the numbers of this slot's last participant, for a waker that was stopped since.
    this.#sleepNumber = Math.imul(generation, 0x9e37_79b1);
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
    return this.#pending.size > 0;
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

  /** One futex sleep. SYNC doorbell: arm, fence, look; the waker publishes, fences, reads. */
  #sleep(condition: Condition, sleepMs: number): boolean {
    const words = this.#control.words;
    storeRelease(words, this.#index, ASLEEP_FUTEX);
    const limitMs = sleepersFence() ? sleepMs : Math.min(sleepMs, SLICE_WITHOUT_FENCE_MS);
    if (!condition.ready()) {
      const address = this.#control.address + this.#index * WORD_BYTES;
      futexWait(address, ASLEEP_FUTEX, Math.max(0, limitMs) * 1e6);
    }
    storeRelease(words, this.#index, AWAKE);
    this.#vigil.noticeDeaths();
    // A waiter in the event loop shares the doorbell: it looks again, and arms anew, once this thread is back there.
    if (this.#pending.size > 0) queueMicrotask(() => this.#look());
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
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        this.#pending.delete(wait);
        if (this.#pending.size === 0) this.#rest();
      };
      const wait: PendingWait = {
        condition,
        resolve: (ready) => {
          finish();
          resolve(ready);
        },
        reject: (error) => {
          finish();
          reject(error);
        },
      };
      const onAbort = (): void => wait.reject(signal?.reason);
      const timer =
        timeoutMs <= MAX_TIMER_MS ? setTimeout(() => this.#lookFor(wait, true), timeoutMs) : undefined;
      signal?.addEventListener("abort", onAbort);
      this.#pending.add(wait);
      if (this.#pending.size === 1) this.#begin();
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
    storeRelease(this.#control.words, this.#index, AWAKE);
    this.#adjustSlices();
    this.#reader?.letGo();
    if (this.#noticed === true) lifeWatch.letGo();
  }

  /** Time slices only where nobody tells us what we wait for. */
  #adjustSlices(): void {
    const needed = this.#pending.size > 0 && (this.#noticed !== true || this.#vigil.restless());
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
      for (const wait of [...this.#pending]) wait.reject(error);
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
    if (this.#pending.size > 0) lifeWatch.letGo();
    lifeWatch.remove(this.#life);
    if (this.#pending.size > 0) this.#slice();
  }

  /** @internal Something began that nobody rings for ({@link Vigil.restless}). */
  unsettle(): void {
    this.#adjustSlices();
  }

  /** Arms the doorbell for the event loop and ends the waits that are over. SYNC doorbell: arm, fence, look. */
  #look(): void {
    this.#vigil.noticeDeaths();
    if (this.#pending.size === 0) return;
    this.#sleepNumber = (this.#sleepNumber + 1) | 0;
    const armed = (this.#sleepNumber << SLEEP_NUMBER_SHIFT) | ASLEEP_EVENT_LOOP;
    storeRelease(this.#control.words, this.#index, armed);
    if (!sleepersFence()) this.#lookAgainSoon();
    for (const wait of [...this.#pending]) this.#lookFor(wait, false);
  }

  /** See {@link SLICE_WITHOUT_FENCE_MS}. */
  #lookAgainSoon(): void {
    this.#unfencedTimer ??= setTimeout(() => {
      this.#unfencedTimer = null;
      this.#look();
    }, SLICE_WITHOUT_FENCE_MS);
  }

  /** Errors of the condition (a corrupt segment) belong to whoever awaits it, not to the event loop. */
  #lookFor(wait: PendingWait, last: boolean): void {
    try {
      const ready = !this.#closed && wait.condition.ready();
      if (ready || last || this.#closed) wait.resolve(ready);
    } catch (error) {
      wait.reject(error);
    }
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
    for (const wait of [...this.#pending]) wait.resolve(false);
    if (this.#noticed === true) lifeWatch.remove(this.#life);
    this.#reader?.stop();
    if (this.#socketFd >= 0) closeFile(this.#socketFd);
  }
}
