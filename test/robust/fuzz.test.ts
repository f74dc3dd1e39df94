/** A short run of the fuzzer; `npm run soak` and CI run it longer. */
import { expect, test } from "bun:test";
import { fuzzTest } from "./fuzz.ts";

const MUTATIONS = 200_000;
const LIVE_SECONDS = 4;

test("live regions survive random words", async () => {
  const result = await fuzzTest({ mutations: MUTATIONS, liveSeconds: LIVE_SECONDS, seed: 20_261_123 });
  expect(result.faults).toEqual([]);
  expect(result.mutations).toBeGreaterThanOrEqual(MUTATIONS);
  // Both parts got somewhere: frames passed, and typed errors of many kinds came up.
  for (const report of result.memory) {
    expect(report.frames).toBeGreaterThan(100);
    expect(Object.keys(report.errorCodes).length).toBeGreaterThan(8);
  }
  expect(result.live!.frames).toBeGreaterThan(100);
  expect(result.live!.typedErrors).toBeGreaterThan(10);
}, 180_000);
