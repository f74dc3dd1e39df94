import { expect, test } from "bun:test";
import { isGone } from "../support/regions.ts";

const EXAMPLE = new URL("../../examples/v2p.ts", import.meta.url).pathname;
const NAME = `v2p-test-${process.pid}`;

test("the v2p example translates the first byte, the last one, and refuses the one after it", () => {
  const child = Bun.spawnSync([process.execPath, EXAMPLE, NAME, "3"]);
  expect(child.stderr.toString()).toBe("");
  expect(child.exitCode).toBe(0);
  const lines = child.stdout.toString().trimEnd().split("\n");
  expect(lines).toHaveLength(5);
  expect(lines[0]).toBe(`${NAME}: ${3 * 2 ** 20} bytes`);
  const parts = lines.slice(1).map((line) => /^(.*?) +0x([0-9a-f]+) -> (.*)$/.exec(line)!);
  const virtual = parts.map((part) => Number.parseInt(part[2]!, 16) - Number.parseInt(parts[0]![2]!, 16));
  expect(virtual).toEqual([0, 4096, 3 * 2 ** 20 - 1, 3 * 2 ** 20]);
  expect(parts[3]![3]).toBe("in no region");
  expect(parts.slice(0, 3).map((part) => part[3]!.split(",")[0])).toEqual([
    "offset 0x0",
    "offset 0x1000",
    "offset 0x2fffff",
  ]);
  for (const part of parts.slice(0, 3)) {
    const address = part[3]!.split(", ")[1]!;
    if (process.getuid!() === 0) expect(Number(address) % 4096).toBe(Number.parseInt(part[2]!, 16) % 4096);
    else expect(address).toContain("CAP_SYS_ADMIN");
  }
  expect(isGone(NAME)).toBe(true);
});

test("a device that is not there is told by its error code", () => {
  const child = Bun.spawnSync([process.execPath, EXAMPLE, "/dev/udmabuf-none"]);
  expect(child.exitCode).toBe(1);
  expect(child.stderr.toString()).toContain("REGION_NOT_FOUND");
});
