/** Who only polls, and never sleeps in the library, notices deaths as well: on its next poll in vain, at most every 50 ms. */
import { afterEach, describe, expect, test } from "bun:test";
import { Cell, Channel, Messages, Queue, Records, Ring, Service } from "../../src/index.ts";
import { ParticipantRecord, participantRecordWord } from "../../src/memory/layout.ts";
import { Participant } from "../../src/ring/participant.ts";
import { expectCode } from "../support/errors.ts";
import { Patience } from "../support/patience.ts";
import { RegionPair } from "../support/regions.ts";
import { endSurvivors, Survivor } from "./survivors.ts";

afterEach(endSurvivors);

/** On an idle machine it is 100 ms; here others may have the processors. */
const LATEST_MS = 1000;

type Poll = () => unknown;
const SLOTS = { slotBytes: 16, capacity: 4 };
const SMALL = { clients: 1, requestBytes: 8192, responseBytes: 8192 };
const MANY = { ...SLOTS, consumers: "many" } as const;

/** Has taken part in the region, and looks no more in its event loop. */
async function waited(end: { wait(options: { timeoutMs: number }): Promise<boolean> }): Promise<void> {
  await end.wait({ timeoutMs: 1 });
  await Bun.sleep(250);
}

/** For each kind of end, something that is asked in vain. */
const IN_VAIN: Record<string, (pair: RegionPair) => Poll | Promise<Poll>> = {
  "ring consumer, peek": ({ a }) => {
    const consumer = Ring.create(a, "x", SLOTS).consumer();
    return () => consumer.peek(1);
  },
  "ring producer, reserve": ({ a }) => {
    const producer = Ring.create(a, "x", SLOTS).producer();
    producer.commit(producer.reserve(4));
    return () => producer.reserve(1);
  },
  "channel consumer, tryReceive": ({ a }) => {
    const consumer = Channel.create(a, "x", { frameBytes: 64 }).consumer();
    return () => consumer.tryReceive();
  },
  "channel consumer, ended": ({ a }) => {
    const consumer = Channel.create(a, "x", { frameBytes: 64 }).consumer();
    return () => consumer.ended;
  },
  "channel producer, tryLoan": ({ a }) => {
    const producer = Channel.create(a, "x", { frameBytes: 64, frames: 1 }).producer();
    producer.loan();
    return () => producer.tryLoan();
  },
  "channel producer, trySend": ({ a, b }) => {
    const producer = Channel.create(a, "x", { frameBytes: 64, laneCapacity: 2 }).producer();
    Channel.open(b, "x").consumer();
    for (let i = 0; i < 2; i++) producer.send(producer.loan()!);
    const frame = producer.loan()!;
    return () => producer.trySend(frame);
  },
  "records consumer, next": ({ a }) => {
    const consumer = Records.create(a, "x", { capacityBytes: 4096 }).consumer();
    return () => consumer.next();
  },
  "records consumer, ended": ({ a }) => {
    const consumer = Records.create(a, "x", { capacityBytes: 4096 }).consumer();
    return () => consumer.ended;
  },
  "lossy records consumer that has waited, tryReceive": async ({ a }) => {
    const consumer = Records.create(a, "x", { capacityBytes: 4096, mode: "lossy" }).consumer();
    await waited(consumer);
    return () => consumer.tryReceive();
  },
  "records producer, tryReserve": ({ a, b }) => {
    const producer = Records.create(a, "x", { capacityBytes: 4096 }).producer();
    Records.open(b, "x").consumer();
    while (producer.tryReserve(1024)) producer.commit(1024);
    return () => producer.tryReserve(1024);
  },
  "message consumer, tryReceive": ({ a }) => {
    const consumer = Messages.create(a, "x", { capacityBytes: 4096 }).consumer();
    return () => consumer.tryReceive();
  },
  "queue consumer, peek": ({ a }) => {
    const consumer = Queue.create(a, "x", SLOTS).consumer();
    return () => consumer.peek(1);
  },
  "queue consumer, ended": ({ a }) => {
    const consumer = Queue.create(a, "x", SLOTS).consumer();
    return () => consumer.ended;
  },
  "queue taker, take": ({ a }) => {
    const taker = Queue.create(a, "x", MANY).taker();
    return () => taker.take(1);
  },
  "queue taker, ended": ({ a }) => {
    const taker = Queue.create(a, "x", MANY).taker();
    return () => taker.ended;
  },
  "queue producer, reserve": ({ a }) => {
    const producer = Queue.create(a, "x", SLOTS).producer();
    producer.commit(producer.reserve(4));
    return () => producer.reserve(1);
  },
  "queue producer that drops, reserve": ({ a }) => {
    const producer = Queue.create(a, "x", { ...SLOTS, policy: "drop-newest" }).producer();
    producer.commit(producer.reserve(4));
    return () => producer.reserve(1);
  },
  "cell reader that has waited, read": async ({ a }) => {
    const reader = Cell.create(a, "x", { valueBytes: 8 }).reader();
    await waited(reader);
    return () => reader.read();
  },
  "service server, tryReceive": ({ a }) => {
    const server = Service.create(a, "x", SMALL).server();
    return () => server.tryReceive();
  },
  "service client, connected": ({ a }) => {
    const client = Service.create(a, "x", SMALL).client();
    return () => client.connected;
  },
};

describe("a death is noticed by polling", () => {
  test.each(Object.entries(IN_VAIN))("%s", async (_kind, prepare) => {
    using pair = new RegionPair("polling");
    const poll = await prepare(pair);
    const told: number[] = [];
    Participant.of(pair.a).onDeath(({ pid }) => told.push(pid));
    const victim = await Survivor.start(pair.name, "idle");
    await victim.kill();
    const phase = (): number =>
      pair.a.control.words[participantRecordWord(victim.participant)]! & ParticipantRecord.phaseMask;
    expect(phase()).toBe(ParticipantRecord.phaseLive); // nobody but who polls finds out
    for (
      const patience = new Patience(LATEST_MS);
      phase() === ParticipantRecord.phaseLive && !patience.isOver;
    )
      poll();
    expect(phase()).toBe(ParticipantRecord.phaseSwept);
    await new Promise((resolve) => setImmediate(resolve)); // behind the one that tells
    expect(told).toEqual([victim.pid]);
  });
});

/** A consumer of each kind, and what its poll says once its producer is dead. */
const ENDS: Record<string, (pair: RegionPair) => { poll: Poll; says: unknown }> = {
  channel: ({ a }) => {
    const consumer = Channel.create(a, "channel", { frameBytes: 64 }).consumer();
    return { poll: () => consumer.tryReceive() !== null || consumer.ended, says: "PEER_DIED" };
  },
  records: ({ a }) => {
    const consumer = Records.create(a, "records", { capacityBytes: 4096 }).consumer();
    return { poll: () => consumer.tryReceive() !== null || consumer.ended, says: "PEER_DIED" };
  },
  messages: ({ a }) => {
    const consumer = Messages.create(a, "messages", { capacityBytes: 4096 }).consumer();
    return { poll: () => consumer.tryReceive() !== undefined || consumer.ended, says: "PEER_DIED" };
  },
  queue: ({ a }) => {
    const queue = Queue.create(a, "queue", SLOTS);
    const consumer = queue.consumer();
    return {
      poll: () => {
        queue.end();
        return consumer.peek(1) !== 0 || consumer.ended;
      },
      says: true,
    };
  },
  service: ({ a }) => {
    const client = Service.create(a, "service", SMALL).client();
    return { poll: () => !client.connected, says: true };
  },
};

describe("the end of a stream is noticed by polling now and then", () => {
  test.each(Object.entries(ENDS))("%s", async (kind, prepare) => {
    using pair = new RegionPair("polling");
    const { poll, says } = prepare(pair);
    const victim = await Survivor.start(pair.name, `produce ${kind}`);
    expect(poll()).toBe(false);
    await victim.kill();
    const polled = async (): Promise<unknown> => {
      for (const patience = new Patience(LATEST_MS); !patience.isOver; await Bun.sleep(5))
        if (poll()) return true;
      return "nothing";
    };
    if (typeof says === "string") {
      const error = await polled().catch((thrown: unknown) => thrown);
      expectCode(says, () => {
        throw error;
      });
    } else expect(await polled()).toBe(says);
  });
});
