import { afterEach, beforeEach, describe, expect, type Mock, spyOn, test } from "bun:test";
import { readFileSync } from "node:fs";
import { runV2p } from "../../src/cli/v2p.ts";
import { regionOffset } from "../../src/memory/brands.ts";
import { HEADER_BYTES } from "../../src/memory/layout.ts";
import { deviceText, parseMaps } from "../../src/memory/process-maps.ts";
import { Region } from "../../src/memory/region.ts";
import { Peer } from "../support/peer.ts";
import { RegionPair } from "../support/regions.ts";

const isRoot = process.getuid!() === 0;
let out: Mock<typeof console.log>;
let err: Mock<typeof console.error>;

beforeEach(() => {
  out = spyOn(console, "log").mockImplementation(() => {});
  err = spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  out.mockRestore();
  err.mockRestore();
});

interface Answer {
  readonly pid: number;
  readonly path: string;
  readonly offset: number;
  readonly virtual: string;
  readonly device: string | null;
  readonly physical: string | null;
  readonly pagemap: string | null;
  readonly check: string;
  readonly absent: Readonly<Record<string, { code: string; message: string }>>;
}

function v2p(...argv: readonly string[]): Answer {
  out.mockClear();
  expect(runV2p([...argv, "--json"])).toBe(0);
  return JSON.parse(out.mock.calls[0]![0] as string) as Answer;
}

function failure(code: number, ...argv: readonly string[]): string {
  err.mockClear();
  expect(runV2p(argv)).toBe(code);
  return err.mock.calls[0]![0] as string;
}

describe("physring v2p", () => {
  test("a byte of a region: the same page in this process and in another one", async () => {
    using pair = new RegionPair("v2p", 70_001);
    pair.a.bytes.fill(1, HEADER_BYTES);
    await using peer = await Peer.start("map", pair.name);
    const [, last] = (await peer.nextLine()).split(" ").map(Number);
    const here = v2p("--region", pair.name, "70000");
    const there = v2p("--region", pair.name, "--pid", String(peer.pid), "0x11170");
    const byAddress = v2p("--pid", String(peer.pid), `0x${last!.toString(16)}`);
    expect(here).toMatchObject({ pid: process.pid, offset: 70_000, device: null });
    expect(there).toEqual(byAddress);
    expect(there).toMatchObject({
      pid: peer.pid,
      path: pair.a.path,
      offset: 70_000,
      virtual: `0x${last!.toString(16)}`,
    });
    expect(there.absent["device"]?.code).toBe("no-device");
    if (isRoot) {
      // The peer read the first byte only: its page table has that page, and not yet the last one.
      expect(there.absent["pagemap"]?.code).toBe("not-present");
      expect(here.pagemap).toBe(`0x${pair.a.physicalAddress(regionOffset(70_000))!.toString(16)}`);
      const first = v2p("--region", pair.name, "--pid", String(peer.pid), "0");
      expect(first.pagemap).toBe(`0x${pair.a.physicalAddress(regionOffset(0))!.toString(16)}`);
    } else {
      expect(here.absent["pagemap"]?.code).toBe("needs-cap-sys-admin");
    }
    expect(here.check).toBe("not checked");
  });

  test("a creator's mapping is found although its file got its name later; a memfd by its path", () => {
    using pair = new RegionPair("v2p-creator");
    const address = pair.a.virtualAddress(regionOffset(5000));
    expect(v2p("--pid", String(process.pid), String(address))).toMatchObject({
      offset: 5000,
      virtual: `0x${address.toString(16)}`,
    });
    using memfd = Region.create("memfd:v2p", { size: "64KiB" });
    const found = v2p("--region", `memfd:${memfd.path}`, "--pid", String(process.pid), "4097");
    expect(found).toMatchObject({ offset: 4097, device: null });
    expect(found.path).toContain("memfd:physring.v2p");
  });

  test("prints a line for each kind of address, with the reason where there is none", () => {
    using pair = new RegionPair("v2p-text");
    expect(runV2p(["--region", pair.name, "0"])).toBe(0);
    const lines = (out.mock.calls[0]![0] as string).split("\n");
    expect(lines.map((line) => line.split(" ")[0])).toEqual([
      "file",
      "offset",
      "virtual",
      "device",
      "physical",
      "pagemap",
    ]);
    expect(lines[3]).toContain("(");
  });

  test.skipIf(!isRoot)("raw page frames: says that the kernel's page walker skips them (needs root)", () => {
    // [vvar] is such a mapping in every process (VM_PFNMAP).
    const vvar = parseMaps(readFileSync("/proc/self/maps", "utf8")).find((m) => m.path === "[vvar]");
    expect(vvar).toBeDefined();
    const answer = v2p("--pid", String(process.pid), String(vvar!.start));
    expect(answer.pagemap).toBeNull();
    expect(answer.absent["pagemap"]).toMatchObject({ code: "pages-not-walked" });
    expect(answer.absent["pagemap"]!.message).toContain("VM_PFNMAP");
  });

  test("errors have codes, and wrong arguments show the usage", () => {
    using pair = new RegionPair("v2p-errors", 70_001);
    expect(failure(1, "--region", pair.name, "70001")).toContain("OUT_OF_RANGE");
    expect(failure(1, "--region", "no-such-region", "0")).toContain("REGION_NOT_FOUND");
    expect(failure(1, "--region", "a/b", "0")).toContain("NAME_INVALID");
    expect(failure(1, "--pid", String(process.pid), "0x10")).toContain("NOT_MAPPED");
    expect(failure(1, "--pid", "4194305", "0x10")).toContain("PROCESS_NOT_FOUND");
    const wrong: readonly (readonly string[])[] = [
      [],
      ["0"],
      ["--region", "x"],
      ["--region", "x", "1", "2"],
      ["--region", "x", "1e3"],
      ["--pid", "x", "0"],
      ["--nonsense"],
      ["--region", "x", "-1"],
    ];
    for (const argv of wrong) expect(failure(2, ...argv)).toContain("physring v2p --region NAME OFFSET");
    expect(runV2p(["--help"])).toBe(0);
  });
});

describe("/proc/PID/maps", () => {
  test("is taken apart", () => {
    const text = `55d0c0000000-55d0c0001000 r--p 00002000 fd:01 131 /usr/bin/a b (deleted)
7fff00000000-7fff00021000 rw-p 00000000 00:00 0
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
nonsense`;
    expect(parseMaps(text)).toEqual([
      {
        start: 0x55d0c0000000,
        end: 0x55d0c0001000,
        permissions: "r--p",
        fileOffset: 0x2000,
        device: "fd:01",
        inode: 131,
        path: "/usr/bin/a b (deleted)",
      },
      {
        start: 0x7fff00000000,
        end: 0x7fff00021000,
        permissions: "rw-p",
        fileOffset: 0,
        device: "00:00",
        inode: 0,
        path: "",
      },
      {
        start: 0xffffffffff600000,
        end: 0xffffffffff601000,
        permissions: "--xp",
        fileOffset: 0,
        device: "00:00",
        inode: 0,
        path: "[vsyscall]",
      },
    ]);
  });

  test("device numbers are printed as the kernel does", () => {
    expect(deviceText(0xfd01)).toBe("fd:01");
    expect(deviceText(0x1a)).toBe("00:1a");
    // Minor numbers above 255 have their high bits in bits 20 to 31.
    expect(deviceText((1 << 20) | (8 << 8) | 2)).toBe("08:102");
  });
});
