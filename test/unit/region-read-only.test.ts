/** Regions that may be read and not written: by another user, in hot loops, and every call that would change them. */
import { describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import {
  Channel,
  listParticipants,
  Participant,
  Pool,
  ReadOnlyError,
  Region,
  Ring,
} from "../../src/index.ts";
import { regionPath, uniqueName } from "../support/regions.ts";

const INDEX = new URL("../../src/index.ts", import.meta.url).pathname;
const NOBODY = 65534;

/** What an observer does, with hot loops of every load it has; prints one line. */
const OBSERVER = `
  import { listParticipants, Pool, Region } from "${INDEX}";
  import { loadObserved } from "${new URL("../../src/memory/atomics.ts", import.meta.url).pathname}";
  const region = Region.open(process.argv[1], { readOnly: true });
  const words = region.words(0, 1024);
  let sum = 0;
  for (let i = 0; i < 2e7; i++) sum = (sum + loadObserved(words, i & 1023)) | 0;
  let free = 0;
  for (let i = 0; i < 20000; i++) free = Pool.open(region, "frames.pool").countFree();
  let names = "";
  for (let i = 0; i < 2000; i++) names = region.directory.list().map(({ name }) => name).join();
  for (let i = 0; i < 200; i++) listParticipants(region.control);
  const [first] = listParticipants(region.control);
  let refused = "";
  try { region.directory.remove("frames"); } catch (error) { refused = error.code; }
  console.log([process.getuid(), names, free, first.alive, refused].join(" "));
  region.close();`;

describe("a read-only region", () => {
  test("is created for its owner alone; mode and group are options", () => {
    const name = uniqueName("mode");
    using region = Region.create(name, { size: "64KiB" });
    expect(statSync(regionPath(name)).mode & 0o777).toBe(0o600);
    region.close();
    using shared = Region.create(name, { size: "64KiB", mode: 0o660, group: process.getgid!() });
    Participant.of(shared);
    const status = statSync(regionPath(name));
    expect([status.mode & 0o777, status.gid]).toEqual([0o660, process.getgid!()]);
    expect(statSync(shared.control.doorbellDirectory).mode & 0o7777).toBe(0o770);
    shared.close();
    Region.destroy(name);
    expect(() => Region.create(name, { size: "64KiB", group: "no such group" })).toThrow(/no such group/);
  });

  test("refuses with a typed error whatever would change it", () => {
    const name = uniqueName("ro");
    using writer = Region.create(name, { size: "1MiB" });
    const pool = Pool.create(writer, "pool", { frameBytes: 4096, blockCount: 2, metaBytes: 0 });
    Channel.create(writer, "channel", { pool });
    Ring.create(writer, "ring", { slotBytes: 16, capacity: 4 });
    using reader = Region.open(name, { readOnly: true });
    expect(reader.readOnly).toBe(true);
    const calls: (() => unknown)[] = [
      () => Participant.of(reader),
      () => Ring.create(reader, "r", { slotBytes: 16, capacity: 4 }),
      () => Ring.open(reader, "ring").producer(),
      () => Ring.open(reader, "ring").consumer(),
      () => Channel.open(reader, "channel").producer(),
      () => Channel.open(reader, "channel").consumer(),
      () => Pool.open(reader, "pool").loan(1),
      () => reader.directory.remove("ring"),
      () => reader.control.openLockFile(),
    ];
    for (const call of calls) expect(call).toThrow(ReadOnlyError);
    expect(Channel.open(reader, "channel").counters.published).toBe(0);
    expect(listParticipants(reader.control)).toEqual([]);
    Region.destroy(name);
  });

  test("can be watched by another user, in hot loops", async () => {
    const probe = Bun.spawnSync(
      ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", process.execPath, "-e", ""],
      {
        stderr: "pipe",
      },
    );
    if (process.getuid!() !== 0 || probe.exitCode !== 0) {
      console.warn(`SKIPPED another user: ${probe.stderr.toString().trim() || "run as root"}`);
      return;
    }
    const name = uniqueName("other-user");
    using region = Region.create(name, { size: "1MiB", mode: 0o440, group: NOBODY });
    try {
      Channel.create(region, "frames", { frameBytes: 4096, frames: 16, metaBytes: 0 });
      Participant.of(region);
      const command = [
        "setpriv",
        `--reuid=${NOBODY}`,
        `--regid=${NOBODY}`,
        "--clear-groups",
        process.execPath,
      ];
      const run = Bun.spawnSync([...command, "-e", OBSERVER, name], { stderr: "inherit", cwd: "/" });
      expect(run.exitCode).toBe(0);
      expect(run.stdout.toString().trim()).toBe(`${NOBODY} frames.pool,frames 16 true REGION_READ_ONLY`);
      const writing = Bun.spawnSync(
        [...command, "-e", `import { Region } from "${INDEX}"; Region.open(${JSON.stringify(name)})`],
        { stderr: "pipe", cwd: "/" },
      );
      expect(writing.stderr.toString()).toContain("REGION_PERMISSION");
    } finally {
      Region.destroy(name);
    }
  });
});
