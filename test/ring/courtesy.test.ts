import { expect, spyOn, test } from "bun:test";
import { Region } from "../../src/memory/region.ts";
import { Courtesy } from "../../src/ring/courtesy.ts";
import { Ring } from "../../src/ring/ring.ts";
import { RegionPair } from "../support/regions.ts";

/** How many waits in a row do without, before one may yield again. */
function waitsWithout(courtesy: Courtesy): number {
  for (let waits = 0; ; waits++) if (courtesy.begin()) return waits;
}

test("waits yield while yielding is cheap", () => {
  const courtesy = new Courtesy();
  for (let i = 0; i < 1000; i++) {
    expect(courtesy.begin()).toBe(true);
    courtesy.took(0.01);
  }
  const beforeMs = performance.now();
  expect(courtesy.yield(beforeMs)).toBeGreaterThanOrEqual(beforeMs);
});

test("a yield that cost a scheduler's slice makes the next waits do without, twice as many each time", () => {
  const courtesy = new Courtesy();
  const pauses: number[] = [];
  for (let i = 0; i < 12; i++) {
    courtesy.took(3);
    pauses.push(waitsWithout(courtesy));
  }
  expect(pauses).toEqual([64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 65536]);
  courtesy.took(0.01);
  courtesy.took(3);
  expect(waitsWithout(courtesy)).toBe(64);
});

test("who waits for a message yields, who waits for room does not", () => {
  using pair = new RegionPair("courtesy");
  using third = Region.open(pair.name);
  using tx = Ring.create(pair.a, "full", { slotBytes: 16, capacity: 2 }).producer();
  tx.commit(tx.reserve(2));
  Ring.create(third, "empty", { slotBytes: 16, capacity: 2 });
  using rx = Ring.open(pair.b, "empty").consumer();
  using yields = spyOn(Courtesy.prototype, "yield");
  expect(tx.block({ timeoutMs: 1 })).toBe(false);
  expect(yields).not.toHaveBeenCalled();
  expect(rx.block({ timeoutMs: 1, strategy: "futex" })).toBe(false);
  expect(yields).not.toHaveBeenCalled();
  expect(rx.block({ timeoutMs: 1 })).toBe(false);
  expect(yields).toHaveBeenCalled();
});
