/** A short run of the stress of all topologies but records; `npm run soak` and CI run it longer. */
import { expect, test } from "bun:test";
import { stressTest } from "./stress.ts";

test("more processes than processors: every message once, in order, intact, over the wrap of the indices", async () => {
  const { faults, topologies } = await stressTest(30_000);
  expect(faults).toEqual([]);
  expect(Object.keys(topologies).length).toBe(13);
}, 180_000);
