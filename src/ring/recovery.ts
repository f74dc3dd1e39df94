/**
 * Recovery: what is done for a participant that died or leaves (PROTOCOL.md §8, steps 3-7). The caller holds the dead one's
 * life byte (and the cleaner byte), or is that participant itself. Every step may be repeated by a next cleaner.
 */
import { loadAcquire, loadHint, storeRelease } from "../memory/atomics.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { RegionError } from "../memory/errors.ts";
import { Directory, ObjectKind, ParticipantRecord, participantRecordWord } from "../memory/layout.ts";
import type { Region } from "../memory/region.ts";
import { detachFromCell, openCellGeometry } from "./cell-geometry.ts";
import { type ChannelGeometry, openChannelGeometry } from "./channel-geometry.ts";
import { type RecoveryEvent, recordDeath } from "./deaths.ts";
import { removeDoorbell } from "./doorbell.ts";
import type { DoorbellRinger } from "./doorbell-ringer.ts";
import { type Claimant, completeClaim } from "./drop-oldest.ts";
import { CorruptError } from "./errors.ts";
import { completeEviction } from "./eviction.ts";
import { type Quarantine, recoverHardwareQueue } from "./hardware-recovery.ts";
import { closeHistory } from "./history-keeper.ts";
import { ChannelLayout, LaneSlotLayout, RingLayout } from "./layout.ts";
import { detachOwner, ownerParticipant } from "./owner.ts";
import { Pool } from "./pool.ts";
import { detachFromQueue } from "./queue-ends.ts";
import { openQueueGeometry } from "./queue-geometry.ts";
import { openRecordsGeometry, type RecordsGeometry } from "./records-geometry.ts";
import { cursorOwnerWord, RecordsLayout } from "./records-layout.ts";
import { openRingGeometry } from "./ring-geometry.ts";
import { openServiceGeometry } from "./service-geometry.ts";
import { ServiceLayout } from "./service-layout.ts";

/** True when no participant that is live or dying is inside a claim: then `except`'s slot may be used again (§8 step 8). */
export function quiet(region: Region, except: number): boolean {
  const words = region.control.words;
  for (let participant = 0; participant < ParticipantRecord.capacity; participant++) {
    if (participant === except) continue;
    const phase = loadAcquire(words, participantRecordWord(participant)) & ParticipantRecord.phaseMask;
    if (phase !== ParticipantRecord.phaseLive && phase !== ParticipantRecord.phaseDying) continue;
    const section = loadAcquire(words, participantRecordWord(participant) + ParticipantRecord.sectionWord);
    if ((section & 1) !== 0) return false;
  }
  return true;
}

/** Steps 3-7. Null when the slot is not live or dying: there is nothing to clean. */
export function cleanParticipant(
  region: Region,
  participant: number,
  ringer: DoorbellRinger,
  cause: "death" | "leave",
): RecoveryEvent | null {
  const words = region.control.words;
  const record = participantRecordWord(participant);
  const state = loadAcquire(words, record);
  const phase = state & ParticipantRecord.phaseMask;
  if (phase !== ParticipantRecord.phaseLive && phase !== ParticipantRecord.phaseDying) return null;
  const generationBits = state & ~ParticipantRecord.phaseMask;
  storeRelease(words, record, generationBits | ParticipantRecord.phaseDying);
  const entries: DirectoryEntry[] = [];
  let corruptObjects = readEntries(region, entries);
  for (const entry of entries) if (!detach(region, entry, participant, ringer)) corruptObjects++;
  const quarantined: Quarantine[] = [];
  for (const entry of entries)
    if (!stopQueue(region, entry, participant, ringer, quarantined)) corruptObjects++;
  let blocksReclaimed = 0;
  for (const entry of entries) {
    const swept = entry.kind === ObjectKind.pool ? sweep(region, entry, participant, ringer) : 0;
    if (swept < 0) corruptObjects++;
    else blocksReclaimed += swept;
  }
  storeRelease(words, record + ParticipantRecord.wantedWord, 0);
  storeRelease(words, record + ParticipantRecord.sectionWord, 0);
  const generation = state >>> ParticipantRecord.generationShift;
  removeDoorbell(region.control, participant, generation);
  if (cause === "death") recordDeath(words, participant, generation);
  // Before *swept*: if this cleaner dies here, the next one wakes them. Whatever their doorbells say: the dead one may have disarmed one and not come to the wake.
  ringer.wakeAll();
  storeRelease(words, record, generationBits | ParticipantRecord.phaseSwept);
  return {
    participant,
    generation,
    blocksReclaimed,
    corruptObjects,
    quarantined,
  };
}

/** A spoilt object must not stop the cleaning of the others: rethrows everything else. */
function assertSpoilt(error: unknown): void {
  if (!(error instanceof CorruptError || error instanceof RegionError)) throw error;
}

/** Fills `entries`; returns how many could not be read. */
function readEntries(region: Region, entries: DirectoryEntry[]): number {
  let spoilt = 0;
  for (let index = 0; index < Directory.capacity; index++) {
    try {
      const entry = region.directory.at(index);
      if (entry !== null) entries.push(entry);
    } catch (error) {
      assertSpoilt(error);
      spoilt++;
    }
  }
  return spoilt;
}

/** Steps 4 and 5 for one object; false when its numbers make no sense. */
function detach(region: Region, entry: DirectoryEntry, participant: number, ringer: DoorbellRinger): boolean {
  try {
    if (entry.kind === ObjectKind.ring) detachRing(region, entry, participant);
    if (entry.kind === ObjectKind.channel) detachChannel(region, entry, participant, ringer);
    if (entry.kind === ObjectKind.records) detachRecords(openRecordsGeometry(region, entry), participant);
    if (entry.kind === ObjectKind.service) detachService(region, entry, participant);
    if (entry.kind === ObjectKind.cell) detachFromCell(openCellGeometry(region, entry), participant);
    if (entry.kind === ObjectKind.queue) detachFromQueue(openQueueGeometry(region, entry), participant);
    return true;
  } catch (error) {
    assertSpoilt(error);
    return false;
  }
}

/** Between steps 5 and 6: hardware that works for the dead one is stopped before its blocks can be swept (§10.8). */
function stopQueue(
  region: Region,
  entry: DirectoryEntry,
  participant: number,
  ringer: DoorbellRinger,
  quarantined: Quarantine[],
): boolean {
  if (entry.kind !== ObjectKind.hardwareQueue) return true;
  try {
    const quarantine = recoverHardwareQueue(region, entry, participant, ringer);
    if (quarantine !== null) quarantined.push(quarantine);
    return true;
  } catch (error) {
    assertSpoilt(error);
    return false;
  }
}

function detachRing(region: Region, entry: DirectoryEntry, participant: number): void {
  const { words } = openRingGeometry(region, entry);
  detachOwner(words, RingLayout.producerOwnerWord, participant);
  detachOwner(words, RingLayout.consumerOwnerWord, participant);
}

/** §12.5. */
function detachRecords({ words, maxConsumers }: RecordsGeometry, participant: number): void {
  const producer = loadAcquire(words, RecordsLayout.producerOwnerWord);
  if (ownerParticipant(producer) === participant) {
    if (loadAcquire(words, RecordsLayout.endedWord) !== RecordsLayout.endedByProducer) {
      storeRelease(words, RecordsLayout.endedWord, RecordsLayout.endedByDeath);
    }
    detachOwner(words, RecordsLayout.producerOwnerWord, participant);
  }
  for (let k = 0; k < maxConsumers; k++) detachOwner(words, cursorOwnerWord(k), participant);
}

function detachService(region: Region, entry: DirectoryEntry, participant: number): void {
  const { words, places } = openServiceGeometry(region, entry);
  for (const { requests, responses } of places) {
    detachRecords(requests, participant);
    detachRecords(responses, participant);
  }
  detachOwner(words, ServiceLayout.serverOwnerWord, participant);
}

/** Steps 4 and 5 for one channel. */
function detachChannel(
  region: Region,
  entry: DirectoryEntry,
  participant: number,
  ringer: DoorbellRinger,
): void {
  const channel = openChannelGeometry(region, entry);
  const producer = ownerParticipant(loadAcquire(channel.words, ChannelLayout.producerOwnerWord));
  if (producer === participant) {
    for (const lane of channel.lanes) withdrawUnpublished(channel, lane, participant, ringer);
    if (channel.history > 0) closeHistory(channel);
    if (loadAcquire(channel.words, ChannelLayout.endedWord) !== ChannelLayout.endedByProducer) {
      storeRelease(channel.words, ChannelLayout.endedWord, ChannelLayout.endedByDeath);
    }
    detachOwner(channel.words, ChannelLayout.producerOwnerWord, participant);
  }
  // SYNC lane-dead: a sender's second read of the owner word observes this, or its hand-over came before and the sweep sees it.
  for (const lane of channel.lanes) detachOwner(lane, RingLayout.consumerOwnerWord, participant);
}

/** Step 4: a claim that was under way is finished, receivers lose blocks they were never told of, then prepared = tail. */
function withdrawUnpublished(
  channel: ChannelGeometry,
  lane: Int32Array,
  participant: number,
  ringer: DoorbellRinger,
): void {
  const bit = 1 << participant;
  if (channel.claimedHeads) completeClaim(channel, lane, bit);
  const tail = loadAcquire(lane, RingLayout.tailWord);
  const count = (loadAcquire(lane, RingLayout.preparedWord) - tail) >>> 0;
  if (count > channel.laneCapacity) throw new CorruptError(`channel ${channel.name}: prepared`);
  for (let i = 0; i < count; i++) {
    const slot = channel.slotIndex((tail + i) | 0);
    const block = loadHint(lane, slot + LaneSlotLayout.blockWord) >>> 0;
    const generation = loadHint(lane, slot + LaneSlotLayout.generationWord);
    const receiver = ownerParticipant(loadHint(lane, slot + LaneSlotLayout.receiverWord));
    if (block >= channel.pool.geometry.blockCount || receiver < 0) continue;
    // x is still a holder, so nobody but x can have set the receiver's bit (exclusive holder rule, §6).
    if (channel.pool.isHeld(block, bit, generation)) channel.pool.clear(block, 1 << receiver, ringer);
  }
  storeRelease(lane, RingLayout.preparedWord, tail);
  if (channel.claimedHeads) completeEviction(channel, lane, new CleaningClaimant(channel.pool, bit, ringer));
}

/** In the place of a dead producer. */
class CleaningClaimant implements Claimant {
  readonly bit: number;
  readonly #pool: Pool;
  readonly #ringer: DoorbellRinger;

  constructor(pool: Pool, bit: number, ringer: DoorbellRinger) {
    this.bit = bit;
    this.#pool = pool;
    this.#ringer = ringer;
  }

  letGo(block: number): void {
    this.#pool.clear(block, this.bit, this.#ringer);
  }
}

/** Step 6. Returns the blocks reclaimed, −1 when the pool's numbers make no sense. */
function sweep(region: Region, entry: DirectoryEntry, participant: number, ringer: DoorbellRinger): number {
  const bit = 1 << participant;
  let reclaimed = 0;
  try {
    const pool = Pool.at(region, entry);
    for (let block = 0; block < pool.geometry.blockCount; block++) {
      if ((pool.holders(block) & bit) !== 0 && pool.clear(block, bit, ringer)) reclaimed++;
    }
    pool.removeWaiter(bit);
    return reclaimed;
  } catch (error) {
    assertSpoilt(error);
    return -1;
  }
}
