/** Single-line mistakes in the work queue that the schedules must catch. */
import type { NamedMutation } from "./mutations.ts";

const ENDS = "src/ring/queue-ends.ts";
const PRODUCER = "src/ring/queue-producer.ts";
const CONSUMER = "src/ring/queue-consumer.ts";
const TAKER = "src/ring/queue-taker.ts";
const SHARED = "src/ring/shared-head.ts";
const SLEEPERS = "src/ring/sleepers.ts";
const STALL = "src/ring/queue-stall.ts";
const RECEIVER = "src/ring/queue-receiver.ts";

const ENDING: readonly NamedMutation[] = [
  {
    what: "publishes without waking",
    small: true,
    file: PRODUCER,
    from: "if (this.sleepers.any()) this.sleepers.rouseOne(this.participant.ringer);",
    to: "",
  },
  {
    what: "sleeps without saying so",
    small: true,
    file: SLEEPERS,
    from: "fetchOr(this.words, this.index, bit);",
    to: "fetchOr(this.words, this.index, 0);",
  },
  {
    what: "the last producer leaves an ended queue without waking",
    file: ENDS,
    from: "if (isEnded(queue)) new Sleepers(queue.words, QueueLayout.sleepersWord).rouseAll(ringer);",
    to: "",
  },
  {
    what: "attach without a second look at the end",
    file: ENDS,
    from: "detachProducer(queue, lane, participant, ringer);\n    throw",
    to: "if (queue === null) throw",
  },
  {
    what: "a producer that came too late leaves without waking",
    file: ENDS,
    from: "detachProducer(queue, lane, participant, ringer);\n    throw",
    to: "detachOwner(queue.lanes[lane]!.words, RingLayout.producerOwnerWord, participant);\n    throw",
  },
  {
    what: "over although a producer is there",
    file: ENDS,
    from: "if (ownerParticipant(loadAcquire(words, RingLayout.producerOwnerWord)) >= 0) return false;",
    to: "if (ownerParticipant(loadAcquire(words, RingLayout.producerOwnerWord)) > 99) return false;",
  },
  {
    what: "recovery leaves the lanes of the dead",
    file: ENDS,
    from: "for (const { words } of queue.lanes) detachOwner(words, RingLayout.producerOwnerWord, participant);",
    to: "",
  },
];

export const QUEUE_ONE_MUTATIONS: readonly NamedMutation[] = [
  ...ENDING,
  {
    what: "releases in the lane that is next",
    file: CONSUMER,
    from: "const lane = this.peeked;",
    to: "const lane = this.lanes[0];",
  },
  {
    what: "looks at the first lane only",
    file: ENDS,
    from: "return used < 1 ? 1 : used < length ? used : length;",
    to: "return used < 1 ? 1 : used < length ? 1 : 1;",
  },
  {
    what: "released without waking the producer",
    file: CONSUMER,
    from: "ownerParticipant(loadAfterFence(lane.words, RingLayout.producerOwnerWord))",
    to: "-1",
  },
  {
    what: "recovery forgets that the consumer is gone",
    file: ENDS,
    from: "fetchAnd(queue.words, QueueLayout.consumersWord, ~bit);\n  fetchAnd(queue.words, QueueLayout.sleepersWord, ~bit);",
    to: "fetchAnd(queue.words, QueueLayout.sleepersWord, ~bit);",
  },
];

export const QUEUE_MANY_MUTATIONS: readonly NamedMutation[] = [
  ...ENDING,
  {
    what: "whoever waits for room rings nobody",
    file: PRODUCER,
    from: "if (!isReady && this.sleepers.any()) this.sleepers.rouseAll(this.participant.ringer);",
    to: "",
    small: "alone",
  },
  {
    what: "a lost claim taken for a won one",
    file: SHARED,
    from: "if (compareAndSwap(this.words, RingLayout.headWord, head, (head + count) | 0)) return count;",
    to: "compareAndSwap(this.words, RingLayout.headWord, head, (head + count) | 0); return count;",
  },
  {
    what: "head moved by a store",
    file: SHARED,
    from: "if (compareAndSwap(this.words, RingLayout.headWord, head, (head + count) | 0)) return count;",
    to: "this.words[RingLayout.headWord] = (head + count) | 0; return count;",
  },
  {
    what: "tail read without acquire",
    file: SHARED,
    from: "const tail = confirmHint(this.words, RingLayout.tailWord, tailHint) | 0;",
    to: "const tail = tailHint;",
  },
  {
    what: "a head beyond the tail that is known taken for messages",
    file: SHARED,
    from: "if (known === 0 || known > this.capacity) return this.look();",
    to: "if (known === 0) return this.look();",
  },
  {
    what: "claimed before it is copied",
    file: SHARED,
    from: "const position = head & this.mask;",
    to: "const position = head & this.mask; compareAndSwap(this.words, RingLayout.headWord, head, (head + 1) | 0);",
  },
  {
    what: "whoever leaves messages does not pass on",
    file: TAKER,
    from: "if (this.sleepers.any()) this.passOn();",
    to: "",
  },
  {
    what: "passes on to nobody",
    file: RECEIVER,
    from: "if (this.sleepers.any() && this.mayBeReady()) this.sleepers.rouseOne(this.participant.ringer);",
    to: "if (this.sleepers.any() && !this.mayBeReady()) this.sleepers.rouseOne(this.participant.ringer);",
  },
  {
    what: "taken without waking the producer",
    file: TAKER,
    from: "ownerParticipant(loadAfterFence(reader.words, RingLayout.producerOwnerWord))",
    to: "-1",
  },
  {
    what: "oldest dropped without looking whether they were taken",
    file: SHARED,
    from: "return compareAndSwap(words, RingLayout.headWord, head, (head + count) | 0);",
    to: "compareAndSwap(words, RingLayout.headWord, loadHint(words, RingLayout.headWord), (head + count) | 0); return true;",
  },
];

export const QUEUE_STALL_MUTATIONS: readonly NamedMutation[] = [
  {
    what: "evicted without being rung",
    small: "alone",
    file: STALL,
    from: "ringer.ring(one);",
    to: "",
  },
  {
    what: "evicts whoever came in the meantime",
    file: STALL,
    from: "if (!compareAndSwap(words, QueueLayout.consumersWord, consumers, 0)) return;",
    to: "compareAndSwap(words, QueueLayout.consumersWord, loadAcquire(words, QueueLayout.consumersWord), 0);",
  },
  {
    what: "an evicted consumer goes on taking",
    small: true,
    file: TAKER,
    from: "if (this.isEvicted()) this.refuseEvicted();",
    to: "",
  },
  {
    what: "an evicted consumer gives its successor's place away",
    small: true,
    file: TAKER,
    from: "if (!this.isEvicted()) detachConsumer(this.queue, this.participant.bit);",
    to: "detachConsumer(this.queue, -1);",
  },
  {
    what: "head moved by a store",
    file: SHARED,
    from: "if (compareAndSwap(this.words, RingLayout.headWord, head, (head + count) | 0)) return count;",
    to: "this.words[RingLayout.headWord] = (head + count) | 0; return count;",
  },
  {
    what: "stalled consumers keep their places",
    small: "alone",
    file: STALL,
    from: "if (consumers !== 0 && stalled) this.evictConsumers(consumers);",
    to: "",
  },
];
