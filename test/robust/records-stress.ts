/**
 * Stress of records: real processes, more of them than processors may be, every record's sequence and words checked, positions and
 * sequences starting just before 2^32. Reliable to one and to three consumers, lossy to two readers.
 *
 *     bun test/robust/records-stress.ts --messages 3000000 [--json]
 *
 * The messages are shared out over the shapes. Lossy readers get what they are quick enough for; received + missed must be all.
 */
import { parseArgs } from "node:util";
import { Records, Region } from "../../src/index.ts";
import { cursorPositionWord, RecordsLayout, type RecordsModeName } from "../../src/ring/records-layout.ts";
import { destroyOwned, ownRegion } from "../support/owned-regions.ts";

interface Shape {
  readonly name: string;
  readonly mode: RecordsModeName;
  readonly consumers: number;
  readonly capacityBytes: number;
  readonly burst: number;
  readonly share: number;
}

const SHAPES: readonly Shape[] = [
  { name: "one consumer", mode: "reliable", consumers: 1, capacityBytes: 65536, burst: 32, share: 0.45 },
  { name: "three consumers", mode: "reliable", consumers: 3, capacityBytes: 65536, burst: 32, share: 0.25 },
  { name: "one by one, tiny", mode: "reliable", consumers: 2, capacityBytes: 4096, burst: 1, share: 0.02 },
  { name: "two readers", mode: "lossy", consumers: 2, capacityBytes: 65536, burst: 32, share: 0.28 },
];
/** A lossy reader gets so much, whoever has the processors: a reader that gets nothing has not been tested. */
const LEAST_SHARE = 0.0005;
const FIRST_SEQUENCE = -1_000_003;
const FIRST_POSITION = -64 * 1024 * 1024;
const NAME = "r";
/** Nothing for so long: a lost wake-up, or a machine that does not run us. */
const SILENCE_MS = 30_000;

interface PeerResult {
  readonly received: number;
  readonly missed: number;
  readonly torn: number;
  readonly faults: readonly string[];
}

/** 0 to 7 words beside the sequence: all sizes from 8 to 40 bytes with their headers. */
function wordsOf(sequence: number): number {
  return 1 + (Math.imul(sequence, 0x9e3779b1) >>> 29);
}

function produce(records: Records, count: number, burst: number): PeerResult {
  using tx = records.producer();
  const end = (tx.sequence + count) >>> 0;
  while (tx.sequence !== end) {
    for (let i = 0; i < burst && tx.sequence !== end; i++) {
      const sequence = tx.sequence | 0;
      const words = wordsOf(sequence);
      if (!tx.tryReserve(4 * words)) tx.reserve(4 * words, { timeoutMs: SILENCE_MS });
      for (let k = 0; k < words; k++) tx.data[tx.word + k] = sequence + k;
      tx.finish(4 * words);
    }
    tx.publish();
  }
  return { received: count, missed: 0, torn: 0, faults: [] };
}

function consume(records: Records, count: number): PeerResult {
  const faults: string[] = [];
  using rx = records.consumer();
  console.log("ready");
  let received = 0;
  let torn = 0;
  let expected = FIRST_SEQUENCE | 0;
  let missedBefore = 0;
  while (received + torn + rx.missed < count && faults.length < 5) {
    while (rx.next()) {
      const { data, word, sequence, length } = rx;
      const words = wordsOf(sequence);
      let whole = length === 4 * words;
      for (let k = 0; k < words; k++) whole &&= data[word + k] === ((sequence + k) | 0);
      if (!rx.intact()) torn++;
      else {
        received++;
        if (!whole) faults.push(`record ${sequence} is torn`);
        if (sequence !== ((expected + rx.missed - missedBefore) | 0))
          faults.push(`${sequence} came where ${expected} was due, ${rx.missed - missedBefore} missed`);
      }
      missedBefore = rx.missed;
      expected = (sequence + 1) | 0;
      if ((sequence & 31) === 0) rx.release();
    }
    rx.release();
    if (rx.ended) break;
    if (!rx.block({ timeoutMs: SILENCE_MS })) faults.push(`nothing for ${SILENCE_MS} ms`);
  }
  // Lapped behind the last one: it was not told.
  const untold = (FIRST_SEQUENCE + count - expected) | 0;
  return { received, missed: rx.missed + untold, torn, faults };
}

export interface RecordsStressResult {
  readonly messages: number;
  readonly deliveries: number;
  readonly missed: number;
  readonly faults: readonly string[];
  readonly seconds: number;
}

async function play(
  shape: Shape,
  count: number,
  totals: { deliveries: number; missed: number },
): Promise<string[]> {
  const name = ownRegion(`stress-${process.pid}-${shape.name.replaceAll(/[ ,]+/g, "-")}`);
  using region = Region.create(name, { size: "1MiB" });
  try {
    const { capacityBytes, mode, consumers } = shape;
    const reliable = mode === "reliable";
    const records = Records.create(region, NAME, {
      capacityBytes,
      mode,
      ...(reliable ? { maxConsumers: consumers } : {}),
    });
    const { words } = records.geometry;
    words[RecordsLayout.tailWord] = FIRST_POSITION;
    words[RecordsLayout.firstMarkWord] = FIRST_POSITION;
    words[RecordsLayout.firstMarkWord + RecordsLayout.markSequenceWord] = FIRST_SEQUENCE;
    words[RecordsLayout.claimWord] = FIRST_POSITION;
    words[RecordsLayout.epochWord] = 1;
    for (let k = 0; k < records.geometry.maxConsumers; k++) words[cursorPositionWord(k)] = FIRST_POSITION;
    const start = (role: string): Bun.Subprocess<"ignore", "pipe", "pipe"> =>
      Bun.spawn(
        [process.execPath, import.meta.path, "--peer", role, name, String(count), String(shape.burst)],
        {
          stdio: ["ignore", "pipe", "pipe"],
        },
      );
    const readers = Array.from({ length: consumers }, () => start("consume"));
    const texts = readers.map(async ({ stdout }) => new Response(stdout).text());
    while (reliable && !everyoneJoined(records)) await Bun.sleep(5);
    if (!reliable) await Bun.sleep(1000); // a lossy reader leaves no trace: who comes late has missed what came before
    const producer = start("produce");
    const outputs = await Promise.all([new Response(producer.stdout).text(), ...texts]);
    const faults: string[] = [];
    for (const [i, process_] of [producer, ...readers].entries()) {
      if ((await process_.exited) !== 0)
        faults.push(
          `${shape.name}: exit ${process_.exitCode}: ${(await new Response(process_.stderr).text()).slice(-500)}`,
        );
      else if (i > 0) {
        const result = JSON.parse(outputs[i]!.trim().split("\n").at(-1)!) as PeerResult;
        faults.push(...result.faults.map((fault) => `${shape.name}: ${fault}`));
        if (result.received + result.torn + result.missed !== count && reliable)
          faults.push(`${shape.name}: ${result.received} of ${count} came`);
        if (!reliable && result.received < count * LEAST_SHARE)
          faults.push(`${shape.name}: a reader got only ${result.received} of ${count}`);
        totals.deliveries += result.received;
        totals.missed += result.missed + result.torn;
      }
    }
    return faults;
  } finally {
    destroyOwned(name);
  }
}

function everyoneJoined(records: Records): boolean {
  const { words, maxConsumers } = records.geometry;
  for (let k = 0; k < maxConsumers; k++)
    if ((words[RecordsLayout.firstCursorWord + k * RecordsLayout.cursorWords]! & 0xff) === 0) return false;
  return true;
}

export async function recordsStressTest(messages: number): Promise<RecordsStressResult> {
  const startMs = performance.now();
  const totals = { deliveries: 0, missed: 0 };
  const faults: string[] = [];
  let sent = 0;
  for (const shape of SHAPES) {
    const count = Math.ceil(messages * shape.share);
    sent += count;
    faults.push(...(await play(shape, count, totals)));
  }
  return { messages: sent, ...totals, faults, seconds: Math.round(performance.now() - startMs) / 1000 };
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      messages: { type: "string", default: "3000000" },
      json: { type: "boolean", default: false },
      peer: { type: "string" },
    },
  });
  if (values.peer !== undefined) {
    const [name, count, burst] = positionals as [string, string, string];
    using region = Region.open(name);
    const records = Records.open(region, NAME);
    const result =
      values.peer === "produce"
        ? produce(records, Number(count), Number(burst))
        : consume(records, Number(count));
    console.log(JSON.stringify(result));
  } else {
    const result = await recordsStressTest(Number(values.messages));
    console.log(JSON.stringify(result, null, values.json ? 0 : 2));
    process.exit(result.faults.length === 0 ? 0 : 1);
  }
}
