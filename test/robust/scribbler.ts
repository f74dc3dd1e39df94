/**
 * Writes nonsense into a live region: dumb (any word, any value) and smart (the words that matter, values that nearly make sense).
 * Works on a raw mapping of its own, so it sees no more of the protocol than a hostile peer does. Frame payloads are left alone.
 */
import type { DirectoryEntry } from "../../src/memory/directory.ts";
import {
  Control,
  Directory,
  HEADER_BYTES,
  LINE_BYTES,
  ObjectKind,
  ParticipantRecord,
  WORD_BYTES,
} from "../../src/memory/layout.ts";
import type { Region } from "../../src/memory/region.ts";
import { CellLayout } from "../../src/ring/cell-layout.ts";
import { ChannelLayout, LaneSlotLayout, PoolLayout, RingLayout } from "../../src/ring/layout.ts";
import { QueueLayout } from "../../src/ring/queue-layout.ts";
import { RecordHeader, RecordsLayout } from "../../src/ring/records-layout.ts";
import type { Random } from "../support/random.ts";

const BOUNDARY_VALUES = [
  0,
  1,
  2,
  3,
  7,
  8,
  31,
  32,
  63,
  64,
  65,
  127,
  128,
  255,
  256,
  257,
  4095,
  4096,
  65535,
  65536,
  1 << 24,
  0x7fff_fffe,
  0x7fff_ffff,
  -0x8000_0000,
  -0x7fff_ffff,
  -1,
  -2,
  -128,
  -256,
  -4096,
  0x8000_00ff | 0,
  0x00ff_00ff,
];

/** Words of the region that the protocol gives a meaning, by area. */
export interface Targets {
  readonly [area: string]: readonly number[];
}

function range(startByte: number, words: number): number[] {
  return Array.from({ length: words }, (_, i) => startByte / WORD_BYTES + i);
}

function ringHeader(base: number): number[] {
  const word = base / WORD_BYTES;
  const { tailWord, preparedWord, headWord, rejectedWord, producerOwnerWord, consumerOwnerWord } = RingLayout;
  const { droppedNewestWord, droppedOldestWord, undoneWord } = RingLayout;
  return [
    ...range(base, 6),
    ...[tailWord, preparedWord, headWord, rejectedWord, producerOwnerWord, consumerOwnerWord].flatMap((w) => [
      word + w,
      word + w,
    ]),
    ...[droppedNewestWord, droppedOldestWord, undoneWord].map((w) => word + w),
  ];
}

/** Headers of small records are everywhere: every second word of the bytes is fair game. */
function recordsTargets(region: Region, entry: DirectoryEntry): { words: number[]; headers: number[] } {
  const start = entry.offset / WORD_BYTES;
  const { tailWord, claimWord, producerOwnerWord, endedWord, sleepersWord, firstCursorWord, cursorWords } =
    RecordsLayout;
  const words = region.words(entry.offset, entry.sizeBytes / WORD_BYTES);
  const cursors = Array.from(
    { length: words[RecordsLayout.cursorCountWord]! },
    (_, k) => firstCursorWord + k * cursorWords,
  );
  const index = words[RecordsLayout.indexOffsetWord]! / WORD_BYTES;
  const hot = [
    ...Array.from({ length: 6 }, (_, i) => tailWord + i),
    ...[tailWord, tailWord, claimWord, claimWord, claimWord + 1, producerOwnerWord, endedWord, sleepersWord],
    ...cursors.flatMap((word) => [
      word,
      word + RecordsLayout.cursorOffsetWord,
      word + RecordsLayout.cursorOffsetWord,
    ]),
    ...Array.from({ length: words[RecordsLayout.indexCountWord]! }, (_, i) => index + i),
  ];
  const bytesStart = entry.offset + words[RecordsLayout.recordsOffsetWord]!;
  const headers = range(bytesStart, words[RecordsLayout.capacityBytesWord]! / WORD_BYTES);
  return {
    words: [...range(entry.offset, 14), ...hot.map((word) => start + word)],
    headers: headers.filter((_, i) => i % RecordHeader.words === 0),
  };
}

/** Reads a healthy region and lists what can be hit. Nothing beyond the returned words is ever written but by {@link Scribbler} dumb mode. */
export function findTargets(region: Region): { targets: Targets; limitBytes: number } {
  const targets: Record<string, number[]> = {
    superblock: range(0, 20),
    directory: [],
    control: range(Control.offset, 10),
    participants: [],
    channels: [],
    lanes: [],
    slots: [],
    rings: [],
    queues: [],
    cells: [],
    pools: [],
    records: [],
    recordHeaders: [],
    blocks: [],
    metadata: [],
  };
  for (let p = 0; p < ParticipantRecord.capacity; p++) {
    const record = Control.offset + Control.recordsOffset + p * ParticipantRecord.sizeBytes;
    targets["participants"]!.push(
      ...range(record, 4),
      record / WORD_BYTES + ParticipantRecord.doorbellWord,
      record / WORD_BYTES + ParticipantRecord.sectionWord,
      record / WORD_BYTES + ParticipantRecord.wantedWord,
    );
  }
  let limitBytes = HEADER_BYTES;
  for (const entry of region.directory.list()) {
    const base = Directory.offset + entry.index * Directory.entryBytes;
    targets["directory"]!.push(...range(base, 8), ...range(base + Directory.nameWord * WORD_BYTES, 4));
    const words = region.words(entry.offset, 16);
    if (entry.kind === ObjectKind.pool) {
      const count = words[PoolLayout.blockCountWord]!;
      const metaOffset = words[PoolLayout.metaOffsetWord]!;
      targets["pools"]!.push(...range(entry.offset, 8), entry.offset / WORD_BYTES + PoolLayout.waitersWord);
      for (let b = 0; b < count; b++) {
        targets["blocks"]!.push(...range(entry.offset + PoolLayout.controlOffset + b * LINE_BYTES, 2));
      }
      targets["metadata"]!.push(
        ...range(entry.offset + metaOffset, (count * words[PoolLayout.metaBytesWord]!) / 4),
      );
      limitBytes = Math.max(limitBytes, entry.offset + words[PoolLayout.blocksOffsetLowWord]!);
    } else if (entry.kind === ObjectKind.ring) {
      targets["rings"]!.push(...ringHeader(entry.offset));
      targets["slots"]!.push(...range(entry.offset + RingLayout.headerBytes, 16));
      limitBytes = Math.max(limitBytes, entry.offset + entry.sizeBytes);
    } else if (entry.kind === ObjectKind.records) {
      const { words: control, headers } = recordsTargets(region, entry);
      targets["records"]!.push(...control);
      targets["recordHeaders"]!.push(...headers);
      limitBytes = Math.max(limitBytes, entry.offset + entry.sizeBytes);
    } else if (entry.kind === ObjectKind.queue) {
      const start = entry.offset / WORD_BYTES;
      const { sleepersWord, consumersWord, lanesUsedWord, endedWord } = QueueLayout;
      targets["queues"]!.push(
        ...range(entry.offset, QueueLayout.stallActionWord + 1),
        ...[sleepersWord, consumersWord, lanesUsedWord, endedWord].map((word) => start + word),
      );
      for (let lane = 0; lane < words[QueueLayout.laneCountWord]!; lane++) {
        const base = entry.offset + QueueLayout.lanesOffset + lane * words[QueueLayout.laneBytesWord]!;
        targets["lanes"]!.push(...ringHeader(base));
        targets["slots"]!.push(...range(base + RingLayout.headerBytes, 32));
      }
      limitBytes = Math.max(limitBytes, entry.offset + entry.sizeBytes);
    } else if (entry.kind === ObjectKind.cell) {
      const start = entry.offset / WORD_BYTES;
      const { latestWord, writerOwnerWord, waitersWord } = CellLayout;
      const hot = [latestWord, latestWord, writerOwnerWord, waitersWord].map((word) => start + word);
      targets["cells"]!.push(...range(entry.offset, 6), ...hot);
      for (let buffer = 0; buffer < words[CellLayout.bufferCountWord]!; buffer++) {
        const base = entry.offset + CellLayout.buffersOffset + buffer * words[CellLayout.bufferBytesWord]!;
        targets["cells"]!.push(...range(base, 5));
      }
      limitBytes = Math.max(limitBytes, entry.offset + entry.sizeBytes);
    } else {
      const start = entry.offset / WORD_BYTES;
      targets["channels"]!.push(
        ...range(entry.offset, 14),
        ...range(entry.offset + LINE_BYTES, 6),
        start + ChannelLayout.takersWord,
        ...range((start + ChannelLayout.historyTailWord) * WORD_BYTES, 3),
        ...Array.from({ length: 6 }, () => start + ChannelLayout.producerOwnerWord),
        ...Array.from({ length: 4 }, () => start + ChannelLayout.endedWord),
      );
      const historyOffset = words[ChannelLayout.historyOffsetWord]!;
      if (historyOffset > 0)
        targets["slots"]!.push(
          ...range(entry.offset + historyOffset, (entry.sizeBytes - historyOffset) / WORD_BYTES),
        );
      for (let lane = 0; lane < words[ChannelLayout.laneCountWord]!; lane++) {
        const base = entry.offset + ChannelLayout.lanesOffset + lane * words[ChannelLayout.laneBytesWord]!;
        targets["lanes"]!.push(...ringHeader(base));
        const capacity = region.words(entry.offset, (base - entry.offset) / 4 + 8)[
          (base - entry.offset) / 4 + RingLayout.capacityWord
        ]!;
        for (let slot = 0; slot < capacity; slot++) {
          targets["slots"]!.push(
            ...range(base + RingLayout.headerBytes + slot * LaneSlotLayout.sizeBytes, 13),
          );
        }
      }
      limitBytes = Math.max(limitBytes, entry.offset + entry.sizeBytes);
    }
  }
  return { targets, limitBytes };
}

export class Scribbler {
  readonly #words: Int32Array;
  readonly #random: Random;
  readonly #areas: readonly (readonly number[])[];
  readonly #limitWords: number;
  readonly #undo: { word: number; before: number; after: number }[] = [];
  mutations = 0;

  /** @param words all words of the region from offset 0, on a mapping of the scribbler's own */
  constructor(words: Int32Array, targets: Targets, limitBytes: number, random: Random) {
    this.#words = words;
    this.#random = random;
    // Lanes and block states twice: that is where a wrong word could do most.
    this.#areas = [
      ...Object.values(targets),
      targets["lanes"]!,
      targets["blocks"]!,
      targets["slots"]!,
    ].filter((area) => area.length > 0);
    this.#limitWords = limitBytes / WORD_BYTES;
  }

  #target(): number {
    const random = this.#random;
    return random.oneIn(16) ? random.below(this.#limitWords) : random.pick(random.pick(this.#areas));
  }

  #value(before: number): number {
    const random = this.#random;
    switch (random.below(8)) {
      case 0:
        return random.bits() | 0;
      case 1:
        return random.pick(BOUNDARY_VALUES);
      case 2:
        return (before + 1) | 0;
      case 3:
        return (before - 1) | 0;
      case 4:
        return before ^ (1 << random.below(32));
      case 5:
        return this.#words[this.#target()]!;
      case 6:
        return random.below(64);
      default:
        return (before + random.pick([2, 4, 8, 16, 128, 256, 4096, -2, -4, -8, -128, -256])) | 0;
    }
  }

  /** One mutation: a word gets another value, or two words change places. */
  mutate(): void {
    this.mutations++;
    const random = this.#random;
    if (random.oneIn(32)) {
      this.#pretendDeath();
      return;
    }
    const word = this.#target();
    const before = this.#words[word]!;
    if (random.oneIn(8)) {
      const other = this.#target();
      this.#write(word, this.#words[other]!);
      this.#write(other, before);
      return;
    }
    this.#write(word, this.#value(before));
  }

  /** A participant that nobody locks looks live: recovery goes to work on whatever the words say. */
  #pretendDeath(): void {
    const random = this.#random;
    const participant = random.below(ParticipantRecord.capacity);
    const record =
      (Control.offset + Control.recordsOffset + participant * ParticipantRecord.sizeBytes) / WORD_BYTES;
    this.#write(record + ParticipantRecord.stateWord, (random.below(1 << 24) << 8) | 1 | random.below(2));
    const owner = (random.below(16) << 8) | (random.below(2) << 7) | (participant + 1);
    this.#write(this.#target(), owner);
  }

  #write(word: number, value: number): void {
    if (this.#undo.length < 4096) this.#undo.push({ word, before: this.#words[word]!, after: value });
    Atomics.store(this.#words, word, value);
  }

  /** Puts words back that still have the value we gave them. */
  heal(): void {
    for (let last = this.#undo.pop(); last !== undefined; last = this.#undo.pop()) {
      Atomics.compareExchange(this.#words, last.word, last.after, last.before);
    }
  }

  forget(): void {
    this.#undo.length = 0;
  }
}
