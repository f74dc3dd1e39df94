/** Closing never fails for what somebody else wrote into the region: whoever leaves a spoilt region leaves it all the same, and others as ever. */
import { describe, expect, test } from "bun:test";
import {
  Cell,
  Channel,
  Messages,
  Participant,
  Queue,
  Records,
  Region,
  Ring,
  Service,
} from "../../src/index.ts";
import { HEADER_BYTES } from "../../src/memory/layout.ts";
import { Random } from "../support/random.ts";
import { RegionPair } from "../support/regions.ts";

/** Every kind of end, with something under way; all but the first of each pair in `b`. */
function openEverything(a: Region, b: Region): Disposable[] {
  Ring.create(a, "ring", { slotBytes: 16, capacity: 4 });
  const frames = { frameBytes: 256, laneCapacity: 4, maxConsumers: 2 } as const;
  const ends: Disposable[] = [Ring.open(a, "ring").producer(), Ring.open(b, "ring").consumer()];
  for (const policy of ["block", "drop-oldest"] as const) {
    const producer = Channel.create(a, policy, { ...frames, policy }).producer();
    const consumer = Channel.open(b, policy).consumer();
    for (let i = 0; i < 3; i++) producer.send(producer.loan()!);
    ends.push(producer, consumer, consumer.tryReceive()!);
  }
  for (const consumers of ["one", "many"] as const) {
    const queue = Queue.create(a, consumers, { slotBytes: 16, capacity: 4, consumers });
    const producer = queue.producer();
    producer.commit(producer.reserve(2));
    const opened = Queue.open(b, consumers);
    ends.push(producer, consumers === "one" ? opened.consumer() : opened.taker());
  }
  const records = Records.create(a, "records", { capacityBytes: 4096 }).producer();
  ends.push(records, Records.open(b, "records").consumer());
  records.send(Uint8Array.of(1, 2, 3));
  ends.push(Messages.create(a, "messages", { capacityBytes: 4096 }).producer());
  ends.push(Messages.open(b, "messages").consumer());
  ends.push(Cell.create(a, "cell", { valueBytes: 8 }).writer());
  ends.push(Service.create(a, "service", { clients: 1 }).server(), Service.open(b, "service").client());
  return ends;
}

function spoil(region: Region, random: Random): void {
  const words = new Int32Array(region.bytes.buffer, region.bytes.byteOffset + HEADER_BYTES);
  for (let i = 0; i < words.length; i++) if (random.below(2) === 0) words[i] = random.bits();
}

describe("a region that somebody filled with rubbish", () => {
  for (const what of ["ends, then regions", "regions with all their ends"]) {
    test(`closes: ${what}`, () => {
      for (let seed = 1; seed <= 20; seed++) {
        using pair = new RegionPair("spoilt", "4MiB");
        const ends = openEverything(pair.a, pair.b);
        spoil(pair.a, new Random(seed));
        if (what.startsWith("ends")) for (const end of ends) end[Symbol.dispose]();
        pair.b.close();
        pair.a.close();
      }
    });
  }

  test("does not keep a participant's place: another one joins", () => {
    using pair = new RegionPair("spoilt", "4MiB");
    openEverything(pair.a, pair.b);
    const { index } = Participant.of(pair.b);
    spoil(pair.a, new Random(7));
    pair.b.close();
    using again = Region.open(pair.name);
    expect(Participant.of(again).index).toBe(index);
  });
});
