/** Work queues and cells under fire: what memory-fuzz.ts does with them. Only types are imported here: src/ is loaded behind its hook. */
import type {
  Cell as CellClass,
  CellReader,
  CellWriter,
  PolicyName,
  Queue as QueueClass,
  QueueConsumer,
  QueueProducer,
  QueueTaker,
  Region,
} from "../../src/index.ts";
import type { Random } from "../support/random.ts";

/** The classes, loaded behind the hook. */
interface Physring {
  readonly Queue: typeof QueueClass;
  readonly Cell: typeof CellClass;
}

/** How the fuzzer calls things: null when a typed error came. */
interface Caller {
  attempt<T>(what: string, body: () => T): T | null;
  attemptAsync<T>(what: string, body: () => Promise<T>): Promise<T | null>;
  fault(what: string): void;
}

const CELL = "cell";
const QUEUES: readonly {
  name: string;
  consumers: "one" | "many";
  policy: PolicyName;
  stallTimeoutMs?: number;
}[] = [
  { name: "queue-one", consumers: "one", policy: "block" },
  { name: "queue-many", consumers: "many", policy: "fail" },
  { name: "queue-oldest", consumers: "one", policy: "drop-oldest" },
  { name: "queue-evict", consumers: "one", policy: "block", stallTimeoutMs: 1 },
];
const SLOT_BYTES = 32;

export function createQueues({ Queue, Cell }: Physring, region: Region): void {
  for (const { name, ...options } of QUEUES)
    Queue.create(region, name, { slotBytes: SLOT_BYTES, capacity: 4, producers: 2, ...options });
  Cell.create(region, CELL, { valueBytes: 100 });
}

export class QueueStage {
  readonly #physring: Physring;
  readonly #caller: Caller;
  readonly #random: Random;
  #producers: QueueProducer[] = [];
  #consumers: (QueueConsumer | QueueTaker)[] = [];
  #writer: CellWriter | null = null;
  #readers: CellReader[] = [];

  constructor(physring: Physring, caller: Caller, random: Random) {
    this.#physring = physring;
    this.#caller = caller;
    this.#random = random;
  }

  open(a: Region, b: Region, c: Region): void {
    const { Cell } = this.#physring;
    for (const { name } of QUEUES) {
      this.#attachProducer(a, name);
      this.#attachProducer(b, name);
      this.#attachConsumer(c, name);
      this.#attachConsumer(a, name);
    }
    this.#writer = this.#caller.attempt("cell writer", () => Cell.open(a, CELL).writer());
    for (const handle of [b, c]) {
      const reader = this.#caller.attempt("cell reader", () => Cell.open(handle, CELL).reader());
      if (reader !== null) this.#readers.push(reader);
    }
  }

  #attachProducer(handle: Region, name: string): void {
    const producer = this.#caller.attempt("queue producer", () =>
      this.#physring.Queue.open(handle, name).producer(),
    );
    if (producer !== null) this.#producers.push(producer);
  }

  #attachConsumer(handle: Region, name: string): void {
    const consumer = this.#caller.attempt("queue consumer", () => {
      const queue = this.#physring.Queue.open(handle, name);
      return queue.geometry.sharedHeads ? queue.taker({ burst: 3 }) : queue.consumer();
    });
    if (consumer !== null) this.#consumers.push(consumer);
  }

  async use(handle: Region | undefined): Promise<void> {
    const random = this.#random;
    if (this.#producers.length > 0) this.#produce(random.pick(this.#producers));
    if (this.#consumers.length > 0) await this.#consume(random.pick(this.#consumers));
    await this.#useCell();
    if (handle !== undefined && random.oneIn(16)) this.#comeAndGo(handle);
  }

  #produce(tx: QueueProducer): void {
    const { attempt, fault } = this.#caller;
    attempt("queue produce", () => {
      const count = tx.reserve(1 + this.#random.below(6));
      for (let i = 0, at = tx.at; i < count; i++, at += tx.slotWords) {
        if (tx.words[at + tx.slotWords - 1] === undefined) fault("queue slot outside");
        tx.write(i, i, 0, 64, i);
      }
      tx.commit(count);
    });
    if (this.#random.oneIn(32)) attempt("queue producer block", () => tx.block({ timeoutMs: 1 }));
  }

  async #consume(rx: QueueConsumer | QueueTaker): Promise<void> {
    const { attempt, attemptAsync, fault } = this.#caller;
    attempt("queue consume", () => {
      const count = "take" in rx ? rx.take(5) : rx.peek(5);
      if (count > 5) fault(`${count} messages of 5`);
      for (let i = 0, at: number = rx.at; i < count; i++, at += rx.slotWords)
        if (rx.words[at + rx.slotWords - 1] === undefined) fault("queue message outside");
      if ("release" in rx) rx.release(count);
    });
    attempt("queue ended", () => rx.ended);
    if (this.#random.oneIn(16)) attempt("queue block", () => rx.block({ timeoutMs: 1 }));
    if (this.#random.oneIn(16)) await attemptAsync("queue wait", () => rx.wait({ timeoutMs: 1 }));
  }

  async #useCell(): Promise<void> {
    const { attempt, attemptAsync, fault } = this.#caller;
    const writer = this.#writer;
    if (writer !== null)
      attempt("cell write", () => {
        writer.begin().fill(1);
        writer.commit(this.#random.below(101));
      });
    if (this.#readers.length === 0) return;
    const reader = this.#random.pick(this.#readers);
    attempt("cell read", () => {
      const length = reader.read();
      if (length > 100) fault(`a value of ${length} bytes`);
    });
    attempt("cell peek", () => {
      if (reader.peek() > 0 && reader.cellWords[reader.at] === undefined) fault("cell value outside");
    });
    if (this.#random.oneIn(16)) attempt("cell block", () => reader.block({ timeoutMs: 1 }));
    if (this.#random.oneIn(16)) await attemptAsync("cell wait", () => reader.wait({ timeoutMs: 1 }));
  }

  #comeAndGo(handle: Region): void {
    const { attempt } = this.#caller;
    const { name } = this.#random.pick(QUEUES);
    attempt("queue counters", () => this.#physring.Queue.open(handle, name).counters);
    const producer = this.#producers.shift();
    if (producer !== undefined) attempt("queue producer close", () => producer.close());
    this.#attachProducer(handle, name);
    const consumer = this.#consumers.shift();
    if (consumer !== undefined) attempt("queue consumer close", () => consumer.close());
    this.#attachConsumer(handle, name);
    if (this.#random.oneIn(8)) attempt("queue end", () => this.#physring.Queue.open(handle, name).end());
  }

  forget(): void {
    this.#producers = [];
    this.#consumers = [];
    this.#writer = null;
    this.#readers = [];
  }
}
