/** A service in spoilt memory: typed errors and answers, no crash, no endless loop; other objects of the region are not touched. */
import { describe, expect, test } from "bun:test";
import { PhysringError, Service } from "../../src/index.ts";
import { ObjectKind, WORD_BYTES } from "../../src/memory/layout.ts";
import { openServiceGeometry } from "../../src/ring/service-geometry.ts";
import { Random } from "../support/random.ts";
import { RegionPair } from "../support/regions.ts";

const OPTIONS = { clients: 2, requestBytes: 4096, responseBytes: 4096, stallTimeoutMs: 1 };

/** Runs `body`; anything but a typed error goes on. True when it threw none. */
async function survives(body: () => Promise<unknown>): Promise<boolean> {
  try {
    await body();
    return true;
  } catch (error) {
    if (!(error instanceof PhysringError || error instanceof SuppressedError)) throw error;
    return false;
  }
}

describe("spoilt memory", () => {
  test("every number of the geometry is checked", () => {
    using pair = new RegionPair("service-geometry");
    Service.create(pair.a, "s", OPTIONS);
    const entry = pair.a.directory.open("s", ObjectKind.service);
    const words = pair.a.words(entry.offset, entry.sizeBytes / WORD_BYTES);
    const firstPlace = 96;
    for (const word of [
      0,
      1,
      2,
      3,
      4,
      5,
      firstPlace,
      firstPlace + 1,
      firstPlace + 2,
      firstPlace + 3,
      firstPlace + 9,
    ]) {
      const before = words[word]!;
      for (const value of [0, -1, before + 1, before ^ 0x40000000, 0x7fffffff]) {
        if (value === before) continue;
        words[word] = value;
        expect(() => openServiceGeometry(pair.b, entry)).toThrow(PhysringError);
      }
      words[word] = before;
    }
    openServiceGeometry(pair.b, entry);
  });

  test("random words while it works", async () => {
    const random = new Random(Number(process.env["PHYSRING_SEED"] ?? 1));
    let answered = 0;
    for (let round = 0; round < 40; round++) {
      using pair = new RegionPair("service-hostile");
      Service.create(pair.a, "s", OPTIONS);
      const entry = pair.a.directory.open("s", ObjectKind.service);
      const words = pair.a.words(entry.offset, entry.sizeBytes / WORD_BYTES);
      await survives(async () => {
        using server = Service.open<number, number>(pair.a, "s").server();
        using client = Service.open<number, number>(pair.b, "s").client();
        for (let i = 0; i < 30; i++) {
          if (i > 3) words[random.below(words.length)] = random.oneIn(3) ? random.bits() : random.below(64);
          const call = survives(() => client.call(i, { timeoutMs: 2 }));
          await Bun.sleep(0);
          await survives(async () => {
            const request = server.tryReceive();
            if (request !== null) await request.reply(request.value, { timeoutMs: 2 });
          });
          if (await call) answered++;
        }
      });
    }
    expect(answered).toBeGreaterThan(50);
  }, 60_000);
});
