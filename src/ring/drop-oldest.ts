/**
 * Drop-oldest lanes (PROTOCOL.md §7.4). Here, and only here, producer and consumer both move the head: its word is
 * `index * 2 + claim`, changed by CAS, and indices are compared modulo 2^31. Other lanes pay nothing for it.
 */
import { compareAndSwap, loadAcquire, loadHint, storeRelease } from "../memory/atomics.ts";
import type { ChannelGeometry } from "./channel-geometry.ts";
import { LaneSlotLayout, RingLayout } from "./layout.ts";
import { ownerParticipant } from "./owner.ts";

const CLAIM = 1;
const INDEX_MASK = 0x7fff_ffff;

export function headIndex(head: number): number {
  return head >>> 1;
}

export function isClaimed(head: number): boolean {
  return (head & CLAIM) !== 0;
}

export function headWord(index: number): number {
  return (index << 1) | 0;
}

/** Frames between a drop-oldest head word and a tail. */
export function usedSlots(tail: number, head: number): number {
  return ((tail & INDEX_MASK) - headIndex(head)) & INDEX_MASK;
}

/** Outcome of {@link claimOldest} other than the block that was taken back (≥ 0). */
export const Claim = {
  /** The consumer was faster, or there is nothing to take. */
  none: -1,
  /** A descriptor that is nobody's was skipped; the lane has room. */
  stale: -2,
} as const;

/** The producer, inside its section; or a cleaner in the place of a dead one. */
export interface Claimant {
  readonly bit: number;
  /** Gives up the hold that taking a block back gave. */
  letGo(block: number): void;
}

/**
 * Takes the oldest frame back from a lane whose consumer (`owner`, read inside the section) has not taken it, and lets go of it.
 * Returns its block or a {@link Claim} code.
 */
export function claimOldest(channel: ChannelGeometry, lane: Int32Array, owner: number, by: Claimant): number {
  const head = loadAcquire(lane, RingLayout.headWord);
  if (isClaimed(head) || usedSlots(loadAcquire(lane, RingLayout.tailWord), head) === 0) return Claim.none;
  const next = headWord(headIndex(head) + 1);
  if (loadHint(lane, channel.slotIndex(headIndex(head)) + LaneSlotLayout.receiverWord) !== owner) {
    return compareAndSwap(lane, RingLayout.headWord, head, next) ? Claim.stale : Claim.none;
  }
  if (!compareAndSwap(lane, RingLayout.headWord, head, head | CLAIM)) return Claim.none;
  const block = loadHint(lane, channel.slotIndex(headIndex(head)) + LaneSlotLayout.blockWord) >>> 0;
  const before = takeBackSlot(channel, lane, head, block, by.bit);
  // Nobody else changes a claimed head.
  storeRelease(lane, RingLayout.headWord, next);
  if (before === 0) return Claim.stale;
  // A hold from before has a reason of its own: the history, or a frame that this participant received.
  if ((before & by.bit) === 0) by.letGo(block);
  return block;
}

/** The block's holders before it was taken back; 0: it was not. */
function takeBackSlot(
  channel: ChannelGeometry,
  lane: Int32Array,
  head: number,
  block: number,
  bit: number,
): number {
  const slot = channel.slotIndex(headIndex(head));
  const generation = loadHint(lane, slot + LaneSlotLayout.generationWord);
  const receiver = ownerParticipant(loadHint(lane, slot + LaneSlotLayout.receiverWord));
  if (block >= channel.pool.geometry.blockCount || receiver < 0) return 0;
  return channel.pool.takeBack(block, 1 << receiver, bit, generation);
}

/** Recovery: finishes the claim of a dead producer with `bit`. Its hold on the block, if it got it, is swept later. */
export function completeClaim(channel: ChannelGeometry, lane: Int32Array, bit: number): void {
  const head = loadAcquire(lane, RingLayout.headWord);
  if (!isClaimed(head)) return;
  const block = loadHint(lane, channel.slotIndex(headIndex(head)) + LaneSlotLayout.blockWord) >>> 0;
  takeBackSlot(channel, lane, head, block, bit); // does nothing if it was taken back before
  storeRelease(lane, RingLayout.headWord, headWord(headIndex(head) + 1));
}
