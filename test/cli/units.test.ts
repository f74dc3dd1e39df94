/** Small parts of the command line: options, latency histogram, pixels, pace, numbers. */
import { describe, expect, test } from "bun:test";
import { GeneratedFrames } from "../../src/cli/demo/generator.ts";
import { LatencyHistogram } from "../../src/cli/demo/latency.ts";
import { Pacer, unlessAborted } from "../../src/cli/demo/pacer.ts";
import { crc32, lumaHistogram } from "../../src/cli/demo/pixels.ts";
import { bytes, nanoseconds } from "../../src/cli/format.ts";
import {
  type CommandSpec,
  helpText,
  nearest,
  parseOptions,
  UsageError,
  wholeNumber,
} from "../../src/cli/options.ts";

describe("options", () => {
  const command: CommandSpec = {
    name: "tool do",
    usage: "[OPTIONS]",
    summary: "Does.",
    options: {
      input: { value: "FILE", help: "read FILE" },
      fanout: { help: "all" },
      json: { short: "j", help: "JSON" },
    },
  };

  test("values, switches, short names, a lone dash as a value", () => {
    const options = parseOptions(command, ["--input", "-", "--fanout", "-j"]);
    expect([options.text("input"), options.has("fanout"), options.has("json"), options.has("help")]).toEqual([
      "-",
      true,
      true,
      false,
    ]);
    expect(parseOptions(command, ["--input=a=b"]).text("input")).toBe("a=b");
  });

  const wrong: [string[], string][] = [
    [["--inptu", "x"], "did you mean --input?"],
    [["--fan"], "did you mean --fanout?"],
    [["--zzz"], "unknown option --zzz (see"],
    [["-x"], "unknown option -x"],
    [["--constructor"], "unknown option --constructor"],
    [["--input"], "--input needs a value: --input FILE"],
    [["--input", "--json"], "--input needs a value"],
    [["--json=1"], "--json takes no value"],
    [["stray"], 'unexpected argument "stray"'],
  ];
  for (const [args, message] of wrong) {
    test(`${args.join(" ")} is refused`, () => {
      expect(() => parseOptions(command, args)).toThrow(UsageError);
      expect(() => parseOptions(command, args)).toThrow(message);
    });
  }

  test("help names every option and its value", () => {
    const text = helpText(command);
    for (const part of ["--input FILE", "--fanout", "-j, --json", "-h, --help", "tool do [OPTIONS]"])
      expect(text).toContain(part);
  });

  test("near words, numbers", () => {
    expect(nearest("drop-oldets", ["block", "drop-oldest"])).toBe("drop-oldest");
    expect(nearest("dmeo", ["demo", "ls"])).toBe("demo");
    expect(nearest("quux", ["demo", "ls"])).toBeNull();
    expect(wholeNumber("n", "7", 1, 9)).toBe(7);
    for (const text of ["", "-1", "0", "10", "1e0", "3.5", "x"])
      expect(() => wholeNumber("n", text, 1, 9)).toThrow(UsageError);
  });
});

describe("latency histogram", () => {
  test("percentiles are right within a bucket, the maximum exactly", () => {
    const histogram = new LatencyHistogram();
    for (let i = 1; i <= 100_000; i++) histogram.record(i * 1000);
    const { p50, p99, p999, max } = histogram.summary();
    for (const [found, exact] of [
      [p50, 50e6],
      [p99, 99e6],
      [p999, 99.9e6],
    ] as const) {
      expect(found).toBeGreaterThanOrEqual(exact);
      expect(found).toBeLessThan(exact * 1.016);
    }
    expect(max).toBe(1e8);
  });

  test("every value falls into a bucket whose bound is at most 1/64 above it", () => {
    for (let exponent = 0; exponent < 53; exponent++) {
      for (const delta of [-1, 0, 1]) {
        const value = Math.max(0, 2 ** exponent + delta);
        const histogram = new LatencyHistogram();
        histogram.record(value);
        histogram.record(2 ** 53);
        const bound = histogram.percentile(0.5);
        expect(bound).toBeGreaterThanOrEqual(value);
        expect(bound).toBeLessThanOrEqual(value * (1 + 1 / 64));
      }
    }
  });

  test("nothing, zero, negative", () => {
    const histogram = new LatencyHistogram();
    expect(histogram.summary()).toEqual({ p50: 0, p99: 0, p999: 0, max: 0 });
    histogram.record(-5);
    histogram.record(0);
    expect(histogram.summary()).toEqual({ p50: 0, p99: 0, p999: 0, max: 0 });
    expect(histogram.total).toBe(2);
  });
});

describe("pixels", () => {
  test("the histogram counts luma only, every sample once, also when their number is no multiple of 4", () => {
    const frame = Uint8Array.from([1, 1, 2, 255, 7, 99, 99]);
    const histogram = lumaHistogram(frame, { samples: 5, bitDepth: 8 });
    expect([histogram[1], histogram[2], histogram[7], histogram[255], histogram[99]]).toEqual([
      2, 1, 1, 1, 0,
    ]);
    expect(histogram.reduce((sum, count) => sum + count, 0)).toBe(5);
  });

  test("deep samples by their upper bits; values beyond the depth go into the last bin", () => {
    const frame = new Uint8Array(Uint16Array.from([0, 3, 4, 1023, 65535]).buffer);
    const histogram = lumaHistogram(frame, { samples: 5, bitDepth: 10 });
    expect([histogram[0], histogram[1], histogram[255]]).toEqual([2, 1, 2]);
  });

  test("CRC-32 of the check string", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
  });
});

test("generated frames: as many as asked, each different", async () => {
  const source = new GeneratedFrames(16, 8, 600);
  expect(source.format.frameBytes).toBe(16 * 8 * 1.5);
  const seen = new Set<number>();
  const frame = new Uint8Array(source.format.frameBytes);
  while (await source.next(frame)) seen.add(crc32(frame));
  expect(seen.size).toBe(600);
});

test("a late pacer does not wait until it has caught up; an aborted one not at all", async () => {
  const pacer = new Pacer(1000);
  const never = new AbortController().signal;
  await pacer.wait(0, never);
  await Bun.sleep(30);
  const startMs = performance.now();
  for (let frame = 1; frame <= 20; frame++) await pacer.wait(frame, never);
  expect(performance.now() - startMs).toBeLessThan(10);
  expect(await unlessAborted(new Promise(() => {}), AbortSignal.abort())).toBeNull();
  expect(await unlessAborted(Promise.resolve(5), never)).toBe(5);
});

test("numbers as people read them", () => {
  expect([bytes(0), bytes(999), bytes(3_110_400), bytes(1.28e9)]).toEqual([
    "0 B",
    "999 B",
    "3.11 MB",
    "1.28 GB",
  ]);
  expect([nanoseconds(850), nanoseconds(12_345), nanoseconds(4.56e6), nanoseconds(1.5e9)]).toEqual([
    "850 ns",
    "12.3 µs",
    "4.56 ms",
    "1.50 s",
  ]);
});
