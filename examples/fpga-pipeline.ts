/**
 * An FPGA frame source, two worker processes, an FPGA sink, one region: no frame is ever copied. The first worker inverts the pixels in place, the second counts
 * the dark ones and passes them on. In the middle of it the first worker is killed and another takes its place: the hardware and everybody else goes on.
 *
 *     bun examples/fpga-pipeline.ts [--coherency none|io|full]
 */
import { Channel, type Frame, Region } from "physring";
import { CommandQueue, Core, SimulatedBoard, SinkStream, SourceStream, sourceWord } from "physring/fpga";
import { fpgaArguments } from "./fpga-arguments.ts";

const FRAMES = 60;
const FRAME_BYTES = 4096;
const SEED = 7;
const { coherency, places } = fpgaArguments("fpga-pipeline.ts [OPTIONS]", 2);
/** A worker's; the workers are this program, too. */
const [role, shared] = places;

/** A stage of the pipeline: takes frames from one channel, works on them in place, forwards them into the next. */
async function work(
  region: Region,
  from: string,
  to: string,
  body: (bytes: Uint8Array) => void,
): Promise<void> {
  using out = Channel.open(region, to).producer();
  using frames = Channel.open(region, from).consumer({ reconnect: true });
  for await (const frame of frames) {
    body(frame.bytes);
    await out.sendAsync(frame);
  }
}

function invert(bytes: Uint8Array): void {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let i = 0; i < words.length; i++) words[i] = ~words[i]!;
}

/** CRC-32 of frame `sequence` after the first worker. */
function expectedCrc(sequence: number): number {
  return Bun.hash.crc32(
    Int32Array.from({ length: FRAME_BYTES / 4 }, (_, j) => ~sourceWord(SEED, sequence, j)),
  );
}

async function main(): Promise<void> {
  const name = `fpga-pipeline-${process.pid}`;
  using region = Region.create(name, { size: "2MiB" });
  process.once("SIGINT", () => {
    Region.destroy(name);
    process.exit(130);
  });
  await using board = await SimulatedBoard.start({ name, region, coherency });
  using core = Core.open(board.where);
  // The camera never waits for a worker: when frames pile up, the oldest go.
  const raw = Channel.create(region, "raw", {
    frameBytes: FRAME_BYTES,
    frames: 32,
    policy: "drop-oldest",
    maxConsumers: 2,
  });
  for (const channel of ["inverted", "counted"])
    Channel.create(region, channel, { pool: raw.pool, maxConsumers: 2 });
  using camera = CommandQueue.create(core, region, "camera", {
    queue: 0,
    pool: raw.pool,
    paceCycles: 10_000,
  });
  using display = CommandQueue.create(core, region, "display", { queue: 1, pool: raw.pool });
  using results = Channel.open(region, "counted").consumer({ reconnect: true });
  using toWorkers = raw.producer();
  const start = (worker: string) =>
    Bun.spawn([process.execPath, import.meta.path, worker, name], {
      stdio: ["ignore", "inherit", "inherit"],
    });
  const counter = start("count");
  let inverter = start("invert");
  const stop = new AbortController();

  const feeding = (async () => {
    const source = new SourceStream<Frame>(camera, {
      loan: () => toWorkers.loan(),
      seed: SEED,
      signal: stop.signal,
    });
    for await (const { frame, sequence } of source) {
      frame.tag = sequence;
      toWorkers.send(frame);
    }
  })();

  let wrong = 0;
  const sink = new SinkStream<Frame>(display, {
    onTaken: (frame, { result }) => {
      if (result !== expectedCrc(frame.tag)) wrong++;
    },
  });
  let killed = false;
  for await (const frame of results) {
    await sink.write(frame);
    if (sink.taken >= FRAMES / 2 && !killed) {
      killed = true;
      inverter.kill("SIGKILL");
      await inverter.exited;
      inverter = start("invert");
    }
    if (sink.taken >= FRAMES) break;
  }
  await sink.flush();
  stop.abort();
  await feeding;
  for (const worker of [counter, inverter]) {
    worker.kill();
    await worker.exited;
  }
  console.log(
    `at least ${FRAMES} frames from hardware through two processes to hardware: ${wrong} wrong, a worker killed on the way: ${killed}`,
  );
  Region.destroy(name);
}

if (role === undefined) await main();
else {
  using region = Region.open(shared!);
  if (role === "invert") await work(region, "raw", "inverted", invert);
  else
    await work(region, "inverted", "counted", (bytes) =>
      bytes.reduce((dark, byte) => dark + (byte < 64 ? 1 : 0), 0),
    );
}
