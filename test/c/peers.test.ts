/** C and TypeScript peers of one ring, as real processes: include/physring.h against src/. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { closeFile } from "../../src/ffi/files.ts";
import { tryLockByte } from "../../src/ffi/locks.ts";
import { bindUnix, datagramSocket } from "../../src/ffi/sockets.ts";
import { regionOffset } from "../../src/memory/brands.ts";
import {
  Control,
  Directory,
  HEADER_BYTES,
  LOCK_BASE_OFFSET,
  LockByte,
  ObjectKind,
  ParticipantRecord,
  WORD_BYTES,
} from "../../src/memory/layout.ts";
import { Region } from "../../src/memory/region.ts";
import { OwnerWord, RingLayout } from "../../src/ring/layout.ts";
import { listParticipants, Participant } from "../../src/ring/participant.ts";
import { Ring, type RingConsumer, type RingProducer } from "../../src/ring/ring.ts";
import { expectCode } from "../support/errors.ts";
import { ScratchName } from "../support/scratch.ts";
import { announceSkip, C_COMPILER, Programs, Run, TYPESCRIPT_PEER } from "./build.ts";
import { isPattern, writePattern } from "./pattern.ts";

const COUNT = 1_000_000;
/** Generous: a loaded machine is slow, a broken peer never ends. */
const LIMIT_MS = 180_000;
const KILLS = 50;
const RACES = 500_000;
/** Descriptors where every one costs a sleep. */
const SLEEPY_COUNT = 50_000;
const RING = "descriptors";

if (C_COMPILER === null) announceSkip("C peers: no C compiler", "gcc libc6-dev");

/** A region with one ring whose indices start at `firstIndex`. */
class TestRing implements Disposable {
  readonly #scratch = new ScratchName("c");
  readonly region: Region;
  readonly ring: Ring;

  constructor({ slotBytes = 16, capacity = 1024, firstIndex = 0 } = {}) {
    this.region = Region.create(this.#scratch.name, { size: "1MiB" });
    this.ring = Ring.create(this.region, RING, { slotBytes, capacity });
    for (const word of [RingLayout.tailWord, RingLayout.headWord])
      this.ring.geometry.words[word] = firstIndex | 0;
  }

  get name(): string {
    return this.region.name;
  }

  [Symbol.dispose](): void {
    this.region.close();
    this.#scratch[Symbol.dispose]();
  }
}

describe.skipIf(C_COMPILER === null)("C peers", () => {
  const programs = new Programs();
  afterAll(() => programs[Symbol.dispose]());
  const lazily = (source: string, ...flags: readonly string[]) => {
    let path: string | undefined;
    return () => (path ??= programs.build(source, ...flags));
  };
  const producer = lazily("examples/c/producer.c");
  const consumer = lazily("examples/c/consumer.c");
  const directory = lazily("test/c/directory.c");
  const race = lazily("test/c/doorbell.c", "-pthread");

  const slow = (n: number) => ["--pause-every", COUNT / n, "--pause-ms", 15];

  interface Exchange {
    readonly title: string;
    readonly shape?: ConstructorParameters<typeof TestRing>[0];
    readonly c: readonly (string | number)[];
    readonly typescript: readonly (string | number)[];
    /** What must have happened in the C process at least once. */
    readonly seen?: readonly ("sleeps" | "woken" | "wakes")[];
  }

  const exchanges: readonly Exchange[] = [
    { title: "bursts", c: ["--burst", 32], typescript: ["--burst", 32] },
    { title: "singles", c: ["--burst", 1], typescript: ["--burst", 1] },
    {
      title: "bursts across index 2^32, slots of 64 bytes",
      shape: { slotBytes: 64, capacity: 64, firstIndex: -COUNT / 2 },
      c: ["--burst", 5],
      typescript: ["--burst", 7],
    },
    { title: "C sleeps in a futex", c: [], typescript: slow(40), seen: ["sleeps", "woken"] },
    { title: "TypeScript sleeps in a futex", c: slow(40), typescript: [], seen: ["wakes"] },
    { title: "TypeScript waits in its event loop", c: slow(40), typescript: ["--await"], seen: ["wakes"] },
  ];

  for (const { title, shape, c, typescript, seen = [] } of exchanges) {
    for (const toC of [true, false]) {
      test(
        `${COUNT} descriptors ${toC ? "TypeScript -> C" : "C -> TypeScript"}: ${title}`,
        async () => {
          using to = new TestRing(shape);
          const first = (shape?.firstIndex ?? 0) >>> 0;
          await using ours = new Run(
            TYPESCRIPT_PEER,
            toC ? "produce" : "consume",
            to.name,
            RING,
            COUNT,
            ...typescript,
          );
          await using theirs = new Run(toC ? consumer() : producer(), to.name, RING, COUNT, ...c);
          const [fromTypescript, fromC] = await Promise.all([ours.result(), theirs.result()]);
          expect(fromTypescript).toMatchObject({ count: COUNT, first });
          expect(fromC).toMatchObject({ count: COUNT, first, checksum: fromTypescript["checksum"]! });
          expect((toC ? fromC : fromTypescript)["wrong"]).toBe(0);
          for (const what of seen) expect(fromC[what]).toBeGreaterThan(0);
          expect(ringIndices(to.ring)).toEqual({ tail: (first + COUNT) >>> 0, head: (first + COUNT) >>> 0 });
          expect(listParticipants(to.region.control).filter(({ alive }) => alive)).toEqual([]);
        },
        LIMIT_MS,
      );
    }
  }

  for (const toC of [true, false]) {
    test(
      `C comes first, and makes region and ring (${toC ? "TypeScript -> C" : "C -> TypeScript"})`,
      async () => {
        using scratch = new ScratchName("c-first");
        const creation = ["--create", 1 << 20, "--capacity", 256, "--slot-bytes", 32];
        await using theirs = new Run(toC ? consumer() : producer(), scratch.name, RING, COUNT, ...creation);
        await using ours = new Run(TYPESCRIPT_PEER, toC ? "produce" : "consume", scratch.name, RING, COUNT);
        const [fromTypescript, fromC] = await Promise.all([ours.result(), theirs.result()]);
        expect(fromC).toMatchObject({ count: COUNT, first: 0, checksum: fromTypescript["checksum"]! });
        expect((toC ? fromC : fromTypescript)["wrong"]).toBe(0);
        using region = Region.open(scratch.name);
        expect(Ring.open(region, RING).geometry).toMatchObject({ capacity: 256, slotBytes: 32, flags: 0 });
        expect(region.sizeBytes).toBe(1 << 20);
      },
      LIMIT_MS,
    );
  }

  for (const other of ["C", "TypeScript"]) {
    test(
      `no wake-up of C by ${other} gets lost: a sleep that nobody ends would last for half a minute`,
      async () => {
        const patient = [
          "-DPHYSRING_SLICE_NS=30000000000",
          "-DPATTERN_STEP_MS=30000",
          "-DPHYSRING_SPIN_NS=0",
        ];
        using own = new Programs();
        using to = new TestRing({ capacity: 4 });
        await using sleeper = new Run(
          own.build("examples/c/consumer.c", ...patient),
          to.name,
          RING,
          SLEEPY_COUNT,
          "--burst",
          1,
        );
        const typescript = [TYPESCRIPT_PEER, "produce", to.name, RING, SLEEPY_COUNT, "--burst", 1] as const;
        const c = [
          own.build("examples/c/producer.c", ...patient),
          to.name,
          RING,
          SLEEPY_COUNT,
          "--burst",
          1,
        ] as const;
        await using waker = other === "C" ? new Run(...c) : new Run(...typescript);
        const [received, sent] = await Promise.all([sleeper.result(), waker.result()]);
        expect(received).toMatchObject({ count: SLEEPY_COUNT, wrong: 0, checksum: sent["checksum"]! });
        expect(received["sleeps"]).toBeGreaterThan(0);
        expect(received["woken"]).toBe(received["sleeps"]!);
      },
      LIMIT_MS,
    );
  }

  for (const waker of ["fenced", "unfenced"]) {
    test.skipIf(waker === "unfenced" && process.arch !== "x64")(
      `${RACES} races between falling asleep and a publication (${waker}) lose no wake-up`,
      async () => {
        using scratch = new ScratchName("race");
        const options = waker === "unfenced" ? [waker] : [];
        await using run = new Run(race(), scratch.name, RACES, ...options);
        expect(await run.result()).toMatchObject({ rounds: RACES, lost: 0 });
      },
      LIMIT_MS,
    );
  }

  test("C rings a consumer in its event loop by a datagram", async () => {
    using to = new TestRing();
    const [participant, generation] = [9, 3];
    const { words, doorbellDirectory } = to.region.control;
    const record = (Control.recordsOffset + participant * ParticipantRecord.sizeBytes) / WORD_BYTES;
    words[record] = (generation << ParticipantRecord.generationShift) | ParticipantRecord.phaseLive;
    words[record + ParticipantRecord.doorbellWord] = 2;
    to.ring.geometry.words[RingLayout.consumerOwnerWord] = participant + 1;
    mkdirSync(doorbellDirectory);
    const fd = datagramSocket();
    bindUnix(fd, `${doorbellDirectory}/${participant}.${generation}`);
    await using theirs = new Run(producer(), to.name, RING, 1);
    const rung = await new Promise<Uint8Array>((resolve) => {
      const options = { fd, socket: { data: (_: unknown, bytes: Uint8Array) => resolve(bytes) } };
      void Bun.connect(options as unknown as Bun.UnixSocketOptions);
    });
    expect(rung.length).toBeGreaterThan(0);
    expect(await theirs.result()).toMatchObject({ count: 1, wakes: 1 });
    expect(words[record + ParticipantRecord.doorbellWord]).toBe(0);
  });

  test("TypeScript does not replace a region that C has open", async () => {
    using to = new TestRing();
    to.region.close();
    await using theirs = new Run(directory(), to.name, "c", 0, "stay");
    await theirs.says("ready");
    expectCode("REGION_LIVE", () => Region.create(to.name, { size: "1MiB" }));
    await theirs.kill();
    Region.create(to.name, { size: "1MiB" }).close();
  });

  test("C does not replace a region", async () => {
    using to = new TestRing();
    await using theirs = new Run(producer(), to.name, RING, 1, "--create", 1 << 20);
    expect(await theirs.result()).toEqual({ error: "EXISTS", call: "create region" });
  });

  test(
    "TypeScript takes over from a killed C producer, and a new C producer goes on",
    async () => {
      using to = new TestRing({ firstIndex: -1000 });
      using rx = to.ring.consumer();
      await using victim = new Run(producer(), to.name, RING, 1e12, "--burst", 3);
      let index = take(rx, to, -1000, 20_000);
      await victim.kill();
      index = drain(rx, to, index);
      await recovered(to, RingLayout.producerOwnerWord);
      await using successor = new Run(producer(), to.name, RING, COUNT);
      index = take(rx, to, index, COUNT);
      expect(await successor.result()).toMatchObject({ count: COUNT, first: (index - COUNT) >>> 0 });
      expect(rx.peek(1)).toBe(0);
    },
    LIMIT_MS,
  );

  test(
    "TypeScript takes over from a killed C consumer, and a new C consumer sees every descriptor",
    async () => {
      using to = new TestRing({ capacity: 64 });
      using tx = to.ring.producer();
      await using victim = new Run(consumer(), to.name, RING, 1e12, "--burst", 3);
      let index = give(tx, to, 0, 20_000);
      await victim.kill();
      await recovered(to, RingLayout.consumerOwnerWord);
      const { head } = ringIndices(to.ring);
      const waiting = (index - head) >>> 0;
      await using successor = new Run(consumer(), to.name, RING, waiting + COUNT);
      index = give(tx, to, index, COUNT);
      expect(await successor.result()).toMatchObject({ count: waiting + COUNT, first: head, wrong: 0 });
      expect(index >>> 0).toBe(ringIndices(to.ring).tail);
    },
    LIMIT_MS,
  );

  test(
    "one C producer after the other is killed: nothing is lost, doubled or torn",
    async () => {
      using to = new TestRing({ slotBytes: 32, capacity: 32, firstIndex: -5000 });
      using rx = to.ring.consumer();
      let index = -5000;
      for (let round = 0; round < KILLS; round++) {
        await using victim = new Run(producer(), to.name, RING, 1e12, "--burst", 1 + (round % 9));
        index = take(rx, to, index, 1 + Math.floor(Math.random() * 2000));
        await victim.kill();
        index = drain(rx, to, index);
        await recovered(to, RingLayout.producerOwnerWord);
      }
      expect(ringIndices(to.ring)).toEqual({ tail: index >>> 0, head: index >>> 0 });
    },
    LIMIT_MS,
  );

  test(
    "one C consumer after the other is killed: the next one goes on where it stopped",
    async () => {
      using to = new TestRing({ slotBytes: 32, capacity: 32, firstIndex: -5000 });
      using tx = to.ring.producer();
      let index = -5000;
      for (let round = 0; round < KILLS; round++) {
        await using victim = new Run(consumer(), to.name, RING, 1e12, "--burst", 1 + (round % 9));
        index = give(tx, to, index, 33 + Math.floor(Math.random() * 2000));
        await victim.kill();
        await recovered(to, RingLayout.consumerOwnerWord);
      }
      expect(Atomics.load(to.ring.geometry.words, RingLayout.rejectedWord)).toBe(0);
      const { tail, head } = ringIndices(to.ring);
      expect(tail).toBe(index >>> 0);
      await using last = new Run(consumer(), to.name, RING, (tail - head) >>> 0);
      expect(await last.result()).toMatchObject({ first: head, wrong: 0 });
    },
    LIMIT_MS,
  );

  test(
    "a sleeping TypeScript consumer recovers a killed C producer by itself",
    async () => {
      using to = new TestRing();
      using rx = to.ring.consumer();
      await using victim = new Run(
        producer(),
        to.name,
        RING,
        1e12,
        "--burst",
        1,
        "--pause-every",
        100,
        "--pause-ms",
        1e6,
      );
      take(rx, to, 0, 100);
      await victim.kill();
      await until(
        () => vacant(to.ring, RingLayout.producerOwnerWord),
        () => rx.block({ timeoutMs: 100 }),
      );
      expect(listParticipants(to.region.control).find(({ pid }) => pid === victim.pid)).toMatchObject({
        alive: false,
        phase: 3,
      });
    },
    LIMIT_MS,
  );

  test(
    "C skips the slot of a dead participant, and leaves its ring end to TypeScript",
    async () => {
      using to = new TestRing({ capacity: 4 });
      await using victim = new Run(producer(), to.name, RING, 1e12);
      await until(() => ringIndices(to.ring).tail === 4);
      await victim.kill();
      await using early = new Run(producer(), to.name, RING, 1, "--timeout-ms", 0);
      expect(await early.result()).toEqual({ error: "OWNER_DEAD", call: "attach" });
      await using other = new Run(consumer(), to.name, RING, 4);
      expect(await other.result()).toMatchObject({ count: 4, wrong: 0, participant: 1 });
      using tx = to.ring.producer(); // TypeScript joins over the dead one's slot, and cleans it before
      expect(Participant.of(to.region).index).toBe(0);
      expect(give(tx, to, 4, 4)).toBe(8);
    },
    LIMIT_MS,
  );

  test("an end has one owner", async () => {
    using to = new TestRing();
    using _tx = to.ring.producer();
    await using second = new Run(producer(), to.name, RING, 1, "--timeout-ms", 0);
    expect(await second.result()).toEqual({ error: "IN_USE", call: "attach" });
  });

  test(
    "SIGTERM makes a C peer leave in good order",
    async () => {
      using to = new TestRing();
      using rx = to.ring.consumer();
      await using theirs = new Run(producer(), to.name, RING, 1e12);
      take(rx, to, 0, 1000);
      process.kill(theirs.pid, "SIGTERM");
      const { count } = await theirs.result();
      expect(drain(rx, to, 1000)).toBe(count as number);
      // Attached and detached once each: a generation for either.
      expect(to.ring.geometry.words[RingLayout.producerOwnerWord]).toBe(2 << OwnerWord.generationShift);
      expect(listParticipants(to.region.control).map(({ phase }) => phase)).toEqual([1, 3]);
    },
    LIMIT_MS,
  );

  test("31 live participants are enough", async () => {
    using to = new TestRing();
    const handles = Array.from({ length: 31 }, () => Region.open(to.name));
    for (const handle of handles) Participant.of(handle);
    await using late = new Run(producer(), to.name, RING, 1);
    expect(await late.result()).toEqual({ error: "PARTICIPANT_LIMIT", call: "join" });
    handles.pop()!.close();
    await using next = new Run(producer(), to.name, RING, 1);
    expect(await next.result()).toMatchObject({ count: 1, participant: 30 });
    for (const handle of handles) handle.close();
  });

  test("C waits for the directory lock, but not for ever", async () => {
    using to = new TestRing();
    using own = new Programs();
    const impatient = own.build("test/c/directory.c", "-DPHYSRING_DIRECTORY_LIMIT_MS=30");
    const fd = to.region.control.openLockFile();
    expect(tryLockByte(fd, LOCK_BASE_OFFSET + LockByte.directory)).toBe(true);
    await using late = new Run(impatient, to.name, "c", 1);
    expect(await late.output()).toBe("DIRECTORY_BUSY\n");
    closeFile(fd);
    await using next = new Run(impatient, to.name, "c", 1);
    expect(await next.output()).toBe("OK\n");
  });

  test("C frees what a dead creator left building", async () => {
    using to = new TestRing();
    const words = to.region.words(regionOffset(Directory.offset), (2 * Directory.entryBytes) / WORD_BYTES);
    const abandoned = Directory.entryBytes / WORD_BYTES;
    words[abandoned + Directory.stateWord] = Directory.stateBuilding;
    words[abandoned + Directory.generationWord] = 5;
    words[abandoned + Directory.offsetHighWord] = -1;
    await using theirs = new Run(directory(), to.name, "c", 1);
    expect(await theirs.output()).toBe("OK\n");
    expect(to.region.directory.open("c-0", ObjectKind.ring)).toMatchObject({ index: 1, generation: 6 });
  });

  test("C and TypeScript create objects at once, and none overlap", async () => {
    using to = new TestRing({ capacity: 2 });
    Ring.create(to.region, "second", { slotBytes: 16, capacity: 2 });
    to.region.directory.remove(RING); // leaves a gap of one page in front
    await using large = new Run(directory(), to.name, "large", 1);
    expect(await large.output()).toBe("OK\n");
    expect(to.region.directory.open("large-0", ObjectKind.ring).offset).toBe(
      regionOffset(HEADER_BYTES + 2 * 4096),
    );
    const theirs = [0, 1].map((i) => new Run(directory(), to.name, `c${i}`, 20));
    for (let i = 0; i < 20; i++) Ring.create(to.region, `ts-${i}`, { slotBytes: 32, capacity: 2 << (i % 8) });
    for (const run of theirs) expect(await run.output()).toBe("OK\n");
    const entries = to.region.directory.list().sort((a, b) => a.offset - b.offset);
    expect(entries.length).toBe(62);
    expect(entries[0]!.offset).toBe(regionOffset(HEADER_BYTES));
    for (let i = 1; i < entries.length; i++) {
      expect(entries[i]!.offset).toBeGreaterThanOrEqual(entries[i - 1]!.offset + entries[i - 1]!.sizeBytes);
    }
    for (const { name } of entries) Ring.open(to.region, name);
    await using full = new Run(directory(), to.name, "more", 3);
    expect(await full.output()).toBe("DIRECTORY_FULL\n");
    await using again = new Run(directory(), to.name, "c0", 1);
    expect(await again.output()).toBe("EXISTS\n");
  });
});

function ringIndices(ring: Ring): { tail: number; head: number } {
  const { words } = ring.geometry;
  return {
    tail: Atomics.load(words, RingLayout.tailWord) >>> 0,
    head: Atomics.load(words, RingLayout.headWord) >>> 0,
  };
}

function vacant(ring: Ring, ownerWord: number): boolean {
  return (Atomics.load(ring.geometry.words, ownerWord) & 0xff) === 0;
}

/** Until nobody owns the end of a killed process any more. */
function recovered(to: TestRing, ownerWord: number): Promise<void> {
  return until(
    () => vacant(to.ring, ownerWord),
    () => Participant.of(to.region).recoverDead(),
  );
}

/** Lets the event loop run until `condition`, doing `meanwhile` each time. */
async function until(condition: () => boolean, meanwhile: () => unknown = () => undefined): Promise<void> {
  while (!condition()) {
    meanwhile();
    await Bun.sleep(1);
  }
}

/** Receives `count` descriptors and checks them; `index` is that of the first. Returns the next index. */
function take(rx: RingConsumer, to: TestRing, index: number, count: number): number {
  const end = index + count;
  let next = index;
  while (next < end) {
    const n = rx.peek(end - next);
    if (n === 0 && !rx.block({ timeoutMs: 20_000 })) throw new Error("the C producer does nothing");
    next = check(rx, to, next, n);
  }
  return next;
}

/** Receives what is there. */
function drain(rx: RingConsumer, to: TestRing, index: number): number {
  let next = index;
  for (let n = rx.peek(1000); n > 0; n = rx.peek(1000)) next = check(rx, to, next, n);
  return next;
}

function check(rx: RingConsumer, to: TestRing, index: number, count: number): number {
  for (let i = 0; i < count; i++) {
    if (!isPattern(rx.words, rx.at + i * rx.slotWords, index + i, to.region.sizeBytes)) {
      throw new Error(`descriptor ${(index + i) >>> 0} is wrong`);
    }
  }
  rx.release(count);
  return index + count;
}

function give(tx: RingProducer, to: TestRing, index: number, count: number): number {
  const end = index + count;
  let next = index;
  while (next < end) {
    const n = tx.reserve(Math.min(32, end - next));
    if (n === 0 && !tx.block({ timeoutMs: 20_000 })) throw new Error("the C consumer does nothing");
    for (let i = 0; i < n; i++)
      writePattern(tx.words, tx.at + i * tx.slotWords, next + i, to.region.sizeBytes);
    tx.commit(n);
    next += n;
  }
  return next;
}
