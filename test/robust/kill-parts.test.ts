/** A short run of the kill test over all topologies; `npm run soak` and CI run it longer. */
import { expect, test } from "bun:test";
import { killPartsTest } from "./kill-parts.ts";
import { topologies } from "./parts.ts";

const KILLS_EACH = 2;

test("every topology survives deaths: nothing lost, nothing twice, every end free again", async () => {
  const result = await killPartsTest({ kills: KILLS_EACH * topologies.length, seed: 20_261_125 });
  expect(result.faults).toEqual([]);
  expect(Object.keys(result.killsByTopology).length).toBe(topologies.length);
}, 180_000);
