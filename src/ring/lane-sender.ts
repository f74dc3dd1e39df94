/**
 * The sending side of a channel (PROTOCOL.md §7.1, §7.3, §7.4): hands blocks over to the consumers of its lanes.
 * Nothing here allocates per frame.
 */
import { monotonicNs } from "../ffi/clock.ts";
import { loadAcquire, loadAfterFence, loadHint, pause, storePlain, storeRelease } from "../memory/atomics.ts";
import type { ChannelGeometry } from "./channel-geometry.ts";
import { addToCounter } from "./counters.ts";
import { Claim, type Claimant, claimOldest, usedSlots } from "./drop-oldest.ts";
import {
  BackpressureError,
  ClosedError,
  CorruptError,
  FrameSharedError,
  InUseError,
  SameHandleError,
} from "./errors.ts";
import { HistoryKeeper } from "./history-keeper.ts";
import { type SendFields, wideNumber, writeLaneSlot } from "./lane-slot.ts";
import { ChannelLayout, RingLayout } from "./layout.ts";
import { attachmentOf, attachOwner, detachOwner, ownerParticipant, receiverOf } from "./owner.ts";
import type { Participant } from "./participant.ts";
import { type SendObserver, SendResult, type SendResultCode } from "./send-result.ts";
import { StalledLanes } from "./stalled-lanes.ts";

const NO_LANE = -1;
const NOBODY = 0;
const NO_BLOCK = -1;
/** Some 5 µs; a sender preempted just there is waited for asleep. */
const ALONE_SPINS = 128;

/** Producer of a channel. One per channel at a time. Also the {@link Condition} "what the last send lacked is there". */
export class LaneSender implements Claimant {
  readonly channel: ChannelGeometry;
  readonly participant: Participant;
  readonly #tails: Int32Array;
  readonly #owners: Int32Array;
  readonly #chosen: Int32Array;
  /** See {@link SendObserver}. */
  observer: SendObserver | null = null;
  #chosenCount = 0;
  /** Lane that the last send found full; −1: any lane will do. */
  #fullLane = NO_LANE;
  /** Block that the last send could not forward yet because its sender still held it. */
  #awaitedBlock = NO_BLOCK;
  #nextLane = 0;
  #sequence = 0;
  #attached = true;
  /** Null: stalled consumers may gate us for ever. */
  readonly #stalls: StalledLanes | null;
  /** Null: the channel has no history. */
  #history: HistoryKeeper | null = null;
  /** Of the frame being sent. */
  #timestampNs = 0;

  private constructor(channel: ChannelGeometry, participant: Participant) {
    this.channel = channel;
    this.participant = participant;
    this.#tails = new Int32Array(channel.lanes.length);
    this.#owners = new Int32Array(channel.lanes.length);
    this.#chosen = new Int32Array(channel.lanes.length);
    this.#stalls = channel.stallAction === "none" ? null : new StalledLanes(channel, participant);
  }

  /** Becomes the channel's producer, going on where its last one stopped.
   * @throws InUseError when the channel has a live producer; SameHandleError */
  static attach(channel: ChannelGeometry, participant: Participant): LaneSender {
    for (const lane of channel.lanes) {
      const consumer = ownerParticipant(loadAcquire(lane, RingLayout.consumerOwnerWord));
      if (consumer === participant.index) throw new SameHandleError(channel.name);
    }
    const index = ChannelLayout.producerOwnerWord;
    if (attachOwner(channel.words, index, participant.index) === 0) {
      participant.recoverDead();
      if (attachOwner(channel.words, index, participant.index) === 0) {
        throw new InUseError(
          `the producer end of channel ${channel.name}`,
          "a channel has one producer: create a channel each",
        );
      }
    }
    const sender = new LaneSender(channel, participant);
    for (let lane = 0; lane < channel.lanes.length; lane++) {
      sender.#tails[lane] = loadAcquire(channel.lanes[lane]!, RingLayout.tailWord);
    }
    sender.#sequence = wideNumber(
      loadHint(channel.words, ChannelLayout.sequenceLowWord),
      loadHint(channel.words, ChannelLayout.sequenceHighWord),
    );
    if (channel.history > 0) sender.#history = HistoryKeeper.attach(channel, participant);
    storeRelease(channel.words, ChannelLayout.endedWord, ChannelLayout.endedOpen);
    return sender;
  }

  /** Sequence number of the next frame; every send counts, dropped ones too, so that receivers see gaps. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Lanes with a consumer at the moment. */
  consumerCount(): number {
    let count = 0;
    for (const lane of this.channel.lanes) {
      if (receiverOf(loadAcquire(lane, RingLayout.consumerOwnerWord)) >= 0) count++;
    }
    return count;
  }

  /** Frames published to the fullest lane and not taken yet. */
  backlog(): number {
    let most = 0;
    for (let lane = 0; lane < this.channel.lanes.length; lane++) {
      if (this.#isAttached(lane)) most = Math.max(most, this.#used(lane));
    }
    return most;
  }

  #isAttached(lane: number): boolean {
    return receiverOf(loadAcquire(this.channel.lanes[lane]!, RingLayout.consumerOwnerWord)) >= 0;
  }

  #used(lane: number): number {
    const words = this.channel.lanes[lane]!;
    const tail = this.#tails[lane]!;
    // SYNC free-slot: acquire pairs with the consumer's release store (or CAS) of head.
    const head = loadAcquire(words, RingLayout.headWord);
    const used = this.channel.claimedHeads ? usedSlots(tail, head) : (tail - head) >>> 0;
    if (used > this.channel.laneCapacity)
      throw new CorruptError(`channel ${this.channel.name}: head of lane ${lane}`);
    return used;
  }

  #hasRoom(lane: number): boolean {
    return this.#used(lane) < this.channel.laneCapacity;
  }

  /** Condition for a waiting producer: what the last send lacked is there. The awaited block is ours alone; or the lane that was full has room or lost its consumer; or any lane can take a frame. */
  ready(): boolean {
    this.#assertAttached();
    if (this.#awaitedBlock !== NO_BLOCK)
      return this.channel.pool.holders(this.#awaitedBlock) === this.participant.bit;
    const lane = this.#fullLane;
    if (lane !== NO_LANE) return !this.#isAttached(lane) || this.#hasRoom(lane);
    for (let l = 0; l < this.channel.lanes.length; l++)
      if (this.#isAttached(l) && this.#hasRoom(l)) return true;
    return false;
  }

  /**
   * Sends a block that this participant holds exclusively. On `sent` and `dropped` the hold is gone. `full` also when the sender
   * this frame came from has published it and not yet let go.
   * @throws BackpressureError policy `fail`, no room: the block stays with the caller
   * @throws FrameSharedError other receivers hold the block too: it stays with the caller
   */
  send(block: number, fields: Readonly<SendFields>): SendResultCode {
    const history = this.#history;
    if (history === null) return this.#sendNow(block, fields);
    history.beginSend();
    try {
      return this.#sendNow(block, fields);
    } finally {
      history.endSend();
    }
  }

  #sendNow(block: number, fields: Readonly<SendFields>): SendResultCode {
    const pool = this.channel.pool;
    this.#awaitedBlock = NO_BLOCK;
    this.#stalls?.startRound();
    if (!this.#isAlone(block)) {
      if (!fields.soleReceiver) throw new FrameSharedError(block);
      this.#awaitedBlock = block;
      return SendResult.full;
    }
    // A lane whose consumer dies between choice and publication gets nothing; then another is chosen, a bounded number of times.
    for (let attempt = 0; attempt <= this.channel.lanes.length; attempt++) {
      const full = this.channel.delivery === "all" ? this.#chooseAll() : this.#chooseOne();
      if (full && this.channel.policy === "block") return SendResult.full;
      if (this.#chosenCount === 0)
        return this.#drop(block, fields, full ? ChannelLayout.droppedWord : ChannelLayout.unclaimedWord);
      if (this.#publish(block, fields, pool.generation(block)) > 0) {
        this.#finish(block, fields);
        this.#ringReceivers();
        this.#advanceSequence();
        addToCounter(this.channel.words, ChannelLayout.publishedWord);
        return SendResult.sent;
      }
    }
    return this.#drop(block, fields, ChannelLayout.unclaimedWord);
  }

  /** Step 7, or the block becomes the history's. */
  #finish(block: number, fields: Readonly<SendFields>): void {
    if (this.#history === null) this.channel.pool.clear(block, this.participant.bit, this.participant.ringer);
    else this.#history.keep(block, fields, this.#sequence, this.#timestampNs);
  }

  get bit(): number {
    return this.participant.bit;
  }

  letGo(block: number): void {
    this.channel.pool.clear(block, this.participant.bit, this.participant.ringer);
  }

  /** Exclusive holder, now or within the few instructions that a sender takes between publishing and letting go. */
  #isAlone(block: number): boolean {
    for (let spins = 0; spins < ALONE_SPINS; spins++) {
      if (this.channel.pool.holders(block) === this.participant.bit) return true;
      pause();
    }
    return false;
  }

  /** After the own hold is gone, so that a woken receiver can forward at once. */
  #ringReceivers(): void {
    for (let i = 0; i < this.#chosenCount; i++) {
      const owner = this.#owners[this.#chosen[i]!]!;
      if (owner !== NOBODY) this.participant.ringer.ring(receiverOf(owner));
    }
  }

  #drop(block: number, fields: Readonly<SendFields>, counterWord: number): SendResultCode {
    if (this.#history !== null) this.#timestampNs = monotonicNs();
    this.#finish(block, fields);
    this.#advanceSequence();
    addToCounter(this.channel.words, counterWord);
    return SendResult.dropped;
  }

  /** Chooses every attached lane with room. True when one had none (policy `block`: then nothing is chosen). */
  #chooseAll(): boolean {
    this.#chosenCount = 0;
    let full = false;
    for (let lane = 0; lane < this.channel.lanes.length; lane++) {
      if (!this.#isAttached(lane)) continue;
      if (this.#makeRoom(lane)) {
        this.#chosen[this.#chosenCount++] = lane;
      } else if (!this.#evictStalled(lane)) {
        full = true;
        this.#fullLane = lane;
        if (this.channel.policy === "block") break;
        this.observer?.missed(lane);
      }
    }
    return full;
  }

  /** Chooses the next attached lane with room, round robin. True when there is none: all full, or (policy `block`) nobody attached. */
  #chooseOne(): boolean {
    this.#chosenCount = 0;
    const laneCount = this.channel.lanes.length;
    let attached = 0;
    for (let i = 0; i < laneCount; i++) {
      const lane = (this.#nextLane + i) % laneCount;
      if (!this.#isAttached(lane)) continue;
      attached++;
      if (this.#hasRoom(lane)) return this.#choose(lane);
    }
    for (let i = 0; i < laneCount && this.channel.policy === "drop-oldest"; i++) {
      const lane = (this.#nextLane + i) % laneCount;
      if (this.#isAttached(lane) && this.#makeRoom(lane)) return this.#choose(lane);
    }
    if (attached > 0) {
      this.participant.suspectDeath();
      for (let lane = 0; lane < laneCount; lane++) if (this.#isAttached(lane)) this.#evictStalled(lane);
    }
    this.#fullLane = NO_LANE;
    if (attached > 0 && this.channel.policy === "fail") this.#fail(this.#nextLane);
    return attached > 0 || this.channel.policy === "block";
  }

  #choose(lane: number): false {
    this.#chosen[this.#chosenCount++] = lane;
    this.#nextLane = (lane + 1) % this.channel.lanes.length;
    return false;
  }

  #fail(lane: number): never {
    addToCounter(this.channel.words, ChannelLayout.failedWord);
    throw new BackpressureError(
      `channel ${this.channel.name}: lane ${lane} holds ${this.channel.laneCapacity} frames that nobody took`,
    );
  }

  /** True when the lane has room, or the policy made some. */
  #makeRoom(lane: number): boolean {
    if (this.#hasRoom(lane)) return true;
    // The policies that never wait would never look otherwise whether the consumer is dead.
    this.participant.suspectDeath();
    if (!this.#isAttached(lane)) return false;
    if (this.channel.policy === "fail") this.#fail(lane);
    if (this.channel.policy === "drop-oldest") return this.dropOldest(lane) || this.#hasRoom(lane);
    if (this.channel.policy === "drop-newest")
      addToCounter(this.channel.lanes[lane]!, RingLayout.droppedNewestWord);
    return false;
  }

  /** How long a blocked send or loan may sleep before it has to look for stalled consumers again. */
  get stallLeftMs(): number {
    return this.#stalls?.leftMs ?? Number.POSITIVE_INFINITY;
  }

  #evictStalled(lane: number): boolean {
    if (this.#stalls === null) return false;
    return this.#stalls.evictStalled(lane, this);
  }

  /**
   * For a producer that waits for a free block: evicts consumers that let frames lie in their lanes. True when one was evicted.
   * @throws StalledError when the blocks are with somebody who has taken them and does not let go
   */
  relieve(): boolean {
    this.#assertAttached();
    if (this.#stalls === null) return false;
    this.#stalls.startRound();
    if (this.#evictAllStalled(1)) return true;
    this.#stalls.assertBlocksMove();
    return false;
  }

  /** {@link relieve}. Milliseconds until it has to be done again. */
  lookForHoarders(): number {
    return this.relieve() ? 0 : this.stallLeftMs;
  }

  /** For a producer that waits for room: evicts consumers that leave their lanes full. Milliseconds until it has to look again. @throws StalledError */
  lookForStalled(): number {
    this.#assertAttached();
    if (this.#stalls === null) return Number.POSITIVE_INFINITY;
    this.#stalls.startRound();
    this.#evictAllStalled(this.channel.laneCapacity);
    return this.#stalls.leftMs;
  }

  /** A wait may outlive its producer: the lanes are a successor's then. */
  #assertAttached(): void {
    if (!this.#attached) throw new ClosedError(`this producer of channel ${this.channel.name}`);
  }

  /** Those who let at least so many frames lie. Like a send: who was evicted and joins again must not take from the history what is being taken back from it. */
  #evictAllStalled(frames: number): boolean {
    this.#history?.beginSend();
    try {
      let evicted = false;
      for (let lane = 0; lane < this.channel.lanes.length; lane++)
        if (this.#isAttached(lane) && this.#used(lane) >= frames && this.#evictStalled(lane)) evicted = true;
      return evicted;
    } finally {
      this.#history?.endSend();
    }
  }

  /** Takes the oldest untaken frame of a lane back (PROTOCOL.md §7.4). True when that made room. */
  dropOldest(lane: number): boolean {
    const words = this.channel.lanes[lane]!;
    const { participant } = this;
    let owner: number;
    let claimed: number;
    participant.enterSection();
    try {
      // SYNC lane-dead: a receiver swept before this read is seen here; one swept later waits for an even section before its slot is reused.
      owner = loadAcquire(words, RingLayout.consumerOwnerWord);
      claimed = receiverOf(owner) < 0 ? Claim.none : claimOldest(this.channel, words, owner, this);
    } finally {
      participant.leaveSection();
    }
    if (claimed === Claim.none) return false;
    if (claimed === Claim.stale) return true;
    this.observer?.takenBack(claimed, attachmentOf(lane, owner));
    addToCounter(this.channel.lanes[lane]!, RingLayout.droppedOldestWord);
    participant.ringer.ring(receiverOf(owner));
    return true;
  }

  /** Drops the oldest frame of the fullest lane, for a producer that finds no free block. True when a frame was dropped that is not in the history. */
  dropOldestOfFullest(): boolean {
    let fullest = NO_LANE;
    let most = this.channel.history;
    for (let lane = 0; lane < this.channel.lanes.length; lane++) {
      const used = this.#isAttached(lane) ? this.#used(lane) : 0;
      if (used > most) {
        most = used;
        fullest = lane;
      }
    }
    return fullest !== NO_LANE && this.dropOldest(fullest);
  }

  /** Steps 3-6 for the chosen lanes. Returns the number of lanes published to. */
  #publish(block: number, fields: Readonly<SendFields>, generation: number): number {
    const timestampNs = monotonicNs();
    if (this.#history !== null) this.#timestampNs = timestampNs;
    // The history is one holder more.
    const receiverCount = this.#chosenCount + (this.#history === null ? 0 : 1);
    let receivers = 0;
    for (let i = 0; i < this.#chosenCount; i++) {
      const lane = this.#chosen[i]!;
      const words = this.channel.lanes[lane]!;
      const owner = loadAcquire(words, RingLayout.consumerOwnerWord);
      const receiver = receiverOf(owner);
      const eligible =
        receiver >= 0 && receiver !== this.participant.index && (receivers & (1 << receiver)) === 0;
      this.#owners[lane] = eligible ? owner : NOBODY;
      if (!eligible) continue;
      const slot = this.channel.slotIndex(this.#tails[lane]!);
      writeLaneSlot(
        words,
        slot,
        block,
        fields,
        this.#sequence,
        timestampNs,
        generation,
        owner,
        receiverCount,
      );
      // Single writer: the producer. Recovery looks at the slots in [tail, prepared).
      storeRelease(words, RingLayout.preparedWord, (this.#tails[lane]! + 1) | 0);
      receivers |= 1 << receiver;
    }
    if (receivers === 0) return 0;
    // Before anybody can see this frame: a successor must not use its number again. A death leaves a gap instead.
    this.#storeNextSequence(this.#sequence + 1);
    // SYNC hand-over: before the second look at the owners; a sweep after their change sees these bits.
    if (!this.channel.pool.handOver(block, this.participant.bit, receivers)) {
      this.#withdraw();
      throw new FrameSharedError(block);
    }
    let sent = 0;
    for (let i = 0; i < this.#chosenCount; i++) if (this.#publishLane(this.#chosen[i]!, block)) sent++;
    return sent;
  }

  #publishLane(lane: number, block: number): boolean {
    const words = this.channel.lanes[lane]!;
    const owner = this.#owners[lane]!;
    if (owner === NOBODY) return false;
    const receiver = receiverOf(owner);
    // SYNC lane-dead: pairs with the CAS that detaches a consumer; changed: undo.
    if (loadAcquire(words, RingLayout.consumerOwnerWord) !== owner) {
      this.channel.pool.clear(block, 1 << receiver, this.participant.ringer);
      storeRelease(words, RingLayout.preparedWord, this.#tails[lane]!);
      addToCounter(this.channel.lanes[lane]!, RingLayout.undoneWord);
      return false;
    }
    const tail = (this.#tails[lane]! + 1) | 0;
    this.#tails[lane] = tail;
    // SYNC publish: release pairs with the receiver's acquire load of tail. Single writer: the producer.
    storeRelease(words, RingLayout.tailWord, tail);
    this.observer?.published(block, attachmentOf(lane, owner));
    return true;
  }

  #withdraw(): void {
    for (let i = 0; i < this.#chosenCount; i++) {
      const lane = this.#chosen[i]!;
      storeRelease(this.channel.lanes[lane]!, RingLayout.preparedWord, this.#tails[lane]!);
    }
  }

  #advanceSequence(): void {
    this.#sequence++;
    this.#storeNextSequence(this.#sequence);
  }

  #storeNextSequence(next: number): void {
    const words = this.channel.words;
    storePlain(words, ChannelLayout.sequenceLowWord, next | 0);
    storePlain(words, ChannelLayout.sequenceHighWord, (next / 2 ** 32) | 0);
  }

  /** Counts a frame that could not even be loaned. */
  countDropped(): void {
    this.#advanceSequence();
    addToCounter(this.channel.words, ChannelLayout.droppedWord);
  }

  /** Counts a loan that failed for want of a block. */
  countFailed(): void {
    addToCounter(this.channel.words, ChannelLayout.failedWord);
  }

  /** Counts a loan or a send that begins to wait. */
  countBlocked(): void {
    addToCounter(this.channel.words, ChannelLayout.blockedWord);
  }

  /** Ends the stream: consumers see the end after the last frame. */
  end(): void {
    if (!this.#attached) return;
    this.#attached = false;
    const { words, lanes } = this.channel;
    storeRelease(words, ChannelLayout.endedWord, ChannelLayout.endedByProducer);
    if (this.#history !== null) this.#history.close();
    detachOwner(words, ChannelLayout.producerOwnerWord, this.participant.index);
    for (const lane of lanes)
      this.participant.ringer.ring(ownerParticipant(loadAfterFence(lane, RingLayout.consumerOwnerWord)));
  }
}
