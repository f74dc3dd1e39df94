/**
 * Devices that QEMU brings along, driven by the library's register file, device addresses and interrupts: `edu` copies between our buffer and itself;
 * `pci-testdev` counts the accesses that reach it.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
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

test("edu: our buffer to the device and back to another place, by device address, completion by interrupt", async () => {
  const device = pciDevice("0x1234", "0x11e8");
  enable(device);
  using registers = new RegisterFile(`${device}/resource0`, Edu.barBytes);
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

/**
 * hw/misc/pci-testdev.c: byte 0 of BAR 0 selects a test; then each write of `data` that starts at `offset` adds 1 to `count`. The device
 * takes bytes, QEMU cuts wider writes up: what is counted is how often there was a write, not how wide it was.
 */
const TestDevice = { barBytes: 0x1000, test: 0, offset: 4, data: 8, count: 12 } as const;

test("a register write is one access, also when the code is hot: counted by the device", () => {
  const device = pciDevice("0x1b36", "0x0005");
  enable(device);
  using registers = new RegisterFile(`${device}/resource0`, TestDevice.barBytes);
  registers.write(TestDevice.test, 0);
  const offset = registers.read(TestDevice.offset);
  const data = registers.read(TestDevice.data);
  const before = registers.read(TestDevice.count);
  const WRITES = 100_000;
  for (let i = 0; i < WRITES; i++) registers.write(offset, data);
  expect(registers.read(TestDevice.count) - before).toBe(WRITES);
});
