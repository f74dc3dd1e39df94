/** Messages in the kill test: one producer, three consumers that each see every value, whole, in order and once. */
import { type MessageConsumer, Messages, type Region, WaitTimeoutError } from "../../src/index.ts";
import { cursorPositionWord, RecordsLayout } from "../../src/ring/records-layout.ts";
import type { Random } from "../support/random.ts";
import { type Actor, PATIENCE_MS, ready, strategyOf } from "./actor-roles.ts";
import { Ledger } from "./ledger.ts";
import type { Aftermath, Topology } from "./parts.ts";
import { sendNumbers } from "./parts-numbers.ts";

const NAME = "m";
const CONSUMERS = 3;
const PAD = "äp".repeat(400);

interface Note {
  readonly incarnation: number;
  readonly number: number;
  readonly text: string;
  readonly list: readonly number[];
}

function noteOf(incarnation: number, number: number): Note {
  // Some are no shape's: they carry their keys.
  const note = {
    incarnation,
    number,
    text: PAD.slice(0, (number * 37) % PAD.length),
    list: [number, ~number],
  };
  return number % 7 === 0 ? { list: note.list, text: note.text, number, incarnation } : note;
}

function open(region: Region): Messages<Note> {
  return Messages.open<Note>(region, NAME);
}

async function produce(actor: Actor, region: Region): Promise<void> {
  const { incarnation, wait } = actor.options;
  using ledger = Ledger.open(`${region.name}-ledger`);
  using tx = await actor.attach("producer", () => open(region).producer());
  ready(actor);
  await sendNumbers(actor, async (number, limit) => {
    if (wait === "await") await tx.sendAsync(noteOf(incarnation, number), limit);
    else tx.send(noteOf(incarnation, number), { ...limit, strategy: strategyOf(wait) });
    ledger.committed(incarnation, number + 1);
  });
}

/** What one stay of a consumer sees. */
class Watch {
  #last: Note | null = null;

  constructor(
    readonly ledger: Ledger,
    readonly fault: (what: string) => void,
  ) {}

  check(note: Note): void {
    const { incarnation, number } = note;
    if (!Bun.deepEquals(note, noteOf(incarnation, number))) this.fault(`${incarnation}:${number} is torn`);
    const last = this.#last;
    const goesOn = last?.incarnation === incarnation;
    const expected = goesOn ? last.number + 1 : 0;
    if (last !== null && number !== expected)
      this.fault(`${incarnation}:${number} came where ${expected} was due`);
    if (last !== null && !goesOn) {
      const committed = this.ledger.committedBy(last.incarnation);
      if (last.number + 1 < committed)
        this.fault(`of ${last.incarnation}, dead, ${committed} were published and ${last.number + 1} came`);
    }
    this.#last = note;
  }
}

async function consume(actor: Actor, region: Region): Promise<void> {
  using ledger = Ledger.open(`${region.name}-ledger`);
  const { wait } = actor.options;
  for (let stays = 0; !actor.stopping; stays++) {
    using rx = await actor.attach("consumer", () => open(region).consumer({ reconnect: true }));
    if (stays === 0) ready(actor);
    const watch = new Watch(ledger, (what) => actor.fault(what));
    while (!actor.stopping) {
      actor.beat();
      const note = await receive(rx, wait);
      if (note !== null) {
        watch.check(note);
        actor.frame();
      }
      if (actor.random.oneIn(64)) await Bun.sleep(0);
      if (actor.random.oneIn(500)) break; // leaves and joins again
    }
  }
}

/** Null: nothing for a while. */
async function receive(rx: MessageConsumer<Note>, wait: Actor["options"]["wait"]): Promise<Note | null> {
  const limit = { timeoutMs: PATIENCE_MS };
  try {
    const note =
      wait === "await" ? await rx.receiveAsync(limit) : rx.receive({ ...limit, strategy: strategyOf(wait) });
    return note ?? null;
  } catch (error) {
    if (!(error instanceof WaitTimeoutError)) throw error;
    return null;
  }
}

function create(region: Region, random: Random): void {
  const { words, maxConsumers } = Messages.create<Note>(region, NAME, {
    capacityBytes: random.pick([4096, 16384, 131072]),
    maxConsumers: CONSUMERS,
    history: random.pick([0, 8]),
    shapes: [["incarnation", "number", "text", "list"]],
  }).records.geometry;
  // Positions go round 2^31 or 2^32 soon, sequences at once.
  const position = random.pick([-65536, 0x7fff_0000]);
  words[RecordsLayout.tailWord] = position;
  words[RecordsLayout.firstMarkWord] = position;
  words[RecordsLayout.firstMarkWord + RecordsLayout.markSequenceWord] = random.pick([-20, 0x7fff_fff0]);
  words[RecordsLayout.claimWord] = position;
  words[RecordsLayout.epochWord] = position >>> 31;
  for (let k = 0; k < maxConsumers; k++) words[cursorPositionWord(k)] = position;
}

/** Every end can be taken again, and a value passes. */
function verify({ region }: Aftermath): string[] {
  const messages = open(region);
  using tx = messages.producer();
  const consumers = Array.from({ length: CONSUMERS }, () => messages.consumer({ history: 0 }));
  try {
    for (let number = 0; number < 100; number++) {
      tx.send(noteOf(1, number), { timeoutMs: 1000 });
      for (const rx of consumers)
        if (!Bun.deepEquals(rx.tryReceive(), noteOf(1, number)))
          return [`a newcomer's message ${number} does not arrive`];
    }
    return [];
  } finally {
    for (const rx of consumers) rx.close();
  }
}

export const messages: Topology = {
  name: "messages",
  parts: { producer: { count: 1, run: produce }, consumer: { count: CONSUMERS, run: consume } },
  create,
  verify,
};
