/**
 * The shared test vectors of the hardware queues (docs/PROTOCOL.md §10): what a command looks like in memory, and what its completion is.
 *
 *     bun fpga/vectors/make.ts            writes commands.json (for TypeScript), commands.hex (for the bench of the core), commands.h (for C)
 *     bun fpga/vectors/make.ts --check    fails if one of them is not what it would write
 *
 * Whoever builds descriptors builds each of these from the fields of commands.json and compares with its words; whoever executes them compares the completions, except
 * words 4 and 5 (cycles). Commands are at index 0, 1, 2 … of one queue, executed one by one. Nothing here is computed by the code under test.
 */
import { join } from "node:path";

const OPCODES = ["NOP", "COPY", "FILL", "CRC32", "THRESHOLD", "FILTER3X3", "SOURCE", "SINK"];
const STATUS = {
  OK: 0,
  OPCODE: 1,
  FLAGS: 2,
  LENGTH: 3,
  PARAMETER: 4,
  ALIGNMENT: 5,
  RANGE: 6,
  LIST: 7,
} as const;
const BASE = 0x1_2345_0000n;
const MAGIC = 0x56435250; // "PRCV"
const HEADER_WORDS = 32;

const queue = {
  epoch: 0xabcdef,
  capacityLog2: 3,
  sqBase: BASE,
  cqBase: BASE + 0x1000n,
  queueWindowBase: BASE,
  queueWindowLimit: BASE + 0x10000n,
  dataWindowBase: BASE + 0x10000n,
  dataWindowLimit: BASE + 0x100000n,
};
/** 8 KiB that hold frame 0 of SOURCE with seed 0 before the first command. */
const source = { address: BASE + 0x20000n, bytes: 8192 };
/** Entry k of this list: 512 bytes at source + 2048 k. */
const list = { address: BASE + 0x2000n, entries: 4, stride: 2048, bytes: 512 };
const DESTINATION = BASE + 0x60000n;

interface Command {
  readonly name: string;
  readonly opcode: number;
  /** Bits 8–31 of word 0. */
  readonly flags: number;
  readonly tag: number;
  readonly source: bigint;
  readonly destination: bigint;
  readonly lengthBytes: number;
  readonly sourceEntries: number;
  readonly destinationEntries: number;
  readonly parameters: readonly [number, number, number];
  readonly status: keyof typeof STATUS;
  readonly result: number;
}

const sourceBytes = new Uint8Array(source.bytes);
{
  const words = new Uint32Array(sourceBytes.buffer);
  for (let j = 0; j < words.length; j++) words[j] = Math.imul(j, 0x9e3779b1) >>> 0;
}
const crc = (...parts: Uint8Array[]): number => Bun.hash.crc32(Buffer.concat(parts)) >>> 0;
const reached = (bytes: Uint8Array, limit: number): number => bytes.filter((b) => b >= limit).length;
const listed = Buffer.concat(
  Array.from({ length: list.entries }, (_, k) =>
    sourceBytes.subarray(k * list.stride, k * list.stride + list.bytes),
  ),
);

let nextTag = 0x10;
function command(
  name: string,
  opcode: number,
  fields: Partial<Command> = {},
  status: keyof typeof STATUS = "OK",
  result = 0,
): Command {
  nextTag = (Math.imul(nextTag, 0x01000193) + 1) >>> 0;
  return {
    name,
    opcode,
    flags: 0,
    tag: nextTag,
    source: opcode === 2 || opcode === 6 || opcode === 0 ? 0n : source.address,
    destination: opcode === 3 || opcode === 7 || opcode === 0 ? 0n : DESTINATION,
    lengthBytes: opcode === 0 ? 0 : 256,
    sourceEntries: 0,
    destinationEntries: 0,
    parameters: [0, 0, 0],
    status,
    result,
    ...fields,
  };
}
const FROM_LIST = 0x100;
const TO_LIST = 0x200;
const commands: readonly Command[] = [
  command("does nothing", 0),
  command("copies 256 bytes", 1),
  command("copies one byte", 1, { lengthBytes: 1 }),
  command("copies 4097 bytes across a page", 1, {
    lengthBytes: 4097,
    source: source.address + 64n,
    destination: DESTINATION + 0xfc0n,
  }),
  command("fills 1000 bytes", 2, { lengthBytes: 1000, parameters: [0xa1b2c3d4, 0, 0] }),
  command("checksum of 5000 bytes", 3, { lengthBytes: 5000 }, "OK", crc(sourceBytes.subarray(0, 5000))),
  command(
    "checksum continued: bytes 64 to 99 after bytes 0 to 63",
    3,
    {
      source: source.address + 64n,
      lengthBytes: 36,
      parameters: [crc(sourceBytes.subarray(0, 64)), 0, 0],
    },
    "OK",
    crc(sourceBytes.subarray(0, 100)),
  ),
  command(
    "threshold at 128",
    4,
    { lengthBytes: 777, parameters: [128, 0, 0] },
    "OK",
    reached(sourceBytes.subarray(0, 777), 128),
  ),
  command("filters 4 lines of 128 pixels", 5, { lengthBytes: 512, parameters: [128, 0, 0] }),
  command("frame 0 of a source with seed 7", 6, { lengthBytes: 640, parameters: [7, 0, 0] }, "OK", 0),
  command("shows a frame of 300 bytes", 7, { lengthBytes: 300 }, "OK", crc(sourceBytes.subarray(0, 300))),
  command(
    "checksum of a list",
    3,
    {
      flags: FROM_LIST,
      source: list.address,
      sourceEntries: list.entries,
      lengthBytes: list.entries * list.bytes,
    },
    "OK",
    crc(listed),
  ),
  command("a tag of all ones", 0, { tag: 0xffffffff }),
  command("the largest tag that is a positive int", 0, { tag: 0x7fffffff }),

  command("unknown opcode 8", 8, {}, "OPCODE"),
  command("unknown opcode 255", 255, {}, "OPCODE"),
  command("unknown flag, bit 10", 1, { flags: 0x400 }, "FLAGS"),
  command("unknown flag, bit 31", 0, { flags: 0x80000000 }, "FLAGS"),
  command("no bytes", 1, { lengthBytes: 0 }, "LENGTH"),
  command("more than 2 GiB", 1, { lengthBytes: 0x80000001 }, "LENGTH"),
  command("threshold 256", 4, { parameters: [256, 0, 0] }, "PARAMETER"),
  command("lines of 0 pixels", 5, {}, "PARAMETER"),
  command("lines of 96 pixels", 5, { lengthBytes: 192, parameters: [96, 0, 0] }, "PARAMETER"),
  command("lines that are not whole", 5, { lengthBytes: 192, parameters: [128, 0, 0] }, "PARAMETER"),
  command("source at 32 of 64", 1, { source: source.address + 32n }, "ALIGNMENT"),
  command("destination at 1 of 64", 2, { destination: DESTINATION + 1n }, "ALIGNMENT"),
  command("source before the data window", 1, { source: queue.dataWindowBase - 64n }, "RANGE"),
  command(
    "destination one byte past the data window",
    2,
    { destination: queue.dataWindowLimit - 64n, lengthBytes: 65 },
    "RANGE",
  ),
  command(
    "the last 64 bytes of the data window",
    2,
    { destination: queue.dataWindowLimit - 64n, lengthBytes: 64 },
    "OK",
  ),
  command(
    "destination that wraps past 2^64",
    2,
    { destination: 0xffff_ffff_ffff_ffc0n, lengthBytes: 128 },
    "RANGE",
  ),
  command(
    "a list outside the queue window",
    3,
    { flags: FROM_LIST, source: source.address, sourceEntries: 1 },
    "RANGE",
  ),
  command("a list of no entries", 3, { flags: FROM_LIST, source: list.address, sourceEntries: 0 }, "LIST"),
  command(
    "a destination list of 1025 entries",
    2,
    { flags: TO_LIST, destination: list.address, destinationEntries: 1025 },
    "LIST",
  ),
  command(
    "a list that is longer than the command",
    3,
    { flags: FROM_LIST, source: list.address, sourceEntries: 1, lengthBytes: 511 },
    "LIST",
  ),
  command(
    "a list that is shorter than the command",
    3,
    { flags: FROM_LIST, source: list.address, sourceEntries: 1, lengthBytes: 513 },
    "LIST",
  ),
];

function validity(index: number): number {
  return ((queue.epoch << 8) | (((index >>> queue.capacityLog2) + 1) & 1)) >>> 0;
}
const low = (value: bigint): number => Number(value & 0xffffffffn);
const high = (value: bigint): number => Number(value >> 32n);

function descriptorWords(c: Command, index: number): number[] {
  const lists = (c.sourceEntries | (c.destinationEntries << 16)) >>> 0;
  return [
    (c.opcode | c.flags) >>> 0,
    c.tag,
    low(c.source),
    high(c.source),
    low(c.destination),
    high(c.destination),
    c.lengthBytes,
    lists,
    ...c.parameters,
    0,
    0,
    0,
    0,
    validity(index),
  ];
}

/** Words 4 and 5 (cycles) are 0 here and nobody compares them. */
function completionWords(c: Command, index: number): number[] {
  const bytes = c.status === "OK" && c.opcode !== 0 ? c.lengthBytes : 0;
  return [c.tag, (c.opcode << 8) | STATUS[c.status], bytes, c.result, 0, 0, index, validity(index)];
}

const hex = (word: number): string => word.toString(16).padStart(8, "0");
const address = (value: bigint): string => `0x${value.toString(16)}`;

function json(): string {
  const addresses = (record: Record<string, number | bigint>) =>
    Object.fromEntries(Object.entries(record).map(([k, v]) => [k, typeof v === "bigint" ? address(v) : v]));
  const vectors = commands.map((c, index) => ({
    name: c.name,
    index,
    opcode: c.opcode,
    opcodeName: OPCODES[c.opcode] ?? null,
    flags: c.flags,
    tag: c.tag,
    source: address(c.source),
    destination: address(c.destination),
    lengthBytes: c.lengthBytes,
    sourceEntries: c.sourceEntries,
    destinationEntries: c.destinationEntries,
    parameters: c.parameters,
    descriptor: descriptorWords(c, index).map(hex),
    status: c.status,
    statusCode: STATUS[c.status],
    result: c.result,
    completion: completionWords(c, index).map(hex),
  }));
  return `${JSON.stringify({ queue: addresses(queue), source: addresses(source), list: addresses(list), vectors }, null, 1)}\n`;
}

function hexFile(): string {
  const header = [MAGIC, commands.length, queue.capacityLog2, queue.epoch];
  const { sqBase, cqBase, queueWindowBase, queueWindowLimit, dataWindowBase, dataWindowLimit } = queue;
  for (const a of [sqBase, cqBase, queueWindowBase, queueWindowLimit, dataWindowBase, dataWindowLimit]) {
    header.push(low(a), high(a));
  }
  header.push(low(source.address), high(source.address), low(list.address), high(list.address));
  header.push(list.entries, list.stride, list.bytes);
  while (header.length < HEADER_WORDS) header.push(0);
  const lines = [
    "// Written by make.ts. Header: magic PRCV, count, capacityLog2, epoch, six 64-bit numbers as registers 0x008-0x034, source, list,",
    "// list entries, stride, bytes; zeros up to word 32. Then for each vector 16 words of descriptor and 8 of completion.",
    header.map(hex).join(" "),
  ];
  for (const [index, c] of commands.entries()) {
    lines.push(
      `// ${index}: ${c.name}`,
      descriptorWords(c, index).map(hex).join(" "),
      completionWords(c, index).map(hex).join(" "),
    );
  }
  return `${lines.join("\n")}\n`;
}

function cHeader(): string {
  const name = (c: Command) =>
    OPCODES[c.opcode] === undefined ? `${c.opcode}` : `PHYSRING_FPGA_${OPCODES[c.opcode]}`;
  const flags = (c: Command) => {
    const parts = [name(c)];
    if (c.flags & FROM_LIST) parts.push("PHYSRING_FPGA_FLAG_SOURCE_LIST");
    if (c.flags & TO_LIST) parts.push("PHYSRING_FPGA_FLAG_DESTINATION_LIST");
    const rest = (c.flags & ~(FROM_LIST | TO_LIST)) >>> 0;
    if (rest !== 0) parts.push(`0x${hex(rest)}u`);
    return parts.join(" | ");
  };
  const pair = (value: bigint) => `{0x${hex(low(value))}u, 0x${hex(high(value))}u}`;
  const rows = commands.map(
    (c, index) =>
      `  {{.opcode_flags = ${flags(c)}, .tag = ${c.tag}u, .source = ${pair(c.source)}, .destination = ${pair(c.destination)},\n` +
      `    .length_bytes = ${c.lengthBytes}u, .list_entries = ${c.sourceEntries}u | ${c.destinationEntries}u << 16,\n` +
      `    .parameter = {${c.parameters.map((p) => `${p}u`).join(", ")}}},\n` +
      `   {.tag = ${c.tag}u, .status_opcode = ${c.status === "OK" ? "PHYSRING_FPGA_OK" : `PHYSRING_FPGA_ERR_${c.status}`} | ${c.opcode} << 8,\n` +
      `    .bytes = ${c.status === "OK" && c.opcode !== 0 ? c.lengthBytes : 0}u, .result = ${c.result}u, .index = ${index}u}},`,
  );
  return [
    "/* Written by make.ts: the vectors as C sees them; the validity words are for check.c to compute. */",
    "static const struct vector {",
    "  physring_fpga_descriptor descriptor;",
    "  physring_fpga_completion completion;",
    "} vectors[] = {",
    ...rows,
    "};",
    `enum { VECTOR_EPOCH = 0x${queue.epoch.toString(16)}, VECTOR_CAPACITY_LOG2 = ${queue.capacityLog2} };`,
    "",
  ].join("\n");
}

/** The formatter lays JSON out in its own way. */
function withoutLayout(file: string, text: string): string {
  return file.endsWith(".json") ? JSON.stringify(JSON.parse(text)) : text;
}

const files = { "commands.json": json(), "commands.hex": hexFile(), "commands.h": cHeader() };
const check = process.argv.includes("--check");
let failed = 0;
for (const [file, text] of Object.entries(files)) {
  const path = join(import.meta.dir, file);
  if (!check) await Bun.write(path, text);
  else if (withoutLayout(file, await Bun.file(path).text()) !== withoutLayout(file, text)) {
    console.error(`${file} is not what make.ts writes: run bun fpga/vectors/make.ts and commit the result`);
    failed++;
  }
}
const count = Object.keys(files).length;
console.log(
  check ? `${count - failed} passed, ${failed} failed` : `${commands.length} vectors in ${count} files`,
);
process.exit(failed === 0 ? 0 : 1);
