import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { closeFile, openFile, setFileSize, unlinkFile } from "../../src/ffi/files.ts";
import {
  MAX_SHARED_MAPPING_BYTES,
  type Mapping,
  mapPlain,
  mapShared,
  PAGE_BYTES,
} from "../../src/ffi/mapping.ts";
import { expectCode } from "../support/errors.ts";
import { mapsOf } from "../support/peer.ts";
import { uniqueName } from "../support/regions.ts";

class ScratchFile implements Disposable {
  readonly path = `/dev/shm/${uniqueName("map")}`;
  readonly fd: number;

  constructor(content: Uint8Array) {
    writeFileSync(this.path, content);
    this.fd = openFile(this.path);
  }

  get content(): Uint8Array {
    return readFileSync(this.path);
  }

  [Symbol.dispose](): void {
    closeFile(this.fd);
    unlinkFile(this.path);
  }
}

function bytesOf(mapping: Mapping): Uint8Array {
  return new Uint8Array(mapping.buffer, mapping.bufferOffset, mapping.lengthBytes);
}

/** Collects until `done`; finalizers of buffers run some time after the collection that found them. */
async function collectUntil(done: () => boolean): Promise<void> {
  for (let i = 0; i < 100 && !done(); i++) {
    Bun.gc(true);
    await Bun.sleep(1);
  }
  expect(done()).toBe(true);
}

describe("mapShared", () => {
  test("is a SharedArrayBuffer over the file, of exactly the length asked for", () => {
    using file = new ScratchFile(new Uint8Array(70_001).fill(0x55));
    const mapping = mapShared(file.fd, 0, 70_001);
    expect(mapping.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(mapping.address % PAGE_BYTES).toBe(0);
    const bytes = bytesOf(mapping);
    expect(bytes.length).toBe(70_001);
    bytes[70_000] = 1;
    Atomics.add(new Int32Array(mapping.buffer, mapping.bufferOffset, 4), 3, 1);
    expect(file.content[70_000]).toBe(1);
    expect(file.content[12]).toBe(0x56);
    mapping.release();
  });

  test("release leaves the file as it is, views read zero, and nothing they write gets there", () => {
    using file = new ScratchFile(new Uint8Array(PAGE_BYTES).fill(0x55));
    const mapping = mapShared(file.fd, 0, PAGE_BYTES);
    const bytes = bytesOf(mapping);
    expect(mapsOf(file.path)).toHaveLength(1);
    mapping.release();
    mapping.release();
    expect(mapsOf(file.path)).toHaveLength(0);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    bytes.fill(9);
    expect(file.content.every((byte) => byte === 0x55)).toBe(true);
  });

  test("stays mapped without a reference, through any number of collections", () => {
    using file = new ScratchFile(new Uint8Array(2 ** 20).fill(0x55));
    mapShared(file.fd, 0, 2 ** 20);
    for (let i = 0; i < 20; i++) {
      Bun.gc(true);
      new Uint8Array(2 ** 20).fill(i);
    }
    expect(mapsOf(file.path)).toHaveLength(1);
    expect(file.content.every((byte) => byte === 0x55)).toBe(true);
  });

  test("released address space comes back: far more than 70 GiB in turn", () => {
    using file = new ScratchFile(new Uint8Array(PAGE_BYTES));
    setFileSize(file.fd, 2 ** 32);
    for (let i = 0; i < 60; i++) {
      const mapping = mapShared(file.fd, 0, MAX_SHARED_MAPPING_BYTES);
      bytesOf(mapping)[MAX_SHARED_MAPPING_BYTES - 1] = i;
      mapping.release();
    }
    expect(mapsOf(file.path)).toHaveLength(0);
  });

  test("refuses what one buffer cannot hold and reports what mmap refuses", () => {
    using file = new ScratchFile(new Uint8Array(PAGE_BYTES));
    expect(() => mapShared(file.fd, 0, MAX_SHARED_MAPPING_BYTES + 1)).toThrow(RangeError);
    expect(() => mapShared(file.fd, 0, 0)).toThrow(RangeError);
    expectCode("EINVAL", () => mapShared(file.fd, 1, 100));
    expectCode("EBADF", () => mapShared(-1, 0, 100));
    const readOnly = openFile(file.path, { readOnly: true });
    expectCode("EACCES", () => mapShared(readOnly, 0, 100));
    closeFile(readOnly);
  });

  for (const end of [false, true]) {
    for (const lengthBytes of [2 ** 20, 2 ** 26]) {
      test(`the end of a Worker (${end ? "exit" : "terminate"}) leaves all ${lengthBytes} bytes as they are`, async () => {
        using file = new ScratchFile(new Uint8Array(lengthBytes).fill(0x55));
        const worker = new Worker(new URL("fixtures/mapping-worker.ts", import.meta.url).href);
        const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
        const sum = new Promise((resolve) =>
          worker.addEventListener("message", (event) => resolve(event.data)),
        );
        worker.postMessage({ path: file.path, lengthBytes, end });
        expect(await sum).toBe(0x55 * lengthBytes);
        if (!end) worker.terminate();
        await closed;
        // The memory is freed some time after the thread has ended.
        await collectUntil(() => mapsOf(file.path).length === 0);
        expect(file.content.every((byte) => byte === 0x55)).toBe(true);
      });
    }
  }
});

describe("mapPlain", () => {
  test("maps read-only files, and up to 4 GiB", () => {
    using file = new ScratchFile(new Uint8Array(100).fill(0x55));
    setFileSize(file.fd, 2 ** 32);
    const readOnly = openFile(file.path, { readOnly: true });
    const mapping = mapPlain(readOnly, 0, 2 ** 32, false);
    expect(mapping.buffer.byteLength).toBe(2 ** 32);
    expect(bytesOf(mapping)[99]).toBe(0x55);
    mapping.release();
    expect(bytesOf(mapping)[99]).toBe(0);
    closeFile(readOnly);
  });

  test("is unmapped with its last view, released or not", async () => {
    using file = new ScratchFile(new Uint8Array(PAGE_BYTES).fill(0x55));
    (() => {
      expect(bytesOf(mapPlain(file.fd, 0, PAGE_BYTES, true))[0]).toBe(0x55);
    })();
    await collectUntil(() => mapsOf(file.path).length === 0);
  });
});
