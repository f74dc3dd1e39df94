/** Channels whose indices start near where they wrap: lanes, claimed heads (one bit less), history, and the carry of the sequence. */
import { expect, test } from "bun:test";
import { Channel, type ChannelOptions, type FrameConsumer, Region } from "../../src/index.ts";
import { ChannelLayout, RingLayout } from "../../src/ring/layout.ts";
import { RegionPair } from "../support/regions.ts";

const FRAMES = 40;
const BLOCKS = 24;
const LANE = 4;
const HISTORY = 3;
/** Just below 0, 2³⁰, 2³¹, 2³² and −2³⁰: where the index or a claimed head, which is twice the index, overflows or changes its sign. */
const STARTS = [0, 0x3fff_fffe, 0x7fff_fffa, -6, -0x4000_0004];
const FIRST_SEQUENCE = 2 ** 32 - 5;

const KINDS: Record<string, Partial<ChannelOptions>> = {
  "claimed heads, drop-oldest": { policy: "drop-oldest" },
  "claimed heads, eviction": { policy: "block", stallTimeoutMs: 60_000 },
  "plain heads": { policy: "block" },
  "history, drop-oldest": { policy: "drop-oldest", history: HISTORY },
  "history, block": { policy: "block", history: HISTORY },
  "history, drop-newest": { policy: "drop-newest", history: HISTORY },
};

/** As if so many frames had gone through. */
function begin(channel: Channel, start: number): void {
  const { lanes, words, claimedHeads, history } = channel.geometry;
  for (const lane of lanes) {
    lane[RingLayout.tailWord] = start;
    lane[RingLayout.preparedWord] = start;
    lane[RingLayout.headWord] = claimedHeads ? (start * 2) | 0 : start;
  }
  if (history > 0) words[ChannelLayout.historyHeadWord] = words[ChannelLayout.historyTailWord] = start;
  words[ChannelLayout.sequenceLowWord] = FIRST_SEQUENCE | 0;
}

function takeAll(consumer: FrameConsumer): number[] {
  const tags: number[] = [];
  for (let frame = consumer.tryReceive(); frame !== null; frame = consumer.tryReceive()) {
    expect(frame.sequence).toBe(FIRST_SEQUENCE + frame.tag);
    tags.push(frame.tag);
    frame.release();
  }
  return tags;
}

for (const [name, options] of Object.entries(KINDS))
  for (const start of STARTS)
    test(`${name}, from ${start}`, () => {
      using pair = new RegionPair("wrap");
      const shape = { frameBytes: 64, metaBytes: 0, laneCapacity: LANE, frames: BLOCKS, maxConsumers: 2 };
      const channel = Channel.create(pair.a, "c", { ...shape, ...options });
      begin(channel, start);
      using other = Region.open(pair.name);
      const tx = channel.producer();
      const rx = Channel.open(pair.b, "c").consumer();
      const received: number[] = [];
      // With drop-oldest it comes late now and then.
      const late = options.policy === "drop-oldest";
      for (let tag = 0; tag < FRAMES; tag++) {
        using frame = tx.loan()!;
        frame.tag = tag;
        tx.send(frame);
        if (!late || tag % 7 === 6) received.push(...takeAll(rx));
        if (tag % 10 !== 9) continue;
        using joiner = Channel.open(other, "c").consumer();
        expect(takeAll(joiner)).toEqual(options.history === undefined ? [] : [tag - 2, tag - 1, tag]);
      }
      received.push(...takeAll(rx));
      if (late) {
        expect(received).toEqual([...new Set(received)].sort((a, b) => a - b));
        expect(received.at(-1)).toBe(FRAMES - 1);
        expect(tx.counters.droppedOldest).toBe(FRAMES - received.length);
      } else expect(received).toEqual(Array.from({ length: FRAMES }, (_, tag) => tag));
      tx.close();
      rx.close();
      expect(channel.geometry.pool.countFree()).toBe(BLOCKS);
    });
