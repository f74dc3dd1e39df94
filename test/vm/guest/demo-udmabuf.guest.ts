/** The main job on a real /dev/udmabuf0: real processes, frames in the device's buffer, waiting on the sidecar. In a guest only. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";

// An emulated machine on a busy one.
setDefaultTimeout(120_000);

const COMMAND = [process.execPath, "/host/src/cli/physring.ts", "demo", "--json"];

// What differs between the modes is the library's, not the machine's; so the slowest of the emulated ones runs the first.
const MODES = [[], ["--fanout"], ["--policy", "drop-oldest"]];

for (const mode of process.arch === "arm64" ? MODES.slice(0, 1) : MODES) {
  test(`physring demo --backend udmabuf ${mode.join(" ")}`, async () => {
    const size = ["--frames", "20", "--size", "160x120", "--workers", "2"];
    const demo = Bun.spawn([...COMMAND, "--backend", "udmabuf", ...size, ...mode], { stderr: "pipe" });
    const [output, errors] = await Promise.all([
      new Response(demo.stdout).text(),
      new Response(demo.stderr).text(),
    ]);
    expect(await demo.exited, errors).toBe(0);
    const result = JSON.parse(output);
    expect(result).toMatchObject({
      frames: 20,
      lost: 0,
      duplicated: 0,
      corrupted: 0,
      leakedBlocks: 0,
      backend: "udmabuf",
    });
    expect(readdirSync("/dev/shm")).toEqual([]);
  });
}
