/** The roles of robustness runs; see actor.ts, which loads this with hooked atomics. */
import {
  BackpressureError,
  Channel,
  type Frame,
  type FrameConsumer,
  type FrameProducer,
  FrameSharedError,
  InUseError,
  PeerDiedError,
  PhysringError,
  Region,
  Ring,
  WaitTimeoutError,
  waitAny,
} from "../../src/index.ts";
import { RingLayout } from "../../src/ring/layout.ts";
import { OrphanGuard } from "../support/orphan.ts";
import { Patience } from "../support/patience.ts";
import { Random } from "../support/random.ts";
import { Board, Word } from "./board.ts";
import { checkPayload, readStamp, stampPayload, writePayload } from "./payload.ts";

export interface ActorOptions {
  /** `part`: one of a topology of kill-parts.ts, see `topology` and `part`. */
  readonly role: "source" | "worker" | "sink" | "ring-source" | "ring-sink" | "builder" | "part";
  readonly region: string;
  readonly board: string;
  /** Its line on the board. */
  readonly slot: number;
  /** Different for every process of a run. */
  readonly incarnation: number;
  readonly seed: number;
  /** Number of output channels (`out0` …); a worker writes the one of its `output`. */
  readonly outputs: number;
  readonly output: number;
  readonly wait: "futex" | "spin" | "await";
  readonly reconnect: boolean;
  /** Every frame of a channel must arrive at a consumer that stays (policy block, delivery all). */
  readonly gapless: boolean;
  /** A frame reaches the sink once at most (delivery one). */
  readonly once: boolean;
  /** Somebody scribbles over the region: only crashes, untyped errors and views outside of the block are faults. */
  readonly hostile: boolean;
  readonly topology?: string;
  readonly part?: string;
}

export const PATIENCE_MS = 100;
/** A typed error at the door (a dead peer is being cleaned up) is tried again for so long. */
const ATTACH_MS = 5000;
const HELD_FRAMES = 3;

/** Starts a countdown to a fault, see {@link Member.arm}. */
export type ArmFault = (steps: number, fault: number, extra: number) => void;

export class Actor {
  readonly options: ActorOptions;
  readonly board: Board;
  readonly random: Random;
  readonly arm: ArmFault;
  readonly #guard: OrphanGuard;
  #errorCodes: Record<string, number> = {};

  constructor(options: ActorOptions, arm: ArmFault) {
    this.options = options;
    this.board = Board.open(options.board);
    this.random = new Random(options.seed);
    this.arm = arm;
    this.#guard = new OrphanGuard([options.region, options.board], options.board);
  }

  get stopping(): boolean {
    return this.board.get(this.options.slot, Word.stop) !== 0;
  }

  get paused(): boolean {
    return this.board.get(this.options.slot, Word.pause) !== 0;
  }

  beat(): void {
    const { slot } = this.options;
    this.board.add(slot, Word.beat);
    this.#guard.check();
    const steps = this.board.take(slot, Word.armedSteps);
    if (steps > 0)
      this.arm(steps, this.board.get(slot, Word.armedFault), this.board.get(slot, Word.armedExtra));
  }

  frame(): void {
    this.board.add(this.options.slot, Word.frames);
  }

  fault(what: string): void {
    if (this.options.hostile) return;
    console.log(
      JSON.stringify({ fault: what, role: this.options.role, incarnation: this.options.incarnation }),
    );
  }

  /** Counts a typed error (closing after one may throw another); anything else ends the process. */
  survive(error: unknown): void {
    if (error instanceof SuppressedError) {
      this.survive(error.error);
      this.survive(error.suppressed);
      return;
    }
    if (error instanceof AggregateError) {
      for (const inner of error.errors) this.survive(inner);
      return;
    }
    if (!(error instanceof PhysringError)) throw error;
    this.board.add(this.options.slot, Word.typedErrors);
    this.#errorCodes[error.code] = (this.#errorCodes[error.code] ?? 0) + 1;
  }

  report(): void {
    console.log(JSON.stringify({ end: this.options.role, errors: this.#errorCodes }));
  }

  /** Runs `body` until it does not throw a typed error, for a limited time. */
  async attach<T>(what: string, body: () => T): Promise<T> {
    const patience = new Patience(ATTACH_MS);
    for (;;) {
      try {
        return body();
      } catch (error) {
        this.survive(error);
        if (this.stopping) throw error;
        if (patience.isOver && !this.options.hostile) {
          this.fault(`${what}: ${error}`);
          throw error;
        }
        if (!this.options.hostile && !(error instanceof InUseError)) this.fault(`${what}: ${error}`);
        this.beat();
        await Bun.sleep(5);
      }
    }
  }
}

/** What a consumer must see of one channel: intact frames, numbers of each maker and sequences that only grow. */
class Stream {
  readonly #actor: Actor;
  readonly #name: string;
  readonly #gapless: boolean;
  readonly #last = new Map<number, number>();
  #sequence = -1;

  constructor(actor: Actor, name: string, gapless: boolean) {
    this.#actor = actor;
    this.#name = name;
    this.#gapless = gapless;
  }

  check(frame: Frame): void {
    checkBounds(this.#actor, frame);
    const payload = checkPayload(frame.bytes);
    if (typeof payload === "string") {
      this.#actor.fault(`${this.#name}: ${payload}`);
      return;
    }
    const { incarnation, number } = payload;
    const last = this.#last.get(incarnation);
    if (last !== undefined && number <= last) {
      this.#actor.fault(
        `${this.#name}: frame ${incarnation}:${number} after ${last}: delivered twice or out of order`,
      );
    }
    if (this.#gapless && last !== undefined && number > last + 1) {
      this.#actor.fault(`${this.#name}: frame ${incarnation}:${number} after ${last}: lost`);
    }
    if (frame.sequence <= this.#sequence) {
      this.#actor.fault(`${this.#name}: sequence ${frame.sequence} after ${this.#sequence}`);
    }
    this.#sequence = frame.sequence;
    this.#last.set(incarnation, number);
  }
}

/** Whatever the descriptor said, the view lies inside its block. */
function checkBounds(actor: Actor, frame: Frame): void {
  const { pool } = frame;
  const start = pool.blockOffset(frame.block);
  const inside =
    frame.block < pool.geometry.blockCount &&
    frame.offset >= start &&
    frame.offset + frame.bytes.byteLength <= start + pool.geometry.blockBytes;
  if (inside) return;
  console.log(JSON.stringify({ fault: `view outside block ${frame.block}`, role: actor.options.role }));
}

/** Holds up to a few frames before it lets go, and looks at each again then: nobody may write a held block. */
class Holder {
  readonly #actor: Actor;
  readonly #held: { frame: Frame; stamp: number }[] = [];

  constructor(actor: Actor) {
    this.#actor = actor;
  }

  hold(frame: Frame): void {
    this.#held.push({ frame, stamp: readStamp(frame.bytes) });
    if (this.#held.length > this.#actor.random.below(HELD_FRAMES + 1)) this.letGo();
  }

  letGo(): void {
    const first = this.#held.shift();
    if (first === undefined) return;
    const payload = checkPayload(first.frame.bytes);
    if (typeof payload === "string") this.#actor.fault(`changed while it was held: ${payload}`);
    if (readStamp(first.frame.bytes) !== first.stamp) this.#actor.fault("stamped while it was held");
    first.frame.release();
  }

  letAllGo(): void {
    while (this.#held.length > 0) this.letGo();
  }
}

export const strategyOf = (wait: ActorOptions["wait"]): "spin" | "spin-then-futex" =>
  wait === "spin" ? "spin" : "spin-then-futex";

/** A timeout is no news: the loop looks whether it should stop. */
async function orTimeout<T>(actor: Actor, body: () => T | Promise<T>): Promise<T | null> {
  try {
    return await body();
  } catch (error) {
    if (error instanceof WaitTimeoutError) return null;
    if (error instanceof BackpressureError || error instanceof PeerDiedError) {
      actor.survive(error);
      await Bun.sleep(1);
      return null;
    }
    throw error;
  }
}

function receive(actor: Actor, consumer: FrameConsumer): Promise<Frame | null> {
  const { wait } = actor.options;
  return orTimeout(actor, () =>
    wait === "await"
      ? consumer.receiveAsync({ timeoutMs: PATIENCE_MS })
      : consumer.receive({ timeoutMs: PATIENCE_MS, strategy: strategyOf(wait) }),
  );
}

function loan(actor: Actor, producer: FrameProducer): Promise<Frame | null> {
  const { wait } = actor.options;
  return orTimeout(actor, () =>
    wait === "await"
      ? producer.loanAsync({ timeoutMs: PATIENCE_MS })
      : producer.loan({ timeoutMs: PATIENCE_MS, strategy: strategyOf(wait) }),
  );
}

/** Sends, however long it takes; gives the frame back when the runner wants us to stop. */
async function send(actor: Actor, producer: FrameProducer, frame: Frame): Promise<void> {
  const { wait } = actor.options;
  while (frame.held) {
    await orTimeout(actor, () =>
      wait === "await"
        ? producer.sendAsync(frame, { timeoutMs: PATIENCE_MS })
        : producer.send(frame, { timeoutMs: PATIENCE_MS, strategy: strategyOf(wait) }),
    );
    actor.beat();
    if (actor.stopping) frame.release();
  }
}

async function runSource(actor: Actor, region: Region): Promise<void> {
  using producer = await actor.attach("source", () => Channel.open(region, "in").producer());
  ready(actor);
  for (let number = 0; !actor.stopping; ) {
    actor.beat();
    if (actor.paused) {
      await Bun.sleep(1);
      continue;
    }
    const frame = await loan(actor, producer);
    if (frame === null) continue;
    writePayload(frame.bytes, actor.options.incarnation, number);
    await send(actor, producer, frame);
    number++;
    actor.frame();
    if (number % 64 === 0) await Bun.sleep(0);
  }
}

async function runWorker(actor: Actor, region: Region): Promise<void> {
  const { options } = actor;
  using consumer = await actor.attach("worker in", () =>
    Channel.open(region, "in").consumer({ reconnect: options.reconnect }),
  );
  using producer = await actor.attach("worker out", () =>
    Channel.open(region, `out${options.output}`).producer(),
  );
  ready(actor);
  const stream = new Stream(actor, "in", options.gapless);
  while (!actor.stopping) {
    actor.beat();
    const frame = await receive(actor, consumer);
    if (frame === null) continue;
    stream.check(frame);
    await forward(actor, producer, frame);
    actor.frame();
  }
}

/** Zero copy when the frame is ours alone, else a copy into a new block. */
async function forward(actor: Actor, producer: FrameProducer, frame: Frame): Promise<void> {
  try {
    if (frame.soleReceiver) stampPayload(frame.bytes, actor.options.incarnation);
    await send(actor, producer, frame);
  } catch (error) {
    if (!(error instanceof FrameSharedError)) throw error;
    const copy = await loan(actor, producer);
    if (copy !== null) {
      copy.lengthBytes = frame.lengthBytes;
      copy.bytes.set(frame.bytes);
      await send(actor, producer, copy);
    }
    frame.release();
  }
}

async function runSink(actor: Actor, region: Region): Promise<void> {
  const { options } = actor;
  const inputs: { consumer: FrameConsumer; stream: Stream }[] = [];
  for (let output = 0; output < options.outputs; output++) {
    const name = `out${output}`;
    const consumer = await actor.attach(`sink ${name}`, () =>
      Channel.open(region, name).consumer({ reconnect: options.reconnect }),
    );
    inputs.push({ consumer, stream: new Stream(actor, name, false) });
  }
  ready(actor);
  const seen = new Set<number>();
  const holder = new Holder(actor);
  while (!actor.stopping) {
    actor.beat();
    for (const { consumer, stream } of inputs) {
      for (let frame = consumer.tryReceive(); frame !== null; frame = consumer.tryReceive()) {
        stream.check(frame);
        if (options.once) checkOnce(actor, seen, frame);
        holder.hold(frame);
        actor.frame();
        if (actor.random.oneIn(64)) actor.beat();
      }
    }
    // Frames that are held back are blocks that others wait for.
    holder.letAllGo();
    await waitForFrames(
      actor,
      inputs.map(({ consumer }) => consumer),
    );
  }
}

async function waitForFrames(actor: Actor, consumers: FrameConsumer[]): Promise<void> {
  const { wait } = actor.options;
  if (wait === "await" || consumers.length > 1) {
    await waitAny(consumers, { timeoutMs: PATIENCE_MS });
    await Bun.sleep(0);
    return;
  }
  const first = consumers[0]!;
  first.participant.doorbell.block(first, PATIENCE_MS, strategyOf(wait));
}

function checkOnce(actor: Actor, seen: Set<number>, frame: Frame): void {
  const payload = checkPayload(frame.bytes);
  if (typeof payload === "string") return;
  const key = payload.incarnation * 2 ** 32 + payload.number;
  if (seen.has(key)) actor.fault(`frame ${payload.incarnation}:${payload.number} reached the sink twice`);
  seen.add(key);
}

/** Names of the builder's objects. */
export const BUILT = "built-";
const BUILT_OBJECTS = 3;

/** Creates and removes named objects all the time: a death leaves them half made, under the directory's lock. */
async function runBuilder(actor: Actor, region: Region): Promise<void> {
  ready(actor);
  for (let round = 0; !actor.stopping; round++) {
    actor.beat();
    const name = `${BUILT}${round % BUILT_OBJECTS}`;
    if (region.directory.find(name) !== null) region.directory.remove(name);
    const shape = { slotBytes: 16, capacity: 2 ** (1 + actor.random.below(8)) };
    const ring = Ring.create(region, name, shape);
    const { geometry } = Ring.open(region, name);
    if (geometry.capacity !== shape.capacity || ring.geometry.words[RingLayout.headWord] !== 0)
      actor.fault(`${name} is not what was made`);
    actor.frame();
    await Bun.sleep(0);
  }
}

async function runRingSource(actor: Actor, region: Region): Promise<void> {
  using producer = await actor.attach("ring source", () => Ring.open(region, "ring").producer());
  ready(actor);
  for (let number = 0; !actor.stopping; ) {
    actor.beat();
    const count = producer.reserve(4);
    for (let i = 0; i < count; i++) producer.write(i, number++, 0, 0, 0);
    if (count > 0) {
      producer.commit(count);
      actor.frame();
    } else if (actor.options.wait === "await") await producer.wait({ timeoutMs: PATIENCE_MS });
    else producer.block({ timeoutMs: PATIENCE_MS });
    if (actor.random.oneIn(64)) await Bun.sleep(0);
  }
}

async function runRingSink(actor: Actor, region: Region): Promise<void> {
  using consumer = await actor.attach("ring sink", () => Ring.open(region, "ring").consumer());
  ready(actor);
  while (!actor.stopping) {
    actor.beat();
    const count = consumer.peek(16);
    consumer.release(count);
    if (count > 0) actor.frame();
    else if (actor.options.wait === "await") await consumer.wait({ timeoutMs: PATIENCE_MS });
    else consumer.block({ timeoutMs: PATIENCE_MS });
    if (actor.random.oneIn(64)) await Bun.sleep(0);
  }
}

/** Loaded only then: parts import this module. */
async function runPart(actor: Actor, region: Region): Promise<void> {
  const { topologies } = await import("./parts.ts");
  const topology = topologies.find(({ name }) => name === actor.options.topology);
  await topology?.parts[actor.options.part ?? ""]?.run(actor, region);
}

export function ready(actor: Actor): void {
  const { slot } = actor.options;
  if (actor.board.get(slot, Word.attached) !== 0) return;
  actor.board.set(slot, Word.attached, 1);
  console.log(JSON.stringify({ ready: actor.options.role }));
}

const ROLES = {
  source: runSource,
  worker: runWorker,
  sink: runSink,
  "ring-source": runRingSource,
  "ring-sink": runRingSink,
  builder: runBuilder,
  part: runPart,
} as const;

export async function runActor(options: ActorOptions, arm: ArmFault): Promise<void> {
  const actor = new Actor(options, arm);
  do {
    try {
      using region = Region.open(options.region);
      await ROLES[options.role](actor, region);
    } catch (error) {
      actor.survive(error);
      if (!options.hostile && !actor.stopping) throw error;
      actor.beat();
      await Bun.sleep(1);
    }
  } while (!actor.stopping);
  actor.report();
  actor.board[Symbol.dispose]();
  process.exit(0);
}
