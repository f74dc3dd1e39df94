/** physring doctor and kmod status on the buffers of test/vm/guest/devicetree.dts. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { doctor, physring } from "./command.ts";

// An emulated machine on a busy one.
setDefaultTimeout(120_000);

test("doctor tells reserved memory and why each buffer is coherent or not", async () => {
  const checks = await doctor();
  const seen = (id: string) => {
    const { status, text } = checks.get(id)!;
    return [status, text];
  };
  const text = expect.stringContaining;
  expect(seen("memory.reserved.region@70000000")).toEqual(["ok", text("at 0x70000000, reusable")]);
  expect(seen("memory.reserved.region@74000000")).toEqual(["note", text("no-map")]);
  expect(seen("buffer.udmabuf0.coherent")).toEqual(["note", text("platform's default")]);
  expect(seen("buffer.udmabuf1.coherent")).toEqual(["ok", text("no-map memory is never cached")]);
  expect(seen("buffer.udmabuf1.mode")).toEqual(["note", text("no page frames")]);
  expect(seen("buffer.quirk-off.coherent")).toEqual(["note", text("has dma-noncoherent")]);
  expect(seen("buffer.udmabuf2.coherent")).toEqual(["ok", text("has dma-coherent")]);
  expect(seen("buffer.udmabuf2.mode")).toEqual(["note", text("quirk_mmap_mode 4")]);
});

test("status shows the buffers of the tree", async () => {
  const { code, stdout } = await physring("kmod", "status", "--json");
  expect(code).toBe(0);
  const { buffers } = JSON.parse(stdout).module;
  expect(buffers.map(({ name, memory }: { name: string; memory: string }) => `${name} ${memory}`)).toEqual([
    "camera-buffer cma",
    "quirk-auto cma",
    "quirk-off cma",
    "quirk-on cma",
    "quirk-page cma",
    "udmabuf0 cma",
    "udmabuf1 no-map",
    "udmabuf2 cma",
  ]);
});
