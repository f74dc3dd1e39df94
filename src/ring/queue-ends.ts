/** Who takes part in a work queue (PROTOCOL.md §11): attaching, detaching, ending. Nothing here runs per message. */
import {
  compareAndSwap,
  fetchAnd,
  fetchOr,
  loadAcquire,
  loadAfterFence,
  loadHint,
  storeRelease,
} from "../memory/atomics.ts";
import { InUseError, QueueEndedError } from "./errors.ts";
import { RingLayout } from "./layout.ts";
import { attachOwner, detachOwner, ownerParticipant } from "./owner.ts";
import type { QueueGeometry } from "./queue-geometry.ts";
import { QueueLayout } from "./queue-layout.ts";
import { type Ringer, Sleepers } from "./sleepers.ts";

const OPEN = 0;
const ENDED = 1;

function isEmpty(lane: Int32Array): boolean {
  return loadAcquire(lane, RingLayout.tailWord) === loadAcquire(lane, RingLayout.headWord);
}

function isEnded(queue: QueueGeometry): boolean {
  return loadAcquire(queue.words, QueueLayout.endedWord) !== OPEN;
}

/** The first vacant lane that is empty, or vacant at all, becomes the participant's. −1: all are taken. */
function takeLane(queue: QueueGeometry, participant: number, mustBeEmpty: boolean): number {
  for (let lane = 0; lane < queue.lanes.length; lane++) {
    const { words } = queue.lanes[lane]!;
    if (mustBeEmpty && !isEmpty(words)) continue;
    if (attachOwner(words, RingLayout.producerOwnerWord, participant) !== 0) return lane;
  }
  return -1;
}

/** Returns the lane. @throws InUseError, QueueEndedError */
export function attachProducer(queue: QueueGeometry, participant: number, ringer: Ringer): number {
  if (isEnded(queue)) throw new QueueEndedError(queue.name);
  let lane = takeLane(queue, participant, true);
  if (lane < 0) lane = takeLane(queue, participant, false);
  if (lane < 0) {
    throw new InUseError(
      `each of the ${queue.lanes.length} producer lanes of queue ${queue.name}`,
      "close one, or create the queue with more producers",
    );
  }
  fetchOr(queue.words, QueueLayout.lanesUsedWord, 1 << lane);
  // Ended in between: whoever ended it may have seen the lane vacant. A consumer may have seen it taken, and must look again.
  if (isEnded(queue)) {
    detachProducer(queue, lane, participant, ringer);
    throw new QueueEndedError(queue.name);
  }
  return lane;
}

export function detachProducer(
  queue: QueueGeometry,
  lane: number,
  participant: number,
  ringer: Ringer,
): void {
  detachOwner(queue.lanes[lane]!.words, RingLayout.producerOwnerWord, participant);
  if (isEnded(queue)) new Sleepers(queue.words, QueueLayout.sleepersWord).rouseAll(ringer);
}

/** Lanes 0 … n − 1 may have messages, the others never had a producer; at least 1. */
export function lanesInUse(queue: QueueGeometry): number {
  const used = 32 - Math.clz32(loadHint(queue.words, QueueLayout.lanesUsedWord));
  const { length } = queue.lanes;
  return used < 1 ? 1 : used < length ? used : length;
}

/** @throws InUseError when there is one and may be no other, or the participant is one already */
export function attachConsumer(queue: QueueGeometry, bit: number): void {
  const { words } = queue;
  if (queue.consumers === "one") {
    if (!compareAndSwap(words, QueueLayout.consumersWord, 0, bit))
      throw new InUseError(
        `the consumer end of queue ${queue.name}`,
        "close that one first, or create the queue with consumers: many",
      );
  } else if ((fetchOr(words, QueueLayout.consumersWord, bit) & bit) !== 0) {
    throw new InUseError(
      `the consumer of this region handle on queue ${queue.name}`,
      "use it, or open the region a second time",
    );
  }
}

/** Whether the producers took the participant's place away (PROTOCOL.md §11 "Stalled consumers"). */
export function lostPlace(queue: QueueGeometry, bit: number): boolean {
  return (loadHint(queue.words, QueueLayout.consumersWord) & bit) === 0;
}

export function detachConsumer(queue: QueueGeometry, bit: number): void {
  fetchAnd(queue.words, QueueLayout.consumersWord, ~bit);
}

/** No producer may join any more. Idempotent. */
export function endQueue(queue: QueueGeometry, ringer: Ringer): void {
  storeRelease(queue.words, QueueLayout.endedWord, ENDED);
  new Sleepers(queue.words, QueueLayout.sleepersWord).rouseAll(ringer);
}

/** The queue was ended, then no lane had a producer, then every lane was empty: no message will come. */
export function isOver(queue: QueueGeometry): boolean {
  if (loadAfterFence(queue.words, QueueLayout.endedWord) === OPEN || !isEnded(queue)) return false;
  for (const { words } of queue.lanes)
    if (ownerParticipant(loadAcquire(words, RingLayout.producerOwnerWord)) >= 0) return false;
  for (const { words } of queue.lanes) if (!isEmpty(words)) return false;
  return true;
}

/** Recovery (§8 step 5): takes a participant that died or left out of the queue. */
export function detachFromQueue(queue: QueueGeometry, participant: number): void {
  const bit = 1 << participant;
  for (const { words } of queue.lanes) detachOwner(words, RingLayout.producerOwnerWord, participant);
  fetchAnd(queue.words, QueueLayout.consumersWord, ~bit);
  fetchAnd(queue.words, QueueLayout.sleepersWord, ~bit);
}
