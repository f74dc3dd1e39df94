/**
 * The joiner's side of a history (PROTOCOL.md §7.6): it takes holds on the frames before its first live one by itself; the producer may be
 * idle, or stopped. Whatever is found in a slot is copied once, checked, and then used from the copy.
 */
import { fenceLoads, fetchAnd, fetchOr, loadAcquire, loadHint, pause } from "../memory/atomics.ts";
import type { ChannelGeometry } from "./channel-geometry.ts";
import { headIndex, isClaimed, usedSlots } from "./drop-oldest.ts";
import { CorruptError } from "./errors.ts";
import { slotSequence, wideNumber } from "./lane-slot.ts";
import { ChannelLayout, LaneSlotLayout, RingLayout } from "./layout.ts";
import { ownerParticipant } from "./owner.ts";
import type { Participant } from "./participant.ts";
import { MOST_CHANGES } from "./pool.ts";

/** A send takes its producer a few microseconds, unless it is stopped there or somebody else has its processor: wait some 150 ms. */
const SEND_SPINS = 1 << 20;
const SPINS_PER_NAP = 1 << 10;

/**
 * For a consumer whose owner word is in place: until no send is under way that may have missed it. False: the producer does not move.
 * SYNC join: the joiner's owner word and a fence were before.
 */
export function waitForSend(channel: ChannelGeometry, participant: Participant): boolean {
  const { words } = channel;
  const before = loadAcquire(words, ChannelLayout.sendingWord);
  if ((before & 1) === 0) return true;
  for (let spins = 1; spins <= SEND_SPINS; spins++) {
    if (loadHint(words, ChannelLayout.sendingWord) !== before) {
      if (loadAcquire(words, ChannelLayout.sendingWord) !== before) return true;
    }
    if (spins % SPINS_PER_NAP === 0) participant.linger();
    pause();
  }
  return false;
}

/** Sequence of the first frame on our lane, Infinity if there is none; NaN: the producer is stopped in the middle of a drop. */
function firstOnLane(
  channel: ChannelGeometry,
  participant: Participant,
  lane: Int32Array,
  owner: number,
): number {
  for (let spins = 1; spins <= SEND_SPINS; spins++) {
    // Evicted meanwhile: nothing of what is there is ours.
    if (loadAcquire(lane, RingLayout.consumerOwnerWord) !== owner) return Number.POSITIVE_INFINITY;
    const head = loadAcquire(lane, RingLayout.headWord);
    const tail = loadAcquire(lane, RingLayout.tailWord);
    const { claimedHeads } = channel;
    const index = claimedHeads ? headIndex(head) : head;
    const used = claimedHeads ? usedSlots(tail, head) : (tail - head) >>> 0;
    if (!claimedHeads && used > channel.laneCapacity)
      throw new CorruptError(`channel ${channel.name}: tail of a lane`);
    if (!(claimedHeads && isClaimed(head)) && used <= channel.laneCapacity) {
      const first = firstFor(channel, lane, owner, index, used);
      fenceLoads();
      if (loadAcquire(lane, RingLayout.headWord) === head) return first;
    }
    if (spins % SPINS_PER_NAP === 0) participant.linger();
    pause();
  }
  return Number.NaN;
}

function firstFor(
  channel: ChannelGeometry,
  lane: Int32Array,
  owner: number,
  index: number,
  used: number,
): number {
  for (let i = 0; i < used; i++) {
    const slot = channel.slotIndex(index + i);
    if (loadHint(lane, slot + LaneSlotLayout.receiverWord) !== owner) continue;
    const low = loadHint(lane, slot + LaneSlotLayout.sequenceLowWord);
    const high = loadHint(lane, slot + LaneSlotLayout.sequenceHighWord);
    return wideNumber(low, high);
  }
  return Number.POSITIVE_INFINITY;
}

const Taken = { yes: 0, leftOut: 1, gone: 2 } as const;
type TakenCode = (typeof Taken)[keyof typeof Taken];

/** Takes up to `most` frames for one joiner. */
export class HistoryTaker {
  readonly #channel: ChannelGeometry;
  readonly #participant: Participant;
  readonly #most: number;
  /** Copies of the slots taken, newest last, filled from the end. */
  readonly slots: Int32Array;
  #count = 0;

  constructor(channel: ChannelGeometry, participant: Participant, most: number) {
    this.#channel = channel;
    this.#participant = participant;
    this.#most = most;
    this.slots = new Int32Array(most * LaneSlotLayout.sizeWords);
  }

  /** How many were taken, and are held. */
  get count(): number {
    return this.#count;
  }

  /**
   * Null, or in the middle of what the producer stands still. `owner`: our owner word on `lane`.
   * @throws CorruptError
   */
  take(lane: Int32Array, owner: number): "a drop" | null {
    const channel = this.#channel;
    // SYNC kept: acquire pairs with the producer's release store of tail.
    const tail = loadAcquire(channel.words, ChannelLayout.historyTailWord);
    const producer = ownerParticipant(loadAcquire(channel.words, ChannelLayout.producerOwnerWord));
    const first = firstOnLane(channel, this.#participant, lane, owner);
    if (Number.isNaN(first)) return "a drop";
    if (producer < 0) return null;
    this.#participant.enterSection();
    fetchOr(channel.words, ChannelLayout.takersWord, this.#participant.bit);
    try {
      this.#takeBefore(tail, first, 1 << producer);
    } finally {
      this.#participant.want(null);
      fetchAnd(channel.words, ChannelLayout.takersWord, ~this.#participant.bit);
      this.#participant.leaveSection();
    }
    return null;
  }

  /** Newest first: what is taken has no hole, and where something is gone, newer frames came instead. */
  #takeBefore(tail: number, first: number, producerBit: number): void {
    for (let back = 1; back <= this.#channel.history && this.#count < this.#most; back++) {
      const number = (tail - back) | 0;
      const at = this.slots.length - (this.#count + 1) * LaneSlotLayout.sizeWords;
      this.#copySlot(number, at);
      const taken =
        slotSequence(this.slots, at) >= first ? Taken.leftOut : this.#takeOne(number, at, producerBit);
      if (taken === Taken.gone) return;
      if (taken === Taken.yes) this.#count++;
    }
  }

  #copySlot(number: number, at: number): void {
    const from = this.#channel.historySlotIndex(number);
    for (let word = 0; word < LaneSlotLayout.sizeWords; word++)
      this.slots[at + word] = loadHint(this.#channel.historySlots, from + word);
  }

  #takeOne(number: number, at: number, producerBit: number): TakenCode {
    const { pool, words } = this.#channel;
    const block = this.slots[at + LaneSlotLayout.blockWord]! >>> 0;
    if (block >= pool.geometry.blockCount || this.slots[at + LaneSlotLayout.receiverWord] !== number)
      return Taken.gone;
    // SYNC wanted: either we see that the frame is gone, or its producer that we want it.
    this.#participant.want(block);
    const head = loadAcquire(words, ChannelLayout.historyHeadWord);
    if (((number - head) | 0) < 0) return Taken.gone;
    const taken = this.#addBit(block, producerBit);
    if (taken !== Taken.yes) return taken;
    if (pool.generation(block) === this.slots[at + LaneSlotLayout.generationWord]) return Taken.yes;
    pool.clear(block, this.#participant.bit, this.#participant.ringer); // somebody scribbled
    return Taken.gone;
  }

  #addBit(block: number, producerBit: number): TakenCode {
    const { pool } = this.#channel;
    const { bit } = this.#participant;
    for (let tries = 0; tries < MOST_CHANGES; tries++) {
      const holders = pool.holders(block);
      if ((holders & producerBit) === 0) return Taken.gone;
      if ((holders & bit) !== 0) return Taken.leftOut;
      if (pool.take(block, holders, bit)) return Taken.yes;
    }
    throw new CorruptError(`pool ${pool.entry.name}: block ${block} changes all the time`);
  }
}
