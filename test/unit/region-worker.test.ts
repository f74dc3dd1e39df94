/** Regions and threads: memory posted to a Worker, and Workers that end with a region open. */
import { describe, expect, test } from "bun:test";
import { regionOffset } from "../../src/memory/brands.ts";
import { Region } from "../../src/memory/region.ts";
import { RegionPair } from "../support/regions.ts";
import { ScratchName } from "../support/scratch.ts";

const at = regionOffset;

function fixture(name: string): Worker {
  return new Worker(new URL(`fixtures/${name}.ts`, import.meta.url).href);
}

/** Posts a message and resolves with the answer. */
function ask(worker: Worker, message: unknown): Promise<unknown> {
  return new Promise((resolve) => {
    worker.addEventListener("message", (event) => resolve(event.data), { once: true });
    worker.postMessage(message);
  });
}

function closed(worker: Worker): Promise<unknown> {
  return new Promise((resolve) => worker.addEventListener("close", resolve));
}

describe("memory posted to a Worker", () => {
  test("is the region itself, with atomics between threads", async () => {
    using pair = new RegionPair("worker");
    const words = pair.a.words(at(32_768), 4);
    words[0] = 5;
    const worker = fixture("region-worker");
    expect(await ask(worker, words)).toBe(5);
    expect(pair.b.words(at(32_768), 1)[0]).toBe(6);
    worker.terminate();
  });

  test("stays safe to touch when the region is closed, and never becomes another region's", async () => {
    const pair = new RegionPair("worker-closed");
    const worker = fixture("region-worker");
    const words = pair.a.words(at(32_768), 4);
    words[0] = 5;
    expect(await ask(worker, words)).toBe(5);
    pair[Symbol.dispose]();
    Bun.gc(true);
    // The Worker alone has the buffer now. New regions get other addresses.
    const others = Array.from({ length: 20 }, (_, i) => new RegionPair(`worker-after-${i}`, 65_536));
    for (let i = 0; i < 10; i++) expect(await ask(worker, "again")).toBe(i);
    for (const { a } of others) {
      expect(a.words(at(32_768), 1)[0]).toBe(0);
      a.close();
    }
    for (const other of others) other[Symbol.dispose]();
    expect(await ask(worker, "again")).toBe(10);
    const end = closed(worker);
    worker.terminate();
    await end;
  });
});

test("a Worker that ends by itself closes its regions: callbacks run, locks go, the rest is untouched", async () => {
  using scratch = new ScratchName("worker-ends");
  const region = Region.create(scratch.name, { size: 65_536 });
  const worker = fixture("region-owner-worker");
  const end = closed(worker);
  expect(await ask(worker, scratch.name)).toBe("opened");
  await end;
  expect(region.bytes[65_535]).toBe(77);
  expect(region.words(at(0), 1)[0]).toBe(0x53594850);
  region.close();
  // Nobody has it open any more, or this would be refused.
  using again = Region.create(scratch.name, { size: 65_536 });
  expect(again.bytes[65_535]).toBe(0);
});
