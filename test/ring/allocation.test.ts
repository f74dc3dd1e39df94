/** Ring and pool calls allocate nothing, by the engine's heap statistics. */
import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { Channel } from "../../src/channel/channel.ts";
import { Records } from "../../src/channel/records.ts";
import { Cell } from "../../src/ring/cell.ts";
import { LaneReceiver } from "../../src/ring/lane-receiver.ts";
import { LaneSender } from "../../src/ring/lane-sender.ts";
import { Participant } from "../../src/ring/participant.ts";
import { Pool } from "../../src/ring/pool.ts";
import { Queue } from "../../src/ring/queue.ts";
import { Ring } from "../../src/ring/ring.ts";
import { RegionPair } from "../support/regions.ts";

/** Few enough that one small object for each stays below the size that starts a collection, which would hide it. */
const OPERATIONS = 100_000;
/** The smallest JavaScriptCore object takes 16 bytes: one for every operation would be 1.6 MB. */
const LIMIT_BYTES = 160_000;

/** Bytes by which the heap grew to hold what `work` allocated, garbage included: no collection runs in between. */
function bytesAllocated(work: () => void): number {
  for (let i = 0; i < 20; i++) work(); // compile first
  Bun.gc(true);
  const before = heapStats().heapCapacity;
  work();
  return heapStats().heapCapacity - before;
}

let sink: object = {};

test("the measurement sees one object per operation", () => {
  const allocated = bytesAllocated(() => {
    for (let i = 0; i < OPERATIONS; i++) sink = { i };
  });
  expect(sink).toEqual({ i: OPERATIONS - 1 });
  expect(allocated).toBeGreaterThan(10 * LIMIT_BYTES);
});

test("SPSC ring, bursts and singles", () => {
  using pair = new RegionPair("alloc-ring");
  using tx = Ring.create(pair.a, "r", { slotBytes: 16, capacity: 64 }).producer();
  using rx = Ring.open(pair.b, "r").consumer();
  const allocated = bytesAllocated(() => {
    for (let i = 0; i < OPERATIONS / 8; i++) {
      const n = tx.reserve(i % 3 === 0 ? 1 : 8);
      for (let k = 0; k < n; k++) tx.write(k, i, 0, k, 0);
      tx.commit(n);
      rx.release(rx.peek(8));
    }
  });
  expect(allocated).toBeLessThan(LIMIT_BYTES);
});

for (const consumers of ["one", "many"] as const) {
  test(`work queue, ${consumers}: bursts and singles`, () => {
    using pair = new RegionPair("alloc-queue");
    using tx = Queue.create(pair.a, "q", { slotBytes: 16, capacity: 64, consumers }).producer();
    const queue = Queue.open(pair.b, "q");
    using rx = queue.geometry.sharedHeads ? queue.taker() : queue.consumer();
    const allocated = bytesAllocated(() => {
      for (let i = 0; i < OPERATIONS / 8; i++) {
        const n = tx.reserve(i % 3 === 0 ? 1 : 8);
        for (let k = 0; k < n; k++) tx.write(k, i, 0, k, 0);
        tx.commit(n);
        if ("take" in rx) rx.take(8);
        else rx.release(rx.peek(8));
      }
    });
    expect(allocated).toBeLessThan(LIMIT_BYTES);
  });
}

test("cell: write and read", () => {
  using pair = new RegionPair("alloc-cell");
  using writer = Cell.create(pair.a, "v", { valueBytes: 64 }).writer();
  const reader = Cell.open(pair.b, "v").reader();
  const allocated = bytesAllocated(() => {
    for (let i = 0; i < OPERATIONS; i++) {
      writer.begin();
      writer.words[writer.at] = i;
      writer.commit();
      reader.read();
    }
  });
  expect(allocated).toBeLessThan(LIMIT_BYTES);
});

test("pool: loan, hand over, release", () => {
  using pair = new RegionPair("alloc-pool");
  const pool = Pool.create(pair.a, "p", { frameBytes: 128, blockCount: 64, metaBytes: 0 });
  const { bit, ringer } = Participant.of(pair.a);
  const other = Participant.of(pair.b).bit;
  const allocated = bytesAllocated(() => {
    for (let i = 0; i < OPERATIONS; i++) {
      const block = pool.loan(bit);
      pool.handOver(block, bit, other);
      pool.clear(block, bit, ringer);
      pool.clear(block, other, ringer);
    }
  });
  expect(allocated).toBeLessThan(LIMIT_BYTES);
});

for (const mode of ["reliable", "lossy"] as const) {
  test(`${mode} records in place, bursts and singles`, () => {
    using pair = new RegionPair("alloc-records");
    using tx = Records.create(pair.a, "r", { capacityBytes: 8192, mode }).producer();
    using rx = Records.open(pair.b, "r").consumer();
    const allocated = bytesAllocated(() => {
      for (let i = 0; i < OPERATIONS / 8; i++) {
        const n = i % 3 === 0 ? 1 : 8;
        for (let k = 0; k < n && tx.tryReserve(64); k++) {
          tx.data[tx.word] = i;
          tx.finish(i & 63);
        }
        tx.publish();
        if (mode === "lossy" && i % 100 < 50) continue; // is lapped
        while (rx.next()) if (rx.intact()) sink = rx;
        rx.release();
      }
    });
    expect(allocated).toBeLessThan(LIMIT_BYTES);
  });
}

for (const history of [0, 4]) {
  test(`lanes of a channel, history ${history}`, () => {
    using pair = new RegionPair("alloc-lanes");
    const { geometry } = Channel.create(pair.a, "c", { frameBytes: 128, metaBytes: 0, history });
    const sender = Participant.of(pair.a);
    const receiver = Participant.of(pair.b);
    const tx = LaneSender.attach(geometry, sender);
    const rx = LaneReceiver.join(Channel.open(pair.b, "c").geometry, receiver);
    const { pool } = geometry;
    const fields = { offset: 0, lengthBytes: 128, tag: 0, metaLength: 0, soleReceiver: true };
    const allocated = bytesAllocated(() => {
      for (let i = 0; i < OPERATIONS / 4; i++) {
        const block = pool.loan(sender.bit);
        fields.offset = pool.blockOffset(block);
        tx.send(block, fields);
        if (!rx.take()) throw new Error("nothing came");
        pool.clear(rx.block, receiver.bit, receiver.ringer);
      }
    });
    tx.end();
    rx.leave();
    expect(allocated).toBeLessThan(LIMIT_BYTES); // one small object for each frame would be 400 kB
  });
}
