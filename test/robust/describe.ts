/** What a region looks like inside, for the report of a run that got stuck. */
import { loadAcquire } from "../../src/memory/atomics.ts";
import { Control, ObjectKind, ParticipantRecord, WORD_BYTES } from "../../src/memory/layout.ts";
import type { Region } from "../../src/memory/region.ts";
import { openChannelGeometry } from "../../src/ring/channel-geometry.ts";
import { ChannelLayout, RingLayout } from "../../src/ring/layout.ts";
import { listParticipants } from "../../src/ring/participant.ts";
import type { Pool } from "../../src/ring/pool.ts";

export function describeState(region: Region, pool: Pool): string[] {
  const lines = [describePool(pool)];
  for (const { index, generation, phase, name, alive } of listParticipants(region.control)) {
    const record = (Control.recordsOffset + index * ParticipantRecord.sizeBytes) / WORD_BYTES;
    const { words } = region.control;
    const doorbell = words[record + ParticipantRecord.doorbellWord]!;
    const section = words[record + ParticipantRecord.sectionWord]!;
    lines.push(
      `participant ${index}.${generation} ${name}: phase ${phase}, alive ${alive}, doorbell ${doorbell}, section ${section}`,
    );
  }
  for (const entry of region.directory.list()) {
    if (entry.kind !== ObjectKind.channel) continue;
    const channel = openChannelGeometry(region, entry);
    const owner = loadAcquire(channel.words, ChannelLayout.producerOwnerWord) >>> 0;
    const ended = loadAcquire(channel.words, ChannelLayout.endedWord);
    lines.push(`channel ${entry.name} (${channel.policy}): producer ${owner.toString(16)}, ended ${ended}`);
    for (const [i, lane] of channel.lanes.entries()) {
      const [tail, prepared, head] = [RingLayout.tailWord, RingLayout.preparedWord, RingLayout.headWord].map(
        (word) => loadAcquire(lane, word) >>> 0,
      );
      const consumer = loadAcquire(lane, RingLayout.consumerOwnerWord) >>> 0;
      lines.push(
        `  lane ${i}: consumer ${consumer.toString(16)}, tail ${tail}, prepared ${prepared}, head ${head}`,
      );
    }
  }
  return lines;
}

function describePool(pool: Pool): string {
  const holders = Array.from({ length: pool.geometry.blockCount }, (_, block) => pool.holders(block));
  return `blocks held by ${holders.map((bits) => (bits === 0 ? "-" : bitsOf(bits).join("+"))).join(" ")}`;
}

function bitsOf(bits: number): number[] {
  return Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => (bits & (1 << bit)) !== 0);
}
