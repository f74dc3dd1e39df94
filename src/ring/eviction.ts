/**
 * Eviction (PROTOCOL.md §7.5): the producer of a channel takes the lane of a consumer that does not move, and the frames in it. The
 * consumer may go on at any instruction: lanes of such channels have claimed heads (§7.4), so that each frame is either one's or the other's.
 */
import { compareAndSwap, loadAcquire } from "../memory/atomics.ts";
import type { ChannelGeometry } from "./channel-geometry.ts";
import { Claim, type Claimant, claimOldest, usedSlots } from "./drop-oldest.ts";
import { OwnerWord, RingLayout } from "./layout.ts";

function nextGeneration(owner: number): number {
  return ((owner >>> OwnerWord.generationShift) + 1) << OwnerWord.generationShift;
}

/** (g, q) → (g + 1, q, evicting). */
function evictingWord(owner: number): number {
  return nextGeneration(owner) | OwnerWord.evictingBit | (owner & OwnerWord.participantMask);
}

/** The owner word (g, q) that became `word`. */
function ownerBefore(word: number): number {
  const generation = ((word >>> OwnerWord.generationShift) - 1) << OwnerWord.generationShift;
  return generation | (word & OwnerWord.participantMask & ~OwnerWord.evictingBit);
}

/** Evicts the consumer with this owner word. False: it has left, or died, or been evicted already. */
export function evictConsumer(
  channel: ChannelGeometry,
  lane: Int32Array,
  owner: number,
  by: Claimant,
): boolean {
  const evicting = evictingWord(owner);
  // SYNC lane-dead: from here on nothing is sent to it, and nobody else joins.
  if (!compareAndSwap(lane, RingLayout.consumerOwnerWord, owner, evicting)) return false;
  finish(channel, lane, evicting, by);
  return true;
}

/** Recovery: finishes what a dead producer had begun. */
export function completeEviction(channel: ChannelGeometry, lane: Int32Array, by: Claimant): void {
  const word = loadAcquire(lane, RingLayout.consumerOwnerWord);
  if ((word & OwnerWord.evictingBit) !== 0) finish(channel, lane, word, by);
}

function finish(channel: ChannelGeometry, lane: Int32Array, evicting: number, by: Claimant): void {
  takeAllBack(channel, lane, ownerBefore(evicting), by);
  // Only the producer, and who cleans up behind it, change a word that says evicting.
  compareAndSwap(lane, RingLayout.consumerOwnerWord, evicting, nextGeneration(evicting));
}

/** Each frame that is still in the lane; the consumer, moving again, may be faster with some. */
function takeAllBack(channel: ChannelGeometry, lane: Int32Array, owner: number, by: Claimant): void {
  for (let tries = 0; tries <= 2 * channel.laneCapacity; tries++) {
    const claimed = claimOldest(channel, lane, owner, by);
    if (claimed !== Claim.none) continue;
    if (usedSlots(loadAcquire(lane, RingLayout.tailWord), loadAcquire(lane, RingLayout.headWord)) === 0)
      return;
  }
}
