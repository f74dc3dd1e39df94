/** Records between C and TypeScript, as real processes: include/physring_records.h against src/. */
import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Records, type RecordsOptions } from "../../src/channel/records.ts";
import { Region } from "../../src/memory/region.ts";
import { cursorPositionWord, RecordsLayout } from "../../src/ring/records-layout.ts";
import { ScratchName } from "../support/scratch.ts";
import { announceSkip, C_COMPILER, Programs, Run } from "./build.ts";

const COUNT = 40_000;
/** A loaded machine is slow, a broken peer never ends. */
const LIMIT_MS = 120_000;
const PEER = join(import.meta.dir, "records-peer.ts");

if (C_COMPILER === null) announceSkip("records in C: no C compiler", "gcc libc6-dev");

class TestRecords implements Disposable {
  readonly #scratch = new ScratchName("crecords");
  readonly region: Region;
  readonly records: Records;

  constructor(options: Partial<RecordsOptions>) {
    this.region = Region.create(this.#scratch.name, { size: "8MiB" });
    this.records = Records.create(this.region, "r", { capacityBytes: 16384, ...options });
    // Half of it before position 2^32, the rest behind.
    const { words, maxConsumers } = this.records.geometry;
    const position = -8 * 1024 * 1024;
    words[RecordsLayout.tailWord] = position;
    words[RecordsLayout.firstMarkWord] = position;
    words[RecordsLayout.claimWord] = position;
    words[RecordsLayout.epochWord] = 1;
    for (let k = 0; k < maxConsumers; k++) words[cursorPositionWord(k)] = position;
  }

  get name(): string {
    return this.region.name;
  }

  [Symbol.dispose](): void {
    this.region.close();
    this.#scratch[Symbol.dispose]();
  }
}

describe.skipIf(C_COMPILER === null)("records in C", () => {
  const programs = new Programs();
  afterAll(() => programs[Symbol.dispose]());
  let built: string | undefined;
  const c = (): string => (built ??= programs.build("test/c/records.c"));
  const side = (name: "c" | "typescript"): string => (name === "c" ? c() : PEER);

  for (const [producer, consumer] of [
    ["c", "typescript"],
    ["typescript", "c"],
    ["c", "c"],
  ] as const) {
    for (const burst of [1, 32]) {
      test(
        `${producer} -> ${consumer}, reliable, burst ${burst}`,
        async () => {
          using to = new TestRecords({ maxConsumers: 2 });
          await using first = new Run(side(consumer), "consume", to.name, "r", COUNT, 0, 0);
          await using second = new Run(side("c"), "consume", to.name, "r", COUNT, 0, 5);
          await Promise.all([first.says("ready"), second.says("ready")]);
          await using from = new Run(side(producer), "produce", to.name, "r", COUNT, burst);
          const all = { received: COUNT, missed: 0, torn: 0, wrong: 0, first: 0, status: "OK" };
          expect(await from.result()).toMatchObject({ sent: COUNT });
          expect(await first.result()).toMatchObject(all);
          expect(await second.result()).toMatchObject(all);
        },
        LIMIT_MS,
      );
    }

    test(
      `${producer} -> ${consumer}, lossy: received, torn and missed are all there are`,
      async () => {
        using to = new TestRecords({ mode: "lossy" });
        await using reader = new Run(side(consumer), "consume", to.name, "r", COUNT, 0, 3);
        await reader.says("ready");
        await using from = new Run(side(producer), "produce", to.name, "r", COUNT, 4);
        await from.result();
        const result = (await reader.result()) as Record<string, number>;
        expect(result).toMatchObject({ wrong: 0, status: "OK" });
        expect(result["missed"]).toBeGreaterThan(0);
        // The last ones may have been lapped away when the stream ended.
        expect(result["received"]! + result["torn"]! + result["missed"]!).toBeLessThanOrEqual(COUNT);
        expect(result["received"]! + result["torn"]! + result["missed"]!).toBeGreaterThan(COUNT - 2);
      },
      LIMIT_MS,
    );
  }

  test("history and eviction of a C consumer", async () => {
    using to = new TestRecords({ maxConsumers: 2, history: 20, stallTimeoutMs: 50 });
    using tx = to.records.producer();
    const lengthOf = (number: number): number => (number * 37) % 1500;
    const send = (number: number): boolean => {
      tx.reserve(1500);
      for (let j = 0; j < lengthOf(number); j++) tx.bytes[tx.offset + j] = number * 7 + j;
      tx.commit(lengthOf(number));
      return true;
    };
    for (let i = 0; i < 100; i++) send(i);
    await using late = new Run(c(), "consume", to.name, "r", 100, 5, 0);
    await late.says("ready");
    expect(await late.result()).toMatchObject({ received: 5, first: 95, wrong: 0 });
    await using stuck = new Run(c(), "consume", to.name, "r", 1000, 5, 500);
    await stuck.says("ready");
    for (let i = 100; i < 300; i++) send(i);
    expect(tx.counters.evicted).toBe(1);
    expect(await stuck.result()).toMatchObject({ status: "EVICTED", wrong: 0 });
  });

  test("records that C created; TypeScript attaches, C reads them in history", async () => {
    using scratch = new ScratchName("ccreated");
    await using creator = new Run(c(), "create", scratch.name, "r", 65536, "lossy", 0, 100);
    await creator.says("created");
    await using from = new Run(PEER, "produce", scratch.name, "r", 500, 8);
    await from.result();
    using region = Region.open(scratch.name);
    const records = Records.open(region, "r");
    expect(records.geometry).toMatchObject({
      mode: "lossy",
      history: 100,
      indexCount: 256,
      capacityBytes: 65536,
    });
    using rx = records.consumer({ history: 20 });
    expect(rx.next() && rx.sequence).toBe(480);
    creator.write("\n");
  });
});
