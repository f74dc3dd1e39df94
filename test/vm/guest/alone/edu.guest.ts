/**
 * A device that QEMU brings along, driven by the library's register file, device addresses and interrupts: `edu` copies between our buffer and itself. What
 * it says of its calls is compared with what QEMU saw (test/vm/bus_trace.sh).
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { closeFile, openFile, readAt } from "../../../../src/ffi/files.ts";
import { writeAt } from "../../../../src/ffi/poll.ts";
import { UioInterrupt } from "../../../../src/fpga/interrupts.ts";
import { Region } from "../../../../src/index.ts";
import { RegisterFile } from "../../../../src/memory/register-file.ts";

setDefaultTimeout(120_000);

const PCI = "/sys/bus/pci/devices";

function pciDevice(vendor: string, device: string): string {
  const found = readdirSync(PCI).find(
    (address) =>
      readFileSync(`${PCI}/${address}/vendor`, "utf8").trim() === vendor &&
      readFileSync(`${PCI}/${address}/device`, "utf8").trim() === device,
  );
  if (found === undefined) throw new Error(`no PCI device ${vendor}:${device}`);
  return `${PCI}/${found}`;
}

/** Lets the device answer accesses to its BARs, and master the bus: what a driver does. */
function enable(device: string): void {
  const MEMORY_AND_MASTER = 0x6;
  const path = `${device}/config`;
  const fd = openFile(path);
  const command = new Uint8Array(new ArrayBuffer(2));
  readAt(fd, command, 4, path);
  command[0] = command[0]! | MEMORY_AND_MASTER;
  writeAt(fd, command, 4, path);
  closeFile(fd);
}

/** QEMU docs/specs/edu.txt. */
const Edu = {
  barBytes: 0x1000,
  identification: 0x00,
  liveness: 0x04,
  interruptStatus: 0x24,
  interruptAcknowledge: 0x64,
  dmaSource: 0x80,
  dmaDestination: 0x88,
  dmaCount: 0x90,
  dmaCommand: 0x98,
  bufferAddress: 0x40000,
  /** 4096 would hit a bug of QEMU 7.2, which then aborts. */
  maxTransferBytes: 4092,
  start: 1,
  toMemory: 2,
  interruptAtEnd: 4,
  dmaInterrupt: 0x100,
} as const;

type Access = "read" | "write";
const calls = new Map<string, number>();

function countCalls(access: Access, offset: number, count: number): void {
  const key = `${access} 0x${offset.toString(16)}`;
  calls.set(key, (calls.get(key) ?? 0) + count);
}

/** For accesses one by one; a loop of many calls RegisterFile itself, and counts afterwards. */
class CountedRegisters extends RegisterFile {
  override read(offset: number): number {
    countCalls("read", offset, 1);
    return super.read(offset);
  }

  override write(offset: number, value: number): void {
    countCalls("write", offset, 1);
    super.write(offset, value);
  }
}

afterAll(() => {
  for (const [what, count] of calls) console.log(`register calls: ${what} size 4 times ${count}`);
});

test("edu: our buffer to the device and back to another place, by device address, completion by interrupt", async () => {
  const device = pciDevice("0x1234", "0x11e8");
  enable(device);
  using registers = new CountedRegisters(`${device}/resource0`, Edu.barBytes);
  expect(registers.read(Edu.identification) & 0xffff).toBe(0x00ed);
  registers.write(Edu.liveness, 0x12345678);
  expect(registers.read(Edu.liveness)).toBe(~0x12345678);

  using region = Region.create("/dev/udmabuf0", {});
  const base = region.deviceAddress(0 as Parameters<Region["deviceAddress"]>[0]) as number;
  const [FROM, TO] = [1 << 20, 2 << 20];
  const source = region.bytes.subarray(FROM, FROM + Edu.maxTransferBytes);
  const destination = region.bytes.subarray(TO, TO + Edu.maxTransferBytes + 4);
  for (let i = 0; i < source.length; i++) source[i] = (i * 7) ^ (i >> 8);
  destination.fill(0xee);

  const uio = readdirSync("/sys/class/uio").find(
    (name) => realpathSync(`/sys/class/uio/${name}/device`) === realpathSync(device),
  )!;
  using interrupt = new UioInterrupt(`/dev/${uio}`);
  const transfer = async (from: number, to: number, direction: number): Promise<void> => {
    const arrived = new Promise<void>((resolve) => {
      interrupt.onInterrupt = resolve;
    });
    interrupt.enable();
    registers.write(Edu.dmaSource, from | 0);
    registers.write(Edu.dmaDestination, to | 0);
    registers.write(Edu.dmaCount, Edu.maxTransferBytes);
    registers.wmb();
    registers.write(Edu.dmaCommand, Edu.start | direction | Edu.interruptAtEnd);
    await arrived;
    expect(registers.read(Edu.dmaCommand) & Edu.start).toBe(0);
    expect(registers.read(Edu.interruptStatus)).toBe(Edu.dmaInterrupt);
    registers.write(Edu.interruptAcknowledge, Edu.dmaInterrupt);
    registers.rmb();
  };
  await transfer(base + FROM, Edu.bufferAddress, 0);
  await transfer(Edu.bufferAddress, base + TO, Edu.toMemory);
  expect(Buffer.compare(destination.subarray(0, Edu.maxTransferBytes), source)).toBe(0);
  expect([...destination.subarray(Edu.maxTransferBytes)]).toEqual([0xee, 0xee, 0xee, 0xee]);
  expect(interrupt.count).toBeGreaterThanOrEqual(2);
});

test("each call of the accessor is one access of its word, also when the code is hot", () => {
  const device = pciDevice("0x1234", "0x11e8");
  enable(device);
  using registers = new RegisterFile(`${device}/resource0`, Edu.barBytes);
  // Places where this device has nothing. Of plain loads and stores an engine drops the first, hoists the second, may keep the last of the third...
  const CALLS = 200_000;
  for (let i = 0; i < CALLS; i++) registers.read(0x10);
  let sum = 0;
  for (let i = 0; i < CALLS; i++) sum += registers.read(0x14);
  expect(sum).toBe(-CALLS);
  for (let i = 0; i < CALLS; i++) registers.write(0x18, 1);
  countCalls("read", 0x10, CALLS);
  countCalls("read", 0x14, CALLS);
  countCalls("write", 0x18, CALLS);
  // ...and may join these.
  const PAIRS = 20_000;
  for (let i = 0; i < PAIRS; i++) {
    registers.write(0x28, i);
    registers.write(0x2c, i);
    registers.read(0x28);
    registers.read(0x2c);
  }
  for (const offset of [0x28, 0x2c]) {
    countCalls("write", offset, PAIRS);
    countCalls("read", offset, PAIRS);
  }
});
