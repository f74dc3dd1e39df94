/** One end of a torture run; torture.ts starts two. */
import { readFileSync } from "node:fs";
import {
  listParticipants,
  monotonicNs,
  Region,
  Ring,
  type RingConsumer,
  type RingProducer,
} from "../../src/index.ts";
import { Control, ParticipantRecord, WORD_BYTES } from "../../src/memory/layout.ts";
import { doorbellIndex } from "../../src/ring/doorbell-word.ts";
import { RingLayout } from "../../src/ring/layout.ts";
import { ownerParticipant } from "../../src/ring/owner.ts";
import { OrphanGuard } from "../support/orphan.ts";
import { Patience } from "../support/patience.ts";
import { Random } from "../support/random.ts";
import { Board, Word } from "./board.ts";

export interface PeerOptions {
  readonly role: "produce" | "consume" | "ping" | "pong";
  readonly region: string;
  readonly board: string;
  readonly slot: number;
  readonly peerSlot: number;
  readonly seed: number;
  /** Messages, or rounds. */
  readonly count: number;
  /** How ping and pong sleep. */
  readonly wait: "futex" | "await";
}

export interface PeerReport {
  readonly fault: string | null;
  readonly seconds: number;
  /** Wake-ups that came later than 40 ms, and those of them that the scheduler does not explain. */
  readonly slowRounds: number;
  readonly unexplained: number;
  /** Published and rung, and yet the peer slept on behind an armed doorbell. */
  readonly lostWakeUps: number;
  readonly longestMs: number;
  readonly sleeps: number;
}

/** A style lasts so many messages, on both sides; bursts end there. */
const STYLE_RUN = 64;
const STYLES = 6;
const MOST_BURST = 48;
const SLEEP_MS = 200;
/** Nothing at all from the other side for so long: it is dead or stuck. */
const SILENCE_MS = 20_000;
/** Shorter than the time slice after which a sleeper looks by itself. */
const LOST_NS = 40e6;
/** Longer than that slice and then some: this process was stopped from outside meanwhile. */
const STOPPED_NS = 120e6;

/** Words of the board line beyond {@link Word}: when the last commit had returned (a double in two words), and of which round. */
const RUNG_WORD = 16;
const RUNG_ROUND_WORD = 18;

function mix(sequence: number): number {
  return Math.imul(sequence ^ (sequence >>> 15), 0x2c1b3c6d);
}

const options = JSON.parse(process.argv[2]!) as PeerOptions;
const board = Board.open(options.board);
const region = Region.open(options.region);
const random = new Random(options.seed);
const guard = new OrphanGuard([options.region, options.board], options.board);

/** Writes messages into reserved slots, each time by other means: all of them must be visible before the index is. */
class SlotWriter {
  readonly #tx: RingProducer;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #copy: Int32Array;

  constructor(tx: RingProducer) {
    this.#tx = tx;
    this.#view = new DataView(tx.words.buffer, tx.words.byteOffset, tx.words.byteLength);
    this.#bytes = new Uint8Array(tx.words.buffer, tx.words.byteOffset, tx.words.byteLength);
    this.#copy = new Int32Array(tx.slotWords);
  }

  write(sequence: number, count: number): void {
    const style = Math.floor((sequence >>> 0) / STYLE_RUN) % STYLES;
    const step = this.#tx.slotWords;
    for (let i = 0, at = this.#tx.at; i < count; i++, at += step)
      this.#one(style, (sequence + i) | 0, at, step);
  }

  #one(style: number, sequence: number, at: number, step: number): void {
    const { words } = this.#tx;
    const base = mix(sequence);
    switch (style) {
      case 0:
        words[at] = sequence;
        for (let w = 1; w < step; w++) words[at + w] = base + w;
        return;
      case 1:
        // The last word first, and the sequence last of all.
        for (let w = step - 1; w > 0; w--) words[at + w] = base + w;
        words[at] = sequence;
        return;
      case 2:
        this.#view.setInt32(at * 4, sequence, true);
        for (let w = 1; w < step; w++) this.#view.setInt32((at + w) * 4, base + w, true);
        return;
      case 3:
        this.#copy[0] = sequence;
        for (let w = 1; w < step; w++) this.#copy[w] = base + w;
        words.set(this.#copy, at);
        return;
      case 4:
        words.fill(base, at, at + step);
        words[at] = sequence;
        return;
      default:
        this.#bytes.fill(sequence & 0xff, at * 4, (at + step) * 4);
        words[at] = sequence;
    }
  }
}

/** Reads them back by other means again; returns the first wrong word's description. */
class SlotReader {
  readonly #rx: RingConsumer;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #copy: Int32Array;

  constructor(rx: RingConsumer) {
    this.#rx = rx;
    this.#view = new DataView(rx.words.buffer, rx.words.byteOffset, rx.words.byteLength);
    this.#bytes = new Uint8Array(rx.words.buffer, rx.words.byteOffset, rx.words.byteLength);
    this.#copy = new Int32Array(rx.slotWords);
  }

  check(sequence: number, count: number): string | null {
    const step = this.#rx.slotWords;
    for (let i = 0, at = this.#rx.at; i < count; i++, at += step) {
      const wrong = this.#one((sequence + i) | 0, at, step);
      if (wrong >= 0) return this.#describe((sequence + i) | 0, at, wrong);
    }
    return null;
  }

  /** Index of the first wrong word, −1 when all are right. */
  #one(sequence: number, at: number, step: number): number {
    const { words } = this.#rx;
    const style = Math.floor((sequence >>> 0) / STYLE_RUN) % STYLES;
    const base = mix(sequence);
    if (style === 3) {
      if (this.#view.getInt32(at * 4, true) !== sequence) return 0;
      for (let w = 1; w < step; w++)
        if (this.#view.getInt32((at + w) * 4, true) !== ((base + w) | 0)) return w;
      return -1;
    }
    if (style === 1) {
      this.#copy.set(words.subarray(at, at + step));
      if (this.#copy[0] !== sequence) return 0;
      for (let w = 1; w < step; w++) if (this.#copy[w] !== ((base + w) | 0)) return w;
      return -1;
    }
    // The last word first: the one that was written last may come too late.
    if (style < 4) for (let w = step - 1; w > 0; w--) if (words[at + w] !== ((base + w) | 0)) return w;
    if (style === 4) for (let w = step - 1; w > 0; w--) if (words[at + w] !== base) return w;
    if (style === 5)
      for (let b = step * 4 - 1; b >= 4; b--)
        if (this.#bytes[at * 4 + b] !== (sequence & 0xff)) return b >> 2;
    return words[at] === sequence ? -1 : 0;
  }

  #describe(sequence: number, at: number, wrong: number): string {
    const found = Array.from(this.#rx.words.subarray(at, at + this.#rx.slotWords), (word) =>
      (word >>> 0).toString(16),
    );
    return `message ${sequence >>> 0}: word ${wrong} is wrong in ${found.join(" ")}`;
  }
}

/** Waits until something can be done; false when the other side is silent. */
function waitFor(end: RingProducer | RingConsumer): boolean {
  const patience = new Patience(SILENCE_MS);
  while (!waitOnce(end)) if (patience.isOver) return false;
  return true;
}

function waitOnce(end: RingProducer | RingConsumer): boolean {
  guard.check();
  const strategy = random.oneIn(8) ? "spin" : "spin-then-futex";
  return end.block({ timeoutMs: strategy === "spin" ? 1 : SLEEP_MS, strategy });
}

/** Messages until the end of the style's run. */
function burst(sequence: number, remaining: number): number {
  const toRunEnd = STYLE_RUN - ((sequence >>> 0) % STYLE_RUN);
  const wanted = random.oneIn(4) ? 1 : 1 + random.below(MOST_BURST);
  return Math.min(toRunEnd, wanted, remaining);
}

function produce(): string | null {
  const ring = Ring.open(region, "ring");
  using tx = ring.producer();
  const writer = new SlotWriter(tx);
  let sequence = startSequence(ring);
  for (let remaining = options.count; remaining > 0; ) {
    const count = tx.reserve(burst(sequence, remaining));
    if (count === 0) {
      if (!waitFor(tx)) return "the consumer is silent";
      continue;
    }
    writer.write(sequence, count);
    tx.commit(count);
    sequence = (sequence + count) | 0;
    remaining -= count;
    board.set(options.slot, Word.frames, sequence);
  }
  // The consumer reads the last ones before the region may go.
  while (tx.used() > 0) if (!waitUntilEmpty(tx)) return "the consumer does not finish";
  return null;
}

function waitUntilEmpty(tx: RingProducer): boolean {
  const patience = new Patience(SILENCE_MS);
  while (tx.used() > 0) if (patience.isOver) return false;
  return true;
}

function startSequence(ring: Ring): number {
  return Atomics.load(ring.geometry.words, RingLayout.headWord);
}

function consume(): string | null {
  const ring = Ring.open(region, "ring");
  using rx = ring.consumer();
  const reader = new SlotReader(rx);
  let sequence = startSequence(ring);
  for (let remaining = options.count; remaining > 0; ) {
    const count = rx.peek(random.oneIn(4) ? 1 : 1 + random.below(2 * MOST_BURST));
    if (count === 0) {
      if (!waitFor(rx)) return "the producer is silent";
      continue;
    }
    const wrong = reader.check(sequence, count);
    if (wrong !== null) return wrong;
    rx.release(count);
    sequence = (sequence + count) | 0;
    remaining -= count;
    board.set(options.slot, Word.frames, sequence);
  }
  return null;
}

/** Time this thread was ready to run and did not get a processor (Documentation/scheduler/sched-stats.rst). */
function runDelayNs(): number {
  return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[1]);
}

const lost = { slowRounds: 0, unexplained: 0, lostWakeUps: 0, longestNs: 0, sleeps: 0 };

async function sleepFor(rx: RingConsumer, round: number): Promise<void> {
  if (rx.ready()) return;
  lost.sleeps++;
  const delayBefore = runDelayNs();
  const there =
    options.wait === "futex" ? rx.block({ timeoutMs: SLEEP_MS }) : await rx.wait({ timeoutMs: SLEEP_MS });
  if (!there) return;
  const lateNs = sinceRungNs(options.peerSlot, round);
  lost.longestNs = Math.max(lost.longestNs, lateNs);
  if (lateNs < LOST_NS) return;
  lost.slowRounds++;
  // Late by the scheduler's doing? If not: nobody woke us, or we waited for another thread of ours (the collector) that had no processor.
  if (lateNs < STOPPED_NS && runDelayNs() - delayBefore < lateNs / 2) lost.unexplained++;
}

const boardClock = new Float64Array(1);
const boardClockWords = new Int32Array(boardClock.buffer);

function storeRung(round: number): void {
  boardClock[0] = monotonicNs();
  board.set(options.slot, RUNG_WORD, boardClockWords[0]!);
  board.set(options.slot, RUNG_WORD + 1, boardClockWords[1]!);
  board.set(options.slot, RUNG_ROUND_WORD, round + 1);
}

/** Time since the peer's commit of this round had returned; 0 when it has not yet. */
function sinceRungNs(slot: number, round: number): number {
  if (board.get(slot, RUNG_ROUND_WORD) !== round + 1) return 0;
  boardClockWords[0] = board.get(slot, RUNG_WORD);
  boardClockWords[1] = board.get(slot, RUNG_WORD + 1);
  return monotonicNs() - boardClock[0]!;
}

/**
 * Chooses when to publish: at the very moment at which the peer goes to sleep. A look at its doorbell just before says whether we
 * are late or early; the delay follows, and jitters around the edge.
 */
class Ambush {
  #delayMs = 0.02;
  readonly #words = region.control.words;
  readonly #owner: () => number;

  /** @param owner the owner word of the peer's end */
  constructor(owner: () => number) {
    this.#owner = owner;
  }

  wait(): void {
    const startMs = performance.now();
    const jitterMs = (random.below(4000) - 2000) / 1e6;
    const delayMs = random.oneIn(4) ? random.below(200) / 1000 : this.#delayMs + jitterMs;
    while (performance.now() - startMs < delayMs);
    const peer = ownerParticipant(this.#owner());
    if (peer < 0) return;
    const asleep = this.#words[doorbellIndex(peer)] !== 0;
    this.#delayMs = Math.min(1, Math.max(0, this.#delayMs + (asleep ? -0.0005 : 0.0005)));
  }
}

async function pingPong(first: boolean): Promise<string | null> {
  using tx = Ring.open(region, first ? "ping" : "pong").producer();
  using rx = Ring.open(region, first ? "pong" : "ping").consumer();
  const { words } = Ring.open(region, first ? "ping" : "pong").geometry;
  const owner = (): number => words[RingLayout.consumerOwnerWord]!;
  const ambush = new Ambush(owner);
  for (let round = 0; round < options.count; round++) {
    guard.check();
    if (first) say(tx, round, owner);
    const patience = new Patience(SILENCE_MS);
    while (rx.peek(1) === 0) {
      await sleepFor(rx, round);
      if (patience.isOver) return `round ${round}: silence; ${describeSilence()}`;
    }
    if (rx.words[rx.at] !== round) return `round ${round}: got ${rx.words[rx.at]}`;
    rx.release(1);
    ambush.wait();
    if (!first) say(tx, round, owner);
    board.set(options.slot, Word.frames, round);
  }
  return null;
}

/** Both rings and both doorbells: who waits for what. */
function describeSilence(): string {
  const rings = ["ping", "pong"].map((name) => {
    const { words } = Ring.open(region, name).geometry;
    const [tail, head] = [words[RingLayout.tailWord], words[RingLayout.headWord]];
    const [producer, consumer] = [words[RingLayout.producerOwnerWord]!, words[RingLayout.consumerOwnerWord]!];
    const doorbell = region.control.words[doorbellIndex(ownerParticipant(consumer))];
    return `${name}: tail ${tail}, head ${head}, owners ${producer & 255} -> ${consumer & 255} with doorbell ${doorbell}`;
  });
  const processes = listParticipants(region.control).map(({ pid, alive }) => {
    const status = readFileSync(`/proc/${pid}/stat`, "utf8");
    return `${pid} (alive ${alive}, ${status.slice(status.lastIndexOf(")") + 2, status.lastIndexOf(")") + 3)})`;
  });
  return `${rings.join("; ")}; processes ${processes.join(", ")}; rounds ${board.get(0, Word.frames)}, ${board.get(1, Word.frames)}`;
}

function say(tx: RingProducer, round: number, owner: () => number): void {
  if (tx.reserve(1) !== 1) throw new Error("the ring is full");
  tx.write(0, round, 0, 0, 0);
  tx.commit(1);
  storeRung(round);
  const peer = ownerParticipant(owner());
  if (peer >= 0 && region.control.words[doorbellIndex(peer)] !== 0) watch(tx, peer);
}

/**
 * Published, rung, and the doorbell is armed: the peer is about to look and will find the message, or we missed each other. Then
 * the doorbell stays armed and the peer asleep until its time slice is over.
 */
function watch(tx: RingProducer, peer: number): void {
  const { words } = region.control;
  const state = (Control.recordsOffset + peer * ParticipantRecord.sizeBytes) / WORD_BYTES;
  const stat = `/proc/${words[state + ParticipantRecord.pidWord]}/task/${words[state + ParticipantRecord.tidWord]}/stat`;
  const startNs = monotonicNs();
  let looks = 0;
  let asleep = 0;
  while (words[doorbellIndex(peer)] !== 0 && tx.used() > 0) {
    if (monotonicNs() - startNs > LOST_NS) {
      // Waiting for a processor is no sleep.
      if (asleep > looks * 0.9) lost.lostWakeUps++;
      return;
    }
    const line = readFileSync(stat, "utf8");
    looks++;
    if (line.slice(line.lastIndexOf(")") + 2).startsWith("S")) asleep++;
  }
}

const startMs = performance.now();
const fault = await {
  produce,
  consume,
  ping: () => pingPong(true),
  pong: () => pingPong(false),
}[options.role]();
const report: PeerReport = {
  fault,
  seconds: Math.round(performance.now() - startMs) / 1000,
  slowRounds: lost.slowRounds,
  unexplained: lost.unexplained,
  lostWakeUps: lost.lostWakeUps,
  longestMs: Math.round(lost.longestNs / 1e4) / 100,
  sleeps: lost.sleeps,
};
console.log(JSON.stringify(report));
region.close();
board[Symbol.dispose]();
process.exit(fault === null ? 0 : 1);
