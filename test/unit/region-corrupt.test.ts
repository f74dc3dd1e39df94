/** Shared memory is hostile input: every word of the headers broken on purpose, files cut, half-made regions. */
import { describe, expect, test } from "bun:test";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { PhysringError } from "../../src/ffi/errors.ts";
import { Control, HEADER_BYTES, Superblock } from "../../src/memory/layout.ts";
import { Region } from "../../src/memory/region.ts";
import { expectCode } from "../support/errors.ts";
import { openDescriptors } from "../support/peer.ts";
import { ScratchName } from "../support/scratch.ts";

const SIZE = 131_072;

/** A closed, healthy region on disk and its words, to be broken. */
class Victim implements Disposable {
  readonly #scratch = new ScratchName("corrupt");
  readonly #healthy: Uint8Array;

  constructor() {
    using region = Region.create(this.name, { size: SIZE });
    region.directory.create(1, "ring", 8192, () => {});
    this.#healthy = Uint8Array.from(readFileSync(region.path));
  }

  get name(): string {
    return this.#scratch.name;
  }

  get path(): string {
    return this.#scratch.path;
  }

  /** Writes the file with some words changed. */
  patch(words: Readonly<Record<number, number>>): void {
    const bytes = this.#healthy.slice();
    const view = new DataView(bytes.buffer);
    for (const [index, value] of Object.entries(words)) view.setUint32(Number(index) * 4, value >>> 0, true);
    writeFileSync(this.path, bytes);
  }

  [Symbol.dispose](): void {
    this.#scratch[Symbol.dispose]();
  }
}

describe("a broken superblock", () => {
  const cases: readonly (readonly [string, number, readonly number[], string])[] = [
    ["magic low", Superblock.magicLowWord, [0, 1, 0x48594850], "REGION_NOT_A_REGION"],
    ["magic high", Superblock.magicHighWord, [0, 0x53594850], "REGION_NOT_A_REGION"],
    ["version", Superblock.layoutVersionWord, [0, 2, 0xffffffff], "REGION_VERSION"],
    ["byte order", Superblock.byteOrderWord, [0x04030201], "REGION_BYTE_ORDER"],
    ["byte order mark", Superblock.byteOrderWord, [0, 0x01020305], "REGION_CORRUPT"],
    ["header bytes", Superblock.headerBytesWord, [0, 4096, 24_580, 0xffffffff], "REGION_CORRUPT"],
    ["state building", Superblock.stateWord, [0], "REGION_HALF_MADE"],
    ["state", Superblock.stateWord, [2, 0x80000001], "REGION_CORRUPT"],
    ["size low, too large", Superblock.sizeLowWord, [SIZE + 1, 0xffffffff], "REGION_TOO_SMALL"],
    ["size low, too small", Superblock.sizeLowWord, [0, 24_575], "REGION_CORRUPT"],
    ["size high", Superblock.sizeHighWord, [1], "REGION_TOO_SMALL"],
    ["size beyond 2^53", Superblock.sizeHighWord, [2 ** 21, 0xffffffff], "REGION_CORRUPT"],
    ["instance id 0", Superblock.instanceIdWord, [0], "REGION_STALE_SIDECAR"],
    ["instance id 3", Superblock.instanceIdWord + 3, [0], "REGION_STALE_SIDECAR"],
    ["directory offset", Superblock.directoryOffsetWord, [0, 8192, 0xfffffffc], "REGION_CORRUPT"],
    ["directory capacity", Superblock.directoryCapacityWord, [0, 65, 0xffffffff], "REGION_CORRUPT"],
    ["control offset", Superblock.controlOffsetWord, [0, 16_384, 0xffffffff], "REGION_CORRUPT"],
    ["participant capacity", Superblock.participantCapacityWord, [0, 32, 0xffffffff], "REGION_CORRUPT"],
    ["sidecar flag", Superblock.flagsWord, [1, 3], "REGION_CORRUPT"],
  ];

  for (const [what, word, values, code] of cases) {
    test(`${what}: ${code}`, () => {
      using victim = new Victim();
      const before = openDescriptors();
      for (const value of values) {
        victim.patch({ [word]: value });
        expectCode(code, () => Region.open(victim.name));
        expectCode(code, () => Region.open(victim.name, { readOnly: true }));
        using raw = Region.open(victim.name, { raw: true });
        expect(raw.sizeBytes).toBe(SIZE);
      }
      expect(openDescriptors()).toBe(before);
    });
  }

  test("an instance id of zero, and a sidecar flag that is consistent but has no sidecar", () => {
    using victim = new Victim();
    const id = Superblock.instanceIdWord;
    victim.patch({ [id]: 0, [id + 1]: 0, [id + 2]: 0, [id + 3]: 0 });
    expectCode("REGION_CORRUPT", () => Region.open(victim.name));
    victim.patch({ [Superblock.flagsWord]: 1, [Superblock.controlOffsetWord]: 0 });
    expectCode("REGION_CORRUPT", () => Region.open(victim.name));
  });

  test("reserved words and information are ignored", () => {
    using victim = new Victim();
    victim.patch({ [Superblock.backendWord]: 99, [Superblock.createdAtHighWord]: -1, 20: 1, 1023: -1 });
    using region = Region.open(victim.name);
    expect(region.directory.list()).toHaveLength(1);
  });
});

describe("a broken control area", () => {
  test("every word of its header", () => {
    using victim = new Victim();
    const base = Control.offset / 4;
    const header: readonly (readonly [number, string])[] = [
      [Control.magicWord, "REGION_CORRUPT"],
      [Control.versionWord, "REGION_CORRUPT"],
      [Control.participantCapacityWord, "REGION_CORRUPT"],
      [Control.recordBytesWord, "REGION_CORRUPT"],
      ...[0, 1, 2, 3].map((i) => [Control.instanceIdWord + i, "REGION_STALE_SIDECAR"] as const),
    ];
    for (const [word, code] of header) {
      for (const value of [0, -1]) {
        victim.patch({ [base + word]: value });
        expectCode(code, () => Region.open(victim.name));
      }
    }
  });
});

describe("a file that is cut", () => {
  test("at every length is too small, or no region", () => {
    using victim = new Victim();
    for (const length of [
      SIZE - 1,
      SIZE - 4096,
      HEADER_BYTES,
      HEADER_BYTES - 1,
      12_288,
      4096,
      4095,
      100,
      8,
      1,
      0,
    ]) {
      victim.patch({});
      truncateSync(victim.path, length);
      expectCode("REGION_TOO_SMALL", () => Region.open(victim.name));
      expectCode("REGION_TOO_SMALL", () => Region.open(victim.name, { readOnly: true }));
    }
  });

  test("a longer one is fine: the superblock counts", () => {
    using victim = new Victim();
    truncateSync(victim.path, SIZE * 2);
    using region = Region.open(victim.name);
    expect(region.sizeBytes).toBe(SIZE);
  });
});

describe("a half-made region", () => {
  test("is told to the opener and can be made again, without force", () => {
    using victim = new Victim();
    victim.patch({ [Superblock.stateWord]: 0 });
    expectCode("REGION_HALF_MADE", () => Region.open(victim.name, { waitMs: 20 }));
    using region = Region.create(victim.name, { size: SIZE });
    expect(region.directory.list()).toEqual([]);
  });

  test("a creator killed in the middle leaves no file at all", () => {
    using scratch = new ScratchName("killed-creator");
    const script = `
      const { createShm } = await import(${JSON.stringify(new URL("../../src/memory/shm.ts", import.meta.url).pathname)});
      createShm({ name: "x", path: ${JSON.stringify(scratch.path)} }, { sizeBytes: 65536, force: false, sparse: false, mode: 0o600, group: null });
      process.kill(process.pid, "SIGKILL");`;
    expect(Bun.spawnSync([process.execPath, "-e", script]).signalCode).toBe("SIGKILL");
    expectCode("REGION_NOT_FOUND", () => Region.open(scratch.name));
  });
});

test("random headers: a typed error or a region that stays in its bounds, 3000 times", () => {
  using victim = new Victim();
  const before = openDescriptors();
  let seed = 12_345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  // Superblock, first directory entries, control header: where numbers mean something.
  const interesting = [0, 1024, Control.offset / 4] as const;
  let opened = 0;
  for (let round = 0; round < 3000; round++) {
    const patch: Record<number, number> = {};
    for (let i = 0; i <= random(3); i++) {
      const base = interesting[random(3)]!;
      patch[base + random(36)] = [0, 1, 0xffffffff, 0x80000000, 4096, random(2 ** 32)][random(6)]!;
    }
    victim.patch(patch);
    try {
      using region = Region.open(victim.name);
      opened++;
      for (const entry of region.directory.list()) region.view(entry.offset, entry.sizeBytes).fill(1);
      region.directory.create(2, `new-${round}`, 1 + random(100_000), (offset) =>
        region.view(offset, 1).fill(2),
      );
    } catch (error) {
      if (!(error instanceof PhysringError)) throw error;
    }
  }
  expect(opened).toBeGreaterThan(100);
  expect(openDescriptors()).toBe(before);
}, 120_000);
