/** A short run of the kill test; `npm run soak` and CI run it longer. */
import { expect, test } from "bun:test";
import { killTest } from "./kill.ts";

const KILLS = 24;

test("survivors go on, blocks come back, successors take over", async () => {
  const result = await killTest({ kills: KILLS, seed: 20_261_123 });
  expect(result.faults).toEqual([]);
  expect(result.kills).toBeGreaterThanOrEqual(KILLS);
  expect(result.stepKills).toBeGreaterThan(0);
  expect(result.frames).toBeGreaterThan(1000);
}, 180_000);
