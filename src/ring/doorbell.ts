/**
 * Doorbells: how a participant sleeps and how others wake it (PROTOCOL.md §3 "Doorbell"). One for each participant, however
 * many rings it waits on. A wake-up costs a system call only when somebody sleeps.
 */
import { mkdirSync, rmSync } from "node:fs";
import { closeFile } from "../ffi/files.ts";
import { futexWait, futexWake } from "../ffi/futex.ts";
import { bindUnix, datagramSocket, sendByteTo, unixAddress } from "../ffi/sockets.ts";
import { exchange, loadAfterFence, pause, sleepersFence, storeRelease } from "../memory/atomics.ts";
import type { ControlArea } from "../memory/control.ts";
import { ParticipantRecord, participantRecordWord, WORD_BYTES } from "../memory/layout.ts";

/** Something that may become true by another participant's doing. `ready` must not block and must not allocate. */
export interface Condition {
  ready(): boolean;
}

/** How a blocking wait passes the time: never sleep, or spin for a while and then sleep in the kernel. */
export type WaitStrategy = "spin" | "spin-then-futex";

const AWAKE = 0;
const ASLEEP_FUTEX = 1;
const ASLEEP_EVENT_LOOP = 2;

/** Longest sleep before a waiter looks whether a peer has died; the decision itself is the kernel lock's. */
const SLICE_MS = 50;
/** The same where a publisher may have left its fence to us and the kernel does not help. */
const SLICE_WITHOUT_FENCE_MS = 1;
const SPIN_MS = 0.02;
const SPINS_PER_CLOCK_READ = 32;

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

/** Takes away the socket that a dead participant left. */
export function removeDoorbell(control: ControlArea, participant: number, generation: number): void {
  rmSync(socketPath(control.doorbellDirectory, participant, generation), { force: true });
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
    if (loadAfterFence(this.words, index) === AWAKE) return false;
    const mode = exchange(this.words, index, AWAKE);
    this.#wake(participant, mode);
    return mode !== AWAKE;
  }

  #wake(participant: number, mode: number): void {
    if (mode === ASLEEP_FUTEX) {
      futexWake(this.#control.address + doorbellIndex(participant) * WORD_BYTES, 1);
    } else if (mode === ASLEEP_EVENT_LOOP) {
      if (this.#socketFd < 0) this.#socketFd = datagramSocket();
      sendByteTo(this.#socketFd, this.#addressOf(participant));
    }
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
      exchange(this.#control.words, doorbellIndex(participant), AWAKE);
      this.#wake(participant, ASLEEP_FUTEX);
      this.#wake(participant, ASLEEP_EVENT_LOOP);
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
  readonly #onSlice: () => void;
  readonly #pending = new Set<PendingWait>();
  #listener: Promise<Bun.Socket> | null = null;
  #sliceTimer: ReturnType<typeof setInterval> | null = null;
  #unfencedTimer: ReturnType<typeof setTimeout> | null = null;
  #closed = false;

  /** @param onSlice called now and then during a wait: looks for dead peers */
  constructor(control: ControlArea, participant: number, generation: number, onSlice: () => void) {
    this.#control = control;
    this.#index = doorbellIndex(participant);
    this.#path = socketPath(control.doorbellDirectory, participant, generation);
    this.#onSlice = onSlice;
  }

  /**
   * Blocks the thread until `condition.ready()` or the time limit; true when ready. The event loop stands still.
   * @param timeoutMs milliseconds, may be Infinity
   */
  block(condition: Condition, timeoutMs: number, strategy: WaitStrategy): boolean {
    if (condition.ready()) return true;
    const startMs = performance.now();
    const deadlineMs = startMs + timeoutMs;
    const spinUntilMs = strategy === "spin" ? Number.POSITIVE_INFINITY : startMs + SPIN_MS;
    if (this.#spin(condition, deadlineMs, spinUntilMs)) return true;
    while (performance.now() < deadlineMs && !this.#closed) {
      if (this.#sleep(condition, Math.min(SLICE_MS, deadlineMs - performance.now()))) return true;
      this.#onSlice();
    }
    return condition.ready();
  }

  /** Spins until ready (true), `deadlineMs` or `spinUntilMs` (false). */
  #spin(condition: Condition, deadlineMs: number, spinUntilMs: number): boolean {
    let nextSliceMs = performance.now() + SLICE_MS;
    for (;;) {
      for (let i = 0; i < SPINS_PER_CLOCK_READ; i++) {
        if (condition.ready()) return true;
        pause();
      }
      const nowMs = performance.now();
      if (nowMs >= deadlineMs || nowMs >= spinUntilMs || this.#closed) return false;
      if (nowMs >= nextSliceMs) {
        nextSliceMs = nowMs + SLICE_MS;
        this.#onSlice();
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
    // A waiter in the event loop shares the doorbell: it looks again, and arms anew, once this thread is back there.
    if (this.#pending.size > 0) queueMicrotask(() => this.#look());
    return condition.ready();
  }

  /** Resolves to true when `condition.ready()`, to false at the time limit; the event loop stays free. Rejects with the signal's reason. */
  async wait(condition: Condition, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted();
    if (condition.ready()) return true;
    this.#listener ??= this.#listen();
    await this.#listener;
    signal?.throwIfAborted();
    if (this.#closed) return condition.ready();
    return new Promise<boolean>((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        this.#pending.delete(wait);
        if (this.#pending.size === 0) this.#disarm();
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
      const timer = Number.isFinite(timeoutMs)
        ? setTimeout(() => this.#lookFor(wait, true), timeoutMs)
        : undefined;
      signal?.addEventListener("abort", onAbort);
      this.#pending.add(wait);
      this.#sliceTimer ??= setInterval(() => this.#slice(), SLICE_MS);
      this.#look();
    });
  }

  #slice(): void {
    try {
      this.#onSlice();
    } catch (error) {
      for (const wait of [...this.#pending]) wait.reject(error);
    }
    this.#look();
  }

  /** Arms the doorbell for the event loop and ends the waits that are over. SYNC doorbell: arm, fence, look. */
  #look(): void {
    if (this.#pending.size === 0) return;
    storeRelease(this.#control.words, this.#index, ASLEEP_EVENT_LOOP);
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

  #disarm(): void {
    storeRelease(this.#control.words, this.#index, AWAKE);
    if (this.#sliceTimer !== null) clearInterval(this.#sliceTimer);
    this.#sliceTimer = null;
  }

  async #listen(): Promise<Bun.Socket> {
    mkdirSync(this.#control.doorbellDirectory, { recursive: true, mode: 0o700 });
    rmSync(this.#path, { force: true });
    const fd = datagramSocket();
    bindUnix(fd, this.#path);
    const options = {
      fd,
      socket: {
        data: () => this.#look(),
        error: () => this.#reopen(),
        // A datagram of length zero reads as end of file and closes the socket for good: open a new one.
        close: () => this.#reopen(),
      },
    };
    // `fd` is accepted for any stream or datagram descriptor; bun-types 1.4.5 lists it for TCP only.
    const socket = await Bun.connect(options as unknown as Bun.UnixSocketOptions);
    socket.unref();
    return socket;
  }

  #reopen(): void {
    if (this.#closed) return;
    this.#listener = this.#listen();
    void this.#listener.then(() => this.#look());
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const wait of [...this.#pending]) wait.resolve(false);
    void this.#listener?.then((socket) => socket.terminate());
  }
}
