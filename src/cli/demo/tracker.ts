/**
 * The sink's books: what the source says of every frame against what arrived. Restores order (frames are settled one after the
 * other, and one that came early is held until its turn) and puts every frame in just one of delivered, dropped, lost.
 */
import { PhysringError } from "../../ffi/errors.ts";
import type { FrameCounts } from "./messages.ts";

/** Events of the source, in its order. An attachment is one consumer's stay on the source's channel. */
export interface FrameLedger {
  /** `frame` went to `attachment`; `more` events of this kind for the same frame follow; `missed` consumers were attached and got nothing. */
  sent(frame: number, attachment: number, more: number, missed: number): void;
  dropped(frame: number): void;
  takenBack(frame: number, attachment: number): void;
  end(frames: number): void;
}

/** A frame, or the result of a worker for it, as it came in. */
export interface Arrival {
  readonly frame: number;
  /** Whom the source had sent the frame to. */
  readonly attachment: number;
  readonly intact: boolean;
  /** CLOCK_MONOTONIC at the source's publication and at our receipt. */
  readonly sentNs: number;
  readonly receivedNs: number;
  /** Gives the frame back; called when its turn has come. */
  readonly release: () => void;
}

/** A frame that everybody got whom it was for. */
export interface Delivery {
  readonly sentNs: number;
  /** Receipt of its last result. */
  readonly lastNs: number;
}

/** Frames between the oldest unsettled and the newest; they are bounded by the pool and the ledger long before. */
const WINDOW = 1 << 16;
/** Frames of the recently dead; the ledger is never further behind. */
const DEAD_REMEMBERED = 4096;

class Receipt {
  announced = false;
  fate: "waiting" | "arrived" | "died" | "taken-back" = "waiting";
}

class Entry {
  readonly receipts = new Map<number, Receipt>();
  readonly held: (() => void)[] = [];
  /** All receivers are known. */
  announced = false;
  dropped = false;
  missed = 0;
  corrupt = false;
  sentNs = 0;
  lastNs = 0;

  receipt(attachment: number): Receipt {
    let receipt = this.receipts.get(attachment);
    if (receipt === undefined) {
      receipt = new Receipt();
      this.receipts.set(attachment, receipt);
    }
    return receipt;
  }

  get complete(): boolean {
    if (this.dropped) return true;
    if (!this.announced) return false;
    for (const receipt of this.receipts.values())
      if (receipt.announced && receipt.fate === "waiting") return false;
    return true;
  }

  has(fate: Receipt["fate"]): boolean {
    for (const receipt of this.receipts.values()) if (receipt.announced && receipt.fate === fate) return true;
    return false;
  }

  /** Arrivals by way of somebody the source never sent the frame to. */
  get strangers(): number {
    let count = 0;
    for (const receipt of this.receipts.values())
      if (!receipt.announced && receipt.fate === "arrived") count++;
    return count;
  }

  release(): void {
    for (const release of this.held.splice(0)) release();
  }
}

export class FrameTracker implements FrameLedger {
  readonly #delivered: (delivery: Delivery) => void;
  readonly #entries = new Map<number, Entry>();
  readonly #buried = new Set<number>();
  /** Frames that were settled as dead with their worker; the ledger may still say that they were taken back before. */
  readonly #settledDead = new Set<number>();
  readonly #newestFrom = new Map<number, number>();
  #next = 0;
  #announcedFrames = 0;
  #total: number | null = null;
  #counts = {
    delivered: 0,
    dropped: 0,
    droppedWithWorkers: 0,
    lost: 0,
    duplicated: 0,
    corrupted: 0,
    misordered: 0,
  };

  /** @param delivered called for every delivered frame, in order */
  constructor(delivered: (delivery: Delivery) => void) {
    this.#delivered = delivered;
  }

  get counts(): FrameCounts {
    return { frames: this.#total ?? this.#announcedFrames, ...this.#counts };
  }

  /** The source has ended its ledger. */
  get ended(): boolean {
    return this.#total !== null;
  }

  /** Every frame of the ended ledger is settled. */
  get finished(): boolean {
    return this.#total !== null && this.#next >= this.#total;
  }

  /** Frames that are known and not settled yet. */
  get open(): number {
    return this.#entries.size;
  }

  /** Number of the oldest frame that is not settled. */
  get next(): number {
    return this.#next;
  }

  /** The books of a frame; null when it is settled. */
  #entry(frame: number): Entry | null {
    if (frame < this.#next) return null;
    let entry = this.#entries.get(frame);
    if (entry === undefined) {
      if (!(frame - this.#next < WINDOW)) {
        throw new PhysringError(
          "REORDER_LIMIT",
          `frame ${frame} came while frame ${this.#next} is missing: more than ${WINDOW} apart`,
        );
      }
      entry = new Entry();
      this.#entries.set(frame, entry);
    }
    return entry;
  }

  sent(frame: number, attachment: number, more: number, missed: number): void {
    this.#announcedFrames = Math.max(this.#announcedFrames, frame + 1);
    const entry = this.#entry(frame);
    if (entry === null) return;
    const receipt = entry.receipt(attachment);
    receipt.announced = true;
    if (receipt.fate === "waiting" && this.#buried.has(attachment)) receipt.fate = "died";
    if (more === 0) {
      entry.announced = true;
      entry.missed = missed;
    }
  }

  dropped(frame: number): void {
    this.#announcedFrames = Math.max(this.#announcedFrames, frame + 1);
    const entry = this.#entry(frame);
    if (entry !== null) entry.dropped = true;
  }

  takenBack(frame: number, attachment: number): void {
    const entry = this.#entry(frame);
    const receipt = entry?.receipt(attachment);
    // The consumer may have died since, and been buried before this event was read.
    if (receipt?.fate === "waiting" || receipt?.fate === "died") receipt.fate = "taken-back";
    else if (entry === null && this.#settledDead.delete(frame)) this.#counts.droppedWithWorkers--;
    // Taken back and delivered all the same: two owners of one block.
    else this.#counts.duplicated++;
  }

  end(frames: number): void {
    this.#total = frames;
  }

  arrived(arrival: Arrival): void {
    const newest = this.#newestFrom.get(arrival.attachment) ?? -1;
    if (arrival.frame < newest) this.#counts.misordered++;
    this.#newestFrom.set(arrival.attachment, Math.max(newest, arrival.frame));
    const entry = this.#entry(arrival.frame);
    const receipt = entry?.receipt(arrival.attachment);
    if (entry === null || receipt?.fate !== "waiting") {
      this.#counts.duplicated++;
      arrival.release();
      return;
    }
    receipt.fate = "arrived";
    if (!arrival.intact) entry.corrupt = true;
    entry.sentNs = arrival.sentNs;
    entry.lastNs = Math.max(entry.lastNs, arrival.receivedNs);
    entry.held.push(arrival.release);
  }

  /** The consumer is dead, and everything that it passed on has arrived: what is missing died with it. */
  bury(attachment: number): void {
    this.#buried.add(attachment);
    for (const entry of this.#entries.values()) {
      const receipt = entry.receipts.get(attachment);
      if (receipt?.fate === "waiting") receipt.fate = "died";
    }
  }

  /** Attachments that unsettled frames wait for. */
  waitingFor(): Set<number> {
    const attachments = new Set<number>();
    for (const entry of this.#entries.values()) {
      for (const [attachment, receipt] of entry.receipts)
        if (receipt.fate === "waiting") attachments.add(attachment);
    }
    return attachments;
  }

  /** Settles all frames whose turn has come; returns how many. */
  settle(): number {
    const before = this.#next;
    for (let entry = this.#entries.get(this.#next); entry?.complete; entry = this.#entries.get(this.#next)) {
      this.#close(this.#next, entry);
      this.#entries.delete(this.#next++);
    }
    return this.#next - before;
  }

  #remember(deadFrame: number): void {
    this.#settledDead.add(deadFrame);
    if (this.#settledDead.size > DEAD_REMEMBERED)
      this.#settledDead.delete(this.#settledDead.values().next().value!);
  }

  #close(frame: number, entry: Entry): void {
    entry.release();
    const counts = this.#counts;
    counts.duplicated += entry.strangers;
    if (entry.corrupt) counts.corrupted++;
    if (entry.dropped || entry.missed > 0 || entry.has("taken-back")) {
      counts.dropped++;
    } else if (entry.has("died")) {
      counts.dropped++;
      counts.droppedWithWorkers++;
      this.#remember(frame);
    } else {
      counts.delivered++;
      this.#delivered({ sentNs: entry.sentNs, lastNs: entry.lastNs });
    }
  }

  /** Nothing more will come: what is not settled is lost. */
  finish(): void {
    this.settle();
    const total = this.#total ?? this.#announcedFrames;
    for (; this.#next < total; this.#next++) {
      const entry = this.#entries.get(this.#next);
      if (entry?.complete) {
        this.#close(this.#next, entry);
      } else {
        entry?.release();
        this.#counts.lost++;
        if (entry?.corrupt) this.#counts.corrupted++;
      }
      this.#entries.delete(this.#next);
    }
    // Frames that the source knows nothing of.
    for (const entry of this.#entries.values()) {
      this.#counts.duplicated += Math.max(1, entry.strangers);
      entry.release();
    }
    this.#entries.clear();
  }
}
