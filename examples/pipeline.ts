/**
 * Three processes in a row, and one block that travels through all of them: the source fills it, the filter works on it in
 * place and forwards it, the sink reads it. Nothing is copied.
 *
 *     bun examples/pipeline.ts
 */
import { Channel, Region } from "physring";

const NAME = "pipeline";
const FRAMES = 1000;
const SAMPLES = 4096;
const stages: Record<string, (region: Region) => Promise<void>> = { source, filter, sink };

async function source(region: Region): Promise<void> {
  using raw = Channel.open(region, "raw").producer();
  await raw.waitForConsumers(1);
  for (let i = 0; i < FRAMES; i++) {
    const frame = await raw.loanAsync();
    if (frame === null) throw new Error("policy block never drops");
    samplesOf(frame.bytes).fill(i);
    await raw.sendAsync(frame);
  }
}

async function filter(region: Region): Promise<void> {
  using filtered = Channel.open(region, "filtered").producer();
  await filtered.waitForConsumers(1);
  for await (const frame of Channel.open(region, "raw").consumer()) {
    const samples = samplesOf(frame.bytes);
    for (let i = 0; i < samples.length; i++) samples[i]! *= 2;
    await filtered.sendAsync(frame);
  }
}

async function sink(region: Region): Promise<void> {
  let frames = 0;
  let sum = 0;
  for await (using frame of Channel.open(region, "filtered").consumer()) {
    frames++;
    for (const sample of samplesOf(frame.bytes)) sum += sample;
  }
  console.log(`${frames} frames, sum ${sum}`);
}

function samplesOf(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, SAMPLES);
}

const stage = stages[process.argv[2] ?? ""];
if (stage !== undefined) {
  using region = Region.open(NAME);
  await stage(region);
} else {
  using region = Region.create(NAME, { size: "2MiB" });
  process.once("SIGINT", () => {
    Region.destroy(NAME);
    process.exit(130);
  });
  const raw = Channel.create(region, "raw", { frameBytes: 4 * SAMPLES });
  Channel.create(region, "filtered", { pool: raw.pool });
  const children = Object.keys(stages).map((name) =>
    Bun.spawn([process.execPath, import.meta.path, name], { stdio: ["ignore", "inherit", "inherit"] }),
  );
  const codes = await Promise.all(children.map((child) => child.exited));
  Region.destroy(NAME);
  process.exitCode = Math.max(...codes);
}
