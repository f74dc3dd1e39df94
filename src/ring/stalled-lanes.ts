/** Consumers of frames that do not move, as the producer whom they block sees them (PROTOCOL.md §7.5). */
import { loadAcquire, loadHint } from "../memory/atomics.ts";
import type { ChannelGeometry } from "./channel-geometry.ts";
import { addToCounter } from "./counters.ts";
import type { Claimant } from "./drop-oldest.ts";
import { evictConsumer } from "./eviction.ts";
import { ChannelLayout, RingLayout } from "./layout.ts";
import { receiverOf } from "./owner.ts";
import type { Participant } from "./participant.ts";
import { StallWatch } from "./stall-watch.ts";

/** Holders that are participants. */
const PARTICIPANT_HOLDERS = 0x7fff_ffff;
const PROGRESS_FACTOR = 0x9e3779b1;

/** Changes when the consumer of the lane takes a frame, from the lane or from a history. */
function progressOf(lane: Int32Array): number {
  const fromHistory = loadHint(lane, RingLayout.fromHistoryWord);
  return (loadAcquire(lane, RingLayout.headWord) + Math.imul(fromHistory, PROGRESS_FACTOR)) | 0;
}

/** Watches the lanes of one channel, and its pool. */
export class StalledLanes {
  readonly #channel: ChannelGeometry;
  readonly #participant: Participant;
  /** One obstacle for each lane, and the pool. */
  readonly #watch: StallWatch;

  constructor(channel: ChannelGeometry, participant: Participant) {
    this.#channel = channel;
    this.#participant = participant;
    this.#watch = new StallWatch(channel.lanes.length + 1, channel.stallTimeoutMs);
  }

  /** A round of looks begins. */
  startRound(): void {
    this.#watch.startRound();
  }

  /** Until somebody of this round has stood for too long, if nobody moves. */
  get leftMs(): number {
    return this.#watch.leftMs;
  }

  /** True when the consumer of the lane has not moved for too long and was evicted. @throws StalledError by action `error` */
  evictStalled(lane: number, by: Claimant): boolean {
    const words = this.#channel.lanes[lane]!;
    const owner = loadAcquire(words, RingLayout.consumerOwnerWord);
    const receiver = receiverOf(owner);
    if (receiver < 0 || !this.#watch.hasStalled(lane, owner, progressOf(words))) return false;
    if (this.#channel.stallAction === "error") {
      const what = `channel ${this.#channel.name}: the consumer of lane ${lane}`;
      throw this.#participant.stalled(what, receiver, this.#watch.stoodMs(lane));
    }
    if (!this.#evict(words, owner, by)) return false;
    addToCounter(this.#channel.words, ChannelLayout.evictedWord);
    this.#participant.ringer.ring(receiver);
    return true;
  }

  #evict(lane: Int32Array, owner: number, by: Claimant): boolean {
    this.#participant.enterSection();
    try {
      return evictConsumer(this.#channel, lane, owner, by);
    } finally {
      this.#participant.leaveSection();
    }
  }

  /** @throws StalledError when others hold blocks, and none of the pool has changed hands for too long */
  assertBlocksMove(): void {
    const { pool } = this.#channel;
    let movement = 0;
    let someone = 0;
    for (let block = 0; block < pool.geometry.blockCount; block++) {
      const holders = pool.holders(block);
      movement = (Math.imul(movement, 31) + holders + pool.generation(block)) | 0;
      someone |= holders;
    }
    const obstacle = this.#channel.lanes.length;
    const others = someone & ~this.#participant.bit & PARTICIPANT_HOLDERS;
    if (others === 0 || !this.#watch.hasStalled(obstacle, movement, someone)) return;
    const what = `channel ${this.#channel.name}: every block is held`;
    throw this.#participant.stalled(what, 31 - Math.clz32(others & -others), this.#watch.stoodMs(obstacle));
  }
}
