/** What a scenario runs on: a region in ordinary memory with a channel in it, made by the shipped code, and reset for each schedule. */
import { type RegionOffset, regionOffset } from "../../src/memory/brands.ts";
import type { DirectoryEntry } from "../../src/memory/directory.ts";
import {
  Control,
  Directory,
  HEADER_BYTES,
  ObjectKind,
  ParticipantRecord,
  participantRecordWord,
  WORD_BYTES,
} from "../../src/memory/layout.ts";
import type { DeliveryName, PolicyName } from "../../src/ring/layout.ts";
import { WaitCounts } from "../../src/ring/wait-counts.ts";
import { stage } from "./atomics.ts";
import { Machine } from "./machine.ts";

const REGION_BYTES = 65536;
/** Where the sockets of doorbells would be. */
export const SOCKETS = "sockets";

/** The transformed modules; their functions are generators where the sources' are not, so types end here. */
// biome-ignore lint/suspicious/noExplicitAny: dynamic code
export type Loose = any;

export interface Coroutines {
  readonly sender: Loose;
  readonly receiver: Loose;
  readonly pool: Loose;
  readonly geometry: Loose;
  readonly recovery: Loose;
  readonly spsc: Loose;
  readonly cellGeometry: Loose;
  readonly cellWriter: Loose;
  readonly cellReader: Loose;
  readonly queueGeometry: Loose;
  readonly queueEnds: Loose;
  readonly queueProducer: Loose;
  readonly queueConsumer: Loose;
  readonly queueTaker: Loose;
  readonly owner: Loose;
  readonly recordWriter: Loose;
  readonly recordReader: Loose;
  readonly recordEnds: Loose;
  readonly serviceMessage: Loose;
  readonly serviceCaller: Loose;
  readonly serviceDesks: Loose;
  /** With doorbells only. */
  readonly doorbellRinger: Loose;
  readonly sleeper: Loose;
}

export async function loadCoroutines(outputs: ReadonlyMap<string, string>): Promise<Coroutines> {
  const load = async (name: string): Promise<Loose> => import(outputs.get(name)!);
  const doorbells = outputs.has("sleeper");
  return {
    sender: (await load("lane-sender")).LaneSender,
    receiver: (await load("lane-receiver")).LaneReceiver,
    pool: (await load("pool")).Pool,
    geometry: await load("channel-geometry"),
    recovery: await load("recovery"),
    spsc: await load("spsc"),
    cellGeometry: await load("cell-geometry"),
    cellWriter: (await load("cell-writer")).CellWriter,
    cellReader: (await load("cell-reader")).CellReader,
    queueGeometry: await load("queue-geometry"),
    queueEnds: await load("queue-ends"),
    queueProducer: (await load("queue-producer")).QueueProducer,
    queueConsumer: (await load("queue-consumer")).QueueConsumer,
    queueTaker: (await load("queue-taker")).QueueTaker,
    owner: await load("owner"),
    recordWriter: await load("record-writer"),
    recordReader: await load("record-reader"),
    recordEnds: await load("record-ends"),
    serviceMessage: await load("service-message"),
    serviceCaller: (await load("service-caller")).ServiceCaller,
    serviceDesks: await load("service-desks"),
    doorbellRinger: doorbells ? await load("doorbell-ringer") : null,
    sleeper: doorbells ? await load("sleeper") : null,
  };
}

/** The parts of a Region that src/ring uses, over one Int32Array. */
export class PlainRegion {
  readonly name = "schedule";
  readonly memory = new Int32Array(REGION_BYTES / WORD_BYTES);
  readonly entries: (DirectoryEntry | null)[] = new Array<DirectoryEntry | null>(Directory.capacity).fill(
    null,
  );
  readonly control: { words: Int32Array; address: number; doorbellDirectory: string };
  readonly directory: Loose;
  #next = HEADER_BYTES;
  #count = 0;

  constructor() {
    const words = this.words(regionOffset(Control.offset), Control.sizeBytes / WORD_BYTES);
    this.control = { words, address: words.byteOffset, doorbellDirectory: SOCKETS };
    this.directory = {
      create: (kind: number, name: string, sizeBytes: number, fill: (offset: RegionOffset) => void) => {
        const entry = {
          index: this.#count++,
          kind,
          generation: 1,
          name,
          offset: regionOffset(this.#next),
          sizeBytes,
        };
        this.#next += Math.ceil(sizeBytes / Directory.objectAlignBytes) * Directory.objectAlignBytes;
        fill(entry.offset);
        this.entries[entry.index] = entry as DirectoryEntry;
        return entry;
      },
      at: (index: number) => this.entries[index] ?? null,
    };
  }

  words(offset: number, count: number): Int32Array {
    return new Int32Array(this.memory.buffer, offset, count);
  }

  view(offset: number, count: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, offset, count);
  }
}

export interface ChannelSetting {
  readonly policy: PolicyName;
  readonly delivery: DeliveryName;
  readonly consumers: number;
  readonly capacity: number;
  readonly blocks: number;
  /** Frames a joiner gets first; default 0. */
  readonly history?: number;
  /** Stalled consumers lose their lanes. */
  readonly evicts?: boolean;
}

/** A participant as src/ring sees one. Sections are the two stores of Participant, indivisible here. */
export class PlainParticipant {
  readonly bit: number;
  readonly chores: Loose[] = [];
  readonly takers = new Map<string, Loose>();
  readonly ringer = { ring: (): void => undefined, wakeAll: (): void => undefined };
  #section = 0;

  constructor(
    readonly region: PlainRegion,
    readonly index: number,
  ) {
    this.bit = 1 << index;
  }

  get hasChores(): boolean {
    return false;
  }

  recoverDead(): number {
    return 0;
  }

  readonly waits = new WaitCounts();
  suspectDeath(): void {}

  linger(): void {}

  lookAgain(): void {}

  addChore(chore: Loose): void {
    this.chores.push(chore);
  }

  enterSection(): void {
    this.#storeSection(1);
  }

  leaveSection(): void {
    this.#storeSection(1);
  }

  want(block: number | null): void {
    const at = participantRecordWord(this.index) + ParticipantRecord.wantedWord;
    const value = block === null ? 0 : block + 1;
    stage.machine.store(Machine.at(this.region.control.words, at), value, true);
  }

  #storeSection(step: number): void {
    this.#section += step;
    const at = participantRecordWord(this.index) + ParticipantRecord.sectionWord;
    stage.machine.update(Machine.at(this.region.control.words, at), () => this.#section);
  }
}

/** Makes a participant live, as joining does under its life lock. */
export function admit(region: PlainRegion, index: number): PlainParticipant {
  const { words } = region.control;
  const record = participantRecordWord(index);
  const generation = (words[record]! >>> ParticipantRecord.generationShift) + 1;
  words[record + ParticipantRecord.sectionWord] = 0;
  words[record + ParticipantRecord.wantedWord] = 0;
  words[record] = (generation << ParticipantRecord.generationShift) | ParticipantRecord.phaseLive;
  return new PlainParticipant(region, index);
}

/** A region with one channel, and how to start it afresh. */
export class Bench {
  readonly region = new PlainRegion();
  readonly code: Coroutines;
  readonly setting: ChannelSetting;
  readonly channel: Loose;
  readonly pool: Loose;
  readonly #initial: Int32Array;

  constructor(code: Coroutines, setting: ChannelSetting) {
    this.code = code;
    this.setting = setting;
    this.pool = code.pool.create(this.region, "p", {
      frameBytes: 128,
      blockCount: setting.blocks,
      metaBytes: 0,
    });
    this.channel = code.geometry.createChannelGeometry(this.region, "c", this.pool, {
      maxConsumers: setting.consumers,
      laneCapacity: setting.capacity,
      policy: setting.policy,
      delivery: setting.delivery,
      stallTimeoutMs: setting.evicts ? 1 : 0,
      stallAction: setting.evicts ? "evict" : "none",
      history: setting.history ?? 0,
    });
    this.#initial = this.region.memory.slice();
  }

  reset(): void {
    this.region.memory.set(this.#initial);
  }

  admit(index: number): PlainParticipant {
    return admit(this.region, index);
  }

  /** First word of a block's payload. */
  payload(block: number): { words: Int32Array; index: number } {
    return { words: this.region.memory, index: this.channel.pool.blockOffset(block) / WORD_BYTES };
  }

  freeBlocks(): number {
    let free = 0;
    const base = this.region.entries.find((entry) => entry?.kind === ObjectKind.pool)!.offset / WORD_BYTES;
    for (let block = 0; block < this.setting.blocks; block++)
      if (this.region.memory[base + 64 + block * 32] === 0) free++;
    return free;
  }
}
