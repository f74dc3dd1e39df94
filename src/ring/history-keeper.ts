/**
 * The producer's side of a history (PROTOCOL.md §7.6): it keeps its hold on the last frames it sent, and says in shared slots which
 * they are, so that a consumer that joins late takes them without asking. Nothing here allocates per frame.
 */
import { fence, loadAcquire, loadAfterFence, storeRelease } from "../memory/atomics.ts";
import { ParticipantRecord, participantRecordWord } from "../memory/layout.ts";
import type { ChannelGeometry } from "./channel-geometry.ts";
import { type SendFields, writeLaneSlot } from "./lane-slot.ts";
import { ChannelLayout } from "./layout.ts";
import type { Participant } from "./participant.ts";

const NO_BLOCK = -1;

/** Keeps the history of one producer's stay. */
export class HistoryKeeper {
  readonly #channel: ChannelGeometry;
  readonly #participant: Participant;
  /** Where participants say what they want. */
  readonly #control: Int32Array;
  /** Block of frame number i at i mod length: what is in the slots, as we wrote it. */
  readonly #blocks: Int32Array;
  /** Blocks that fell out while a joiner wanted them. */
  #late: number[] = [];
  #head: number;
  #tail: number;
  #sending: number;

  private constructor(channel: ChannelGeometry, participant: Participant, tail: number, sending: number) {
    this.#channel = channel;
    this.#participant = participant;
    this.#control = participant.region.control.words;
    this.#blocks = new Int32Array(channel.historySlotCount);
    this.#head = tail;
    this.#tail = tail;
    this.#sending = sending;
  }

  /** For the channel's new producer. What a dead one kept is not ours. */
  static attach(channel: ChannelGeometry, participant: Participant): HistoryKeeper {
    closeHistory(channel);
    const tail = loadAcquire(channel.words, ChannelLayout.historyTailWord);
    const sending = loadAcquire(channel.words, ChannelLayout.sendingWord);
    return new HistoryKeeper(channel, participant, tail, sending);
  }

  /** Before the lanes are looked at. A joiner that is not seen from here on waits for {@link endSend}. */
  beginSend(): void {
    this.#storeSending();
  }

  endSend(): void {
    this.#storeSending();
  }

  #storeSending(): void {
    this.#sending = (this.#sending + 1) | 0;
    // SYNC join: the fence pairs with the joiner's between its owner word and its look at `sending`.
    storeRelease(this.#channel.words, ChannelLayout.sendingWord, this.#sending);
  }

  /** Takes over the hold on a block that was sent. The oldest one falls out. */
  keep(block: number, fields: Readonly<SendFields>, sequence: number, timestampNs: number): void {
    const channel = this.#channel;
    const { words } = channel;
    const generation = channel.pool.generation(block);
    const fallen = ((this.#tail - this.#head) | 0) === channel.history ? this.#dropOldest() : NO_BLOCK;
    const slot = channel.historySlotIndex(this.#tail);
    const slots = channel.historySlots;
    writeLaneSlot(slots, slot, block, fields, sequence, timestampNs, generation, this.#tail, 0);
    this.#blocks[this.#tail & (this.#blocks.length - 1)] = block;
    this.#tail = (this.#tail + 1) | 0;
    // SYNC kept: release pairs with the joiner's acquire load. Single writer: the producer.
    storeRelease(words, ChannelLayout.historyTailWord, this.#tail);
    if (fallen !== NO_BLOCK) this.#letGoOf(fallen);
    if (this.#late.length > 0) this.finishLeaving();
  }

  #dropOldest(): number {
    const block = this.#blocks[this.#head & (this.#blocks.length - 1)]!;
    this.#head = (this.#head + 1) | 0;
    storeRelease(this.#channel.words, ChannelLayout.historyHeadWord, this.#head);
    // SYNC wanted: against the joiner's fence between `wanted` and head. The slot is overwritten after this.
    fence();
    return block;
  }

  #letGoOf(block: number): void {
    if (!this.#isWanted(block)) {
      this.#release(block);
      return;
    }
    if (!this.#late.includes(block)) this.#late.push(block);
    this.#participant.addChore(this);
  }

  #release(block: number): void {
    this.#channel.pool.clear(block, this.#participant.bit, this.#participant.ringer);
  }

  /** A joiner may be about to set its bit on the block. */
  #isWanted(block: number): boolean {
    let takers = loadAfterFence(this.#channel.words, ChannelLayout.takersWord);
    while (takers !== 0) {
      const taker = 31 - Math.clz32(takers & -takers);
      takers &= takers - 1;
      if (taker >= ParticipantRecord.capacity) continue;
      const wanted = loadAfterFence(
        this.#control,
        participantRecordWord(taker) + ParticipantRecord.wantedWord,
      );
      if (wanted === block + 1) return true;
    }
    return false;
  }

  /** @internal Lets go of what was wanted and is no more; true when nothing is left to do. */
  finishLeaving(): boolean {
    const blocks = this.#late;
    this.#late = [];
    for (const block of blocks) {
      if (this.#isWanted(block)) this.#late.push(block);
      else this.#release(block);
    }
    return this.#late.length === 0;
  }

  /** The stream ends: so does its history. */
  close(): void {
    closeHistory(this.#channel);
    for (; this.#head !== this.#tail; this.#head = (this.#head + 1) | 0)
      this.#letGoOf(this.#blocks[this.#head & (this.#blocks.length - 1)]!);
  }
}

/** Nothing can be taken from now on, and no send is under way: when a producer attaches, ends, or was found dead. */
export function closeHistory(channel: ChannelGeometry): void {
  const { words } = channel;
  storeRelease(words, ChannelLayout.historyHeadWord, loadAcquire(words, ChannelLayout.historyTailWord));
  const sending = loadAcquire(words, ChannelLayout.sendingWord);
  if ((sending & 1) === 1) storeRelease(words, ChannelLayout.sendingWord, (sending + 1) | 0);
}
