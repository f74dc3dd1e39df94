/** The rings of a hardware queue against a few lines that stand for the core: order, reuse, faults. The RTL itself is in test/fpga. */
import { describe, expect, test } from "bun:test";
import { CommandRing, type RingHardware } from "../../src/fpga/command-ring.ts";
import {
  CompletionLayout,
  DescriptorLayout,
  DeviceRegister,
  HostRegister,
  Opcode,
  Status,
  validityOf,
} from "../../src/fpga/layout.ts";
import { queuePage } from "../../src/ring/hardware-layout.ts";
import { expectCode } from "../support/errors.ts";

const QUEUE = 2;
const CAPACITY_LOG2 = 3;
const CAPACITY = 1 << CAPACITY_LOG2;
const DATA = 0x1_2345_0000;

/** Registers and memory as the ring sees them; completes what it is told to, in any order. */
class FakeCore {
  readonly registers = new Map<number, number>();
  readonly calls: string[] = [];
  readonly words = new Int32Array(new SharedArrayBuffer(4096));
  readonly ring: CommandRing;
  written = 0;
  epoch = 0;

  constructor() {
    const page = queuePage(QUEUE);
    const hardware: RingHardware = {
      registers: {
        read: (offset) => {
          this.calls.push("read");
          return this.registers.get(offset) ?? 0;
        },
        write: (offset, value) => {
          this.calls.push(`write ${(offset - page).toString(16)}`);
          this.registers.set(offset, value);
        },
      },
      order: { wmb: () => void this.calls.push("wmb"), rmb: () => void this.calls.push("rmb") },
      queue: QUEUE,
      capacityLog2: CAPACITY_LOG2,
      words: this.words,
      cached: true,
      sqWord: 0,
      cqWord: 512,
      sqAddress: 0x9_0000_0000,
      cqAddress: 0x9_0000_0800,
      limits: {
        opcodes: 0xff,
        maxFilterWidth: 2048,
        queueWindow: { base: 0x9_0000_0000, limit: 0x9_0000_1000 },
        dataWindow: { base: DATA, limit: DATA + 0x10000 },
      },
    };
    this.ring = new CommandRing(hardware);
    this.start(7);
  }

  start(epoch: number): void {
    this.epoch = epoch;
    this.written = 0;
    this.ring.start({ epoch });
    this.calls.length = 0;
  }

  register(offset: number): number {
    return this.registers.get(queuePage(QUEUE) + offset) ?? 0;
  }

  descriptor(index: number): Int32Array {
    const at = (index % CAPACITY) * DescriptorLayout.sizeWords;
    return this.words.subarray(at, at + DescriptorLayout.sizeWords);
  }

  complete(index: number, changes: { tag?: number; status?: number; index?: number } = {}): void {
    const descriptor = this.descriptor(index);
    const at = 512 + (this.written % CAPACITY) * CompletionLayout.sizeWords;
    const entry = [
      changes.tag ?? descriptor[DescriptorLayout.tagWord]!,
      changes.status ?? 0,
      64,
      index * 10,
      0,
      0,
      changes.index ?? index,
    ];
    this.words.set([...entry, validityOf(this.epoch, this.written, CAPACITY_LOG2)], at);
    this.written++;
  }

  put(): number {
    return this.ring.put(Opcode.copy, DATA | 0, 1, (DATA + 4096) | 0, 1, 64, 0, 0, 0, 0);
  }
}

describe("a command ring", () => {
  test("announces a batch with one barrier and one register write, reads none, and acknowledges with the next", () => {
    const core = new FakeCore();
    for (let i = 0; i < 4; i++) core.put();
    expect(core.calls).toEqual([]);
    expect(core.ring.submit()).toBe(4);
    expect(core.calls).toEqual(["wmb", "write 80"]);
    expect(core.register(HostRegister.sqTail)).toBe(4);
    for (let i = 0; i < 4; i++) core.complete(i);
    core.calls.length = 0;
    expect(core.ring.reap(32)).toBe(4);
    expect(core.calls).toEqual(["rmb"]);
    core.put();
    core.ring.submit();
    expect(core.calls).toEqual(["rmb", "wmb", "write c0", "write 80"]);
    expect(core.register(HostRegister.cqHead)).toBe(4);
  });

  test("writes what the protocol says, the validity word with epoch and phase", () => {
    const core = new FakeCore();
    const entry = core.put();
    const words = [...core.descriptor(0)].map((word) => word >>> 0);
    expect(words).toEqual([
      Opcode.copy,
      entry,
      0x23450000,
      1,
      0x23451000,
      1,
      64,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      7 * 256 + 1,
    ]);
  });

  test("takes completions in any order, and reuses slots while older commands are under way", () => {
    const core = new FakeCore();
    for (let i = 0; i < CAPACITY; i++) core.put();
    core.ring.submit();
    expectCode("QUEUE_FULL", () => core.put());
    core.complete(5);
    core.complete(2);
    expect(core.ring.reap(32)).toBe(2);
    expect([
      core.ring.completed[CompletionLayout.resultWord],
      core.ring.completed[8 + CompletionLayout.resultWord],
    ]).toEqual([50, 20]);
    expect([core.put(), core.put()].sort()).toEqual([2, 5]);
    core.ring.submit();
    for (const index of [9, 8, 0, 1, 3, 4, 6, 7]) {
      // Slots 0 and 1 hold commands 8 and 9 by now: the tags of the old ones are their entries.
      core.complete(index, index < 8 ? { tag: index } : {});
    }
    expect(core.ring.reap(32)).toBe(8);
    expect(core.ring.underWay).toBe(0);
  });

  test("goes on over the wrap of its phase for many laps", () => {
    const core = new FakeCore();
    for (let lap = 0; lap < 10 * CAPACITY; lap += 3) {
      for (let i = 0; i < 3; i++) core.put();
      core.ring.submit();
      for (let i = 0; i < 3; i++) core.complete(lap + i);
      expect(core.ring.reap(32)).toBe(3);
      expect(core.ring.reap(32)).toBe(0);
    }
  });

  test.each([
    ["a command that was never submitted", { tag: 3, index: 3 }],
    ["a tag that is no entry", { tag: 77 }],
    ["a tag below zero", { tag: -1 }],
    ["another command's index", { index: 1 }],
  ])("refuses a completion of %s", (_, changes) => {
    const core = new FakeCore();
    core.put();
    core.ring.submit();
    core.complete(0, changes);
    expectCode("CORE_FAULT", () => core.ring.reap(32));
  });

  test("refuses a second completion of the same command", () => {
    const core = new FakeCore();
    core.put();
    core.put();
    core.ring.submit();
    core.complete(0);
    core.complete(0);
    expectCode("CORE_FAULT", () => core.ring.reap(32));
  });

  test("does not take an entry of an earlier epoch or of the previous pass for a new one", () => {
    const core = new FakeCore();
    core.put();
    core.ring.submit();
    core.epoch = 6;
    core.complete(0);
    expect(core.ring.reap(32)).toBe(0);
    core.written = CAPACITY;
    core.epoch = 7;
    core.complete(0);
    expect(core.ring.reap(32)).toBe(0);
  });

  test("takes back what was staged", () => {
    const core = new FakeCore();
    core.put();
    core.put();
    core.ring.unstage();
    expect(core.ring.submit()).toBe(0);
    expect(core.ring.room).toBe(CAPACITY);
    expect(core.calls).toEqual([]);
  });

  test("zeroes both rings, and writes control last", () => {
    const core = new FakeCore();
    core.put();
    core.ring.submit();
    core.complete(0);
    core.ring.start({ epoch: 8 });
    expect(core.words.every((word) => word === 0)).toBe(true);
    expect(core.calls.at(-1)).toBe("write 0");
    expect(core.register(HostRegister.control)).toBe(8 * 256 + 1);
    expect(core.register(HostRegister.sqBase + 4)).toBe(9);
    core.registers.set(queuePage(QUEUE) + DeviceRegister.state, 8 * 256 + 1);
    expect(core.ring.readState()).toBe(8 * 256 + 1);
  });
});

describe("malformed commands are refused before anything is written", () => {
  const low = DATA | 0;
  test.each([
    ["unaligned source", Status.ALIGNMENT, [Opcode.copy, low + 4, 1, low, 1, 64, 0, 0]],
    ["unaligned destination", Status.ALIGNMENT, [Opcode.copy, low, 1, low + 32, 1, 64, 0, 0]],
    ["no bytes", Status.LENGTH, [Opcode.copy, low, 1, low, 1, 0, 0, 0]],
    ["more than 2^31 bytes", Status.LENGTH, [Opcode.copy, low, 1, low, 1, (2 ** 31 + 1) | 0, 0, 0]],
    ["outside the window", Status.RANGE, [Opcode.copy, low, 1, low, 0, 64, 0, 0]],
    ["over the end of the window", Status.RANGE, [Opcode.copy, (low + 0xffc0) | 0, 1, low, 1, 65, 0, 0]],
    ["over 2^64", Status.RANGE, [Opcode.copy, -64, -1, low, 1, 128, 0, 0]],
    ["unknown opcode", Status.OPCODE, [31, low, 1, low, 1, 64, 0, 0]],
    ["unknown flag", Status.FLAGS, [Opcode.copy | 1024, low, 1, low, 1, 64, 0, 0]],
    ["threshold above 255", Status.PARAMETER, [Opcode.threshold, low, 1, low, 1, 64, 0, 256]],
    ["filter of a narrow image", Status.PARAMETER, [Opcode.filter3x3, low, 1, low, 1, 64, 0, 32]],
    ["filter of half a line", Status.PARAMETER, [Opcode.filter3x3, low, 1, low, 1, 96, 0, 64]],
    ["list outside the queue window", Status.RANGE, [Opcode.copy | 256, low, 1, low, 1, 64, 1, 0]],
    ["empty list", Status.LIST, [Opcode.copy | 256, 0, 9, low, 1, 64, 0, 0]],
  ] as const)("%s", (_, status, [opcode, sl, sh, dl, dh, length, lists, parameter]) => {
    const core = new FakeCore();
    const error = expectCode("COMMAND_INVALID", () =>
      core.ring.put(opcode, sl, sh, dl, dh, length, lists, parameter, 0, 0),
    );
    expect(error).toHaveProperty("status", status);
    expect(core.words.every((word) => word === 0)).toBe(true);
    expect(core.ring.room).toBe(CAPACITY);
  });
});
