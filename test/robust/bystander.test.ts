/** A peer that scribbles over one region can spoil that one: what the same processes do in another goes on, sleeping and waking included. */
import { expect, test } from "bun:test";
import {
  Channel,
  type FrameConsumer,
  type FrameProducer,
  Participant,
  PhysringError,
  Records,
  type Region,
  Ring,
  type RingConsumer,
  type RingProducer,
  regionOffset,
  waitAny,
} from "../../src/index.ts";
import { Random } from "../support/random.ts";
import { RegionPair } from "../support/regions.ts";

const ROUNDS = 400;
const WORDS_PER_ROUND = 50;
const PLACE_WORDS = 4096;

interface Traffic {
  readonly producer: FrameProducer;
  readonly consumer: FrameConsumer;
  readonly tx: RingProducer;
  readonly rx: RingConsumer;
  readonly log: ReturnType<Records["producer"]>;
  readonly follower: ReturnType<Records["consumer"]>;
}

function start({ a, b }: { readonly a: Region; readonly b: Region }): Traffic {
  Channel.create(a, "frames", { frameBytes: 256 });
  Ring.create(a, "ring", { slotBytes: 16, capacity: 8 });
  Records.create(a, "log", { capacityBytes: 4096 });
  const consumer = Channel.open(b, "frames").consumer();
  return {
    producer: Channel.open(a, "frames").producer(),
    consumer,
    tx: Ring.open(a, "ring").producer(),
    rx: Ring.open(b, "ring").consumer(),
    log: Records.open(a, "log").producer(),
    follower: Records.open(b, "log").consumer(),
  };
}

/** One message through each; what arrived. */
function exchange({ producer, consumer, tx, rx, log, follower }: Traffic, value: number): unknown[] {
  const frame = producer.tryLoan();
  if (frame !== null) {
    frame.tag = value;
    if (producer.trySend(frame) === null) frame.release();
  }
  using received = consumer.tryReceive();
  if (tx.reserve(1) === 1) {
    tx.words[tx.at] = value;
    tx.commit(1);
  }
  const slots = rx.peek(1);
  const word = rx.words[rx.at];
  if (slots > 0) rx.release(slots);
  if (log.tryReserve(1)) {
    log.bytes[log.offset] = value;
    log.commit(1);
  }
  return [received?.tag, word, follower.tryReceive()?.[0]];
}

test("the peers of another region are not disturbed", async () => {
  using spoilt = new RegionPair("spoilt");
  using quiet = new RegionPair("quiet");
  const there = start(spoilt);
  const here = start(quiet);
  const deaths: unknown[] = [];
  Participant.of(quiet.a).onDeath((death) => deaths.push(death));
  const random = new Random(20_261_126);
  const words = spoilt.a.words(regionOffset(0), spoilt.a.sizeBytes / 4);
  // Control area and directory, and the beginnings of the objects, where their indices and owners are.
  const places = [0, ...spoilt.a.objects().map(({ offset }) => offset / 4)];
  const codes = new Set<string>();
  const survive = async (body: () => unknown): Promise<void> => {
    try {
      await body();
    } catch (error) {
      if (!(error instanceof PhysringError)) throw error;
      codes.add(error.code);
    }
  };
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < WORDS_PER_ROUND; i++)
      words[random.pick(places) + random.below(PLACE_WORDS)] = random.below(2 ** 32);
    await survive(() => exchange(there, round));
    await survive(() => waitAny([there.rx, there.consumer, there.follower], { timeoutMs: 1 }));
    expect(exchange(here, round)).toEqual([round, round, round & 0xff]);
    // Asleep until the commit, although a spoilt end is waited for beside it.
    const waiting = here.rx.wait();
    const beside = survive(() => waitAny([there.rx, there.follower], { timeoutMs: 5 }));
    await Bun.sleep(0);
    here.tx.commit(here.tx.reserve(1));
    expect(await waiting).toBe(true);
    here.rx.release(here.rx.peek(1));
    await beside;
  }

  expect(codes).toContain("CORRUPT");
  expect(deaths).toEqual([]);
  expect(Channel.open(quiet.b, "frames").counters).toMatchObject({ published: ROUNDS, rejected: 0 });
}, 60_000);
