import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { SystemError } from "../../src/ffi/errors.ts";
import { closeFile, createMemfd, openFile, reopen, setFileSize } from "../../src/ffi/files.ts";
import { FutexResult, futexWait, futexWake, isReadable } from "../../src/ffi/futex.ts";
import { isByteLocked, tryLockByte, trySharedLockByte, unlockByte } from "../../src/ffi/locks.ts";
import { mapPlain, PAGE_BYTES } from "../../src/ffi/mapping.ts";
import { bindUnix, datagramSocket, sendByteTo, unixAddress } from "../../src/ffi/sockets.ts";
import { expectCode } from "../support/errors.ts";
import { Peer } from "../support/peer.ts";
import { RegionPair } from "../support/regions.ts";

const directory = mkdtempSync("/dev/shm/test-ffi-wait-");
afterAll(() => rmSync(directory, { recursive: true }));

describe("futex", () => {
  test("tells what happened by a number", () => {
    using pair = new RegionPair("futex");
    const { words, address } = pair.a.control;
    const index = 64;
    const at = address + index * 4;
    words[index] = 7;
    expect(futexWait(at, 8, 1e9)).toBe(FutexResult.valueDiffered);
    expect(futexWait(at, 7, 1e6)).toBe(FutexResult.timedOut);
    expect(futexWake(at, 1)).toBe(0);
    // A value with the top bit set is compared as 32 bits, not as a negative 64-bit number.
    words[index] = -1;
    expect(futexWait(at, -1, 1e6)).toBe(FutexResult.timedOut);
    expect(() => futexWait(0, 0, 0)).toThrow(SystemError);
    words[index] = 0;
  });

  test("tells where a load would end the process", () => {
    const fd = createMemfd("readable");
    setFileSize(fd, 2 * PAGE_BYTES);
    const mapping = mapPlain(fd, 0, 2 * PAGE_BYTES, true);
    const second = mapping.address + PAGE_BYTES;
    expect([isReadable(mapping.address), isReadable(second)]).toEqual([true, true]);
    new Int32Array(mapping.buffer).fill(-1);
    expect(isReadable(mapping.address)).toBe(true);
    // A page past the end of its file is SIGBUS.
    setFileSize(fd, PAGE_BYTES);
    expect([isReadable(mapping.address), isReadable(second), isReadable(0)]).toEqual([true, false, false]);
    mapping.release();
    closeFile(fd);
  });

  test("another process wakes a sleeper through its own mapping", async () => {
    using pair = new RegionPair("futex-peer");
    await using peer = await Peer.start("wake", pair.name);
    const { words, address } = pair.a.control;
    const index = 64;
    let result: number = FutexResult.timedOut;
    for (let attempt = 0; attempt < 10_000 && result !== FutexResult.woken; attempt++) {
      words[index] = 1;
      result = futexWait(address + index * 4, 1, 5e9);
    }
    expect(result).toBe(FutexResult.woken);
    expect(await peer.nextLine()).toBe("woken");
  });
});

describe("byte locks", () => {
  test("exclude other descriptions, even of the same process; read locks share", () => {
    const path = `${directory}/locks`;
    const a = openFile(path, { createMode: 0o600 });
    const b = reopen(a);
    const far = 2 ** 40 + 5;
    expect(tryLockByte(a, far)).toBe(true);
    expect(tryLockByte(a, far)).toBe(true);
    expect(tryLockByte(b, far)).toBe(false);
    expect(tryLockByte(b, far + 1)).toBe(true);
    expect(isByteLocked(b, far)).toBe(true);
    expect(isByteLocked(a, far)).toBe(false);
    expect(isByteLocked(b, 2 ** 40, 31)).toBe(true);
    expect(isByteLocked(b, 2 ** 40, 5)).toBe(false);
    unlockByte(a, far);
    expect(trySharedLockByte(a, far)).toBe(true);
    expect(trySharedLockByte(b, far)).toBe(true);
    expect(tryLockByte(a, far)).toBe(false);
    closeFile(b);
    expect(tryLockByte(a, far)).toBe(true);
    closeFile(a);
  });

  test("the kernel drops them when their holder is killed", async () => {
    const path = `${directory}/killed`;
    const fd = openFile(path, { createMode: 0o600 });
    await using peer = await Peer.start("lock", path, String(2 ** 40));
    expect(tryLockByte(fd, 2 ** 40)).toBe(false);
    await peer.kill();
    expect(tryLockByte(fd, 2 ** 40)).toBe(true);
    closeFile(fd);
  });
});

describe("datagram doorbells", () => {
  test("reach a bound socket; absent, closed and full ones are no error", () => {
    const path = `${directory}/bell`;
    const address = unixAddress(path);
    const sender = datagramSocket();
    expect(sendByteTo(sender, address)).toBe(false);
    const bell = datagramSocket();
    bindUnix(bell, path);
    let rung = 0;
    while (sendByteTo(sender, address) && rung < 100_000) rung++;
    expect(rung).toBeGreaterThan(0);
    expect(rung).toBeLessThan(100_000);
    closeFile(bell);
    expect(sendByteTo(sender, address)).toBe(false);
    closeFile(sender);
  });

  test("paths that do not fit are refused with the remedy", () => {
    const error = expectCode("ENAMETOOLONG", () => unixAddress(`/dev/shm/${"x".repeat(100)}`));
    expect(error.message).toContain("PHYSRING_SHM_DIR");
    expect(unixAddress(`/${"x".repeat(106)}`).byteLength).toBe(110);
    const fd = datagramSocket();
    expectCode("ENOENT", () => bindUnix(fd, "/nonexistent/bell"));
    closeFile(fd);
  });
});
