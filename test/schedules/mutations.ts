/** Single-line mistakes that the schedules must catch: what a slip in an edit would look like. */
import type { Mutation } from "./transform.ts";

const SPSC = "src/ring/spsc.ts";
const SENDER = "src/ring/lane-sender.ts";
const RECEIVER = "src/ring/lane-receiver.ts";
const RECOVERY = "src/ring/recovery.ts";
const POOL = "src/ring/pool.ts";
const DROP = "src/ring/drop-oldest.ts";
const EVICTION = "src/ring/eviction.ts";
const KEEPER = "src/ring/history-keeper.ts";
const TAKER = "src/ring/history-taker.ts";

export interface NamedMutation extends Mutation {
  readonly what: string;
  /** The scenario that meets it soonest, tried first. */
  readonly where?: string;
  /** One of the small cases, explored exhaustively, must meet it as well; or alone: at random nobody is stopped. */
  readonly small?: true | "alone";
}

export const SPSC_MUTATIONS: readonly NamedMutation[] = [
  {
    what: "tail published without release",
    small: true,
    file: SPSC,
    from: "publish(this.words, RingLayout.tailWord, this.tail);",
    to: "storePlain(this.words, RingLayout.tailWord, this.tail);",
  },
  {
    what: "tail read without acquire",
    small: true,
    file: SPSC,
    from: "this.cachedTail = this.checkedTail(confirmHint(this.words, RingLayout.tailWord, hint) | 0);",
    to: "this.cachedTail = this.checkedTail(hint);",
  },
  {
    what: "one slot too many",
    small: true,
    file: SPSC,
    from: "let free = (this.capacity - ((this.tail",
    to: "let free = (this.capacity + 1 - ((this.tail",
  },
  {
    what: "a slot published that was not written",
    small: true,
    file: SPSC,
    from: "this.tail = (this.tail + count) | 0;",
    to: "this.tail = (this.tail + count + 1) | 0;",
  },
  {
    what: "runs past the wrap",
    small: true,
    file: SPSC,
    from: "const wanted = (max < room ? max : room) | 0;",
    to: "const wanted = max | 0;",
  },
  {
    what: "lines touched that are not free",
    file: SPSC,
    from: "if (ahead > limit) ahead = limit;",
    to: "if (ahead > this.capacity) ahead = this.capacity;",
  },
  {
    what: "released before it is read",
    small: true,
    file: SPSC,
    from: "this.peeked = count;\n    return count;",
    to: "this.peeked = count; publish(this.words, RingLayout.headWord, (this.head + count) | 0);\n    return count;",
  },
];

export const LANE_MUTATIONS: readonly NamedMutation[] = [
  {
    what: "no prepared index",
    small: true,
    file: SENDER,
    from: "storeRelease(words, RingLayout.preparedWord, (this.#tails[lane]! + 1) | 0);",
    to: "",
  },
  {
    what: "owners not looked at again",
    small: true,
    file: SENDER,
    from: "if (loadAcquire(words, RingLayout.consumerOwnerWord) !== owner) {",
    to: "if (loadAcquire(words, RingLayout.consumerOwnerWord) === -1) {",
  },
  {
    what: "undo forgets the receiver's hold",
    small: true,
    file: SENDER,
    from: "this.channel.pool.clear(block, 1 << receiver, this.participant.ringer);",
    to: "",
  },
  {
    what: "lane full counted one too late",
    file: SENDER,
    from: "return this.#used(lane) < this.channel.laneCapacity;",
    to: "return this.#used(lane) <= this.channel.laneCapacity;",
  },
  {
    what: "joiner visible before its head is right",
    small: true,
    file: RECEIVER,
    from: "participant.index, OwnerWord.busyBit);",
    to: "participant.index, 0);",
  },
  {
    what: "leaver does not wait for a send under way",
    small: true,
    file: RECEIVER,
    from: "return empty && loadAcquire(words, RingLayout.preparedWord) === tail;",
    to: "return empty;",
  },
  {
    what: "lane left before it is drained",
    where: "come and go",
    file: RECEIVER,
    from: "if (!markBusy(words, RingLayout.consumerOwnerWord, this.#owner)) return;",
    to: "if (!detachOwner(words, RingLayout.consumerOwnerWord, this.participant.index)) return;",
  },
  {
    what: "slot given back before it is copied",
    file: RECEIVER,
    from: "this.#copySlot(this.#head);",
    to: "storeRelease(words, RingLayout.headWord, (this.#head + 1) | 0); this.#copySlot(this.#head);",
  },
  {
    what: "end of stream believed without a second look",
    small: true,
    file: RECEIVER,
    from: 'if (used !== 0 || this.#pending > 0) return "open";',
    to: 'if (this.#pending > 0) return "open";',
  },
  {
    what: "recovery leaves receivers what was never published",
    small: true,
    file: RECOVERY,
    from: "if (channel.pool.isHeld(block, bit, generation)) channel.pool.clear(block, 1 << receiver, ringer);",
    to: "",
  },
  {
    what: "recovery sweeps before it detaches",
    small: true,
    file: RECOVERY,
    from: "let corruptObjects = readEntries(region, entries);",
    to: "let corruptObjects = readEntries(region, entries); for (const entry of entries) if (entry.kind === ObjectKind.pool) sweep(region, entry, participant, ringer); entries.splice(0, entries.length, ...entries.filter((entry) => entry.kind !== ObjectKind.pool));",
  },
  {
    what: "release clears everybody's hold",
    small: true,
    file: POOL,
    from: "PoolLayout.holdersWord, ~bit);",
    to: "PoolLayout.holdersWord, 0);",
  },
];

export const DROP_MUTATIONS: readonly NamedMutation[] = [
  {
    what: "two loads that contradict each other taken for corruption",
    small: true,
    file: RECEIVER,
    from: "if (loadAcquire(words, RingLayout.headWord) === head) {",
    to: "if (used > 0) {",
  },
  {
    what: "consumer does not compete for the head",
    small: true,
    file: RECEIVER,
    from: "if (compareAndSwap(words, RingLayout.headWord, head, headWord(headIndex(head) + 1))) return true;",
    to: "storeRelease(words, RingLayout.headWord, headWord(headIndex(head) + 1)); return true;",
  },
  {
    what: "claim without a mark",
    small: true,
    file: DROP,
    from: "if (!compareAndSwap(lane, RingLayout.headWord, head, head | CLAIM)) return Claim.none;",
    to: "if (!compareAndSwap(lane, RingLayout.headWord, head, next)) return Claim.none;",
  },
  {
    what: "claimed without taking the hold back",
    small: true,
    file: DROP,
    from: "return channel.pool.takeBack(block, 1 << receiver, bit, generation);",
    to: "return channel.pool.holders(block);",
  },
  {
    what: "a claim not finished by recovery",
    small: true,
    file: RECOVERY,
    from: "if (channel.claimedHeads) completeClaim(channel, lane, bit);",
    to: "",
  },
  {
    what: "a taken-back block not released",
    small: true,
    file: DROP,
    from: "if ((before & by.bit) === 0) by.letGo(block);",
    to: "",
  },
  {
    what: "claim does not look whether it was beaten",
    small: true,
    file: DROP,
    from: "if (isClaimed(head) || usedSlots(loadAcquire(lane, RingLayout.tailWord), head) === 0) return Claim.none;",
    to: "if (isClaimed(head)) return Claim.none;",
  },
];

export const EVICTION_MUTATIONS: readonly NamedMutation[] = [
  {
    what: "the lane is free before its frames are taken back",
    small: true,
    file: EVICTION,
    from: "const evicting = evictingWord(owner);",
    to: "const evicting = nextGeneration(owner);",
  },
  {
    what: "frames left in the lane",
    small: true,
    file: EVICTION,
    from: "takeAllBack(channel, lane, ownerBefore(evicting), by);",
    to: "",
  },
  {
    what: "taken back and kept",
    small: true,
    file: DROP,
    from: "if ((before & by.bit) === 0) by.letGo(block);",
    to: "",
  },
  {
    what: "given up when the consumer was faster once",
    file: EVICTION,
    from: "if (claimed !== Claim.none) continue;",
    to: "if (claimed !== Claim.none) continue; return;",
  },
  {
    what: "slots of another owner word looked for",
    file: EVICTION,
    from: "takeAllBack(channel, lane, ownerBefore(evicting), by);",
    to: "takeAllBack(channel, lane, evicting, by);",
  },
  {
    what: "recovery does not finish an eviction",
    file: RECOVERY,
    from: "if (channel.claimedHeads) completeEviction(channel, lane, new CleaningClaimant(channel.pool, bit, ringer));",
    to: "",
  },
  {
    what: "the end of the stream hides an eviction",
    file: RECEIVER,
    from: 'if (this.isEvicted()) return "open";',
    to: "",
  },
  {
    what: "an evicted consumer takes its successor's frame",
    file: RECEIVER,
    from: "if (this.#slot[LaneSlotLayout.receiverWord] !== this.#owner && this.isEvicted()) return false;",
    to: "",
  },
  {
    what: "takes without a claim",
    file: RECEIVER,
    from: "if (compareAndSwap(words, RingLayout.headWord, head, headWord(headIndex(head) + 1))) return true;",
    to: "storeRelease(words, RingLayout.headWord, headWord(headIndex(head) + 1)); return true;",
  },
];

export const HISTORY_MUTATIONS: readonly NamedMutation[] = [
  {
    what: "lets go of a block that is wanted",
    where: "block, one frame",
    file: KEEPER,
    from: "if (!this.#isWanted(block)) {",
    to: "if (this.#isWanted(block) || true) {",
  },
  {
    what: "late block forgotten",
    file: KEEPER,
    from: "if (this.#isWanted(block)) this.#late.push(block);",
    to: "if (this.#isWanted(block)) continue;",
  },
  {
    what: "head moved after the slot is written",
    file: KEEPER,
    from: "    storeRelease(this.#channel.words, ChannelLayout.historyHeadWord, this.#head);",
    to: "",
  },
  {
    what: "published before the slot is written",
    file: KEEPER,
    from: "writeLaneSlot(slots, slot",
    to: "storeRelease(words, ChannelLayout.historyTailWord, (this.#tail + 1) | 0); writeLaneSlot(slots, slot",
  },
  {
    what: "one frame too many kept",
    file: KEEPER,
    from: "((this.#tail - this.#head) | 0) === channel.history",
    to: "((this.#tail - this.#head) | 0) > channel.history",
  },
  {
    what: "a send does not say that it is under way",
    file: KEEPER,
    from: "this.#sending = (this.#sending + 1) | 0;",
    to: "",
  },
  {
    what: "a dead producer's send stays under way",
    file: KEEPER,
    from: "if ((sending & 1) === 1) storeRelease(words, ChannelLayout.sendingWord, (sending + 1) | 0);",
    to: "",
  },
  {
    what: "a taken-back block of the history released",
    where: "evict",
    file: DROP,
    from: "if ((before & by.bit) === 0) by.letGo(block);",
    to: "by.letGo(block);",
  },
  {
    what: "joiner does not wait for a send under way",
    file: TAKER,
    from: "if ((before & 1) === 0) return true;",
    to: "if (before !== -1) return true;",
  },
  {
    what: "joiner does not say what it wants",
    where: "block, one frame",
    file: TAKER,
    from: "this.#participant.want(block);",
    to: "",
  },
  {
    what: "joiner does not look at the head",
    file: TAKER,
    from: "if (((number - head) | 0) < 0) return Taken.gone;",
    to: "",
  },
  {
    what: "joiner's bit not among the takers",
    where: "block, one frame",
    file: TAKER,
    from: "fetchOr(channel.words, ChannelLayout.takersWord, this.#participant.bit);",
    to: "",
  },
  {
    what: "joiner does not look at its lane",
    where: "drop-newest",
    file: TAKER,
    from: "slotSequence(this.slots, at) >= first",
    to: "slotSequence(this.slots, at) >= Number.POSITIVE_INFINITY",
  },
  {
    what: "takes one frame too few",
    file: TAKER,
    from: "back <= this.#channel.history",
    to: "back < this.#channel.history",
  },
  {
    what: "history before it is seen by senders",
    file: RECEIVER,
    from: "storeRelease(words, RingLayout.consumerOwnerWord, owner);\n        if (history > 0) receiver.#takeHistory(history);",
    to: "if (history > 0) receiver.#takeHistory(history);\n        storeRelease(words, RingLayout.consumerOwnerWord, owner);",
  },
  {
    what: "frames not received are not let go",
    file: RECEIVER,
    from: "    this.#dropPending();",
    to: "",
  },
  {
    what: "recovery leaves what the dead wanted",
    file: RECOVERY,
    from: "storeRelease(words, record + ParticipantRecord.wantedWord, 0);",
    to: "",
  },
  {
    what: "recovery leaves the history open",
    file: RECOVERY,
    from: "if (channel.history > 0) closeHistory(channel);",
    to: "",
  },
];
