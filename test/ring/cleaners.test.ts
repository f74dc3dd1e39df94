/** Deaths beside a cleaner that is busy, stopped or dead: none is lost (PROTOCOL.md §8 "Look again"). */
import { afterEach, describe, expect, test } from "bun:test";
import { Channel } from "../../src/channel/channel.ts";
import { reportRegion } from "../../src/cli/region-report.ts";
import { ParticipantRecord, participantRecordWord } from "../../src/memory/layout.ts";
import type { DeathEvent } from "../../src/ring/deaths.ts";
import { Participant } from "../../src/ring/participant.ts";
import { rejectionCode } from "../support/errors.ts";
import { RegionPair } from "../support/regions.ts";
import { endSurvivors, Survivor } from "./survivors.ts";

afterEach(endSurvivors);
/** So that a lost death is an error, not a hang. */
const LIMIT = { timeoutMs: 10_000 };

/** A consumer of ours, and its producer in another process. */
async function channelWithVictim(pair: RegionPair) {
  const consumer = Channel.create(pair.a, "channel", { frameBytes: 64 }).consumer();
  const me = Participant.of(pair.a);
  const told: DeathEvent[] = [];
  me.onDeath((event) => told.push(event));
  const victim = await Survivor.start(pair.name, "produce channel");
  const phase = (): number =>
    pair.a.control.words[participantRecordWord(victim.participant)]! & ParticipantRecord.phaseMask;
  const pids = (): number[] => told.map(({ pid }) => pid);
  return { consumer, me, victim, phase, pids };
}

describe("a consumer that waits hears of its producer's death", () => {
  test("although somebody held the cleaner's byte then, and died later", async () => {
    using pair = new RegionPair("cleaners");
    const { consumer, victim, phase, pids } = await channelWithVictim(pair);
    const holder = await Survivor.start(pair.name, "hold 60000");
    const received = rejectionCode(consumer.receiveAsync(LIMIT));
    await victim.kill();
    await Bun.sleep(300); // looks in vain
    expect(phase()).toBe(ParticipantRecord.phaseLive);
    await holder.kill();
    expect(await received).toBe("PEER_DIED");
    // Told in the order in which they were cleaned up behind.
    expect(pids().toSorted()).toEqual([victim.pid, holder.pid].toSorted());
  });

  test("although somebody held the cleaner's byte then, and lets go later", async () => {
    using pair = new RegionPair("cleaners");
    const { consumer, victim, pids } = await channelWithVictim(pair);
    await Survivor.start(pair.name, "hold 400");
    const received = rejectionCode(consumer.receiveAsync(LIMIT));
    await victim.kill();
    expect(await received).toBe("PEER_DIED");
    expect(pids()).toEqual([victim.pid]);
  });

  test.each([0, 1, 5, 20, 60])(
    "although its cleaner was stopped %i steps after the beginning, and killed",
    async (step) => {
      using pair = new RegionPair("cleaners");
      const { consumer, me, victim, phase, pids } = await channelWithVictim(pair);
      const cleaner = await Survivor.start(pair.name, `stop ${victim.participant} ${step}`);
      await victim.kill();
      await cleaner.stopped();
      expect(phase()).toBe(ParticipantRecord.phaseDying);
      const received = rejectionCode(consumer.receiveAsync(LIMIT));
      while (!me.doorbell.asleep) await Bun.sleep(1);
      await cleaner.kill();
      expect(await received).toBe("PEER_DIED");
      expect(phase()).toBe(ParticipantRecord.phaseSwept);
      // Both, unless the cleaner told of the first one itself.
      while (!pids().includes(cleaner.pid)) await Bun.sleep(1);
      expect(pids().toSorted()).toEqual([victim.pid, cleaner.pid].toSorted());
    },
  );
});

const PHYSRING = new URL("../../src/cli/physring.ts", import.meta.url).pathname;

describe("physring ls", () => {
  test("names a cleaner that was stopped while it cleaned", async () => {
    using pair = new RegionPair("cleaners");
    const { victim } = await channelWithVictim(pair);
    const cleaner = await Survivor.start(pair.name, `stop ${victim.participant} 5`);
    await victim.kill();
    await cleaner.stopped();
    expect(reportRegion(pair.name).cleaner).toMatchObject({ pid: cleaner.pid, stopped: true });
    const { stdout } = Bun.spawnSync([process.execPath, PHYSRING, "ls", pair.name]);
    const text = stdout.toString();
    expect(text).toMatch(/CLEANING IS HELD UP: process \d+ \(.+, stopped\) has the cleaner's lock/);
    expect(text).toContain(`process ${cleaner.pid} (`);
  });

  test("names who holds the lock for long, stopped or not, but not who cleans for a moment", async () => {
    using pair = new RegionPair("cleaners");
    const holder = await Survivor.start(pair.name, "hold 100");
    expect(reportRegion(pair.name).cleaner).toBeNull();
    expect(await holder.end()).toBe("");
    const long = await Survivor.start(pair.name, "hold 60000");
    expect(reportRegion(pair.name).cleaner).toMatchObject({ pid: long.pid, stopped: false });
  });
});
