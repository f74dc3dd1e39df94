/** Every call that waits in the event loop ends at its time limit and with its signal, before and while it waits. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  Cell,
  Channel,
  Messages,
  PhysringError,
  Pool,
  Queue,
  Records,
  Region,
  Ring,
  Service,
  waitAny,
} from "../../src/index.ts";
import type { AwaitOptions } from "../../src/ring/ring.ts";
import { expectCode } from "../support/errors.ts";
import { RegionPair, uniqueName } from "../support/regions.ts";

const SLOTS = { slotBytes: 16, capacity: 2 } as const;
const pair = new RegionPair("waits", "4MiB");
const { a, b } = pair;
afterAll(() => pair[Symbol.dispose]());

function full(tx: { reserve(max: number): number; commit(count: number): void }): void {
  tx.commit(tx.reserve(SLOTS.capacity));
}

const ring = Ring.create(a, "ring", SLOTS);
const ringTx = ring.producer();
full(ringTx);
const emptyRx = Ring.create(a, "empty ring", SLOTS).consumer();

const queueTx = Queue.create(a, "queue", SLOTS).producer();
full(queueTx);
const queueRx = Queue.create(a, "empty queue", SLOTS).consumer();
const takerRx = Queue.create(a, "empty jobs", { ...SLOTS, consumers: "many" }).taker();

const recordsTx = Records.create(a, "records", { capacityBytes: 4096 }).producer();
const recordsFull = Records.open(b, "records").consumer();
const large = new Uint8Array(2000);
while (recordsTx.tryReserve(large.length)) recordsTx.commit(large.length);
const recordsRx = Records.create(a, "no records", { capacityBytes: 4096 }).consumer();

const messagesTx = Messages.create(a, "messages", { capacityBytes: 4096 }).producer();
const messagesFull = Messages.open(b, "messages").consumer();
for (let room = true; room; )
  try {
    messagesTx.send("x".repeat(1500), { timeoutMs: 1 });
  } catch {
    room = false;
  }
const messagesRx = Messages.create(a, "no messages", { capacityBytes: 4096 }).consumer();

const cell = Cell.create(a, "cell", { valueBytes: 4 }).reader();

const frames = Channel.create(a, "frames", { frameBytes: 64, frames: 3, laneCapacity: 2 });
const framesTx = frames.producer();
const framesFull = Channel.open(b, "frames").consumer();
for (let i = 0; i < 2; i++) framesTx.send(framesTx.loan()!);
const third = framesTx.loan()!;
const framesRx = Channel.create(a, "no frames", { frameBytes: 64 }).consumer();

const service = Service.create(a, "service", { clients: 2 });
const server = service.server();
const silent = Service.open(b, "service").client(); // its server answers nothing
const lonely = Service.create(a, "no service", { clients: 1 });
const waiting = lonely.client();

async function first(iterable: AsyncIterable<unknown>): Promise<unknown> {
  for await (const item of iterable) return item;
  return "ended";
}

const absent = uniqueName("absent");
const waits: Record<string, (options: AwaitOptions) => Promise<unknown>> = {
  "Ring: producer.wait": (options) => ringTx.wait(options),
  "Ring: consumer.wait": (options) => emptyRx.wait(options),
  "Queue: producer.wait": (options) => queueTx.wait(options),
  "Queue: consumer.wait": (options) => queueRx.wait(options),
  "Queue: taker.wait": (options) => takerRx.wait(options),
  "Records: reserveAsync": (options) => recordsTx.reserveAsync(large.length, options),
  "Records: sendAsync": (options) => recordsTx.sendAsync(large, options),
  "Records: waitForConsumers": (options) => recordsEmptyTx.waitForConsumers(1, options),
  "Records: consumer.wait": (options) => recordsRx.wait(options),
  "Records: receiveAsync": (options) => recordsRx.receiveAsync(options),
  "Records: for await": (options) => first(recordsRx.records(options)),
  "Messages: sendAsync": (options) => messagesTx.sendAsync("x".repeat(1500), options),
  "Messages: waitForConsumers": (options) => messagesEmptyTx.waitForConsumers(1, options),
  "Messages: receiveAsync": (options) => messagesRx.receiveAsync(options),
  "Messages: for await": (options) => first(messagesRx.messages(options)),
  "Cell: reader.wait": (options) => cell.wait(options),
  "Channel: loanAsync": (options) => framesTx.loanAsync(options),
  "Channel: sendAsync": (options) => framesTx.sendAsync(third, options),
  "Channel: waitForConsumers": (options) => framesTx.waitForConsumers(2, options),
  "Channel: receiveAsync": (options) => framesRx.receiveAsync(options),
  "Channel: for await": (options) => first(framesRx.frames(options)),
  "Service: call, no answer": (options) => silent.call(1, options),
  "Service: call, no server": (options) => waiting.call(1, options),
  "Service: notify, no server": (options) => waiting.notify(1, options),
  "Service: waitForServer": (options) => waiting.waitForServer(options),
  "Service: receiveAsync": (options) => idle.receiveAsync(options),
  "Service: for await": (options) => first(idle.requests(options)),
  waitAny: (options) => waitAny([emptyRx, queueRx, recordsRx, messagesRx, cell, framesRx], options),
  "Region.openAsync": (options) => Region.openAsync(absent, options),
  "Ring.openAsync": (options) => Ring.openAsync(a, "absent", options),
  "Pool.openAsync": (options) => Pool.openAsync(a, "absent", options),
  "Channel.openAsync": (options) => Channel.openAsync(a, "absent", options),
  "Cell.openAsync": (options) => Cell.openAsync(a, "absent", options),
  "Queue.openAsync": (options) => Queue.openAsync(a, "absent", options),
  "Records.openAsync": (options) => Records.openAsync(a, "absent", options),
  "Messages.openAsync": (options) => Messages.openAsync(a, "absent", options),
  "Service.openAsync": (options) => Service.openAsync(a, "absent", options),
};
const recordsEmptyTx = Records.create(a, "unheard records", { capacityBytes: 4096 }).producer();
const messagesEmptyTx = Messages.create(a, "unheard messages", { capacityBytes: 4096 }).producer();
const idle = Service.create(a, "idle service", { clients: 1 }).server();

/** `false`, or the code of the error. */
async function outcome(wait: Promise<unknown>): Promise<unknown> {
  return wait.catch((error: unknown) => (error instanceof PhysringError ? error.code : error));
}

describe("ends in time", () => {
  for (const [what, wait] of Object.entries(waits)) {
    const late = /openAsync/.test(what) ? /_NOT_FOUND$/ : /^(false|TIMEOUT)$/;

    test(`${what}: time limit`, async () => {
      expect(String(await outcome(wait({ timeoutMs: 2 })))).toMatch(late);
    });

    test(`${what}: aborted before and while it waits; the largest limits do not end it at once`, async () => {
      const reason = new Error("enough");
      expect(await outcome(wait({ signal: AbortSignal.abort(reason) }))).toBe(reason);
      const stop = new AbortController();
      const ending = outcome(wait({ timeoutMs: Number.MAX_SAFE_INTEGER, signal: stop.signal }));
      expect(await Promise.race([ending, Bun.sleep(3)])).toBeUndefined();
      stop.abort(reason);
      expect(await ending).toBe(reason);
    });
  }
});

test("what was waited for in vain is still to be had", () => {
  expect([emptyRx.peek(1), queueRx.peek(1), takerRx.take(1)]).toEqual([0, 0, 0]);
  for (let i = 0; i < 2; i++) {
    expect(recordsFull.tryReceive()).toHaveLength(large.length);
    framesFull.tryReceive()!.release();
  }
  expect(messagesFull.tryReceive()).toHaveLength(1500);
  expect(framesTx.send(third)).toBe(true);
  expect(framesTx.tryLoan()).not.toBeNull();
  expect(recordsTx.send(large, { timeoutMs: 1 })).toBe(true);
  expect(silent.underWay).toBeGreaterThan(0); // given up, not answered
  expect(server.tryReceive()).not.toBeNull();
});

test("more consumers than there can be are not waited for", async () => {
  const lossy = Records.create(a, "lossy", { capacityBytes: 4096, mode: "lossy" }).producer();
  const error = await lossy.waitForConsumers(1).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: "ARGUMENT", message: expect.stringContaining("at most 0") });
  expectCode("ARGUMENT", () =>
    Records.create(a, "none", { capacityBytes: 4096, mode: "lossy", maxConsumers: 1 }),
  );
});
