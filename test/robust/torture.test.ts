/** A short torture; `npm run soak` and CI run it longer. */
import { expect, test } from "bun:test";
import { tortureTest } from "./torture.ts";

const MESSAGES = 1_000_000;
const ROUNDS = 2_000;

test("every word is there before the index, and no wake-up is lost", async () => {
  const result = await tortureTest({ messages: MESSAGES, rounds: ROUNDS, seed: 20_261_123 });
  expect(result.faults).toEqual([]);
  expect(result.messages).toBeGreaterThanOrEqual(MESSAGES);
  // The sleepers did sleep: otherwise the second half shows nothing.
  expect(result.sleeps).toBeGreaterThan(ROUNDS / 4);
}, 240_000);
