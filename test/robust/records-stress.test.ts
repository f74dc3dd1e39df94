/** A short stress of records; `npm run soak` runs it longer. */
import { expect, test } from "bun:test";
import { recordsStressTest } from "./records-stress.ts";

test("records of all sizes over 2^32, reliable and lossy, more processes than processors", async () => {
  const messages = 400_000;
  const result = await recordsStressTest(messages);
  expect(result.faults).toEqual([]);
  expect(result.deliveries).toBeGreaterThan(messages);
}, 240_000);
