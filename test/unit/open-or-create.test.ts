/** Whoever comes first makes it, everybody else opens it. */
import { expect, test } from "bun:test";
import { Cell, Channel, Messages, Queue, Records, Region, Ring, Service } from "../../src/index.ts";
import { expectCode } from "../support/errors.ts";
import { uniqueName } from "../support/regions.ts";

const SERVICE = { clients: 1, requestBytes: 4096, responseBytes: 4096 };
const RACER = new URL("fixtures/open-or-create-racer.ts", import.meta.url).pathname;

test("a second call opens what the first has made, with what is in it", () => {
  const name = uniqueName("open-or-create");
  try {
    const shape = { slotBytes: 16, capacity: 8 };
    {
      using region = Region.openOrCreate(name, { size: "1MiB" });
      const tx = Ring.openOrCreate(region, "ring", shape).producer();
      tx.reserve(1);
      tx.words[tx.at] = 42;
      tx.commit(1);
      Channel.openOrCreate(region, "frames", { frameBytes: 64 });
      Records.openOrCreate(region, "records", { capacityBytes: 4096 });
      Messages.openOrCreate(region, "messages", { capacityBytes: 4096, shapes: [["a", "b"]] });
      Queue.openOrCreate(region, "queue", shape);
      Cell.openOrCreate(region, "cell", { valueBytes: 8 });
      Service.openOrCreate(region, "service", SERVICE);
    }
    // Nobody uses it now; Region.create would replace it.
    using region = Region.openOrCreate(name, { size: "1MiB" });
    const rx = Ring.openOrCreate(region, "ring", shape).consumer();
    expect(rx.peek(8)).toBe(1);
    expect(rx.words[rx.at]).toBe(42);
    expect(Messages.openOrCreate(region, "messages", { capacityBytes: 4096 }).shapes).toEqual([["a", "b"]]);
    expectCode("OBJECT_SHAPE", () => Ring.openOrCreate(region, "ring", { slotBytes: 32, capacity: 8 }));
    expectCode("OBJECT_SHAPE", () => Channel.openOrCreate(region, "frames", { frameBytes: 65 }));
    expectCode("OBJECT_SHAPE", () => Records.openOrCreate(region, "records", { capacityBytes: 8192 }));
    expectCode("OBJECT_SHAPE", () => Queue.openOrCreate(region, "queue", { slotBytes: 16, capacity: 4 }));
    expectCode("OBJECT_SHAPE", () => Cell.openOrCreate(region, "cell", { valueBytes: 9 }));
    expectCode("OBJECT_SHAPE", () => Service.openOrCreate(region, "service", { ...SERVICE, clients: 2 }));
    expectCode("OBJECT_KIND", () => Records.openOrCreate(region, "ring", { capacityBytes: 4096 }));
    expectCode("REGION_TOO_SMALL", () => Region.openOrCreate(name, { size: "2MiB" }));
    expectCode("SIZE_INVALID", () => Region.openOrCreate(uniqueName("none"), {}));
  } finally {
    Region.destroy(name);
  }
});

test("processes that start at once share one region and one channel", async () => {
  for (let round = 0; round < 5; round++) {
    const name = uniqueName("open-or-create");
    try {
      const racers = Array.from({ length: 4 }, () =>
        Bun.spawn([process.execPath, RACER, name], { stdout: "pipe", stderr: "pipe" }),
      );
      const ends = await Promise.all(
        racers.map(async (racer) => [
          await new Response(racer.stdout).text(),
          await new Response(racer.stderr).text(),
        ]),
      );
      for (const end of ends) expect(end).toEqual([ends[0]![0]!, ""]);
      expect(ends[0]![0]).toMatch(/^[0-9a-f]{32} 3\n$/);
    } finally {
      Region.destroy(name);
    }
  }
});
