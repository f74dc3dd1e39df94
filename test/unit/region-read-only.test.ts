/** Regions that may be read and not written: by another user, in hot loops, and every call that would change them. */
import { describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import {
  Cell,
  Channel,
  listParticipants,
  Messages,
  Participant,
  Pool,
  Queue,
  ReadOnlyError,
  Records,
  Region,
  Ring,
  Service,
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

/** Every kind of object, opened, looked at and read until the engine has compiled it: a locked load would be SIGSEGV. */
const WATCHER = `
  import { Cell, Channel, Messages, Queue, Records, Region, Ring, Service } from "${INDEX}";
  import { reportRegion } from "${new URL("../../src/cli/region-report.ts", import.meta.url).pathname}";
  const name = process.argv[1];
  const region = Region.open(name, { readOnly: true });
  const log = Records.open(region, "log").consumer({ history: 3 });
  const notes = Messages.open(region, "notes").consumer({ history: 2 });
  const pose = Cell.open(region, "pose").reader();
  const seen = { log: 0, notes: [], pose: 0, published: 0, queued: 0, clients: 0, ended: false };
  for (let i = 0; i < 30000; i++) {
    while (log.next()) seen.log += log.intact() ? log.bytes[log.offset] : 1000;
    log.release();
    const note = notes.tryReceive();
    if (note !== undefined) seen.notes.push(note);
    seen.ended = log.ended || notes.ended || log.hasNext();
    seen.pose = pose.read() + pose.words[0] * 100;
    pose.ready();
  }
  for (let i = 0; i < 3000; i++) {
    seen.published = Channel.open(region, "frames").counters.published;
    seen.queued = Queue.open(region, "jobs").counters.queued;
    seen.clients = Service.open(region, "motor").clients;
    Ring.open(region, "ring");
  }
  for (let i = 0; i < 100; i++) reportRegion(name);
  log.close(); notes.close();
  console.log(JSON.stringify(seen));
  region.close();`;

/** Whether a process of ours can be another user's; says why not. */
function canBeAnother(): boolean {
  const user = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
  const probe = Bun.spawnSync([...user, process.execPath, "-e", ""], { stderr: "pipe" });
  const can = process.getuid!() === 0 && probe.exitCode === 0;
  if (!can) console.warn(`SKIPPED another user: ${probe.stderr.toString().trim() || "run as root"}`);
  return can;
}

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
    Records.create(writer, "reliable", { capacityBytes: 4096 });
    Messages.create(writer, "lossy", { capacityBytes: 4096, mode: "lossy" });
    Queue.create(writer, "queue", { slotBytes: 16, capacity: 4, consumers: "many" });
    Cell.create(writer, "cell", { valueBytes: 4 });
    Service.create(writer, "service", { clients: 1 });
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
      () => Records.open(reader, "reliable").producer(),
      () => Records.open(reader, "reliable").consumer(),
      () => Messages.open(reader, "lossy").producer(),
      () => Messages.open(reader, "lossy").consumer().receive({ timeoutMs: 1 }),
      () => Queue.open(reader, "queue").producer(),
      () => Queue.open(reader, "queue").taker(),
      () => Queue.open(reader, "queue").end(),
      () => Cell.open(reader, "cell").writer(),
      () => Cell.open(reader, "cell").reader().block({ timeoutMs: 1 }),
      () => Service.open(reader, "service").server(),
      () => Service.open(reader, "service").client(),
      () => Cell.create(reader, "another", { valueBytes: 4 }),
      () => reader.directory.remove("ring"),
      () => reader.control.openLockFile(),
    ];
    for (const call of calls) expect(call).toThrow(ReadOnlyError);
    expect(Channel.open(reader, "channel").counters.published).toBe(0);
    expect(listParticipants(reader.control)).toEqual([]);
    Region.destroy(name);
  });

  test("shows every kind of object, and reads what is read lossily, in hot loops", () => {
    const name = uniqueName("watched");
    using region = Region.create(name, { size: "1MiB", mode: 0o644 });
    try {
      using frames = Channel.create(region, "frames", { frameBytes: 64, frames: 8 }).producer();
      frames.send(frames.loan()!);
      Ring.create(region, "ring", { slotBytes: 16, capacity: 4 });
      using jobs = Queue.create(region, "jobs", { slotBytes: 16, capacity: 4 }).producer();
      jobs.commit(jobs.reserve(3));
      using log = Records.create(region, "log", {
        capacityBytes: 4096,
        mode: "lossy",
        history: 3,
      }).producer();
      for (const byte of [1, 2, 3, 4]) log.send(new Uint8Array([byte]));
      const lossy = { capacityBytes: 4096, mode: "lossy", history: 2 } as const;
      using notes = Messages.create(region, "notes", lossy).producer();
      for (const note of ["a", "b", "c"]) notes.send(note);
      using pose = Cell.create(region, "pose", { valueBytes: 4 }).writer();
      pose.write(new Uint8Array([7, 0, 0, 0]));
      const motor = Service.create(region, "motor", { clients: 1, requestBytes: 4096, responseBytes: 4096 });
      using _server = motor.server();
      const run = Bun.spawnSync([process.execPath, "-e", WATCHER, name], { stderr: "inherit" });
      expect(run.exitCode).toBe(0);
      expect(JSON.parse(run.stdout.toString())).toEqual({
        log: 9,
        notes: ["b", "c"],
        pose: 704,
        published: 0,
        queued: 3,
        clients: 0,
        ended: false,
      });
      expect(listParticipants(region.control)).toHaveLength(1);
    } finally {
      Region.destroy(name);
    }
  });

  test.skipIf(!canBeAnother())("can be watched by another user, in hot loops", async () => {
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
