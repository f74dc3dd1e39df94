/**
 * Topologies as the conformance suite sees them: numbers go in at one end and come out at the other. **To add one**: write an
 * {@link Adapter} and list it in `adapters`; conformance.test.ts runs every behaviour over it and over every backend.
 */
import {
  Cell,
  Channel,
  type DeliveryName,
  Messages,
  type PolicyName,
  Queue,
  Records,
  type Region,
  Ring,
  type Waitable,
} from "../../src/index.ts";
import { bufferOf } from "../../src/ring/cell-geometry.ts";
import { CellLayout } from "../../src/ring/cell-layout.ts";
import { ChannelLayout, RingLayout } from "../../src/ring/layout.ts";
import { RecordHeader, RecordsLayout } from "../../src/ring/records-layout.ts";

export interface Sender {
  /** False: there is no room, or the policy dropped it. */
  send(value: number): boolean;
  close(): void;
}

export interface Receiver {
  /** Null: there is nothing new. */
  receive(): number | null;
  /** For waiting. */
  readonly end: Waitable;
  close(): void;
}

export interface Adapter {
  readonly name: string;
  /** What may happen when it is full; empty: it never is. */
  readonly policies: readonly PolicyName[];
  /** What was sent waits for a receiver that comes later; else receivers get what is sent from then on. */
  readonly keeps: boolean;
  /** So many of the last messages a receiver that comes later gets all the same; default 0. */
  readonly history?: number;
  /** Also when their sender has left. */
  readonly historyStays?: boolean;
  /** Only the newest value is to be had, again and again. */
  readonly latestOnly: boolean;
  /** A second sender is refused. */
  readonly oneSender: boolean;
  /** A second receiver is refused (`one`), `each` gets everything, or they `share` it: every message goes to one of them. */
  readonly receivers: "one" | "each" | "share";
  create(region: Region, capacity: number, policy: PolicyName): void;
  sender(region: Region): Sender;
  receiver(region: Region): Receiver;
  /** Writes an index that cannot be; returns what puts it right again. */
  corrupt(region: Region): () => void;
  /** Spoils the geometry. */
  spoil(region: Region): void;
}

const NAME = "it";
const SLOT_BYTES = 64;
const ECHO_WORD = 15;
const IMPOSSIBLE = 0x1234_5678;

function poke(words: Int32Array, index: number): () => void {
  const before = words[index]!;
  words[index] = IMPOSSIBLE;
  return () => {
    words[index] = before;
  };
}

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

function slotReceiver(rx: InPlace & Waitable): Receiver {
  return {
    end: rx,
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
  keeps: true,
  latestOnly: false,
  oneSender: true,
  receivers: "one",
  create: (region, capacity) => void Ring.create(region, NAME, { slotBytes: SLOT_BYTES, capacity }),
  sender: (region) => slotSender(Ring.open(region, NAME).producer()),
  receiver: (region) => slotReceiver(Ring.open(region, NAME).consumer()),
  corrupt: (region) => poke(Ring.open(region, NAME).geometry.words, RingLayout.tailWord),
  spoil: (region) => {
    Ring.open(region, NAME).geometry.words[RingLayout.capacityWord] = IMPOSSIBLE;
  },
};

function queue(producers: number, consumers: "one" | "many"): Adapter {
  return {
    name: `work queue, ${producers === 1 ? "one producer" : "many producers"}, ${consumers} consumer${consumers === "one" ? "" : "s"}`,
    policies: ["block", "fail", "drop-newest", "drop-oldest"],
    keeps: true,
    latestOnly: false,
    oneSender: producers === 1,
    receivers: consumers === "one" ? "one" : "share",
    create: (region, capacity, policy) =>
      void Queue.create(region, NAME, { slotBytes: SLOT_BYTES, capacity, producers, consumers, policy }),
    sender: (region) => slotSender(Queue.open(region, NAME).producer()),
    receiver(region) {
      const it = Queue.open(region, NAME);
      if (!it.geometry.sharedHeads) return slotReceiver(it.consumer());
      const taker = it.taker();
      return {
        end: taker,
        receive: () => (taker.take(1) === 0 ? null : readSlot(taker.words, 0)),
        close: () => taker.close(),
      };
    },
    corrupt: (region) => poke(Queue.open(region, NAME).geometry.lanes[0]!.words, RingLayout.tailWord),
    spoil: (region) => {
      Queue.open(region, NAME).geometry.lanes[0]!.words[RingLayout.capacityWord] = IMPOSSIBLE;
    },
  };
}

const cell: Adapter = {
  name: "latest-value cell",
  policies: [],
  keeps: true,
  latestOnly: true,
  oneSender: true,
  receivers: "each",
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
      end: reader,
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
    return poke(words, bufferOf(geometry, 1) + CellLayout.lengthWord);
  },
  spoil: (region) => {
    Cell.open(region, NAME).geometry.words[CellLayout.valueBytesWord] = IMPOSSIBLE;
  },
};

const FRAME_BYTES = 256;

function frames(history: number, delivery: DeliveryName = "all"): Adapter {
  return {
    name: `channel of frames${history > 0 ? ", history" : ""}${delivery === "one" ? ", each to one" : ""}`,
    history,
    policies: ["block", "fail", "drop-newest", "drop-oldest"],
    keeps: false,
    latestOnly: false,
    oneSender: true,
    receivers: delivery === "all" ? "each" : "share",
    create: (region, capacity, policy) =>
      void Channel.create(region, NAME, {
        frameBytes: FRAME_BYTES,
        laneCapacity: capacity,
        policy,
        history,
        delivery,
      }),
    sender(region) {
      const tx = Channel.open(region, NAME).producer();
      return {
        send(value) {
          const frame = tx.tryLoan()!;
          frame.bytes.fill(value);
          const sent = tx.trySend(frame);
          if (sent === null) frame.release();
          return sent === true;
        },
        close: () => tx.close(),
      };
    },
    receiver(region) {
      const rx = Channel.open(region, NAME).consumer({ reconnect: true });
      return {
        end: rx,
        receive() {
          using frame = rx.tryReceive();
          if (frame === null) return null;
          const [value] = frame.bytes;
          if (!frame.bytes.every((byte) => byte === value)) throw new Error("torn frame");
          return value!;
        },
        close: () => rx.close(),
      };
    },
    corrupt: (region) => poke(Channel.open(region, NAME).geometry.lanes[0]!, RingLayout.tailWord),
    spoil: (region) => {
      Channel.open(region, NAME).geometry.words[ChannelLayout.laneCountWord] = IMPOSSIBLE;
    },
  };
}

function corruptTail(region: Region): () => void {
  return poke(Records.open(region, NAME).geometry.words, RecordsLayout.tailWord);
}

function spoilRecords(region: Region): void {
  Records.open(region, NAME).geometry.words[RecordsLayout.capacityBytesWord] = IMPOSSIBLE;
}

function records(mode: "reliable" | "lossy", history = 0): Adapter {
  return {
    name: `records, ${mode}${history > 0 ? ", history" : ""}`,
    history,
    historyStays: true,
    policies: mode === "lossy" ? [] : ["block", "fail", "drop-newest"],
    keeps: false,
    latestOnly: false,
    oneSender: true,
    receivers: "each",
    create: (region, _capacity, policy) =>
      void Records.create(
        region,
        NAME,
        mode === "lossy"
          ? { capacityBytes: 4096, mode, history }
          : { capacityBytes: 4096, policy, history, maxConsumers: 2 },
      ),
    sender(region) {
      const tx = Records.open(region, NAME).producer();
      const payload = new Uint8Array(4096 / 8 - RecordHeader.sizeBytes);
      const { policy } = Records.open(region, NAME).geometry;
      return {
        send(value) {
          payload.fill(value);
          if (policy === "block" && !tx.tryReserve(payload.length)) return false;
          return tx.send(payload);
        },
        close: () => tx.close(),
      };
    },
    receiver(region) {
      const rx = Records.open(region, NAME).consumer({ reconnect: true });
      return {
        end: rx,
        receive() {
          const bytes = rx.tryReceive();
          if (bytes === null) return null;
          if (!bytes.every((byte) => byte === bytes[0])) throw new Error("torn record");
          return bytes[0]!;
        },
        close: () => rx.close(),
      };
    },
    corrupt: corruptTail,
    spoil: spoilRecords,
  };
}

/** So long that the capacity in messages is that of the suite: one byte for the shape, one for the value, three before the text. */
const TEXT_LENGTH = 4096 / 8 - RecordHeader.sizeBytes - 5;

function textOf(value: number): string {
  return String.fromCharCode(value + 0x20).repeat(TEXT_LENGTH);
}

const messages: Adapter = {
  name: "messages",
  policies: ["fail", "drop-newest"],
  keeps: false,
  latestOnly: false,
  oneSender: true,
  receivers: "each",
  create: (region, _capacity, policy) =>
    void Messages.create(region, NAME, {
      capacityBytes: 4096,
      maxConsumers: 2,
      policy,
      shapes: [["value", "text"]],
    }),
  sender(region) {
    const tx = Messages.open(region, NAME).producer();
    return {
      send: (value) => tx.send({ value, text: textOf(value) }),
      close: () => tx.close(),
    };
  },
  receiver(region) {
    const rx = Messages.open<{ value: number; text: string }>(region, NAME).consumer({ reconnect: true });
    return {
      end: rx,
      receive() {
        const message = rx.tryReceive();
        if (message === undefined) return null;
        if (message.text !== textOf(message.value)) throw new Error("torn message");
        return message.value;
      },
      close: () => rx.close(),
    };
  },
  corrupt: corruptTail,
  spoil: spoilRecords,
};

export const adapters: readonly Adapter[] = [
  ring,
  queue(1, "one"),
  queue(1, "many"),
  queue(2, "one"),
  queue(2, "many"),
  cell,
  frames(0),
  frames(2),
  frames(0, "one"),
  records("reliable"),
  records("reliable", 2),
  records("lossy"),
  records("lossy", 2),
  messages,
];
