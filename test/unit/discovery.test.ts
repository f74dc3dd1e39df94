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
import { expectCode } from "../support/errors.ts";
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
});
