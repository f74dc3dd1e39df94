/** Stress of channels in all their kinds, of messages and of services: see stress.ts. */
import {
  Channel,
  type ChannelOptions,
  type FrameConsumer,
  InUseError,
  Messages,
  Records,
  type Region,
  Service,
} from "../../src/index.ts";
import { Region as Regions } from "../../src/memory/region.ts";
import { RingLayout } from "../../src/ring/layout.ts";
import { receiverOf } from "../../src/ring/owner.ts";
import { cursorOwnerWord } from "../../src/ring/records-layout.ts";
import { Patience } from "../support/patience.ts";
import {
  BEFORE_WRAP,
  NEVER_MS,
  type Outcome,
  outcomeOf,
  type Report,
  type Role,
  roundFaults,
  SENT,
  STUCK_MS,
  start,
  untilAttached,
} from "./stress-process.ts";

const CONSUMERS = 3;
const FRAME_BYTES = 64;
const FRAME_WORDS = FRAME_BYTES / 4;
const LANE_CAPACITY = 1024;
const HISTORY = 16;
/** Who is overtaken gets so much of what there is all the same. */
const LEAST_SHARE = 0.001;
/** Frames of a visitor's stay. */
const STAY = 100;
const CLIENTS = 3;
const CALLS_AT_ONCE = 16;

function sendFrames({ region: name, messages }: Role): Report {
  using region = Regions.open(name);
  using tx = Channel.open(region, "f").producer();
  const words = new Int32Array(FRAME_WORDS);
  const bytes = new Uint8Array(words.buffer);
  for (let number = 0; number < messages; number++) {
    const frame = tx.loan()!;
    frame.tag = number;
    words.fill(number);
    frame.bytes.set(bytes);
    tx.send(frame);
  }
  return SENT;
}

function isWhole(bytes: Uint8Array, number: number): boolean {
  for (let i = 0; i < FRAME_BYTES; i += 4)
    if (
      bytes[i] !== (number & 0xff) ||
      bytes[i + 1] !== ((number >>> 8) & 0xff) ||
      bytes[i + 2] !== ((number >>> 16) & 0xff) ||
      bytes[i + 3] !== number >>> 24
    )
      return false;
  return true;
}

/** Up to `most` frames in order, without a gap or with some left out; fewer when the stream ends. */
function receiveAll(rx: FrameConsumer, gapless: boolean, most = Number.POSITIVE_INFINITY): Report {
  const faults: string[] = [];
  let received = 0;
  let sum = 0;
  let last = -1;
  for (; received < most && faults.length === 0; received++) {
    using frame = rx.receive({ timeoutMs: STUCK_MS });
    if (frame === null) break;
    const { tag, sequence, bytes } = frame;
    if (tag !== sequence) faults.push(`frame ${sequence} has the number ${tag}`);
    if (gapless && last >= 0 && tag !== last + 1) faults.push(`frame ${tag} came after ${last}`);
    if (tag <= last) faults.push(`frame ${tag} came behind ${last}`);
    if (!isWhole(bytes, tag)) faults.push(`frame ${tag} is torn`);
    last = tag;
    sum += tag;
  }
  return { received, sums: [sum], faults };
}

function receiveFrames({ region: name }: Role): Report {
  using region = Regions.open(name);
  const channel = Channel.open(region, "f");
  const { policy, delivery } = channel.geometry;
  const gapless = policy === "block" && delivery === "all";
  using rx = channel.consumer({ history: 0 });
  return receiveAll(rx, gapless);
}

/** With the history. While the producer is held up in the middle of a send, the lane that was left is not free yet. */
async function joinAgain(channel: Channel): Promise<FrameConsumer> {
  for (const patience = new Patience(STUCK_MS); ; await Bun.sleep(1)) {
    try {
      return channel.consumer({ history: HISTORY });
    } catch (error) {
      if (!(error instanceof InUseError) || patience.isOver) throw error;
    }
  }
}

/** Comes with history, stays for a while, goes and comes again, until the producer ends. */
async function visitFrames({ region: name }: Role): Promise<Report> {
  using region = Regions.open(name);
  const channel = Channel.open(region, "f");
  let received = 0;
  for (;;) {
    using rx = await joinAgain(channel);
    const stay = receiveAll(rx, true, STAY);
    received += stay.received;
    if (stay.faults.length > 0 || stay.received < STAY) return { ...stay, received };
  }
}

async function frames(
  region: Region,
  deliveries: number,
  options: Partial<ChannelOptions>,
  visitors = 0,
): Promise<Outcome> {
  const { geometry } = Channel.create(region, "f", {
    frameBytes: FRAME_BYTES,
    metaBytes: 0,
    maxConsumers: CONSUMERS + visitors,
    laneCapacity: LANE_CAPACITY,
    ...options,
  });
  const { delivery, policy } = geometry;
  const claimed = policy === "drop-oldest" || options.stallTimeoutMs !== undefined;
  for (const lane of geometry.lanes) {
    lane[RingLayout.tailWord] = lane[RingLayout.preparedWord] = BEFORE_WRAP;
    lane[RingLayout.headWord] = claimed ? BEFORE_WRAP << 1 : BEFORE_WRAP;
  }
  const messages = Math.ceil(delivery === "one" ? deliveries : deliveries / CONSUMERS);
  const role = { region: region.name, index: 0, messages, producers: 1 };
  const receiving = Array.from({ length: CONSUMERS }, () => start({ ...role, role: "frame consumer" }));
  const attached = (): number =>
    geometry.lanes.filter((lane) => receiverOf(lane[RingLayout.consumerOwnerWord]!) >= 0).length;
  await untilAttached(() => attached() >= CONSUMERS);
  const visiting = Array.from({ length: visitors }, () => start({ ...role, role: "frame visitor" }));
  await untilAttached(() => attached() >= CONSUMERS + visitors);
  const sent = await start({ ...role, role: "frame producer" });
  const reports = await Promise.all(receiving);
  const visits = await Promise.all(visiting);
  const counters = Channel.open(region, "f").counters;
  const outcome = outcomeOf(reports);
  const due = delivery === "one" ? messages : messages * CONSUMERS;
  const accounted = outcome.received + (policy === "drop-oldest" ? counters.droppedOldest : 0);
  const faults = [...sent.faults, ...visits.flatMap((visit) => visit.faults)];
  if (accounted !== due) faults.push(`${accounted} of ${due} deliveries are accounted for`);
  if (outcome.received < due * LEAST_SHARE) faults.push(`only ${outcome.received} of ${due} were received`);
  if (delivery === "one") {
    const sum = reports.reduce((total, { sums }) => total + (sums[0] ?? 0), 0);
    if (sum !== (messages * (messages - 1)) / 2) faults.push(`the numbers received add up to ${sum}`);
  }
  for (const visit of visits) if (visit.received < STAY) faults.push("a visitor did not come again");
  for (const lane of geometry.lanes)
    faults.push(...(claimed ? claimedRoundFaults(lane) : roundFaults(lane, RingLayout.headWord)));
  return { received: outcome.received, faults: [...outcome.faults, ...faults] };
}

/** The head of these lanes counts modulo 2^31. */
function claimedRoundFaults(lane: Int32Array): string[] {
  const head = lane[RingLayout.headWord]! >>> 1;
  return head >= 2 ** 31 + BEFORE_WRAP ? [`head ${head} did not go round`] : [];
}

interface Note {
  readonly number: number;
  readonly text: string;
  readonly tags: readonly number[];
}

const TEXTS = ["", "a", "one more word", "ünïcödé", "x".repeat(200)] as const;

function noteOf(number: number): Note {
  return { number, text: TEXTS[number % TEXTS.length]!, tags: [number & 7, number >>> 3] };
}

function isNote({ number, text, tags }: Note): boolean {
  return (
    text === TEXTS[number % TEXTS.length] &&
    tags.length === 2 &&
    tags[0] === (number & 7) &&
    tags[1] === number >>> 3
  );
}

function sendNotes({ region: name, messages }: Role): Report {
  using region = Regions.open(name);
  using tx = Messages.open<Note>(region, "m").producer();
  for (let number = 0; number < messages; number++) tx.send(noteOf(number));
  return SENT;
}

function receiveNotes({ region: name }: Role): Report {
  using region = Regions.open(name);
  using rx = Messages.open<Note>(region, "m").consumer();
  const faults: string[] = [];
  let received = 0;
  for (; faults.length === 0; received++) {
    const note = rx.receive({ timeoutMs: STUCK_MS });
    if (note === undefined) break;
    if (note.number !== received) faults.push(`message ${note.number} came where ${received} was due`);
    if (!isNote(note)) faults.push(`message ${received} is torn`);
  }
  return { received, sums: [], faults };
}

async function messages(region: Region, deliveries: number): Promise<Outcome> {
  Messages.create<Note>(region, "m", {
    capacityBytes: 65536,
    maxConsumers: CONSUMERS,
    shapes: [["number", "text", "tags"]],
  });
  const { words } = Records.open(region, "m").geometry;
  const cursors = Array.from({ length: CONSUMERS }, (_, k) => cursorOwnerWord(k));
  const count = Math.ceil(deliveries / CONSUMERS);
  const role = { region: region.name, index: 0, messages: count, producers: 1 };
  const receiving = Array.from({ length: CONSUMERS }, () => start({ ...role, role: "note consumer" }));
  await untilAttached(() => cursors.every((word) => receiverOf(words[word]!) >= 0));
  const sent = await start({ ...role, role: "note producer" });
  const reports = await Promise.all(receiving);
  const short = reports.filter(({ received }) => received !== count);
  return outcomeOf(reports, [
    ...sent.faults,
    ...short.map(({ received }) => `${received} of ${count} messages arrived`),
  ]);
}

interface Sum {
  readonly client: number;
  readonly number: number;
}

async function serve({ region: name }: Role): Promise<Report> {
  using region = Regions.open(name);
  using server = Service.open<Sum, number>(region, "s").server();
  const expected = new Map<number, number>();
  const faults: string[] = [];
  let received = 0;
  let gone = 0;
  while (gone < CLIENTS && faults.length === 0) {
    const request = await server.receiveAsync({ timeoutMs: STUCK_MS });
    const { client, number } = request.value;
    if (number < 0) {
      gone++;
      await request.reply(0);
      continue;
    }
    if (number !== (expected.get(client) ?? 0)) faults.push(`${client}:${number} came out of turn`);
    expected.set(client, number + 1);
    received++;
    await request.reply(client * 31 + number);
  }
  return { received, sums: [], faults };
}

async function ask({ region: name, index, messages: calls }: Role): Promise<Report> {
  using region = Regions.open(name);
  using client = Service.open<Sum, number>(region, "s").client();
  const faults: string[] = [];
  // Calls that are made while there is no server, or no room, keep no order among themselves.
  await client.waitForServer({ timeoutMs: STUCK_MS });
  const one = async (number: number): Promise<void> => {
    const answer = await client.call({ client: index, number }, { timeoutMs: STUCK_MS });
    if (answer !== index * 31 + number) faults.push(`${index}:${number} got the answer ${answer}`);
  };
  for (let number = 0; number < calls && faults.length === 0; number += CALLS_AT_ONCE) {
    const count = Math.min(CALLS_AT_ONCE, calls - number);
    await Promise.all(Array.from({ length: count }, (_, i) => one(number + i)));
  }
  await client.call({ client: index, number: -1 }, { timeoutMs: STUCK_MS });
  return { received: 0, sums: [], faults };
}

async function service(region: Region, calls: number): Promise<Outcome> {
  Service.create<Sum, number>(region, "s", { clients: CLIENTS, shapes: [["client", "number"]] });
  const each = Math.ceil(calls / CLIENTS);
  const role = { region: region.name, messages: each, producers: 1 };
  const serving = start({ ...role, role: "server", index: 0 });
  const clients = Array.from({ length: CLIENTS }, (_, index) => start({ ...role, role: "client", index }));
  const asked = await Promise.all(clients);
  const served = await serving;
  const faults = asked.flatMap((report) => report.faults);
  if (served.received !== each * CLIENTS) faults.push(`${served.received} of ${each * CLIENTS} were served`);
  return outcomeOf([served], faults);
}

export const CHANNEL_ROLES = {
  "frame producer": sendFrames,
  "frame consumer": receiveFrames,
  "frame visitor": visitFrames,
  "note producer": sendNotes,
  "note consumer": receiveNotes,
  server: serve,
  client: ask,
} satisfies Record<string, (role: Role) => Report | Promise<Report>>;

export interface Topology {
  readonly processes: number;
  /** Part of the messages that this topology gets; default all. */
  readonly share?: number;
  run(region: Region, messages: number): Promise<Outcome>;
}

export const CHANNEL_TOPOLOGIES: Readonly<Record<string, Topology>> = {
  "frames, 3 consumers": { processes: 4, run: (region, count) => frames(region, count, {}) },
  "frames, one of 3 consumers each": {
    processes: 4,
    run: (region, count) => frames(region, count, { delivery: "one" }),
  },
  "frames, drop-oldest, 3 consumers": {
    processes: 4,
    run: (region, count) => frames(region, count, { policy: "drop-oldest" }),
  },
  "frames, lanes of eviction, 3 consumers": {
    processes: 4,
    run: (region, count) => frames(region, count, { stallTimeoutMs: NEVER_MS }),
  },
  "frames, history, 3 consumers and one that comes and goes": {
    processes: 5,
    run: (region, count) => frames(region, count, { history: HISTORY }, 1),
  },
  "messages, 3 consumers": { processes: 4, run: messages },
  // Each call is two messages and, at the end of a batch, wakes two processes: 10^8 would take a quarter of an hour.
  "service, 3 clients": { processes: 4, share: 0.03, run: service },
};
