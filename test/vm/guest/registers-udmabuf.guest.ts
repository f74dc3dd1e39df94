/**
 * Machine code of the register accessor and of the barriers, on the processor of this guest: where that is an arm64, nothing else executes it. The
 * "device" is /dev/udmabuf1, mapped cached and as a device that is not coherent has its queue memory, non-cacheable.
 */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { closeFile, openFile } from "../../../src/ffi/files.ts";
import { mapRegisters, type RegisterMapping, writebackGranuleBytes } from "../../../src/ffi/machine-code.ts";
import { QueueBuffer } from "../../../src/fpga/queue-buffer.ts";
import { regionOffset } from "../../../src/memory/brands.ts";
import { Region } from "../../../src/memory/region.ts";

// An emulated machine on a busy one.
setDefaultTimeout(60_000);

const NAME = "/dev/udmabuf1";
const LENGTH_BYTES = 65536;
const FILL = 0x5a5a5a5a;
const VALUES = [0, 1, -1, 0x7fffffff, -0x80000000, 0x12345678, -2];
const OFFSETS = [0, 4, 60, 64, 4092, 4096, LENGTH_BYTES - 4];

let registers: RegisterMapping | null = null;
afterEach(() => {
  registers?.release();
  registers = null;
});

/** Not RegisterFile, which takes registers only. */
function mapBuffer(sync: boolean): RegisterMapping {
  const fd = openFile(NAME, { sync });
  registers = mapRegisters(fd, 0, LENGTH_BYTES, NAME);
  closeFile(fd);
  return registers;
}

/** One word of `words` is written, and no byte beside it. */
function expectSingleWords(words: Int32Array, mapped: RegisterMapping): void {
  for (const offset of OFFSETS) {
    for (const value of VALUES) {
      for (let i = 0; i < words.length; i++) words[i] = FILL;
      mapped.write(offset, value);
      mapped.wmb();
      expect(mapped.read(offset)).toBe(value);
      mapped.rmb();
      const changed = [...words.keys()].filter((i) => words[i] !== FILL);
      expect(changed).toEqual([offset / 4]);
      expect(words[offset / 4]).toBe(value);
      words[offset / 4] = ~value;
      expect(mapped.read(offset)).toBe(~value);
    }
  }
}

describe("the register accessor", () => {
  test("reads and writes one aligned word of a cached mapping", () => {
    using region = Region.open(NAME, { raw: true });
    expectSingleWords(region.words(regionOffset(0), LENGTH_BYTES / 4), mapBuffer(false));
  });

  test("and of the mapping that queue memory has", () => {
    using buffer = QueueBuffer.openDevice(NAME);
    const coherent = readFileSync("/sys/class/u-dma-buf/udmabuf1/dma_coherent", "utf8").trim() === "1";
    expect(coherent).toBe(process.arch === "x64");
    expectSingleWords(buffer.words.subarray(0, LENGTH_BYTES / 4), mapBuffer(!coherent));
  });

  test("reads again each time, in a loop that the engine has compiled", () => {
    const mapped = mapBuffer(false);
    let sum = 0;
    for (let i = 0; i < 200_000; i++) {
      mapped.write((i & 63) * 4, i);
      sum += mapped.read((i & 63) * 4) - i;
    }
    expect(sum).toBe(0);
    for (let i = 0; i < 64; i++) expect(mapped.read(4 * i)).toBe(200_000 - 64 + i);
  });
});

test("the granule is what this processor says", () => {
  const granule = writebackGranuleBytes();
  expect(Math.log2(granule) % 1).toBe(0);
  expect(granule).toBeGreaterThanOrEqual(128);
  expect(granule).toBeLessThanOrEqual(2048);
});
