/**
 * The TypeScript counterpart of examples/c/producer.c and consumer.c.
 *
 *     bun peer.ts produce|consume REGION RING COUNT [--burst N] [--pause-every N --pause-ms MS] [--await] [--wait-ms MS]
 */
import { parseArgs } from "node:util";
import { Region } from "../../src/memory/region.ts";
import { RingLayout } from "../../src/ring/layout.ts";
import { Ring } from "../../src/ring/ring.ts";
import { addChecksum, isPattern, writePattern } from "./pattern.ts";

/** Longest time that the other side may do nothing. */
const PEER_TIMEOUT_MS = 20_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    burst: { type: "string", default: "32" },
    "pause-every": { type: "string", default: "0" },
    "pause-ms": { type: "string", default: "0" },
    await: { type: "boolean", default: false },
  },
});
const [role, regionName, ringName, countText] = positionals as [string, string, string, string];
const count = Number(countText);
const burst = Number(values.burst);
const pauseEvery = Number(values["pause-every"]);
const pauseMs = Number(values["pause-ms"]);

interface End {
  block(options: { timeoutMs: number }): boolean;
  wait(options: { timeoutMs: number }): Promise<boolean>;
}

async function waitFor(end: End): Promise<void> {
  const options = { timeoutMs: PEER_TIMEOUT_MS };
  const ready = values.await ? await end.wait(options) : end.block(options);
  if (!ready) throw new Error(`the peer did nothing for ${PEER_TIMEOUT_MS} ms`);
}

function pauseBetween(before: number, after: number): void {
  if (pauseEvery > 0 && Math.floor(before / pauseEvery) !== Math.floor(after / pauseEvery))
    Bun.sleepSync(pauseMs);
}

async function produce(ring: Ring, sizeBytes: number): Promise<object> {
  const first = ring.geometry.words[RingLayout.tailWord]!;
  using tx = ring.producer();
  let checksum = 0;
  let sent = 0;
  while (sent < count) {
    const n = tx.reserve(Math.min(burst, count - sent));
    if (n === 0) {
      await waitFor(tx);
      continue;
    }
    for (let i = 0, at = tx.at; i < n; i++, at += tx.slotWords) {
      writePattern(tx.words, at, (first + sent + i) | 0, sizeBytes);
      checksum = addChecksum(checksum, tx.words, at);
    }
    tx.commit(n);
    pauseBetween(sent, sent + n);
    sent += n;
  }
  return { role: "producer", count: sent, first: first >>> 0, checksum: checksum >>> 0 };
}

async function consume(ring: Ring, sizeBytes: number): Promise<object> {
  const first = ring.geometry.words[RingLayout.headWord]!;
  using rx = ring.consumer();
  let checksum = 0;
  let received = 0;
  let wrong = 0;
  while (received < count) {
    const n = rx.peek(Math.min(burst, count - received));
    if (n === 0) {
      await waitFor(rx);
      continue;
    }
    for (let i = 0, at = rx.at; i < n; i++, at += rx.slotWords) {
      if (!isPattern(rx.words, at, (first + received + i) | 0, sizeBytes)) wrong++;
      checksum = addChecksum(checksum, rx.words, at);
    }
    rx.release(n);
    pauseBetween(received, received + n);
    received += n;
  }
  return { role: "consumer", count: received, first: first >>> 0, checksum: checksum >>> 0, wrong };
}

/** A creator in another process may have named the region and not yet come to the ring. */
function openRing(region: Region): Ring {
  const deadline = performance.now() + PEER_TIMEOUT_MS;
  while (region.directory.find(ringName) === null && performance.now() < deadline) Bun.sleepSync(1);
  return Ring.open(region, ringName);
}

const region = Region.open(regionName, { waitMs: PEER_TIMEOUT_MS });
const ring = openRing(region);
const result =
  role === "produce" ? await produce(ring, region.sizeBytes) : await consume(ring, region.sizeBytes);
console.log(JSON.stringify(result));
region.close();
