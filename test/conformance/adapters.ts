/**
 * Topologies as the conformance suite sees them: numbers go in at one end and come out at the other. **To add one**: write an
 * {@link Adapter} and list it in `adapters`; conformance.test.ts runs every behaviour over it and over every backend.
 */
import { Cell, type PolicyName, Queue, type Region, Ring } from "../../src/index.ts";
import { bufferOf } from "../../src/ring/cell-geometry.ts";
import { CellLayout } from "../../src/ring/cell-layout.ts";
import { RingLayout } from "../../src/ring/layout.ts";

export interface Sender {
  /** False: there is no room, or the policy dropped it. */
  send(value: number): boolean;
  close(): void;
}

export interface Receiver {
  /** Null: there is nothing new. */
  receive(): number | null;
  close(): void;
}

export interface Adapter {
  readonly name: string;
  /** What may happen when it is full; empty: it never is. */
  readonly policies: readonly PolicyName[];
  /** Only the newest value is to be had, again and again. */
  readonly latestOnly: boolean;
  /** A second sender is refused. */
  readonly oneSender: boolean;
  create(region: Region, capacity: number, policy: PolicyName): void;
  sender(region: Region): Sender;
  receiver(region: Region): Receiver;
  /** Writes an index that cannot be. */
  corrupt(region: Region): void;
  /** Spoils the geometry. */
  spoil(region: Region): void;
}

const NAME = "it";
const SLOT_BYTES = 64;
const ECHO_WORD = 15;
const IMPOSSIBLE = 0x1234_5678;

/** First and last word of a slot say the same: a torn message does not. */
function readSlot(words: Int32Array, at: number): number {
  const value = words[at]!;
  if (words[at + ECHO_WORD] !== ~value) throw new Error(`torn: ${value}`);
  return value;
}

interface RingLikeSender {
  readonly words: Int32Array;
  readonly at: number;
  reserve(max: number): number;
  commit(count: number): void;
  [Symbol.dispose](): void;
}

function slotSender(tx: RingLikeSender): Sender {
  return {
    send(value) {
      if (tx.reserve(1) === 0) return false;
      tx.words[tx.at] = value;
      tx.words[tx.at + ECHO_WORD] = ~value;
      tx.commit(1);
      return true;
    },
    close: () => tx[Symbol.dispose](),
  };
}

interface InPlace {
  readonly words: Int32Array;
  readonly at: number;
  peek(max: number): number;
  release(count: number): void;
  [Symbol.dispose](): void;
}

function slotReceiver(rx: InPlace): Receiver {
  return {
    receive() {
      if (rx.peek(1) === 0) return null;
      const value = readSlot(rx.words, rx.at);
      rx.release(1);
      return value;
    },
    close: () => rx[Symbol.dispose](),
  };
}

const ring: Adapter = {
  name: "SPSC ring",
  policies: ["block"],
  latestOnly: false,
  oneSender: true,
  create: (region, capacity) => void Ring.create(region, NAME, { slotBytes: SLOT_BYTES, capacity }),
  sender: (region) => slotSender(Ring.open(region, NAME).producer()),
  receiver: (region) => slotReceiver(Ring.open(region, NAME).consumer()),
  corrupt: (region) => {
    Ring.open(region, NAME).geometry.words[RingLayout.tailWord] = IMPOSSIBLE;
  },
  spoil: (region) => {
    Ring.open(region, NAME).geometry.words[RingLayout.capacityWord] = IMPOSSIBLE;
  },
};

function queue(consumers: "one" | "many"): Adapter {
  return {
    name: `work queue, ${consumers} consumer${consumers === "one" ? "" : "s"}`,
    policies: ["block", "fail", "drop-newest", "drop-oldest"],
    latestOnly: false,
    oneSender: true,
    create: (region, capacity, policy) =>
      void Queue.create(region, NAME, { slotBytes: SLOT_BYTES, capacity, producers: 1, consumers, policy }),
    sender: (region) => slotSender(Queue.open(region, NAME).producer()),
    receiver(region) {
      const it = Queue.open(region, NAME);
      if (!it.geometry.sharedHeads) return slotReceiver(it.consumer());
      const taker = it.taker();
      return {
        receive: () => (taker.take(1) === 0 ? null : readSlot(taker.words, 0)),
        close: () => taker.close(),
      };
    },
    corrupt: (region) => {
      Queue.open(region, NAME).geometry.lanes[0]!.words[RingLayout.tailWord] = IMPOSSIBLE;
    },
    spoil: (region) => {
      Queue.open(region, NAME).geometry.lanes[0]!.words[RingLayout.capacityWord] = IMPOSSIBLE;
    },
  };
}

const cell: Adapter = {
  name: "latest-value cell",
  policies: [],
  latestOnly: true,
  oneSender: true,
  create: (region) => void Cell.create(region, NAME, { valueBytes: SLOT_BYTES }),
  sender(region) {
    const writer = Cell.open(region, NAME).writer();
    return {
      send(value) {
        writer.begin();
        writer.words[writer.at] = value;
        writer.words[writer.at + ECHO_WORD] = ~value;
        writer.commit();
        return true;
      },
      close: () => writer.close(),
    };
  },
  receiver(region) {
    const reader = Cell.open(region, NAME).reader();
    return {
      receive: () => (reader.ready() && reader.read() >= 0 ? readSlot(reader.words, 0) : null),
      close: () => undefined,
    };
  },
  corrupt(region) {
    const { geometry } = Cell.open(region, NAME);
    const { words } = geometry;
    // The buffer of the newest value says that it is longer than any.
    words[CellLayout.latestWord] = 1;
    words[bufferOf(geometry, 1)] = 1;
    words[bufferOf(geometry, 1) + CellLayout.lengthWord] = IMPOSSIBLE;
  },
  spoil: (region) => {
    Cell.open(region, NAME).geometry.words[CellLayout.valueBytesWord] = IMPOSSIBLE;
  },
};

export const adapters: readonly Adapter[] = [ring, queue("one"), queue("many"), cell];
