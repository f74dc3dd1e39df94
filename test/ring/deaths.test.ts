/** Death notices: who is told, when, of whom; with real processes that are killed. */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { Channel } from "../../src/channel/channel.ts";
import { ParticipantRecord, participantRecordWord } from "../../src/memory/layout.ts";
import { Region } from "../../src/memory/region.ts";
import type { DeathEvent } from "../../src/ring/deaths.ts";
import { Participant } from "../../src/ring/participant.ts";
import { Ring } from "../../src/ring/ring.ts";
import { expectCode } from "../support/errors.ts";
import { Patience } from "../support/patience.ts";
import { RegionPair } from "../support/regions.ts";
import { endSurvivors, Survivor } from "./survivors.ts";

const CAPACITY = ParticipantRecord.capacity;
afterEach(endSurvivors);
/** On an idle machine it is 100 ms; here others may have the processors. */
const LATEST_MS = 1000;

function nextDeath(participant: Participant): { promise: Promise<DeathEvent>; stop: AbortController } {
  const stop = new AbortController();
  const { promise, resolve } = Promise.withResolvers<DeathEvent>();
  const unsubscribe = participant.onDeath((event) => {
    unsubscribe();
    stop.abort();
    resolve(event);
  });
  participant.doorbell
    .wait({ ready: () => false }, Number.POSITIVE_INFINITY, stop.signal)
    .catch(() => undefined);
  return { promise, stop };
}

/** A command in new namespaces. */
function namespaces(flags: readonly string[]): string[] {
  return ["unshare", ...flags, "--fork", "--kill-child"];
}

/** Whether that is permitted here; says why not. */
function permits(command: readonly string[]): boolean {
  const probe = Bun.spawnSync([...command, "true"], { stderr: "pipe" });
  if (probe.exitCode !== 0)
    console.warn(`SKIPPED (${command.join(" ")}: ${probe.stderr.toString().trim()}): run as root`);
  return probe.exitCode === 0;
}

const OTHER_NAMESPACES = namespaces(["--pid", "--net", "--ipc", "--mount-proc"]);
const OWN_LIMITS = namespaces(["--user", "--map-root-user"]);

describe("a death", () => {
  test("every survivor is told, however it waits, and just one cleans", async () => {
    using pair = new RegionPair("deaths");
    const me = Participant.of(pair.a);
    const survivors = [
      await Survivor.start(pair.name, "await"),
      await Survivor.start(pair.name, "await"),
      await Survivor.start(pair.name, "block"),
    ];
    const victim = await Survivor.start(pair.name, "idle");
    const here = nextDeath(me);
    const killedMs = performance.now();
    const dead = victim.kill();
    const told = [await here.promise];
    const tookMs = [performance.now() - killedMs];
    await dead;
    for (const survivor of survivors) {
      told.push(await survivor.death());
      tookMs.push(performance.now() - killedMs);
    }
    console.log(
      `told ${tookMs.map((ms) => ms.toFixed(1)).join(", ")} ms after SIGKILL (event loop, two others, blocked)`,
    );
    for (const ms of tookMs) expect(ms).toBeLessThan(LATEST_MS);
    for (const event of told) {
      expect(event).toMatchObject({ participant: victim.participant, generation: 1, pid: victim.pid });
      expect(event.name).not.toBe("");
    }
    expect(told.filter(({ recovery }) => recovery !== null)).toHaveLength(1);
    // Told once: at their end they have nothing to add. (The blocked one has ended.)
    for (const survivor of survivors.slice(0, 2)) expect(await survivor.end()).toBe("");
  });

  test("a monitor that does nothing else iterates over them", async () => {
    using pair = new RegionPair("deaths");
    const stop = new AbortController();
    const told: number[] = [];
    const victims = [await Survivor.start(pair.name, "idle"), await Survivor.start(pair.name, "idle")];
    const monitoring = (async () => {
      for await (const { pid } of Participant.of(pair.a).deaths({ signal: stop.signal })) {
        told.push(pid);
        if (told.length === victims.length) break;
      }
    })();
    for (const victim of victims) await victim.kill();
    await monitoring;
    expect(told).toEqual(victims.map(({ pid }) => pid));
    let ended = false;
    for await (const _ of Participant.of(pair.a).deaths({ timeoutMs: 20 })) ended = true;
    expect(ended).toBe(false);
    const aborted = Participant.of(pair.a)
      .deaths({ signal: stop.signal })
      .next()
      .catch((error) => error.name);
    stop.abort();
    expect(await aborted).toBe("AbortError");
  });

  test("who leaves in order did not die, and leaves nothing in the directory of doorbells", async () => {
    using pair = new RegionPair("deaths");
    const me = Participant.of(pair.a);
    const watcher = await Survivor.start(pair.name, "await");
    const leaver = await Survivor.start(pair.name, "await");
    const told: DeathEvent[] = [];
    me.onDeath((event) => told.push(event));
    expect(await leaver.end()).toBe("");
    me.recoverDead();
    expect(await watcher.end()).toBe("");
    expect(told).toEqual([]);
    expect(readdirSync(pair.a.control.doorbellDirectory)).toEqual(["0.1.life"]);
  });

  test("pids do not matter: neither one that is used again nor one that nobody has", async () => {
    using pair = new RegionPair("deaths");
    const me = Participant.of(pair.a);
    const victim = await Survivor.start(pair.name, "idle");
    const other = await Survivor.start(pair.name, "await");
    const pidWord = (p: number): number => participantRecordWord(p) + ParticipantRecord.pidWord;
    const { words } = pair.a.control;
    words[pidWord(victim.participant)] = process.pid; // as if our pid had been the victim's
    words[pidWord(other.participant)] = 0x7fff_fff0; // no such process
    const here = nextDeath(me);
    await victim.kill();
    expect(await here.promise).toMatchObject({ participant: victim.participant, pid: process.pid });
    expect(await other.death()).toMatchObject({ participant: victim.participant });
    expect(words[participantRecordWord(other.participant)]! & ParticipantRecord.phaseMask).toBe(
      ParticipantRecord.phaseLive,
    );
  });

  test("found by a send is told after it: a listener may send", async () => {
    using pair = new RegionPair("deaths");
    const channel = Channel.create(pair.a, "c", { frameBytes: 64, policy: "drop-newest", laneCapacity: 2 });
    const tx = channel.producer();
    using rx = Channel.open(pair.b, "c").consumer();
    const victim = await Survivor.start(pair.name, "idle");
    await victim.kill();
    let sending = false;
    const told: boolean[] = [];
    Participant.of(pair.a).onDeath(() => told.push(sending));
    // Until it was found and cleaned up behind.
    const state = participantRecordWord(victim.participant);
    const phase = (): number => pair.a.control.words[state]! & ParticipantRecord.phaseMask;
    for (const patience = new Patience(5000); phase() === ParticipantRecord.phaseLive && !patience.isOver; ) {
      using frame = tx.loan();
      sending = true;
      if (frame !== null) tx.send(frame);
      sending = false;
    }
    await new Promise((resolve) => setImmediate(resolve)); // behind the one that tells
    expect(told).toEqual([false]);
    expect(rx.receive()!.sequence).toBe(0);
  });

  test("among several of one slot that nobody was told of is counted", async () => {
    using pair = new RegionPair("deaths");
    const me = Participant.of(pair.a);
    const told: DeathEvent[] = [];
    me.onDeath((event) => told.push(event));
    await Survivor.start(pair.name, "await"); // cleans up
    const pids: number[] = [];
    for (let i = 0; i < 3; i++) {
      const victim = await Survivor.start(pair.name, "idle");
      pids.push(victim.pid);
      await victim.kill();
      const state = participantRecordWord(victim.participant);
      const phase = (): number => pair.a.control.words[state]! & ParticipantRecord.phaseMask;
      for (const patience = new Patience(5000); phase() !== ParticipantRecord.phaseSwept; await Bun.sleep(1))
        if (patience.isOver) throw new Error("not cleaned up behind");
    }
    me.recoverDead(); // looks for the first time
    expect(told).toMatchObject([{ generation: 3, pid: pids[2], missed: 2, recovery: null }]);
  });

  test("is noticed in a memfd region", async () => {
    using region = Region.create("memfd:deaths", { size: "1MiB" });
    const me = Participant.of(region);
    const victim = await Survivor.start(`memfd:${region.path}`, "await");
    const here = nextDeath(me);
    await victim.kill();
    expect(await here.promise).toMatchObject({ participant: victim.participant, pid: victim.pid });
    const directory = region.control.doorbellDirectory;
    region.close();
    expect(existsSync(directory)).toBe(false);
  });

  test.skipIf(!permits(OTHER_NAMESPACES))("is noticed across pid, network and ipc namespaces", async () => {
    const wrap = OTHER_NAMESPACES;
    using pair = new RegionPair("deaths");
    const me = Participant.of(pair.a);
    const survivor = await Survivor.start(pair.name, "await", wrap);
    const victim = await Survivor.start(pair.name, "await", wrap);
    const here = nextDeath(me);
    await victim.kill();
    // Its pid in its own namespace is 1, and so is the survivor's.
    expect(await here.promise).toMatchObject({ participant: victim.participant, pid: 1 });
    expect(await survivor.death()).toMatchObject({
      participant: victim.participant,
      pid: 1,
      notices: { events: true },
    });
  });

  test.skipIf(!permits(OWN_LIMITS))("is noticed by looking where the kernel gives no notices", async () => {
    const refuse = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"';
    using pair = new RegionPair("deaths");
    const survivor = await Survivor.start(pair.name, "await", [...OWN_LIMITS, "sh", "-c", refuse, "sh"]);
    const victim = await Survivor.start(pair.name, "idle");
    await victim.kill();
    const { notices, ...event } = await survivor.death();
    expect(event).toMatchObject({ participant: victim.participant });
    expect(event.recovery).not.toBeNull();
    expect(notices.events).toBe(false);
    expect(notices.reason).toContain("max_user_instances");
  });
});

describe("a wait", () => {
  test("goes on when the region is destroyed under it", async () => {
    using pair = new RegionPair("deaths");
    const ring = Ring.create(pair.a, "ring", { slotBytes: 16, capacity: 4 });
    using consumer = ring.consumer();
    using producer = Ring.open(pair.b, "ring").producer();
    const waiting = consumer.wait();
    while (!Participant.of(pair.a).doorbell.asleep) await Bun.sleep(1);
    Region.destroy(pair.name);
    await Bun.sleep(5); // let the notice of the removal come
    producer.reserve(1);
    producer.commit(1);
    expect(await waiting).toBe(true);
    expect(Participant.of(pair.a).doorbell.noticed).toBe(false);
  });

  test("that is over does not keep the process alive", async () => {
    using pair = new RegionPair("deaths");
    const code = `
      import { Participant, Region } from ${JSON.stringify(new URL("../../src/index.ts", import.meta.url).pathname)};
      const { doorbell } = Participant.of(Region.open(${JSON.stringify(pair.name)}));
      await doorbell.wait({ ready: () => false }, 5);
      console.log("over");`;
    const run = Bun.spawn([process.execPath, "-e", code], { stdout: "pipe", stderr: "inherit" });
    expect(await new Response(run.stdout).text()).toBe("over\n");
    expect(await run.exited).toBe(0);
  });
});

test("there are as many participants as the protocol says, and the limit is named", () => {
  using pair = new RegionPair("limit");
  const handles = Array.from({ length: CAPACITY }, () => Region.open(pair.name));
  try {
    for (const handle of handles) Participant.of(handle);
    const error = expectCode("PARTICIPANT_LIMIT", () => Participant.of(pair.a));
    expect(error.message).toMatch(/31 live participants, its limit/);
    handles[5]!.close();
    expect(Participant.of(pair.a).index).toBe(5);
  } finally {
    for (const handle of handles) handle.close();
  }
});
