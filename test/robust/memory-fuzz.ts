/**
 * In-process fuzzing of a live region, as a process of its own: three handles send, receive, forward, attach, leave and open while
 * words change between the calls and, through the hooked atomics, between any two steps inside them. fuzz.ts starts and watches it.
 *
 *     bun test/robust/memory-fuzz.ts '{"mutations":500000,"seed":1,"board":"NAME","slot":0}'
 */
import { readdirSync, readFileSync } from "node:fs";
import type { FrameConsumer } from "../../src/channel/consumer.ts";
import type { Frame } from "../../src/channel/frame.ts";
import type { FrameProducer } from "../../src/channel/producer.ts";
import type { RecordConsumer } from "../../src/channel/record-consumer.ts";
import type { RecordProducer } from "../../src/channel/record-producer.ts";
import type { Region as RegionHandle } from "../../src/memory/region.ts";
import type { RingConsumer, RingProducer } from "../../src/ring/ring.ts";
import { Random } from "../support/random.ts";
import { setStepHook } from "../support/step-hook.ts";

let onStep: (() => void) | null = null;
let steps = 0;
setStepHook(() => {
  steps++;
  onStep?.();
});

// Only now: what is imported above must not load src/ before the hook is there.
const physring = await import("../../src/index.ts");
const {
  Channel,
  listParticipants,
  Participant,
  PhysringError,
  Pool,
  Records,
  Region,
  regionOffset,
  Ring,
  waitAny,
} = physring;
const { findTargets, Scribbler } = await import("./scribbler.ts");
const { Board, Word } = await import("./board.ts");
const { createQueues, QueueStage } = await import("./fuzz-queues.ts");
const { OrphanGuard } = await import("../support/orphan.ts");

export interface MemoryFuzzOptions {
  readonly mutations: number;
  readonly seed: number;
  readonly board: string;
  readonly slot: number;
}

export interface MemoryFuzzReport {
  readonly mutations: number;
  /** Protocol steps taken: the hooks work. */
  readonly steps: number;
  readonly calls: number;
  readonly episodes: number;
  readonly frames: number;
  readonly rejected: number;
  readonly errorCodes: Record<string, number>;
  readonly slowestMs: number;
  readonly slowest: string;
  readonly rssGrowthBytes: number;
  readonly fdGrowth: number;
  readonly faults: readonly string[];
}

const REGION_BYTES = 264 * 1024 + 512;
const ROUNDS_PER_EPISODE = 24;
/** An episode is calm (a wrong word now and then: the code gets far) or a storm (hardly a word is right). */
const INTENSITIES = [1, 1, 4, 16, 64] as const;
const STEPS_PER_MUTATION = 96;
/** A bounded spin takes millions of steps: no more mutations than this in one call. */
const MOST_PER_CALL = 256;
/** No call takes that long: the longest legal waits are bounded spins of some 50 ms, here with hooks in them. */
const CALL_LIMIT_MS = 5000;
const GC_EVERY_EPISODES = 64;
const MOST_RSS_GROWTH = 256 * 2 ** 20;
const MOST_FAULTS = 20;
/** Sockets and files that stay open for good are open by then. */
const WARM_UP_EPISODES = 8;
const MOST_REJECTED = 10_000;

const CHANNELS = [
  { name: "oldest", policy: "drop-oldest", delivery: "all", history: 1 },
  { name: "block", policy: "block", delivery: "one", history: 0 },
  { name: "newest", policy: "drop-newest", delivery: "all", history: 2 },
  { name: "fail", policy: "fail", delivery: "one", history: 0 },
] as const;

const RECORDS = [
  { name: "log", mode: "reliable" },
  { name: "cast", mode: "lossy" },
] as const;

const options = JSON.parse(process.argv[2]!) as MemoryFuzzOptions;
const random = new Random(options.seed);
const board = Board.open(options.board);
const name = `${options.board}-memory-${options.slot}`;

const guard = new OrphanGuard([name, options.board], options.board);

const errorCodes: Record<string, number> = {};
const faults: string[] = [];
let calls = 0;
let frames = 0;
let rejected = 0;
let slowestMs = 0;
let slowest = "";
/** The asynchronous call under way: if the process ends there, its promise was lost. */
let pending = "";

function countCode(code: string): void {
  errorCodes[code] = (errorCodes[code] ?? 0) + 1;
}

function fault(what: string): void {
  if (faults.length < MOST_FAULTS) faults.push(`call ${calls}: ${what}`);
}

function judge(what: string, error: unknown): void {
  if (error instanceof AggregateError) for (const inner of error.errors) judge(what, inner);
  else if (error instanceof PhysringError) countCode(error.code);
  else fault(`${what}: ${error instanceof Error ? error.stack : error}`);
}

/** Processor time, not the clock: other programs take their share of the machine. Sleeping for ever shows as a missing beat. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function timed(what: string, startMs: number): void {
  const tookMs = cpuMs() - startMs;
  if (tookMs > slowestMs) {
    slowestMs = tookMs;
    slowest = what;
  }
  if (tookMs > CALL_LIMIT_MS) fault(`${what} took ${Math.round(tookMs)} ms`);
}

/** Runs one call under fire: null when it ended with a typed error. */
function attempt<T>(what: string, body: () => T): T | null {
  calls++;
  const startMs = cpuMs();
  try {
    return body();
  } catch (error) {
    judge(what, error);
    return null;
  } finally {
    timed(what, startMs);
  }
}

async function attemptAsync<T>(what: string, body: () => Promise<T>): Promise<T | null> {
  calls++;
  pending = what;
  const startMs = cpuMs();
  try {
    return await body();
  } catch (error) {
    judge(what, error);
    return null;
  } finally {
    pending = "";
    timed(what, startMs);
  }
}

process.on("exit", () => {
  if (pending !== "") console.error(`${pending} (call ${calls}) never settled`);
});
process.on("uncaughtException", (error) =>
  fault(`uncaught: ${error instanceof Error ? error.stack : error}`),
);
process.on("unhandledRejection", (error) =>
  fault(`unhandled: ${error instanceof Error ? error.stack : error}`),
);

function build(): RegionHandle {
  const region = Region.create(name, { size: REGION_BYTES });
  const pool = Pool.create(region, "pool", { frameBytes: 1024, blockCount: 10, metaBytes: 256 });
  for (const { name: channel, ...shape } of CHANNELS) {
    Channel.create(region, channel, { pool, ...shape, laneCapacity: 4, maxConsumers: 2 });
  }
  Ring.create(region, "ring", { slotBytes: 32, capacity: 8 });
  createQueues(physring, region);
  for (const { name: records, mode } of RECORDS) {
    const reliable = mode === "reliable";
    Records.create(region, records, {
      capacityBytes: 4096,
      mode,
      history: 4,
      ...(reliable ? { maxConsumers: 2, policy: "drop-newest", stallTimeoutMs: 3 } : {}),
    });
  }
  return region;
}

/** The process's participants: a handle each, as if they were processes. */
class Stage {
  readonly handles: RegionHandle[] = [];
  producers: FrameProducer[] = [];
  consumers: FrameConsumer[] = [];
  held: Frame[] = [];
  readonly queues = new QueueStage(physring, { attempt, attemptAsync, fault }, random);
  tx: RingProducer | null = null;
  rx: RingConsumer | null = null;
  recordProducers: RecordProducer[] = [];
  recordConsumers: RecordConsumer[] = [];

  open(): void {
    for (let i = 0; i < 3; i++) {
      const handle = attempt("Region.open", () => Region.open(name));
      if (handle !== null) this.handles.push(handle);
    }
    const [a, b, c] = this.handles;
    if (a === undefined || b === undefined || c === undefined) return;
    for (const { name: channel } of CHANNELS) {
      // Handle b forwards: consumer of all but one, producer of that one.
      this.attachProducer(channel === "block" ? b : a, channel);
      this.attachConsumer(channel === "block" ? a : b, channel);
      this.attachConsumer(c, channel);
    }
    this.tx = attempt("ring producer", () => Ring.open(a, "ring").producer());
    this.rx = attempt("ring consumer", () => Ring.open(b, "ring").consumer());
    this.queues.open(a, b, c);
    for (const { name: records } of RECORDS) {
      this.attachRecordProducer(a, records);
      this.attachRecordConsumer(b, records);
      this.attachRecordConsumer(c, records);
    }
  }

  attachRecordProducer(handle: RegionHandle, records: string): void {
    const producer = attempt("record producer", () => Records.open(handle, records).producer());
    if (producer !== null) this.recordProducers.push(producer);
  }

  attachRecordConsumer(handle: RegionHandle, records: string): void {
    const consumer = attempt("record consumer", () =>
      Records.open(handle, records).consumer({ history: random.below(5), reconnect: random.oneIn(2) }),
    );
    if (consumer !== null) this.recordConsumers.push(consumer);
  }

  attachProducer(handle: RegionHandle, channel: string): void {
    const producer = attempt("producer", () => Channel.open(handle, channel).producer());
    if (producer !== null) this.producers.push(producer);
  }

  attachConsumer(handle: RegionHandle, channel: string): void {
    const consumer = attempt("consumer", () =>
      Channel.open(handle, channel).consumer({ reconnect: random.oneIn(2) }),
    );
    if (consumer !== null) this.consumers.push(consumer);
  }

  close(): void {
    for (const consumer of this.consumers) {
      const count = attempt("rejected", () => consumer.rejected) ?? 0;
      // The counter itself may have been hit.
      if (count < MOST_REJECTED) rejected += count;
    }
    for (const handle of this.handles) attempt("close", () => handle.close());
    this.handles.length = 0;
    this.producers = [];
    this.consumers = [];
    this.held = [];
    this.recordProducers = [];
    this.recordConsumers = [];
    this.queues.forget();
  }
}

function useFrame(frame: Frame): void {
  frames++;
  const { pool, block, bytes } = frame;
  const start = pool.blockOffset(block);
  if (frame.offset < start || frame.offset + bytes.byteLength > start + pool.geometry.blockBytes) {
    fault(`view of block ${block} at ${frame.offset} + ${bytes.byteLength}`);
  }
  if (bytes.byteLength > 0) {
    bytes[0] = 1;
    bytes[bytes.byteLength - 1] = 2;
  }
  attempt("metadata", () => frame.metadata);
}

async function produce(stage: Stage): Promise<void> {
  if (stage.producers.length === 0) return;
  const producer = random.pick(stage.producers);
  const slow = random.oneIn(12);
  const frame = slow
    ? await attemptAsync("loan", async () =>
        random.oneIn(2) ? producer.loan({ timeoutMs: 1 }) : await producer.loanAsync({ timeoutMs: 1 }),
      )
    : attempt("tryLoan", () => producer.tryLoan());
  if (frame === null) return;
  attempt("fill", () => frame.bytes.fill(frame.block));
  if (random.oneIn(4))
    attempt("set metadata", () => (frame.metadata = { a: [1, "two", { three: 3.5 }], b: null }));
  if (slow && random.oneIn(2))
    await attemptAsync("sendAsync", () => producer.sendAsync(frame, { timeoutMs: 1 }));
  else if (slow) attempt("send", () => producer.send(frame, { timeoutMs: 1 }));
  else attempt("trySend", () => producer.trySend(frame));
  attempt("release unsent", () => frame.release());
}

async function consume(stage: Stage): Promise<void> {
  if (stage.consumers.length === 0) return;
  const consumer = random.pick(stage.consumers);
  const frame = random.oneIn(16)
    ? await attemptAsync("receive", async () =>
        random.oneIn(2) ? consumer.receive({ timeoutMs: 1 }) : await consumer.receiveAsync({ timeoutMs: 1 }),
      )
    : attempt("tryReceive", () => consumer.tryReceive());
  if (frame === null) return;
  attempt("use", () => useFrame(frame));
  const fate = random.below(4);
  if (fate === 0 && stage.producers.length > 0) {
    const producer = random.pick(stage.producers);
    attempt("forward", () => producer.trySend(frame));
  }
  if (fate === 1) stage.held.push(frame);
  else attempt("release", () => frame.release());
  if (stage.held.length > 3) attempt("release held", () => stage.held.shift()?.release());
}

async function useRing(stage: Stage): Promise<void> {
  const { tx, rx } = stage;
  if (tx !== null) {
    attempt("ring produce", () => {
      const count = tx.reserve(1 + random.below(8));
      for (let i = 0; i < count; i++) tx.write(i, i, 0, 64, i);
      tx.commit(count);
    });
  }
  if (rx !== null) {
    attempt("ring consume", () => {
      const count = rx.peek(1 + random.below(8));
      for (let i = 0, at = rx.at; i < count; i++, at += rx.slotWords)
        if (rx.words[at] === undefined) fault("ring slot outside");
      rx.release(count);
    });
    if (random.oneIn(16)) attempt("ring block", () => rx.block({ timeoutMs: 1 }));
    if (random.oneIn(16)) await attemptAsync("ring wait", () => rx.wait({ timeoutMs: 1 }));
  }
}

function produceRecord(tx: RecordProducer): void {
  attempt("record produce", () => {
    for (let i = 1 + random.below(6); i > 0; i--) {
      const bytes = random.oneIn(8) ? random.below(tx.maxBytes + 2) : random.below(300);
      if (!tx.tryReserve(bytes)) break;
      if (tx.offset < 0 || tx.offset + bytes > tx.bytes.length) fault(`record at ${tx.offset} + ${bytes}`);
      tx.bytes.fill(i, tx.offset, tx.offset + bytes);
      if (random.oneIn(8)) tx.abort();
      else tx.finish(random.oneIn(4) ? random.below(bytes + 1) : bytes);
    }
    tx.publish();
  });
}

function consumeRecords(rx: RecordConsumer): void {
  attempt("record consume", () => {
    for (let i = 1 + random.below(12); i > 0 && rx.next(); i--) {
      frames++;
      const { offset, length } = rx;
      if (offset < 0 || length < 0 || offset + length > rx.bytes.length)
        fault(`record at ${offset} + ${length}`);
      const view = rx.view();
      if (view.length !== length) fault("view of a record");
      rx.intact();
    }
    if (!random.oneIn(4)) rx.release();
  });
}

async function useRecords(stage: Stage): Promise<void> {
  const { recordProducers, recordConsumers } = stage;
  const handle = stage.handles[random.below(3)];
  if (recordProducers.length > 0) {
    const tx = random.pick(recordProducers);
    if (!random.oneIn(8)) produceRecord(tx);
    else
      await attemptAsync("record send", () =>
        tx.sendAsync(new Uint8Array(random.below(400)), { timeoutMs: 1 }),
      );
    if (random.oneIn(16)) attempt("record counters", () => [tx.counters, tx.consumers]);
    if (random.oneIn(16) && handle !== undefined) {
      recordProducers.splice(recordProducers.indexOf(tx), 1);
      attempt("record producer close", () => tx.close());
      stage.attachRecordProducer(handle, random.pick(RECORDS).name);
    }
  }
  if (recordConsumers.length > 0) {
    const rx = random.pick(recordConsumers);
    consumeRecords(rx);
    if (random.oneIn(12)) attempt("record receive", () => rx.receive({ timeoutMs: 1 }));
    if (random.oneIn(12)) await attemptAsync("record await", () => rx.receiveAsync({ timeoutMs: 1 }));
    if (random.oneIn(8) && handle !== undefined) {
      recordConsumers.splice(recordConsumers.indexOf(rx), 1);
      attempt("record consumer close", () => rx.close());
      stage.attachRecordConsumer(handle, random.pick(RECORDS).name);
    }
  }
}

function open(): void {
  const readOnly = random.oneIn(4);
  const region = attempt("Region.open", () => Region.open(name, { readOnly }));
  if (region === null) return;
  const listed = attempt("list", () => region.directory.list()) ?? [];
  for (const { name: object } of listed.slice(0, 8)) {
    attempt("Channel.open", () => Channel.open(region, object).counters);
    attempt("Ring.open", () => Ring.open(region, object));
    attempt("Records.open", () => Records.open(region, object));
  }
  const offset = regionOffset(random.below(REGION_BYTES));
  attempt("addresses", () => region.addresses(offset));
  attempt("listParticipants", () => listParticipants(region.control));
  attempt("close", () => region.close());
}

async function look(stage: Stage, heal: () => void): Promise<void> {
  const handle = stage.handles[random.below(3)];
  if (handle === undefined) return;
  switch (random.below(6)) {
    case 0:
      attempt("recoverDead", () => Participant.of(handle).recoverDead());
      break;
    case 1:
      attempt("create", () =>
        Ring.create(handle, `extra-${random.below(4)}`, { slotBytes: 16, capacity: 2 }),
      );
      break;
    case 2:
      attempt("remove", () => handle.directory.remove(`extra-${random.below(4)}`));
      break;
    case 3: {
      // Consumers of one handle, as waitAny wants them.
      const [first] = stage.consumers;
      const together = stage.consumers.filter((consumer) => consumer.participant === first?.participant);
      if (first !== undefined) await attemptAsync("waitAny", () => waitAny(together, { timeoutMs: 1 }));
      break;
    }
    case 4: {
      const consumer = stage.consumers.shift();
      if (consumer === undefined) break;
      // Leaving a lane that never drains spins to its limit: seldom enough.
      if (!random.oneIn(64)) heal();
      attempt("consumer close", () => consumer.close());
      stage.attachConsumer(handle, random.pick(CHANNELS).name);
      break;
    }
    default: {
      const producer = stage.producers.shift();
      if (producer === undefined) break;
      if (!random.oneIn(64)) heal();
      attempt("counters", () => [producer.counters, producer.backlog, producer.consumers]);
      attempt("producer close", () => producer.close());
      stage.attachProducer(handle, random.pick(CHANNELS).name);
    }
  }
}

async function work(stage: Stage, heal: () => void): Promise<void> {
  const what = random.below(20);
  if (what < 8) await produce(stage);
  else if (what < 16) await consume(stage);
  else if (what < 18)
    await (random.oneIn(4)
      ? useRing(stage)
      : random.oneIn(2)
        ? useRecords(stage)
        : stage.queues.use(stage.handles[random.below(3)]));
  else if (what === 18) await look(stage, heal);
  else if (random.oneIn(8)) open();
}

const openFiles = (): number => readdirSync("/proc/self/fd").length;
const rssBytes = (): number => Number(readFileSync("/proc/self/statm", "utf8").split(" ")[1]) * 4096;

/** Bytes of the engine's buffer around the region: nobody may ever have written there. */
function checkAround(region: RegionHandle): void {
  const { buffer, byteOffset, byteLength } = region.bytes;
  const outside = [
    new Uint8Array(buffer, 0, byteOffset),
    new Uint8Array(buffer, byteOffset + Math.ceil(byteLength / 4096) * 4096),
  ];
  if (outside.some((bytes) => bytes.some((byte) => byte !== 0)))
    fault("bytes outside the region were written");
}

async function run(): Promise<MemoryFuzzReport> {
  const creator = build();
  const raw = Region.open(name, { raw: true });
  const words = raw.words(regionOffset(0), REGION_BYTES >>> 2);
  const { targets, limitBytes } = findTargets(creator);
  creator.close();
  const pristine = raw.bytes.slice();
  const scribbler = new Scribbler(words, targets, limitBytes, random);
  let episodes = 0;
  let stepsPerMutation = STEPS_PER_MUTATION;
  let stepsLeft = STEPS_PER_MUTATION;
  let mutatedInCall = 0;
  let mutatedCall = 0;
  let rssAtStart = 0;
  let fdsAtStart = 0;
  const underFire = (): void => {
    if (--stepsLeft > 0) return;
    stepsLeft = 1 + random.below(2 * stepsPerMutation);
    if (mutatedCall !== calls) mutatedInCall = 0;
    mutatedCall = calls;
    if (++mutatedInCall <= MOST_PER_CALL) scribbler.mutate();
  };
  while (scribbler.mutations < options.mutations && faults.length === 0) {
    raw.bytes.set(pristine);
    scribbler.forget();
    const stage = new Stage();
    const intensity = random.pick(INTENSITIES);
    stepsPerMutation = Math.ceil(STEPS_PER_MUTATION / intensity);
    if (random.oneIn(8)) for (let i = random.below(4); i > 0; i--) scribbler.mutate();
    stage.open();
    for (let round = 0; round < ROUNDS_PER_EPISODE; round++) {
      board.add(options.slot, Word.beat);
      guard.check();
      for (let i = random.below(8 * intensity); i > 0; i--) scribbler.mutate();
      onStep = random.oneIn(2) ? underFire : null;
      for (let i = 0; i < 4; i++) await work(stage, () => scribbler.heal());
      onStep = null;
      if (random.oneIn(3)) scribbler.heal();
    }
    checkAround(raw);
    for (const handle of stage.handles) checkAround(handle);
    if (!random.oneIn(64)) scribbler.heal();
    if (!random.oneIn(64)) raw.bytes.set(pristine.subarray(limitBytes / 2), limitBytes / 2);
    stage.close();
    episodes++;
    if (episodes % GC_EVERY_EPISODES === 0) {
      Bun.gc(true);
      await Bun.sleep(0);
      if (rssAtStart === 0 && scribbler.mutations > options.mutations / 4) rssAtStart = rssBytes();
    }
    if (episodes === WARM_UP_EPISODES) fdsAtStart = openFiles();
  }
  Bun.gc(true);
  await Bun.sleep(60);
  Bun.gc(true);
  const rssGrowthBytes = rssAtStart === 0 ? 0 : rssBytes() - rssAtStart;
  const fdGrowth = fdsAtStart === 0 ? 0 : openFiles() - fdsAtStart;
  if (rssGrowthBytes > MOST_RSS_GROWTH) fault(`resident memory grew by ${rssGrowthBytes} bytes`);
  if (fdGrowth > 4) fault(`${fdGrowth} descriptors leaked`);
  raw.close();
  const { mutations } = scribbler;
  return {
    mutations,
    steps,
    calls,
    episodes,
    frames,
    rejected,
    errorCodes,
    slowestMs,
    slowest,
    rssGrowthBytes,
    fdGrowth,
    faults,
  };
}

let code = 1;
try {
  const report = await run();
  console.log(JSON.stringify(report));
  code = report.faults.length === 0 ? 0 : 1;
} catch (error) {
  console.error(error);
} finally {
  Region.destroy(name);
}
process.exit(code);
