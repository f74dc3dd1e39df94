/**
 * The receiving side of a channel (PROTOCOL.md §7.2): one lane. Whatever is found in a slot is copied once, checked, and
 * then used from the copy. Nothing here allocates per frame.
 */
import {
  compareAndSwap,
  loadAcquire,
  loadAfterFence,
  loadHint,
  pause,
  storeRelease,
} from "../memory/atomics.ts";
import type { ChannelGeometry } from "./channel-geometry.ts";
import { addToCounter } from "./counters.ts";
import { headIndex, headWord, isClaimed, usedSlots } from "./drop-oldest.ts";
import { CorruptError, EvictedError, InUseError, SameHandleError } from "./errors.ts";
import { HistoryTaker, waitForSend } from "./history-taker.ts";
import { slotSequence, wideNumber } from "./lane-slot.ts";
import { ChannelLayout, LaneSlotLayout, OwnerWord, RingLayout } from "./layout.ts";
import { attachmentOf, attachOwner, detachOwner, markBusy, ownerParticipant } from "./owner.ts";
import type { Participant } from "./participant.ts";

/** How a stream ended, as its consumer sees it. */
export type StreamEnd = "open" | "ended" | "died";

/** A claim takes its producer a few instructions; a joiner waits for it so many spins (some 50 ms). */
const CLAIM_SPINS = 1 << 20;
const NO_SLOTS = new Int32Array(0);
/** A leaver waits so often for a send that is under way; then the participant goes on trying now and then. */
const LEAVE_SPINS = 1 << 12;

/** Consumer of one lane. Also the {@link Condition} "a frame is there, or the stream is over". */
export class LaneReceiver {
  readonly channel: ChannelGeometry;
  readonly participant: Participant;
  readonly lane: number;
  readonly #words: Int32Array;
  /** This lane's consumer-owner word while we are attached; a descriptor for us carries it. */
  readonly #owner: number;
  /** Private copy of the slot taken last. */
  readonly #slot = new Int32Array(LaneSlotLayout.sizeWords);
  #head: number;
  #attached = true;
  /** Slots taken from the history, oldest first; the last `#pending` of them are still to be received. */
  #history: Int32Array = NO_SLOTS;
  #pending = 0;

  private constructor(channel: ChannelGeometry, participant: Participant, lane: number, owner: number) {
    this.channel = channel;
    this.participant = participant;
    this.lane = lane;
    this.#words = channel.lanes[lane]!;
    this.#owner = owner;
    this.#head = 0;
  }

  /** Takes a free lane; up to `history` of the last frames arrive first (§7.6), then those sent from now on (PROTOCOL.md §7.2 "Join").
   * @throws InUseError when every lane has a live consumer; SameHandleError */
  static join(channel: ChannelGeometry, participant: Participant, history = channel.history): LaneReceiver {
    if (participant.hasChores) participant.recoverDead();
    assertNeitherEnd(channel, participant);
    for (let pass = 0; pass < 2; pass++) {
      for (let lane = 0; lane < channel.lanes.length; lane++) {
        const words = channel.lanes[lane]!;
        const owner = attachOwner(words, RingLayout.consumerOwnerWord, participant.index, OwnerWord.busyBit);
        if (owner === 0) continue;
        const receiver = new LaneReceiver(channel, participant, lane, owner);
        receiver.#startAtTail();
        // SYNC lane-joined: the head is right before a sender can see us.
        storeRelease(words, RingLayout.consumerOwnerWord, owner);
        if (history > 0) receiver.#takeHistory(history);
        receiver.#ringProducer();
        return receiver;
      }
      participant.recoverDead();
    }
    throw new InUseError(
      `every lane of channel ${channel.name} (${channel.lanes.length})`,
      "close a consumer, or create the channel with more maxConsumers",
    );
  }

  /** What was sent to an earlier consumer of this lane is not ours. */
  #startAtTail(): void {
    const words = this.#words;
    if (!this.channel.claimedHeads) {
      this.#head = loadAcquire(words, RingLayout.tailWord);
      storeRelease(words, RingLayout.headWord, this.#head);
      return;
    }
    for (let spins = 0; spins < CLAIM_SPINS; spins++) {
      const head = loadAcquire(words, RingLayout.headWord);
      const tail = loadAcquire(words, RingLayout.tailWord);
      if (!isClaimed(head) && compareAndSwap(words, RingLayout.headWord, head, headWord(tail))) return;
      pause();
    }
    detachOwner(words, RingLayout.consumerOwnerWord, this.participant.index);
    throw new InUseError(
      `lane ${this.lane} of channel ${this.channel.name}`,
      "its producer stopped in the middle of a drop; try again",
    );
  }

  /** What was sent before anybody sent to this lane (PROTOCOL.md §7.6). */
  #takeHistory(most: number): void {
    const taker = new HistoryTaker(this.channel, this.participant, most);
    this.#history = taker.slots;
    let stopped: string | null = "a send";
    try {
      if (waitForSend(this.channel, this.participant)) stopped = taker.take(this.#words, this.#owner);
    } finally {
      this.#pending = taker.count;
      if (stopped !== null) this.leave();
    }
    if (stopped === null) return;
    throw new InUseError(
      `the history of channel ${this.channel.name}`,
      `its producer stopped in the middle of ${stopped}; try again, or join with history 0`,
    );
  }

  #takePending(): boolean {
    while (this.#pending > 0) {
      const from = this.#history.length - this.#pending * LaneSlotLayout.sizeWords;
      this.#slot.set(this.#history.subarray(from, from + LaneSlotLayout.sizeWords));
      this.#pending--;
      this.#countFromHistory();
      if (this.#fits()) return true;
      this.channel.pool.clear(this.block, this.participant.bit, this.participant.ringer);
      this.#reject();
    }
    return false;
  }

  /**
   * Tells a producer that watches for stalls that we are at work. Single writer: this consumer, while the lane is its own; one that is evicted
   * just now may write once more, which a stall watch takes for its successor's work.
   */
  #countFromHistory(): void {
    if (!this.isEvicted()) addToCounter(this.#words, RingLayout.fromHistoryWord);
  }

  #ringProducer(): void {
    const owner = loadAfterFence(this.channel.words, ChannelLayout.producerOwnerWord);
    this.participant.ringer.ring(ownerParticipant(owner));
  }

  /** Whether a frame is there or the stream is over. A plain load first: polling leaves the producer's line alone. */
  ready(): boolean {
    if (this.#pending > 0 || !this.#emptyHint() || this.isEvicted()) return true;
    return loadHint(this.channel.words, ChannelLayout.endedWord) !== ChannelLayout.endedOpen;
  }

  #emptyHint(): boolean {
    const tail = loadHint(this.#words, RingLayout.tailWord);
    if (!this.channel.claimedHeads) return tail === this.#head;
    const head = loadHint(this.#words, RingLayout.headWord);
    return isClaimed(head) || usedSlots(tail, head) === 0;
  }

  /**
   * Takes the next frame addressed to this participant and held by it; false when there is none now. Refused descriptors are
   * counted and skipped. The fields of the frame are read through the getters below until the next call.
   * @throws CorruptError when the producer's index is impossible; EvictedError when the producer took our lane, behind what is left of a history
   */
  take(): boolean {
    if (this.#pending > 0 && this.#takePending()) return true;
    if (this.isEvicted()) throw new EvictedError(`channel ${this.channel.name}, lane ${this.lane}`);
    // A lane holds at most laneCapacity frames, so this many refusals in one call mean that somebody scribbles.
    for (let tries = 0; tries <= this.channel.laneCapacity; tries++) {
      if (!(this.channel.claimedHeads ? this.#takeByClaim() : this.#takeNext())) return false;
      this.#ringProducer();
      if (this.#acceptable()) return true;
      this.#reject();
    }
    return false;
  }

  /** The producer took this lane (§7.5); frames taken before stay held until they are released. */
  isEvicted(): boolean {
    if (this.channel.stallAction !== "evict" || !this.#attached) return false;
    return loadHint(this.#words, RingLayout.consumerOwnerWord) !== this.#owner;
  }

  #takeNext(): boolean {
    const words = this.#words;
    if (this.#emptyHint()) return false;
    // SYNC publish: acquire pairs with the sender's release store of tail.
    const used = (loadAcquire(words, RingLayout.tailWord) - this.#head) >>> 0;
    if (used > this.channel.laneCapacity)
      throw new CorruptError(`channel ${this.channel.name}: tail of lane ${this.lane}`);
    if (used === 0) return false;
    this.#copySlot(this.#head);
    this.#head = (this.#head + 1) | 0;
    // SYNC free-slot: release pairs with the sender's acquire load of head. Single writer: this consumer.
    storeRelease(words, RingLayout.headWord, this.#head);
    return true;
  }

  #takeByClaim(): boolean {
    const words = this.#words;
    // Each failed CAS means that the producer dropped a frame; more failures than slots and we come back later.
    for (let tries = 0; tries <= this.channel.laneCapacity; tries++) {
      const head = loadAcquire(words, RingLayout.headWord);
      const used = usedSlots(loadAcquire(words, RingLayout.tailWord), head);
      if (isClaimed(head) || used === 0) return false;
      if (used > this.channel.laneCapacity) {
        // The producer may have dropped and published between the two loads; then the head has moved.
        if (loadAcquire(words, RingLayout.headWord) === head) {
          throw new CorruptError(`channel ${this.channel.name}: tail of lane ${this.lane}`);
        }
        continue;
      }
      this.#copySlot(headIndex(head));
      // Evicted since we looked, we may see the next consumer's frame (§7.5). What was sent before we were evicted is taken back before.
      if (this.#slot[LaneSlotLayout.receiverWord] !== this.#owner && this.isEvicted()) return false;
      if (compareAndSwap(words, RingLayout.headWord, head, headWord(headIndex(head) + 1))) return true;
    }
    return false;
  }

  #copySlot(index: number): void {
    const from = this.channel.slotIndex(index);
    for (let word = 0; word < LaneSlotLayout.sizeWords; word++) {
      this.#slot[word] = loadHint(this.#words, from + word);
    }
  }

  /** §7.2 step 2, on the private copy: the numbers make sense, and the block is ours in this generation. */
  #acceptable(): boolean {
    const { pool } = this.channel;
    const block = this.block;
    if (this.#slot[LaneSlotLayout.receiverWord] !== this.#owner) return false;
    if (block >= pool.geometry.blockCount) return false;
    if (!pool.isHeld(block, this.participant.bit, this.generation)) return false;
    if (this.#fits()) return true;
    // The hold is real but the numbers are not: let go, or the block would stay with us.
    pool.clear(block, this.participant.bit, this.participant.ringer);
    return false;
  }

  /** The numbers of the slot stay inside its block. */
  #fits(): boolean {
    const { pool } = this.channel;
    const { block } = this;
    const start = this.offset - pool.blockOffset(block);
    return (
      start >= 0 &&
      start + this.lengthBytes <= pool.geometry.blockBytes &&
      this.metaLength <= pool.geometry.metaBytes
    );
  }

  #reject(): void {
    addToCounter(this.#words, RingLayout.rejectedWord);
  }

  /** This stay on this lane, as the sender's observer is told of it. */
  get attachment(): number {
    return attachmentOf(this.lane, this.#owner);
  }

  /** Descriptors refused on this lane since it was created. */
  get rejected(): number {
    return this.#words[RingLayout.rejectedWord]! >>> 0;
  }

  get offset(): number {
    return (
      (this.#slot[LaneSlotLayout.offsetLowWord]! >>> 0) +
      (this.#slot[LaneSlotLayout.offsetHighWord]! >>> 0) * 2 ** 32
    );
  }

  get lengthBytes(): number {
    return this.#slot[LaneSlotLayout.lengthWord]! >>> 0;
  }

  get tag(): number {
    return this.#slot[LaneSlotLayout.tagWord]! >>> 0;
  }

  get block(): number {
    return this.#slot[LaneSlotLayout.blockWord]! >>> 0;
  }

  get generation(): number {
    return this.#slot[LaneSlotLayout.generationWord]!;
  }

  get sequence(): number {
    return slotSequence(this.#slot, 0);
  }

  get timestampNs(): number {
    return wideNumber(
      this.#slot[LaneSlotLayout.timestampLowWord]!,
      this.#slot[LaneSlotLayout.timestampHighWord]!,
    );
  }

  /** How many consumers the sender handed this frame to. */
  get receiverCount(): number {
    return this.#slot[LaneSlotLayout.receiverCountWord]! >>> 0;
  }

  get metaLength(): number {
    return this.#slot[LaneSlotLayout.metaLengthWord]! >>> 0;
  }

  /** `ended` and `died` only when nothing is left to take. */
  streamEnd(): StreamEnd {
    const ended = loadAcquire(this.channel.words, ChannelLayout.endedWord);
    if (ended === ChannelLayout.endedOpen) return "open";
    // The producer's last publication came before `ended`: look once more after reading it.
    const head = loadAcquire(this.#words, RingLayout.headWord);
    const tail = loadAcquire(this.#words, RingLayout.tailWord);
    const used = this.channel.claimedHeads ? usedSlots(tail, head) : (tail - this.#head) | 0;
    if (used !== 0 || this.#pending > 0) return "open";
    // What was taken from us came before `ended`: the next take() says so.
    if (this.isEvicted()) return "open";
    return ended === ChannelLayout.endedByProducer ? "ended" : "died";
  }

  /** PROTOCOL.md §7.2 "Leave". Frames taken before stay held until they are released. */
  leave(): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.#dropPending();
    const words = this.#words;
    // SYNC lane-dead: pairs with the sender's second look at the owner.
    if (!markBusy(words, RingLayout.consumerOwnerWord, this.#owner)) return;
    // A sender past its second look will publish, any other undoes. One that is stopped there keeps the lane busy meanwhile.
    for (let spins = 0; spins < LEAVE_SPINS; spins++) {
      if (this.finishLeaving()) return;
      pause();
    }
    this.participant.addChore(this);
  }

  #dropPending(): void {
    const { pool } = this.channel;
    for (; this.#pending > 0; this.#pending--) {
      const slot = this.#history.length - this.#pending * LaneSlotLayout.sizeWords;
      const block = this.#history[slot + LaneSlotLayout.blockWord]!;
      pool.clear(block, this.participant.bit, this.participant.ringer);
    }
  }

  /**
   * @internal Gives the lane back if no send is under way any more; true when there is nothing more to do. A spoilt lane stays busy, and what
   * lies in it ours: recovery takes both when we leave the region. Whoever spoilt it must not keep us from closing.
   */
  finishLeaving(): boolean {
    try {
      if (!this.#drained()) return false;
    } catch (error) {
      if (error instanceof CorruptError) return true;
      throw error;
    }
    detachOwner(this.#words, RingLayout.consumerOwnerWord, this.participant.index);
    this.#ringProducer();
    return true;
  }

  /** Lets go of what was published to us; true when nothing more can come. */
  #drained(): boolean {
    for (let taken = 0; taken <= this.channel.laneCapacity; taken++) {
      if (!(this.channel.claimedHeads ? this.#takeByClaim() : this.#takeNext())) break;
      this.#letGo();
    }
    const words = this.#words;
    const tail = loadAcquire(words, RingLayout.tailWord);
    const head = loadAcquire(words, RingLayout.headWord);
    const empty = this.channel.claimedHeads
      ? !isClaimed(head) && usedSlots(tail, head) === 0
      : tail === this.#head;
    return empty && loadAcquire(words, RingLayout.preparedWord) === tail;
  }

  #letGo(): void {
    const { pool } = this.channel;
    const block = this.block;
    if (this.#slot[LaneSlotLayout.receiverWord] !== this.#owner) return;
    if (block < pool.geometry.blockCount && pool.isHeld(block, this.participant.bit, this.generation)) {
      pool.clear(block, this.participant.bit, this.participant.ringer);
    }
  }
}

/** A participant holds a block or not: it cannot be both sender and receiver of it, nor receive it twice. */
function assertNeitherEnd(channel: ChannelGeometry, participant: Participant): void {
  const producer = ownerParticipant(loadAcquire(channel.words, ChannelLayout.producerOwnerWord));
  if (producer === participant.index) throw new SameHandleError(channel.name);
  for (const lane of channel.lanes) {
    const owner = loadAcquire(lane, RingLayout.consumerOwnerWord);
    if (ownerParticipant(owner) !== participant.index) continue;
    if ((owner & OwnerWord.busyBit) === 0) throw new SameHandleError(channel.name);
    throw new InUseError(
      `a lane of channel ${channel.name} that this handle has left`,
      "its producer stopped in the middle of a send; try again",
    );
  }
}
