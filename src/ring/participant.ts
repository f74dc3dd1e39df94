/**
 * Participants: threads that take part in a region (PROTOCOL.md §3). Alive means that the kernel holds the lock on the
 * participant's byte; it drops the lock when the thread's file description goes, however the process ends.
 */
import assert from "node:assert";
import { closeFile } from "../ffi/files.ts";
import { isByteLocked, tryLockByte, unlockByte } from "../ffi/locks.ts";
import { gettid, pidNamespaceInode } from "../ffi/process.ts";
import { loadAcquire, storePlain, storeRelease } from "../memory/atomics.ts";
import type { ControlArea } from "../memory/control.ts";
import { ReadOnlyError } from "../memory/errors.ts";
import {
  LOCK_BASE_OFFSET,
  LockByte,
  ParticipantRecord,
  participantRecordWord,
  WORD_BYTES,
} from "../memory/layout.ts";
import type { Region } from "../memory/region.ts";
import { type DeathEvent, DeathRoll, type RecoveryEvent, readParticipantName } from "./deaths.ts";
import { Doorbell } from "./doorbell.ts";
import { DoorbellRinger } from "./doorbell-ringer.ts";
import { ParticipantLimitError, StalledError } from "./errors.ts";
import { LifeFile } from "./life.ts";
import { cleanParticipant, quiet } from "./recovery.ts";
import type { AwaitOptions } from "./ring.ts";
import { WaitCounts } from "./wait-counts.ts";

const CAPACITY = ParticipantRecord.capacity;
const LOOK_INTERVAL_MS = 50;
/** Who polls fast looks at the clock every so many polls. */
const MOST_POLLS_PER_CLOCK = 16;
/** So many polls in less time than this are fast. */
const FAST_POLLS_MS = 1;

function lockOffset(byte: number): number {
  return LOCK_BASE_OFFSET + byte;
}

/** What the control area says of one participant; `alive` is the kernel's word, the rest is information. */
export interface ParticipantInfo {
  readonly index: number;
  readonly generation: number;
  readonly phase: number;
  readonly pid: number;
  readonly name: string;
  readonly alive: boolean;
}

interface Chore {
  /** True when it is done. */
  finishLeaving(): boolean;
}

/** This thread's membership in a region. Obtained by {@link Participant.of}; ends with the region handle. */
export class Participant implements Disposable {
  static readonly #byRegion = new WeakMap<Region, Participant>();

  readonly region: Region;
  readonly index: number;
  /** This participant's bit in pool states, as a signed 32-bit mask. */
  readonly bit: number;
  readonly generation: number;
  readonly doorbell: Doorbell;
  readonly ringer: DoorbellRinger;
  /** @internal Waits under way for what several of them share one bit of ours. */
  readonly waits = new WaitCounts();
  /** @internal The open taker of each queue, by its name. */
  readonly takers = new Map<string, { lose(): void }>();
  readonly #lockFd: number;
  readonly #lifeFile: LifeFile;
  readonly #deaths: DeathRoll;
  /** Recoveries of our own that {@link noticeDeaths} has not told yet, by participant. */
  readonly #recoveries = new Map<number, RecoveryEvent>();
  readonly #listeners = new Set<(event: DeathEvent) => void>();
  readonly #chores = new Set<Chore>();
  #section = 0;
  // On the path of each poll in vain: TypeScript-private, see spsc.ts.
  private pollsToClock = 1;
  #pollsPerClock = 1;
  #clockMs = 0;
  #nextLookMs = 0;
  /** The last look for the dead left nothing to do. */
  #settled = true;
  #left = false;

  private constructor(
    region: Region,
    lockFd: number,
    index: number,
    generation: number,
    lifeFile: LifeFile,
    ringer: DoorbellRinger,
  ) {
    this.region = region;
    this.index = index;
    this.bit = 1 << index;
    this.generation = generation;
    this.ringer = ringer;
    this.#lockFd = lockFd;
    this.#lifeFile = lifeFile;
    this.#deaths = new DeathRoll(region.control.words);
    this.doorbell = new Doorbell(region.control, index, generation, {
      recoverDead: () => {
        this.recoverDead();
        return this.#settled;
      },
      isThere: (participant, suspected) => this.#isThere(participant, suspected),
      noticeDeaths: () => this.#noticeDeaths(),
      restless: () => this.hasChores,
    });
  }

  /** This region handle's participant; joins at the first call.
   * @throws ParticipantLimitError when 31 live threads take part already; ReadOnlyError */
  static of(region: Region): Participant {
    const known = Participant.#byRegion.get(region);
    if (known !== undefined) return known;
    if (region.readOnly) throw new ReadOnlyError(region.name, "taking part");
    const participant = Participant.#join(region);
    Participant.#byRegion.set(region, participant);
    region.onClose(() => participant[Symbol.dispose]());
    return participant;
  }

  static #join(region: Region): Participant {
    const control = region.control;
    const fd = control.openLockFile();
    const ringer = new DoorbellRinger(control);
    try {
      for (let index = 0; index < CAPACITY; index++) {
        const claimed = claimSlot(region, fd, index, ringer);
        if (claimed === null) continue;
        return new Participant(region, fd, index, claimed.generation, claimed.lifeFile, ringer);
      }
      throw new ParticipantLimitError(region.name, CAPACITY);
    } catch (error) {
      closeFile(fd);
      ringer[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Calls back for each participant of the region that died, once it has been cleaned up behind, whoever did it: during a wait at once,
   * else at the next wait or turn of the event loop after a slow path; never in the middle of a send. Who left in order is no death. Returns the function that unsubscribes.
   */
  onDeath(listener: (event: DeathEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The same for a loop that does nothing else, such as a monitor's: waits in the event loop, and keeps it alive, until the limit, the
   * signal (rejects with its reason) or the end of the region. Deaths before the call are not told.
   */
  async *deaths(options: AwaitOptions = {}): AsyncGenerator<DeathEvent, void, void> {
    const news: DeathEvent[] = [];
    const unsubscribe = this.onDeath((event) => news.push(event));
    const condition = { ready: () => news.length > 0 };
    try {
      while (
        await this.doorbell.wait(condition, options.timeoutMs ?? Number.POSITIVE_INFINITY, options.signal)
      )
        yield news.shift()!;
    } finally {
      unsubscribe();
    }
  }

  #noticeDeaths(): void {
    if (this.#left || !this.#deaths.changed) return;
    for (const death of this.#deaths.take()) {
      const own = this.#recoveries.get(death.participant);
      const recovery = own?.generation === death.generation ? own : null;
      this.#recoveries.delete(death.participant);
      for (const listener of [...this.#listeners]) listener({ ...death, recovery });
    }
  }

  /** @internal An error that names a live participant that does not move. */
  stalled(what: string, index: number, stalledMs: number): StalledError {
    const pid = this.region.control.words[participantRecordWord(index) + ParticipantRecord.pidWord] ?? 0;
    return new StalledError(what, index, pid, stalledMs);
  }

  /** @internal An end was closed: nobody rings for it any more, and who waits for it in the event loop has to hear of that. */
  lookAgain(): void {
    if (!this.#left && this.doorbell.asleep) this.ringer.ring(this.index);
  }

  /** @internal A lane that could not be left yet, because its sender is in the middle of a send. */
  addChore(chore: Chore): void {
    this.#chores.add(chore);
    this.doorbell.unsettle();
  }

  /** @internal */
  get hasChores(): boolean {
    return this.#chores.size > 0;
  }

  /** Looks for dead participants and cleans up behind them (PROTOCOL.md §8). Returns how many it cleaned. */
  recoverDead(): number {
    const cleaned = this.#cleanDead();
    this.#noticeDeaths();
    return cleaned;
  }

  #cleanDead(): number {
    if (this.#left) return 0;
    for (const chore of this.#chores) if (chore.finishLeaving()) this.#chores.delete(chore);
    let cleaned = 0;
    // Behind a cleaner that died there may be others, whose life bytes it held until now. Spoilt words may say so for ever.
    for (let pass = 0; pass < CAPACITY; pass++) {
      const more = this.#cleanPass();
      if (more === 0) break;
      cleaned += more;
    }
    return cleaned;
  }

  /** Looks at everybody once. Returns how many it cleaned. */
  #cleanPass(): number {
    let cleaned = 0;
    let settled = true;
    for (let index = 0; index < CAPACITY; index++) {
      if (index === this.index) continue;
      const phase = this.#phase(index);
      if (phase !== ParticipantRecord.phaseLive && phase !== ParticipantRecord.phaseDying) continue;
      if (isByteLocked(this.#lockFd, lockOffset(LockByte.participant + index))) {
        // Dying: somebody cleans up behind it, or it is leaving; and may not come to the end.
        if (phase === ParticipantRecord.phaseDying) settled = false;
      } else if (this.#recover(index)) cleaned++;
      else settled = false;
    }
    this.#settled = settled;
    return cleaned;
  }

  #phase(index: number): number {
    return loadAcquire(this.region.control.words, participantRecordWord(index)) & ParticipantRecord.phaseMask;
  }

  #isThere(index: number, generation: number): boolean {
    if (this.#left || index >= CAPACITY || index === this.index) return false;
    const state = loadAcquire(this.region.control.words, participantRecordWord(index));
    const phase = state & ParticipantRecord.phaseMask;
    const there = phase === ParticipantRecord.phaseLive || phase === ParticipantRecord.phaseDying;
    return there && state >>> ParticipantRecord.generationShift === generation;
  }

  /**
   * {@link recoverDead}, at most every 50 ms: for callers on a slow path that never sleep. They are in the middle of something, so listeners
   * are called later, from the event loop or by the next wait. Cheap enough for each poll in vain: who polls fast does not read the clock each time.
   */
  suspectDeath(): void {
    if (--this.pollsToClock <= 0) this.#lookNowAndThen();
  }

  #lookNowAndThen(): void {
    const nowMs = performance.now();
    const fast = nowMs - this.#clockMs < FAST_POLLS_MS;
    this.#pollsPerClock = fast ? Math.min(2 * this.#pollsPerClock, MOST_POLLS_PER_CLOCK) : 1;
    this.pollsToClock = this.#pollsPerClock;
    this.#clockMs = nowMs;
    if (nowMs < this.#nextLookMs) return;
    this.#nextLookMs = nowMs + LOOK_INTERVAL_MS;
    this.#cleanDead();
    if (this.#deaths.changed) setImmediate(() => this.#noticeDeaths());
  }

  /** @internal For a spin that takes longer than it should: lets others run, and looks for the dead. */
  linger(): void {
    Bun.sleepSync(0.1);
    this.suspectDeath();
  }

  #recover(index: number): boolean {
    const fd = this.#lockFd;
    const lifeByte = lockOffset(LockByte.participant + index);
    if (!tryLockByte(fd, lockOffset(LockByte.cleaner))) return false;
    try {
      if (!tryLockByte(fd, lifeByte)) return false;
      try {
        const recovery = cleanParticipant(this.region, index, this.ringer, "death");
        if (recovery !== null) this.#recoveries.set(index, recovery);
        return recovery !== null;
      } finally {
        unlockByte(fd, lifeByte);
      }
    } finally {
      unlockByte(fd, lockOffset(LockByte.cleaner));
    }
  }

  /** Runs `body` as the one cleaner of the region (lock byte 32); undefined when somebody else is it. */
  asCleaner<T>(body: () => T): T | undefined {
    const cleanerByte = lockOffset(LockByte.cleaner);
    if (!tryLockByte(this.#lockFd, cleanerByte)) return undefined;
    try {
      return body();
    } finally {
      unlockByte(this.#lockFd, cleanerByte);
    }
  }

  /** Marks the start of a drop-oldest claim, or of taking from a history: `section` becomes odd. Single writer: this participant. */
  enterSection(): void {
    storeRelease(
      this.region.control.words,
      participantRecordWord(this.index) + ParticipantRecord.sectionWord,
      ++this.#section,
    );
    assert((this.#section & 1) === 1, "section is odd inside");
  }

  /** Announces the block that is being taken from a history (PROTOCOL.md §7.6); null: none any more. SYNC wanted: a fence. */
  want(block: number | null): void {
    const words = this.region.control.words;
    const value = block === null ? 0 : block + 1;
    storeRelease(words, participantRecordWord(this.index) + ParticipantRecord.wantedWord, value);
  }

  leaveSection(): void {
    this.#section = (this.#section + 1) & 0xffff;
    storeRelease(
      this.region.control.words,
      participantRecordWord(this.index) + ParticipantRecord.sectionWord,
      this.#section,
    );
  }

  /** Leaves the region: recovery of oneself, then the lock goes. Called by the region's close(). */
  [Symbol.dispose](): void {
    if (this.#left) return;
    this.#left = true;
    Participant.#byRegion.delete(this.region);
    try {
      this.doorbell[Symbol.dispose]();
      cleanParticipant(this.region, this.index, this.ringer, "leave");
    } finally {
      this.#lifeFile[Symbol.dispose]();
      this.ringer[Symbol.dispose]();
      closeFile(this.#lockFd);
    }
  }
}

/**
 * Tries to become participant `index`. Returns the new generation and its open life file, or null when the slot is alive or not
 * yet reusable. The life byte stays locked by `fd` on success and is let go otherwise.
 */
function claimSlot(
  region: Region,
  fd: number,
  index: number,
  ringer: DoorbellRinger,
): { readonly generation: number; readonly lifeFile: LifeFile } | null {
  const lifeByte = lockOffset(LockByte.participant + index);
  if (!tryLockByte(fd, lifeByte)) return null;
  const words = region.control.words;
  const record = participantRecordWord(index);
  let state = loadAcquire(words, record);
  const phase = state & ParticipantRecord.phaseMask;
  if (phase === ParticipantRecord.phaseLive || phase === ParticipantRecord.phaseDying) {
    if (!cleanUnderCleanerLock(region, fd, index, ringer)) {
      unlockByte(fd, lifeByte);
      return null;
    }
    state = loadAcquire(words, record);
  }
  if ((state & ParticipantRecord.phaseMask) === ParticipantRecord.phaseSwept && !quiet(region, index)) {
    unlockByte(fd, lifeByte);
    return null;
  }
  const generation = ((state >>> ParticipantRecord.generationShift) + 1) & 0xff_ffff || 1;
  // Open before anybody can take us for alive: our death will be noticed.
  const lifeFile = new LifeFile(region.control, index, generation);
  fillRecord(words, record);
  storeRelease(
    words,
    record,
    (generation << ParticipantRecord.generationShift) | ParticipantRecord.phaseLive,
  );
  return { generation, lifeFile };
}

function cleanUnderCleanerLock(region: Region, fd: number, index: number, ringer: DoorbellRinger): boolean {
  if (!tryLockByte(fd, lockOffset(LockByte.cleaner))) return false;
  try {
    cleanParticipant(region, index, ringer, "death");
    return true;
  } finally {
    unlockByte(fd, lockOffset(LockByte.cleaner));
  }
}

function fillRecord(words: Int32Array, record: number): void {
  storePlain(words, record + ParticipantRecord.pidWord, process.pid);
  storePlain(words, record + ParticipantRecord.tidWord, gettid());
  storePlain(words, record + ParticipantRecord.pidNamespaceWord, pidNamespaceInode());
  storePlain(words, record + ParticipantRecord.doorbellWord, 0);
  storePlain(words, record + ParticipantRecord.sectionWord, 0);
  storePlain(words, record + ParticipantRecord.wantedWord, 0);
  const name = new Uint8Array(ParticipantRecord.nameBytes);
  new TextEncoder().encodeInto(
    process.env["PHYSRING_NAME"] ?? process.title,
    name.subarray(0, ParticipantRecord.nameBytes - 1),
  );
  new Uint8Array(
    words.buffer,
    words.byteOffset + (record + ParticipantRecord.nameWord) * WORD_BYTES,
    name.length,
  ).set(name);
}

/** Everybody the control area knows, without joining; on read-only regions, too. */
export function listParticipants(control: ControlArea): ParticipantInfo[] {
  const list: ParticipantInfo[] = [];
  for (let index = 0; index < CAPACITY; index++) {
    const record = participantRecordWord(index);
    const state = control.words[record]!;
    const phase = state & ParticipantRecord.phaseMask;
    if (phase === ParticipantRecord.phaseFree) continue;
    list.push({
      index,
      generation: state >>> ParticipantRecord.generationShift,
      phase,
      pid: control.words[record + ParticipantRecord.pidWord]!,
      name: readParticipantName(control.words, record + ParticipantRecord.nameWord),
      alive: control.isLocked(LockByte.participant + index),
    });
  }
  return list;
}
