/**
 * A radio and its listener in two processes: blocks of complex samples, never waiting for a slow listener. The oldest blocks are
 * dropped, and the sequence numbers say where a gap is, so that a decoder can start anew there instead of reading across it.
 *
 *     bun examples/sdr.ts              a listener that keeps up
 *     bun examples/sdr.ts --slow       one that does not
 */
import { Channel, Region } from "physring";

const NAME = "sdr";
const BLOCKS = 200;
const SAMPLES = 16_384;
const SAMPLE_RATE = 2_048_000;
const TONE_HZ = 50_000;

/** 16-bit I and Q in turn, as most radios deliver them; a tone at full scale / 2. Blocks come when they come: 125 a second. */
async function radio(region: Region): Promise<void> {
  using producer = Channel.open(region, "iq").producer();
  await producer.waitForConsumers(1);
  const startMs = performance.now();
  for (let block = 0; block < BLOCKS; block++) {
    await Bun.sleep(Math.max(0, startMs + (block * SAMPLES * 1000) / SAMPLE_RATE - performance.now()));
    using frame = producer.loan();
    if (frame === null) continue;
    const iq = samplesOf(frame.bytes);
    for (let n = 0; n < SAMPLES; n++) {
      const phase = (2 * Math.PI * TONE_HZ * (block * SAMPLES + n)) / SAMPLE_RATE;
      iq[2 * n] = 16384 * Math.cos(phase);
      iq[2 * n + 1] = 16384 * Math.sin(phase);
    }
    producer.send(frame);
  }
}

async function listen(region: Region, slow: boolean): Promise<void> {
  let [received, missing, next] = [0, 0, 0];
  let power = 0;
  for await (using frame of Channel.open(region, "iq").consumer()) {
    if (frame.sequence !== next) {
      missing += frame.sequence - next;
      console.log(
        `gap before block ${frame.sequence}: ${(frame.sequence - next) * SAMPLES} samples are missing`,
      );
    }
    next = frame.sequence + 1;
    received++;
    power = 0;
    for (const value of samplesOf(frame.bytes)) power += value * value;
    if (slow) await Bun.sleep(25);
  }
  missing += BLOCKS - next;
  const dbfs = 10 * Math.log10(power / SAMPLES / 32768 ** 2);
  console.log(`${received} blocks received, ${missing} missing, ${dbfs.toFixed(2)} dBFS`);
}

function samplesOf(bytes: Uint8Array): Int16Array {
  return new Int16Array(bytes.buffer, bytes.byteOffset, 2 * SAMPLES);
}

if (process.argv[2] === "radio") {
  using region = Region.open(NAME);
  await radio(region);
} else {
  using region = Region.create(NAME, { size: "4MiB" });
  process.once("SIGINT", () => {
    Region.destroy(NAME);
    process.exit(130);
  });
  Channel.create(region, "iq", { frameBytes: 4 * SAMPLES, policy: "drop-oldest" });
  const child = Bun.spawn([process.execPath, import.meta.path, "radio"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  await listen(region, process.argv[2] === "--slow");
  await child.exited;
  Region.destroy(NAME);
}
