import { describe, expect, test } from "bun:test";
import { readFileSync, readlinkSync, rmSync } from "node:fs";
import { monotonicNs } from "../../src/ffi/clock.ts";
import { SystemError } from "../../src/ffi/errors.ts";
import {
  closeFile,
  createMemfd,
  fileStatus,
  linkFile,
  openFile,
  openUnnamedFile,
  punchHole,
  readAt,
  reopen,
  reserveFile,
  SIZE_SEALS,
  sealSize,
  sealsOf,
  setFileSize,
  unlinkFile,
} from "../../src/ffi/files.ts";
import { gettid, Membarrier, membarrier, pidfdOpen, pidNamespaceInode } from "../../src/ffi/process.ts";
import { datagramSocket } from "../../src/ffi/sockets.ts";
import { expectCode } from "../support/errors.ts";
import { uniqueName } from "../support/regions.ts";

const O_CLOEXEC = 0o2000000;

function descriptorFlags(fd: number): number {
  return Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))![1]!, 8);
}

describe("errors of system calls", () => {
  test("name the call, the path, the number and the remedy", () => {
    const error = expectCode("ENOENT", () => openFile("/nonexistent/file", { remedy: "make it" }));
    expect(error).toBeInstanceOf(SystemError);
    const system = error as SystemError;
    expect([system.call, system.path, system.errno, system.errnoName]).toEqual([
      "open",
      "/nonexistent/file",
      2,
      "ENOENT",
    ]);
    expect(system.message).toBe("open /nonexistent/file: ENOENT (make it)");
  });

  test("EAGAIN and EOPNOTSUPP keep the names that documentation uses", () => {
    expect(new SystemError("x", 11).errnoName).toBe("EAGAIN");
    expect(new SystemError("x", 95).errnoName).toBe("EOPNOTSUPP");
    expect(new SystemError("x", 4095).errnoName).toBe("errno 4095");
  });

  test("a path with a NUL is refused, not cut", () => {
    expectCode("EINVAL", () => openFile("/dev/null\0.txt"));
  });

  test("node:fs errors become ours", () => {
    expectCode("EBADF", () => fileStatus(1_000_000));
    expect(unlinkFile("/nonexistent")).toBe(false);
  });
});

describe("descriptors", () => {
  test("all are close-on-exec", () => {
    const name = uniqueName("cloexec");
    const fds = [
      openFile("/dev/null"),
      openUnnamedFile("/dev/shm", 0o600),
      createMemfd(name),
      datagramSocket(),
      pidfdOpen(process.pid),
    ];
    fds.push(reopen(fds[1]!));
    for (const fd of fds) {
      expect(descriptorFlags(fd) & O_CLOEXEC).toBe(O_CLOEXEC);
      closeFile(fd);
    }
  });

  test("an unnamed file appears whole, and never replaces another", () => {
    const path = `/dev/shm/${uniqueName("link")}`;
    const fd = openUnnamedFile("/dev/shm", 0o600);
    setFileSize(fd, 5000);
    linkFile(fd, path);
    expectCode("EEXIST", () => linkFile(fd, path));
    expect(fileStatus(fd)).toMatchObject({ kind: "file", sizeBytes: 5000, links: 1, mode: 0o600 });
    rmSync(path);
    expect(fileStatus(fd).links).toBe(0);
    closeFile(fd);
  });

  test("reserved memory is there, a hole is not", () => {
    const fd = openUnnamedFile("/dev/shm", 0o600);
    setFileSize(fd, 2 ** 20);
    expect(fileStatus(fd).allocatedBytes).toBe(0);
    reserveFile(fd, 2 ** 20, "test");
    expect(fileStatus(fd).allocatedBytes).toBe(2 ** 20);
    punchHole(fd, 4096, 8192);
    expect(fileStatus(fd).allocatedBytes).toBe(2 ** 20 - 8192);
    closeFile(fd);
  });

  test("offsets above 4 GiB arrive whole", () => {
    const fd = openUnnamedFile("/dev/shm", 0o600);
    setFileSize(fd, 6 * 2 ** 30);
    reserveFile(fd, 4096, "test");
    expect(fileStatus(fd).sizeBytes).toBe(6 * 2 ** 30);
    const byte = new Uint8Array(16);
    expect(readAt(fd, byte, 6 * 2 ** 30 - 7)).toBe(7);
    closeFile(fd);
  });

  test("a sealed memfd keeps its size; a tmpfs file has no such seals", () => {
    const fd = createMemfd("seals");
    setFileSize(fd, 8192);
    sealSize(fd);
    expect(sealsOf(fd)).toBe(SIZE_SEALS);
    expectCode("EPERM", () => setFileSize(fd, 4096));
    expectCode("EPERM", () => setFileSize(fd, 16384));
    closeFile(fd);
    const file = openUnnamedFile("/dev/shm", 0o600);
    expect((sealsOf(file) ?? 0) & 2).toBe(0);
    closeFile(file);
  });
});

describe("clock and identity", () => {
  test("monotonicNs is one clock for all processes, and that of the kernel", () => {
    const module = new URL("../../src/ffi/clock.ts", import.meta.url).pathname;
    const script = `console.log((await import(${JSON.stringify(module)})).monotonicNs())`;
    const before = monotonicNs();
    const inBetween = Number(Bun.spawnSync([process.execPath, "-e", script]).stdout.toString());
    const after = monotonicNs();
    expect(inBetween).toBeGreaterThan(before);
    expect(inBetween).toBeLessThan(after);
    // /proc/uptime counts suspended time too and has a resolution of 10 ms.
    const uptimeNs = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1e9;
    expect(after).toBeLessThan(uptimeNs + 20e6);
  });

  test("thread, namespace, membarrier, pidfd", () => {
    expect(gettid()).toBe(process.pid);
    expect(readlinkSync("/proc/self/ns/pid")).toBe(`pid:[${pidNamespaceInode()}]`);
    expect(membarrier(Membarrier.query) & Membarrier.globalExpedited).toBe(Membarrier.globalExpedited);
    expect(membarrier(Membarrier.registerGlobalExpedited)).toBe(0);
    expect(membarrier(Membarrier.globalExpedited)).toBe(0);
    // Above the largest pid_max: nobody.
    expectCode("ESRCH", () => pidfdOpen(2 ** 22 + 1));
  });
});
