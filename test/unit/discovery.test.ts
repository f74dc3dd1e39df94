/** Finding regions and objects, waiting for them, and what is said when they are not what was expected. */
import { describe, expect, test } from "bun:test";
import {
  Cell,
  Channel,
  listRegions,
  Messages,
  Pool,
  Queue,
  Records,
  Region,
  type RegionError,
  Ring,
  Service,
} from "../../src/index.ts";
import { expectCode, rejectionCode } from "../support/errors.ts";
import { RegionPair, uniqueName } from "../support/regions.ts";

const SHAPE = { slotBytes: 16, capacity: 4 };

describe("listing", () => {
  test("regions by name, objects by name and kind", () => {
    using pair = new RegionPair("list");
    expect(listRegions()).toContainEqual({ name: pair.name, backend: "shm", path: pair.a.path });
    Ring.create(pair.a, "ring", SHAPE);
    Channel.create(pair.a, "frames", { frameBytes: 4096 });
    expect(pair.b.objects().map(({ name, kind }) => [name, kind])).toEqual([
      ["ring", "ring"],
      ["frames.pool", "pool"],
      ["frames", "channel"],
    ]);
    Region.destroy(pair.name);
    expect(listRegions().some(({ name }) => name === pair.name)).toBe(false);
  });
});

describe("waiting for what is not there yet", () => {
  test("a region, and each kind of object in it", async () => {
    const name = uniqueName("appear");
    const opening = Region.openAsync(name);
    await Bun.sleep(1);
    using creator = Region.create(name, { size: "4MiB" });
    try {
      using region = await opening;
      const opened = Promise.all([
        Ring.openAsync(region, "ring"),
        Pool.openAsync(region, "frames.pool"),
        Channel.openAsync(region, "frames"),
        Queue.openAsync(region, "queue"),
        Cell.openAsync(region, "cell"),
        Records.openAsync(region, "records"),
        Messages.openAsync(region, "messages"),
        Service.openAsync(region, "service"),
      ]);
      await Bun.sleep(1);
      Ring.create(creator, "ring", SHAPE);
      Channel.create(creator, "frames", { frameBytes: 4096 });
      Queue.create(creator, "queue", SHAPE);
      Cell.create(creator, "cell", { valueBytes: 8 });
      Records.create(creator, "records", { capacityBytes: 4096 });
      Messages.create(creator, "messages", { capacityBytes: 4096 });
      Service.create(creator, "service", { clients: 1 });
      expect(await opened).toHaveLength(8);
    } finally {
      Region.destroy(name);
    }
  });

  test("ends at its limit with the reason, and with its signal", async () => {
    const absent = await Region.openAsync(uniqueName("absent"), { timeoutMs: 3 }).catch(
      (error: RegionError) => error,
    );
    expect(absent).toMatchObject({ code: "REGION_NOT_FOUND" });
    using pair = new RegionPair("appear");
    const missing = await Ring.openAsync(pair.a, "r", { timeoutMs: 3 }).catch((error: RegionError) => error);
    expect(missing).toMatchObject({ code: "OBJECT_NOT_FOUND" });
    const stop = new AbortController();
    const waits = [
      Region.openAsync(uniqueName("absent"), { signal: stop.signal }),
      Channel.openAsync(pair.a, "c", { signal: stop.signal }),
    ];
    // Caught before any of them can fail.
    const reasons = Promise.all(waits.map((wait) => wait.catch((error: Error) => error)));
    setTimeout(() => stop.abort(new Error("enough")), 2);
    for (const reason of await reasons) expect(reason).toMatchObject({ message: "enough" });
  });
});

describe("what is not as expected", () => {
  test("kind and shape: says what was found and what to do", async () => {
    using pair = new RegionPair("expect");
    Ring.create(pair.a, "ring", SHAPE);
    Channel.create(pair.a, "frames", { frameBytes: 4096, policy: "drop-oldest" });
    const kind = expectCode("OBJECT_KIND", () => Channel.open(pair.b, "ring"));
    expect(kind.message).toMatch(/"ring" in .* is a ring, not a channel: open it as what it is/);
    expect(await Channel.openAsync(pair.b, "ring").catch((error: RegionError) => error.code)).toBe(
      "OBJECT_KIND",
    );
    const slots = expectCode("OBJECT_SHAPE", () => Ring.open(pair.b, "ring", { slotBytes: 64 }));
    expect(slots.message).toContain("ring ring has slotBytes 16, not 64");
    const policy = expectCode("OBJECT_SHAPE", () => Channel.open(pair.b, "frames", { policy: "block" }));
    expect(policy.message).toContain("has policy drop-oldest, not block");
    expectCode("OBJECT_SHAPE", () => Channel.open(pair.b, "frames", { frameBytes: 4095 }));
    expect(Ring.open(pair.b, "ring", SHAPE).geometry).toMatchObject(SHAPE);
    expect(Channel.open(pair.b, "frames", { frameBytes: 4096, policy: "drop-oldest" }).name).toBe("frames");
    Records.create(pair.a, "log", { capacityBytes: 4096, mode: "lossy" });
    const mode = expectCode("OBJECT_SHAPE", () => Records.open(pair.b, "log", { mode: "reliable" }));
    expect(mode.message).toContain("records log has mode lossy, not reliable");
    const history = Messages.openAsync(pair.b, "log", { capacityBytes: 4096, history: 5 });
    expect(await history.catch((error: RegionError) => error.code)).toBe("OBJECT_SHAPE");
    expect(Messages.open(pair.b, "log", { capacityBytes: 4096, mode: "lossy" }).name).toBe("log");
  });

  test("of queues, cells, services and pools", async () => {
    using pair = new RegionPair("expect");
    const queue = { ...SHAPE, producers: 2, consumers: "many", policy: "fail" } as const;
    const service = { clients: 2, requestBytes: 8192, responseBytes: 16384 };
    const pool = { frameBytes: 100, blockCount: 3, metaBytes: 40 };
    Queue.create(pair.a, "queue", queue);
    Cell.create(pair.a, "cell", { valueBytes: 24, buffers: 8 });
    Service.create(pair.a, "service", service);
    Pool.create(pair.a, "pool", pool);
    const mismatches: readonly (readonly [string, () => unknown])[] = [
      ["queue queue has slotBytes 16, not 32", () => Queue.open(pair.b, "queue", { slotBytes: 32 })],
      ["queue queue has capacity 4, not 8", () => Queue.open(pair.b, "queue", { capacity: 8 })],
      ["queue queue has producers 2, not 8", () => Queue.open(pair.b, "queue", { producers: 8 })],
      ["queue queue has consumers many, not one", () => Queue.open(pair.b, "queue", { consumers: "one" })],
      ["queue queue has policy fail, not block", () => Queue.open(pair.b, "queue", { policy: "block" })],
      ["cell cell has valueBytes 24, not 16", () => Cell.open(pair.b, "cell", { valueBytes: 16 })],
      ["cell cell has buffers 8, not 4", () => Cell.open(pair.b, "cell", { valueBytes: 24, buffers: 4 })],
      ["service service has clients 2, not 8", () => Service.open(pair.b, "service", { clients: 8 })],
      ["has requestBytes 8192, not 64", () => Service.open(pair.b, "service", { requestBytes: 64 })],
      ["has responseBytes 16384, not 8192", () => Service.open(pair.b, "service", { responseBytes: 8192 })],
      ["pool pool has frameBytes 100, not 128", () => Pool.open(pair.b, "pool", { frameBytes: 128 })],
      ["pool pool has blockCount 3, not 4", () => Pool.open(pair.b, "pool", { blockCount: 4 })],
      ["pool pool has metaBytes 128, not 256", () => Pool.open(pair.b, "pool", { metaBytes: 200 })],
    ];
    for (const [says, open] of mismatches) expect(expectCode("OBJECT_SHAPE", open).message).toContain(says);
    Queue.open(pair.b, "queue", queue);
    Cell.open(pair.b, "cell", { valueBytes: 24, buffers: 8 });
    Service.open(pair.b, "service", service);
    Pool.open(pair.b, "pool", pool);
    for (const late of [
      Queue.openAsync(pair.b, "queue", { capacity: 2 }),
      Cell.openAsync(pair.b, "cell", { valueBytes: 1 }),
      Service.openAsync(pair.b, "service", { clients: 1 }),
      Pool.openAsync(pair.b, "pool", { blockCount: 1 }),
    ])
      expect(await rejectionCode(late)).toBe("OBJECT_SHAPE");
  });
});
