/** What costs no system call, counted by strace. */
import { afterEach, expect, test } from "bun:test";
import { Cell, type CellReader, Channel, Queue, type QueueConsumer } from "../../src/index.ts";
import { firstLine } from "../support/lines.ts";
import { Patience } from "../support/patience.ts";
import { RegionPair } from "../support/regions.ts";
import { Strace, whyNoStrace } from "../support/strace.ts";
import { MESSAGES, POLLS_MS } from "./fixtures/traced.ts";

const missing = await whyNoStrace();
if (missing !== null) console.warn(`SKIPPED system calls: ${missing}`);

const TRACED = new URL("fixtures/traced.ts", import.meta.url).pathname;
/** What the library calls: locks, doorbells, arming one, files of the region. Bun's collector reads files of /proc now and then. */
const OURS = new Set([
  "fcntl",
  "sendto",
  "recvfrom",
  "membarrier",
  "socket",
  "bind",
  "unlink",
  "inotify_add_watch",
]);
/** What Bun's event loop, collector and compiler do by themselves. */
const BUNS_OWN = new Set(["epoll_pwait", "epoll_pwait2", "futex", "madvise", "mmap", "munmap", "mprotect"]);
const started: Bun.Subprocess[] = [];

afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});

async function start(region: string, mode: string): Promise<number> {
  const child = Bun.spawn([process.execPath, TRACED, region, mode], { stdout: "pipe" });
  started.push(child);
  expect(await firstLine(child.stdout)).toBe("ready");
  return child.pid;
}

function sum(counts: ReadonlyMap<string, number>, counted: (name: string) => boolean): number {
  return [...counts].reduce((total, [name, calls]) => total + (counted(name) ? calls : 0), 0);
}

async function until(what: () => boolean): Promise<void> {
  for (const patience = new Patience(20_000); !what(); await Bun.sleep(1))
    if (patience.isOver) throw new Error("nothing happened");
}

test.skipIf(missing !== null)("ten idle channels that are awaited, each alone and all together", async () => {
  using pair = new RegionPair("calls", "4MiB");
  for (let i = 0; i < 10; i++) Channel.create(pair.a, `c${i}`, { frameBytes: 64 }).producer();
  const pid = await start(pair.name, "idle");
  await Bun.sleep(500); // past the looks for who died just before
  const trace = await Strace.attach(pid, ["-f"]);
  await Bun.sleep(1500);
  const counts = await trace.counts();
  expect([...counts].filter(([name]) => OURS.has(name))).toEqual([]);
  // Bun's collector once a second; a time slice of ours would be 40 times.
  const wakeUps = sum(counts, (name) => name.startsWith("epoll"));
  expect(wakeUps).toBeLessThan(15);
});

/** A queue, and one who is watched at its other end. */
async function traced(
  pair: RegionPair,
  mode: "send" | "poll",
): Promise<{
  queue: Queue;
  next: () => void;
  done: CellReader;
  trace: Strace;
}> {
  const queue = Queue.create(pair.a, "queue", { slotBytes: 16, capacity: 1024 });
  const phase = Cell.create(pair.a, "phase", { valueBytes: 4 }).writer();
  const done = Cell.create(pair.a, "done", { valueBytes: 4 }).reader();
  const pid = await start(pair.name, mode);
  return { queue, next: () => phase.write(new Uint8Array(4)), done, trace: await Strace.attach(pid, []) };
}

function takeAll(consumer: QueueConsumer, count: number): void {
  const patience = new Patience(20_000);
  for (let next = 0; next < count; ) {
    const burst = consumer.peek(64);
    for (let i = 0; i < burst; i++) expect(consumer.words[consumer.at + i * consumer.slotWords]).toBe(next++);
    consumer.release(burst);
    if (burst === 0 && patience.isOver) throw new Error(`only ${next} messages came`);
  }
}

test.skipIf(missing !== null)(
  "a producer whose consumer is awake; and one whose consumer sleeps",
  async () => {
    using pair = new RegionPair("calls");
    const { queue, next, done, trace } = await traced(pair, "send");
    const consumer = queue.consumer();
    next();
    takeAll(consumer, MESSAGES);
    const asleep = consumer.wait();
    await until(() => consumer.participant.doorbell.asleep);
    next();
    expect(await asleep).toBe(true);
    await until(() => done.ready());
    const counts = await trace.counts();
    // Waiting for its phases, compiling, and a look for the dead every 50 ms while the queue is full.
    const own = sum(counts, (name) => !name.includes("nanosleep") && !BUNS_OWN.has(name));
    expect(own).toBeLessThan(MESSAGES / 1000);
    expect(counts.get("futex") ?? 0).toBeLessThan(MESSAGES / 100);
    // The last message, and the deed of the cell's writer: seen by the same counting.
    expect(counts.get("sendto") ?? 0).toBeWithin(1, 10);
  },
);

test.skipIf(missing !== null)("polling in vain looks for the dead now and then", async () => {
  using pair = new RegionPair("calls");
  const { queue, next, done, trace } = await traced(pair, "poll");
  queue.producer(); // somebody to look at
  next();
  await until(() => done.ready());
  const looks = (await trace.counts()).get("fcntl") ?? 0;
  expect(looks).toBeWithin(2, (2 * POLLS_MS) / 50);
});
