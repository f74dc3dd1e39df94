/** Register files: which paths are taken, one access per call, and machine code that an assembler would write as well. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { registerCode, writebackGranuleBytes } from "../../src/ffi/machine-code.ts";
import { boardDirectory, parseRegisterPath, RegisterFile } from "../../src/memory/register-file.ts";
import { expectCode } from "../support/errors.ts";
import { uniqueName } from "../support/regions.ts";

class ScratchRegisters implements Disposable {
  readonly name = uniqueName("registers");
  readonly path = `${boardDirectory(this.name)}/registers`;

  constructor() {
    mkdirSync(boardDirectory(this.name), { mode: 0o700 });
    writeFileSync(this.path, new Uint8Array(65536));
  }

  [Symbol.dispose](): void {
    rmSync(boardDirectory(this.name), { recursive: true });
  }
}

describe("paths of registers", () => {
  test.each([
    ["/dev/uio3", "/dev/uio3", 0],
    ["/dev/uio3:2", "/dev/uio3", 8192],
    ["/sys/bus/pci/devices/0000:00:04.0/resource2", "/sys/bus/pci/devices/0000:00:04.0/resource2", 0],
    [
      "/sys/bus/pci/devices/0000:00:04.0/resource2@10000",
      "/sys/bus/pci/devices/0000:00:04.0/resource2",
      65536,
    ],
    ["/dev/shm/physring-board.demo/registers", "/dev/shm/physring-board.demo/registers", 0],
  ])("%s", (path, file, offset) => {
    expect(parseRegisterPath(path)).toEqual({ file, offset });
  });

  test.each([
    "/etc/passwd",
    "/dev/mem",
    "/dev/uio",
    "/dev/uio0@123",
    "/dev/shm/physring-board.x/../../etc/registers",
    "/dev/shm/physring-board.../registers/registers",
    "/sys/bus/pci/devices/../../../etc/resource0",
    "",
  ])("%p is refused", (path) => {
    expectCode("NAME_INVALID", () => parseRegisterPath(path));
  });
});

describe("a register file", () => {
  test("reads and writes single words, and nothing outside", () => {
    using scratch = new ScratchRegisters();
    using registers = new RegisterFile(scratch.path, 65536);
    registers.write(0x1084, 0x12345678);
    registers.write(0xfffc, -2);
    expect(registers.read(0x1084)).toBe(0x12345678);
    expect(registers.read(0xfffc)).toBe(-2);
    const bytes = readFileSync(scratch.path);
    expect(bytes.readUInt32LE(0x1084)).toBe(0x12345678);
    expect(bytes.filter((byte) => byte !== 0).length).toBe(8);
    registers.wmb();
    registers.rmb();
    for (const offset of [1, 2, 65536, -4, 2 ** 31]) {
      expectCode("OUT_OF_RANGE", () => registers.read(offset));
      expectCode("OUT_OF_RANGE", () => registers.write(offset, 0));
    }
  });

  test("refuses every access after it was closed", () => {
    using scratch = new ScratchRegisters();
    const registers = new RegisterFile(scratch.path, 65536);
    registers[Symbol.dispose]();
    registers[Symbol.dispose]();
    expectCode("OUT_OF_RANGE", () => registers.read(0));
    registers.wmb();
  });

  test("a loop of reads sees each change: the engine cannot hoist them", async () => {
    using scratch = new ScratchRegisters();
    using registers = new RegisterFile(scratch.path, 65536);
    const peer = Bun.spawn([
      "sh",
      "-c",
      `sleep 0.3; printf '\\001' | dd of=${scratch.path} bs=1 count=1 conv=notrunc 2>/dev/null`,
    ]);
    let reads = 0;
    while (registers.read(0) === 0 && reads < 2e9) reads++;
    expect(registers.read(0)).toBe(1);
    expect(reads).toBeGreaterThan(1000);
    await peer.exited;
  });
});

describe("machine code", () => {
  const base = 0x1234_5678_9000;

  test("arm64, as the assembler writes it", () => {
    const words = new Uint32Array(registerCode("arm64", base).buffer);
    const entry = (at: number, count: number): string[] =>
      [...words.subarray(at / 4, at / 4 + count)].map((word) => word.toString(16));
    // aarch64-linux-gnu-as: ldr x1, .+32; ldr w0, [x1, w0, uxtw]; dmb oshld; ret
    expect(entry(0, 4)).toEqual(["58000101", "b8604820", "d50331bf", "d65f03c0"]);
    // ldr x2, .+32; str w1, [x2, w0, uxtw]; ret
    expect(entry(64, 3)).toEqual(["58000102", "b8204841", "d65f03c0"]);
    expect(entry(128, 2)).toEqual(["d5033f9f", "d65f03c0"]); // dsb sy
    expect(entry(192, 2)).toEqual(["d50331bf", "d65f03c0"]); // dmb oshld
    expect(entry(256, 2)).toEqual(["d53b0020", "d65f03c0"]); // mrs x0, ctr_el0
    expect([words[8], words[9], words[24], words[25]]).toEqual([0x56789000, 0x1234, 0x56789000, 0x1234]);
  });

  test("the granule is at least a pair of lines", () => {
    expect(writebackGranuleBytes()).toBeGreaterThanOrEqual(128);
  });
});
