/** include/physring.h on memory that says anything: each check of the page by itself, then mutations and a scribbler under sanitizers. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, symlinkSync, truncateSync } from "node:fs";
import { regionOffset } from "../../src/memory/brands.ts";
import {
  Control,
  Directory,
  HEADER_BYTES,
  ParticipantRecord,
  Superblock,
  WORD_BYTES,
} from "../../src/memory/layout.ts";
import { Region } from "../../src/memory/region.ts";
import { RingLayout } from "../../src/ring/layout.ts";
import { Ring } from "../../src/ring/ring.ts";
import { ScratchName } from "../support/scratch.ts";
import { announceSkip, C_COMPILER, Programs, Run } from "./build.ts";

const SIZE_BYTES = 1 << 18;
const CAPACITY = 64;
const LIMIT_MS = 120_000;

if (C_COMPILER === null) announceSkip("C on hostile memory: no C compiler", "gcc libc6-dev");

const SUPERBLOCK = 0;
const ENTRY = Directory.offset / WORD_BYTES;
const CONTROL = Control.offset / WORD_BYTES;
const RING = HEADER_BYTES / WORD_BYTES;

/** [what, word index in the region, value, error] */
const LIES: readonly (readonly [string, number, number, string])[] = [
  ["magic", SUPERBLOCK + Superblock.magicLowWord, 0, "NOT_A_REGION"],
  ["magic", SUPERBLOCK + Superblock.magicHighWord, 0x474e4953, "NOT_A_REGION"],
  ["layoutVersion", SUPERBLOCK + Superblock.layoutVersionWord, 2, "VERSION"],
  ["byteOrder", SUPERBLOCK + Superblock.byteOrderWord, 0x04030201, "BYTE_ORDER"],
  ["byteOrder", SUPERBLOCK + Superblock.byteOrderWord, 0, "CORRUPT"],
  ["state", SUPERBLOCK + Superblock.stateWord, Superblock.stateBuilding, "HALF_MADE"],
  ["state", SUPERBLOCK + Superblock.stateWord, 2, "CORRUPT"],
  ["headerBytes", SUPERBLOCK + Superblock.headerBytesWord, 4096, "CORRUPT"],
  ["size", SUPERBLOCK + Superblock.sizeLowWord, SIZE_BYTES + 1, "TOO_SMALL"],
  ["size", SUPERBLOCK + Superblock.sizeHighWord, 1, "TOO_SMALL"],
  ["size", SUPERBLOCK + Superblock.sizeHighWord, -1, "CORRUPT"],
  ["size", SUPERBLOCK + Superblock.sizeLowWord, HEADER_BYTES - 1, "CORRUPT"],
  ["directoryOffset", SUPERBLOCK + Superblock.directoryOffsetWord, 8192, "CORRUPT"],
  ["directoryCapacity", SUPERBLOCK + Superblock.directoryCapacityWord, 65, "CORRUPT"],
  ["controlOffset", SUPERBLOCK + Superblock.controlOffsetWord, 0, "CORRUPT"],
  ["participantCapacity", SUPERBLOCK + Superblock.participantCapacityWord, 32, "CORRUPT"],
  ["flags", SUPERBLOCK + Superblock.flagsWord, Superblock.flagSidecar, "UNSUPPORTED"],
  ["instanceId", SUPERBLOCK + Superblock.instanceIdWord + 2, 1, "CORRUPT"],
  ["control magic", CONTROL + Control.magicWord, 0, "CORRUPT"],
  ["control version", CONTROL + Control.versionWord, 2, "CORRUPT"],
  ["control participantCapacity", CONTROL + Control.participantCapacityWord, 1, "CORRUPT"],
  ["control recordBytes", CONTROL + Control.recordBytesWord, 128, "CORRUPT"],
  ["control instanceId", CONTROL + Control.instanceIdWord + 3, 0, "CORRUPT"],
  ["entry state", ENTRY + Directory.stateWord, Directory.stateBuilding, "OBJECT_NOT_FOUND"],
  ["entry kind", ENTRY + Directory.kindWord, 2, "OBJECT_KIND"],
  ["entry name", ENTRY + Directory.nameWord, 0x20202020, "OBJECT_NOT_FOUND"],
  ["entry offset, in the headers", ENTRY + Directory.offsetLowWord, 4096, "CORRUPT"],
  ["entry offset, unaligned", ENTRY + Directory.offsetLowWord, HEADER_BYTES + 128, "CORRUPT"],
  ["entry offset, outside", ENTRY + Directory.offsetLowWord, SIZE_BYTES, "CORRUPT"],
  ["entry offset, far outside", ENTRY + Directory.offsetHighWord, 1, "CORRUPT"],
  ["entry size zero", ENTRY + Directory.sizeLowWord, 0, "CORRUPT"],
  ["entry size, past the end", ENTRY + Directory.sizeLowWord, SIZE_BYTES - HEADER_BYTES + 1, "CORRUPT"],
  ["entry size that overflows", ENTRY + Directory.sizeHighWord, -1, "CORRUPT"],
  ["entry size below a header", ENTRY + Directory.sizeLowWord, RingLayout.headerBytes - 1, "CORRUPT"],
  [
    "entry size below the slots",
    ENTRY + Directory.sizeLowWord,
    RingLayout.headerBytes + CAPACITY * 16 - 1,
    "CORRUPT",
  ],
  ["ring magic", RING + RingLayout.magicWord, 0, "CORRUPT"],
  ["ring version", RING + RingLayout.versionWord, 2, "CORRUPT"],
  ["slotBytes 24", RING + RingLayout.slotBytesWord, 24, "CORRUPT"],
  ["slotBytes 8", RING + RingLayout.slotBytesWord, 8, "CORRUPT"],
  ["slotBytes 8192", RING + RingLayout.slotBytesWord, 8192, "CORRUPT"],
  ["slots past the object", RING + RingLayout.slotBytesWord, 32, "CORRUPT"],
  ["capacity 0", RING + RingLayout.capacityWord, 0, "CORRUPT"],
  ["capacity 1", RING + RingLayout.capacityWord, 1, "CORRUPT"],
  ["capacity 63", RING + RingLayout.capacityWord, 63, "CORRUPT"],
  ["capacity 2^25", RING + RingLayout.capacityWord, 2 ** 25, "CORRUPT"],
  ["capacity past the object", RING + RingLayout.capacityWord, 2 * CAPACITY, "CORRUPT"],
  ["slotsOffset", RING + RingLayout.slotsOffsetWord, 640, "CORRUPT"],
  ["drop-oldest", RING + RingLayout.flagsWord, RingLayout.flagDropOldest, "UNSUPPORTED"],
  ["unknown flag", RING + RingLayout.flagsWord, 2, "UNSUPPORTED"],
  ["tail too far", RING + RingLayout.tailWord, CAPACITY + 1, "CORRUPT"],
  ["head before tail", RING + RingLayout.headWord, 1, "CORRUPT"],
  ["owner that cannot be", RING + RingLayout.producerOwnerWord, 0x7f, "CORRUPT"],
  ["owner that is dead", RING + RingLayout.producerOwnerWord, 31, "OWNER_DEAD"],
];

describe.skipIf(C_COMPILER === null)("physring.h on hostile memory", () => {
  const programs = new Programs();
  afterAll(() => programs[Symbol.dispose]());
  let producerPath: string | undefined;
  const producer = () => (producerPath ??= programs.build("examples/c/producer.c"));
  let fuzzPath: string | undefined;
  const fuzz = () =>
    (fuzzPath ??= programs.build(
      "test/c/fuzz.c",
      "-g",
      "-fsanitize=address,undefined",
      "-fno-sanitize-recover=all",
    ));

  /** What a C producer says that opens the region, joins, attaches, and sends nothing. */
  async function attach(name: string): Promise<unknown> {
    await using run = new Run(producer(), name, "ring", 0, "--timeout-ms", 0);
    const { error = "none" } = await run.result();
    return error;
  }

  function makeRegion(name: string): Region {
    const region = Region.create(name, { size: SIZE_BYTES });
    Ring.create(region, "ring", { slotBytes: 16, capacity: CAPACITY });
    return region;
  }

  test(
    "every number of the page is checked",
    async () => {
      using scratch = new ScratchName("lies");
      using region = makeRegion(scratch.name);
      const words = region.words(regionOffset(0), SIZE_BYTES / WORD_BYTES);
      const pristine = words.slice();
      for (const [what, index, value, error] of LIES) {
        words[index] = value;
        expect(`${what} = ${value}: ${await attach(scratch.name)}`).toBe(`${what} = ${value}: ${error}`);
        words.set(pristine);
      }
      words.fill(0, Superblock.instanceIdWord, Superblock.instanceIdWord + 4);
      words.fill(0, CONTROL + Control.instanceIdWord, CONTROL + Control.instanceIdWord + 4);
      expect(await attach(scratch.name)).toBe("CORRUPT");
      words.set(pristine);
      expect(await attach(scratch.name)).toBe("none");
    },
    LIMIT_MS,
  );

  test("a swept slot waits until no participant is in a claim", async () => {
    using scratch = new ScratchName("quiet");
    using region = makeRegion(scratch.name);
    const record = (p: number) =>
      CONTROL + (Control.recordsOffset + p * ParticipantRecord.sizeBytes) / WORD_BYTES;
    const words = region.words(regionOffset(0), SIZE_BYTES / WORD_BYTES);
    words[record(0)] = (7 << ParticipantRecord.generationShift) | ParticipantRecord.phaseSwept;
    words[record(9)] = (3 << ParticipantRecord.generationShift) | ParticipantRecord.phaseLive;
    words[record(9) + ParticipantRecord.sectionWord] = 5;
    await using claimed = new Run(producer(), scratch.name, "ring", 0);
    expect(await claimed.result()).toMatchObject({ participant: 1 });
    words[record(9) + ParticipantRecord.sectionWord] = 6;
    words[record(9) + ParticipantRecord.doorbellWord] = 1;
    await using quiet = new Run(producer(), scratch.name, "ring", 0);
    expect(await quiet.result()).toMatchObject({ participant: 0 });
    expect(words[record(0)]! >>> ParticipantRecord.generationShift).toBe(8);
    expect(words[record(9) + ParticipantRecord.doorbellWord]).toBe(0); // a leaver wakes everybody
  });

  test("files that are no regions", async () => {
    using scratch = new ScratchName("file");
    expect(await attach(scratch.name)).toBe("NOT_FOUND");
    for (const name of ["a/b", "..", ".hidden", "x.ctl", "x.d", "", "n".repeat(49)])
      expect(await attach(name)).toBe("NAME");
    makeRegion(scratch.name).close();
    truncateSync(scratch.path, SIZE_BYTES - 1);
    expect(await attach(scratch.name)).toBe("TOO_SMALL");
    truncateSync(scratch.path, 100);
    expect(await attach(scratch.name)).toBe("TOO_SMALL");
    rmSync(scratch.path);
    symlinkSync("/dev/zero", scratch.path);
    expect(await attach(scratch.name)).toBe("UNSUPPORTED");
    rmSync(scratch.path);
    mkdirSync(scratch.path);
    expect(await attach(scratch.name)).toBe("UNSUPPORTED");
    rmSync(scratch.path, { recursive: true });
  });

  test(
    "100000 rounds of random words, with address and undefined-behaviour sanitizers",
    async () => {
      using scratch = new ScratchName("mutate");
      await using run = new Run(fuzz(), "mutate", scratch.name, 100_000, 1);
      const statuses = await run.result();
      for (const reached of ["OK", "CORRUPT", "NOT_A_REGION", "IN_USE", "OWNER_DEAD"])
        expect(statuses).toHaveProperty(reached);
    },
    LIMIT_MS,
  );

  test(
    "a scribbler at work while we send, receive, and open again",
    async () => {
      using scratch = new ScratchName("scribble");
      await using run = new Run(fuzz(), "live", scratch.name, 1_000_000);
      await run.says("ready");
      await using scribbler = new Run(fuzz(), "scribble", scratch.name, 2);
      await scribbler.says("ready");
      run.write("go\n");
      expect(await run.result()).toHaveProperty("CORRUPT");
      expect(scribbler.running).toBe(true);
    },
    LIMIT_MS,
  );
});
