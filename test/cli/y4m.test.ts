import { describe, expect, test } from "bun:test";
import { parseHeader, Y4mError, Y4mFrames } from "../../src/cli/demo/y4m.ts";

async function* chunks(data: Uint8Array, sizeBytes: number): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < data.length; at += sizeBytes) yield data.subarray(at, at + sizeBytes);
}

function stream(header: string, frames: readonly Uint8Array[], frameLine = "FRAME"): Uint8Array {
  return Buffer.concat([
    Buffer.from(`${header}\n`),
    ...frames.flatMap((frame) => [Buffer.from(`${frameLine}\n`), frame]),
  ]);
}

function pattern(lengthBytes: number, seed: number): Uint8Array {
  // Newlines and the word FRAME within the pixels must not matter.
  return Uint8Array.from({ length: lengthBytes }, (_, i) => (i % 3 === 0 ? 10 : (i * 31 + seed) & 0xff));
}

describe("header", () => {
  test("size, rate, color space; parameters in any order; X parameters are ignored", () => {
    expect(
      parseHeader("YUV4MPEG2 W1920 H1080 F30000:1001 Ip A1:1 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED"),
    ).toEqual({
      width: 1920,
      height: 1080,
      colorSpace: "420mpeg2",
      bitDepth: 8,
      frameBytes: 3_110_400,
      framesPerSecond: 30000 / 1001,
    });
    expect(parseHeader("YUV4MPEG2 C444 H2 W3").frameBytes).toBe(18);
  });

  test("without C it is 420jpeg, without F (or with F0:0) no rate is known", () => {
    expect(parseHeader("YUV4MPEG2 W4 H4")).toMatchObject({ colorSpace: "420jpeg", framesPerSecond: null });
    expect(parseHeader("YUV4MPEG2 W4 H4 F0:0").framesPerSecond).toBeNull();
  });

  // Sizes of a 5x3 picture: chroma planes are rounded up.
  const sizes: [string, number, number][] = [
    ["420", 15 + 2 * 6, 8],
    ["420jpeg", 15 + 2 * 6, 8],
    ["420mpeg2", 15 + 2 * 6, 8],
    ["420paldv", 15 + 2 * 6, 8],
    ["411", 15 + 2 * 6, 8],
    ["422", 15 + 2 * 9, 8],
    ["444", 45, 8],
    ["444alpha", 60, 8],
    ["mono", 15, 8],
    ["420p10", 2 * 27, 10],
    ["422p12", 2 * 33, 12],
    ["444p16", 2 * 45, 16],
    ["444p9", 2 * 45, 9],
    ["420p14", 2 * 27, 14],
    ["mono10", 2 * 15, 10],
    ["mono16", 2 * 15, 16],
  ];
  for (const [colorSpace, frameBytes, bitDepth] of sizes) {
    test(`C${colorSpace}`, () => {
      expect(parseHeader(`YUV4MPEG2 W5 H3 C${colorSpace}`)).toMatchObject({
        frameBytes,
        bitDepth,
        colorSpace,
      });
    });
  }

  const wrong: [string, string][] = [
    ["RIFF....AVI ", "no Y4M stream"],
    ["", "no Y4M stream"],
    ["YUV4MPEG2 H3", "W is missing"],
    ["YUV4MPEG2 W5", "H is missing"],
    ["YUV4MPEG2 W0 H3", "W0"],
    ["YUV4MPEG2 W-5 H3", "W-5"],
    ["YUV4MPEG2 W99999 H3", "W99999"],
    ["YUV4MPEG2 W5 H3 F30", "F30"],
    ["YUV4MPEG2 W5 H3 C440", "C440 is not supported; supported are C420"],
    ["YUV4MPEG2 W5 H3 C420p11", "C420p11"],
    ["YUV4MPEG2 W5 H3 Cconstructor", "Cconstructor"],
    ["YUV4MPEG2 W65536 H65536 C444", "at most"],
  ];
  for (const [line, message] of wrong) {
    test(`${JSON.stringify(line)} is refused`, () => {
      expect(() => parseHeader(line)).toThrow(Y4mError);
      expect(() => parseHeader(line)).toThrow(message);
    });
  }
});

describe("frames", () => {
  const frames = [pattern(27, 1), pattern(27, 2), pattern(27, 3)];
  const data = stream("YUV4MPEG2 W5 H3 F25:1 C420", frames);

  for (const chunkBytes of [1, 7, 28, 1000]) {
    test(`in chunks of ${chunkBytes} bytes`, async () => {
      const reader = await Y4mFrames.open(chunks(data, chunkBytes));
      const target = new Uint8Array(27);
      for (const frame of frames) {
        expect(await reader.next(target)).toBe(true);
        expect(Buffer.compare(target, frame)).toBe(0);
      }
      expect(await reader.next(target)).toBe(false);
    });
  }

  test("FRAME lines may have parameters", async () => {
    const reader = await Y4mFrames.open(chunks(stream("YUV4MPEG2 W5 H3", frames, "FRAME Ip XANY=1"), 9));
    const target = new Uint8Array(27);
    for (let i = 0; i < 3; i++) expect(await reader.next(target)).toBe(true);
    expect(await reader.next(target)).toBe(false);
  });

  test("any truncation but at the end of a frame is an error", async () => {
    const headerBytes = data.indexOf(10) + 1;
    for (let length = 0; length <= data.length; length++) {
      const read = async (): Promise<number> => {
        const reader = await Y4mFrames.open(chunks(data.subarray(0, length), 11));
        const target = new Uint8Array(27);
        let count = 0;
        while (await reader.next(target)) count++;
        return count;
      };
      const whole = (length - headerBytes) / (6 + 27);
      if (Number.isInteger(whole) && whole >= 0) expect(await read()).toBe(whole);
      else expect(read()).rejects.toThrow(Y4mError);
    }
  });

  test("a missing FRAME line is an error that names the frame", async () => {
    const broken = Buffer.from(data);
    broken[broken.lastIndexOf("FRAME")] = 0x58;
    const reader = await Y4mFrames.open(chunks(broken, 64));
    const target = new Uint8Array(27);
    await reader.next(target);
    await reader.next(target);
    expect(reader.next(target)).rejects.toThrow("frame 2: expected FRAME");
  });

  test("endless garbage is refused before it fills the memory", async () => {
    let served = 0;
    async function* garbage(): AsyncGenerator<Uint8Array, void, void> {
      for (;;) {
        served++;
        yield new Uint8Array(1024).fill(65);
      }
    }
    expect(Y4mFrames.open(garbage())).rejects.toThrow("no Y4M stream");
    await Bun.sleep(0);
    expect(served).toBeLessThan(10);
  });
});
