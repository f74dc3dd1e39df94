/**
 * Owner words: who is the producer or the consumer of something (PROTOCOL.md §5 "Attach", §7 "busy"). Any participant may
 * attach to an ownerless word; only the owner, or the cleaner of a dead owner, detaches.
 */
import { compareAndSwap, loadAcquire } from "../memory/atomics.ts";
import { ParticipantRecord } from "../memory/layout.ts";
import { OwnerWord } from "./layout.ts";

/** Participant index in an owner word read from memory, busy or not; −1 when nobody or nonsense. */
export function ownerParticipant(owner: number): number {
  const participant = (owner & OwnerWord.participantMask) - 1;
  return participant < ParticipantRecord.capacity ? participant : -1;
}

/** Participant that a sender may send to; −1 when nobody, or when it is joining or leaving. */
export function receiverOf(owner: number): number {
  return (owner & OwnerWord.busyBit) !== 0 ? -1 : ownerParticipant(owner);
}

/** One consumer's stay on one lane of a channel as a number: no two stays have the same. `owner` is its owner word without busy. */
export function attachmentOf(lane: number, owner: number): number {
  return lane * 2 ** 32 + (owner >>> 0);
}

function isVacant(owner: number): boolean {
  return (owner & (OwnerWord.participantMask | OwnerWord.busyBit)) === 0;
}

function generationOf(owner: number): number {
  return owner >>> OwnerWord.generationShift;
}

/** CAS from (g, nobody) to (g + 1, participant[, busy]). Returns the new word without the busy bit, or 0 when somebody is attached. */
export function attachOwner(words: Int32Array, index: number, participant: number, busyBit = 0): number {
  const owner = loadAcquire(words, index);
  if (!isVacant(owner)) return 0;
  const next = ((generationOf(owner) + 1) << OwnerWord.generationShift) | (participant + 1);
  return compareAndSwap(words, index, owner, next | busyBit) ? next : 0;
}

/** Owner only: announces that it is leaving. SYNC lane-dead: the sender's second read of the owner word observes this. */
export function markBusy(words: Int32Array, index: number, owner: number): boolean {
  return compareAndSwap(words, index, owner, owner | OwnerWord.busyBit);
}

/** Whoever evicts the participant meanwhile makes the word busy, once; more changes than that are nonsense. */
const DETACH_ATTEMPTS = 4;

/**
 * CAS from (g, participant, busy or not) to (g + 1, nobody). SYNC lane-dead: the sender's second read of the owner word observes
 * this. False when the word no longer names the participant: then somebody did it already.
 */
export function detachOwner(words: Int32Array, index: number, participant: number): boolean {
  for (let attempt = 0; attempt < DETACH_ATTEMPTS; attempt++) {
    const owner = loadAcquire(words, index);
    if ((owner & OwnerWord.participantMask) !== participant + 1) return false;
    const vacant = (generationOf(owner) + 1) << OwnerWord.generationShift;
    if (compareAndSwap(words, index, owner, vacant)) return true;
  }
  return false;
}
