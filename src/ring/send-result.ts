/** What a send of frames comes to, and whom it tells. */

/** Outcome of a send that did not throw. */
export const SendResult = {
  /** Published to at least one lane. */
  sent: 0,
  /** Dropped by policy, or nobody is attached: the block was released. */
  dropped: 1,
  /** No room under policy `block`: nothing happened, wait and try again. */
  full: 2,
} as const;
export type SendResultCode = (typeof SendResult)[keyof typeof SendResult];

/** Told, synchronously, who gets which frame. For exact accounting; `attachment` is {@link LaneReceiver.attachment}. */
export interface SendObserver {
  /** The block of the frame being sent went to this consumer. */
  published(block: number, attachment: number): void;
  /** The oldest frame of this consumer, in this block, was dropped before the consumer took it. */
  takenBack(block: number, attachment: number): void;
  /** The consumer of this lane does not get the frame being sent: its lane is full. */
  missed(lane: number): void;
}
