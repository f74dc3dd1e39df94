/** The TypeScript counterpart of records.c: the same roles, arguments (but create) and output. */
import type { RecordConsumer } from "../../src/channel/record-consumer.ts";
import { Records } from "../../src/channel/records.ts";
import { PhysringError } from "../../src/ffi/errors.ts";
import { Region } from "../../src/memory/region.ts";

const TIMEOUT_MS = 60_000;
const [role, regionName, recordsName, ...numbers] = process.argv.slice(2) as [
  string,
  string,
  string,
  ...string[],
];
const [count, second, pauseMs] = numbers.map(Number) as [number, number, number];

function lengthOf(number: number): number {
  return (number * 37) % 1500;
}

function produce(records: Records, burst: number): object {
  using tx = records.producer();
  for (let number = 0; number < count; ) {
    tx.reserve(1500, { timeoutMs: TIMEOUT_MS });
    for (let j = 0; j < lengthOf(number); j++) tx.bytes[tx.offset + j] = number * 7 + j;
    tx.finish(lengthOf(number));
    if (++number % burst === 0) tx.publish();
  }
  return { sent: count };
}

function isWhole(rx: RecordConsumer): boolean {
  let whole = rx.length === lengthOf(rx.sequence);
  for (let j = 0; j < rx.length; j++) whole &&= rx.bytes[rx.offset + j] === ((rx.sequence * 7 + j) & 0xff);
  return whole;
}

function consume(records: Records, history: number): object {
  using rx = records.consumer({ history });
  console.log("ready");
  const result = { received: 0, missed: 0, torn: 0, wrong: 0, first: 0, status: "OK" };
  try {
    for (let last = 0; last !== count - 1; ) {
      if (rx.next()) {
        last = rx.sequence;
        const whole = isWhole(rx);
        if (result.received === 10 && pauseMs > 0) Bun.sleepSync(pauseMs);
        if (result.received === 0) result.first = rx.sequence;
        if (!rx.intact()) result.torn++;
        else {
          result.received++;
          if (!whole) result.wrong++;
        }
        if (rx.sequence % 7 !== 0) continue;
      }
      rx.release();
      if (rx.ended) break;
      if (!rx.block({ timeoutMs: TIMEOUT_MS })) throw new Error("nothing for ever");
    }
  } catch (error) {
    if (!(error instanceof PhysringError)) throw error;
    result.status = error.code;
  }
  return { ...result, missed: rx.missed };
}

using region = Region.open(regionName, { waitMs: TIMEOUT_MS });
const records = Records.open(region, recordsName, { waitMs: TIMEOUT_MS });
console.log(JSON.stringify(role === "produce" ? produce(records, second) : consume(records, second)));
