/** The shared vectors of fpga/vectors, as the RTL, C and this host see them. */
import { describe, expect, test } from "bun:test";
import vectors from "../../fpga/vectors/commands.json";
import { modelCrc32, modelSource, modelThreshold } from "../../src/cli/fpga/model.ts";
import { CommandRing } from "../../src/fpga/command-ring.ts";
import { readCompletion } from "../../src/fpga/commands.ts";
import { CommandInvalidError } from "../../src/fpga/errors.ts";
import { CompletionLayout, DescriptorLayout, Opcode, validityOf } from "../../src/fpga/layout.ts";

type Vector = (typeof vectors.vectors)[number];

const { queue } = vectors;
const CAPACITY = 1 << queue.capacityLog2;
const SQ_WORDS = CAPACITY * DescriptorLayout.sizeWords;
/** The host sees these only when it walks a list, which is BlockQueue's; the core when it runs them. */
const FOUND_WHILE_RUNNING = [
  "a list that is longer than the command",
  "a list that is shorter than the command",
];

/** A ring whose next command has `index`. */
function ringAt(index: number): { ring: CommandRing; words: Int32Array } {
  const words = new Int32Array(SQ_WORDS + CAPACITY * CompletionLayout.sizeWords);
  const ring = new CommandRing({
    registers: { read: () => 0, write: () => undefined },
    order: { wmb: () => undefined, rmb: () => undefined },
    queue: 0,
    capacityLog2: queue.capacityLog2,
    words,
    cached: true,
    sqWord: 0,
    cqWord: SQ_WORDS,
    sqAddress: Number(queue.sqBase),
    cqAddress: Number(queue.cqBase),
    limits: {
      opcodes: 0xff,
      maxFilterWidth: 2048,
      queueWindow: { base: Number(queue.queueWindowBase), limit: Number(queue.queueWindowLimit) },
      dataWindow: { base: Number(queue.dataWindowBase), limit: Number(queue.dataWindowLimit) },
    },
  });
  ring.start({ epoch: queue.epoch });
  for (let i = 0; i < index; i++) {
    const entry = ring.put(Opcode.nop, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    ring.submit();
    const at = SQ_WORDS + (i % CAPACITY) * CompletionLayout.sizeWords;
    words.set([entry, 0, 0, 0, 0, 0, i, validityOf(queue.epoch, i, queue.capacityLog2)], at);
    expect(ring.reap(1)).toBe(1);
  }
  return { ring, words };
}

function put(ring: CommandRing, vector: Vector): number {
  const [source, destination] = [BigInt(vector.source), BigInt(vector.destination)];
  const low = (address: bigint): number => Number(BigInt.asIntN(32, address));
  const high = (address: bigint): number => Number(BigInt.asIntN(32, address >> 32n));
  const lists = vector.sourceEntries | (vector.destinationEntries << 16);
  const [p0, p1, p2] = vector.parameters.map((parameter) => parameter | 0) as [number, number, number];
  const flags = vector.flags | 0;
  return ring.put(
    vector.opcode | flags,
    low(source),
    high(source),
    low(destination),
    high(destination),
    vector.lengthBytes | 0,
    lists,
    p0,
    p1,
    p2,
  );
}

function hex(words: ArrayLike<number>): string[] {
  return Array.from(words, (word) => (word >>> 0).toString(16).padStart(8, "0"));
}

const valid = vectors.vectors.filter(
  ({ status, name }) => status === "OK" || FOUND_WHILE_RUNNING.includes(name),
);
const invalid = vectors.vectors.filter((vector) => !valid.includes(vector));

describe("shared vectors", () => {
  test("there are some of each", () => {
    expect([valid.length > 10, invalid.length > 10]).toEqual([true, true]);
  });

  test.each(valid.map((vector) => [vector.name, vector] as const))("%s: the descriptor", (_, vector) => {
    const { ring, words } = ringAt(vector.index);
    const entry = put(ring, vector);
    const at = (vector.index % CAPACITY) * DescriptorLayout.sizeWords;
    const descriptor = hex(words.subarray(at, at + DescriptorLayout.sizeWords));
    // The tag is the host's own choice.
    expect(descriptor[1]).toBe(hex([entry])[0]!);
    expect(descriptor.with(1, vector.descriptor[1]!)).toEqual(vector.descriptor);
  });

  test.each(invalid.map((vector) => [vector.name, vector] as const))(
    "%s: refused with the core's status",
    (_, vector) => {
      const { ring, words } = ringAt(vector.index);
      const before = hex(words);
      let status = 0;
      try {
        put(ring, vector);
      } catch (error) {
        if (error instanceof CommandInvalidError) status = error.status;
      }
      expect(status).toBe(vector.statusCode);
      expect(hex(words)).toEqual(before);
    },
  );

  test.each(vectors.vectors.map((vector) => [vector.name, vector] as const))(
    "%s: the completion",
    (_, vector) => {
      const words = Int32Array.from(vector.completion, (word) => Number.parseInt(word, 16) | 0);
      const completion = readCompletion(words, 0, 5);
      expect(completion).toEqual({
        tag: 5,
        status: vector.statusCode,
        bytes: vector.status === "OK" && vector.opcode !== Opcode.nop ? vector.lengthBytes : 0,
        result: vector.result,
        cycles: 0,
      });
      expect(words[CompletionLayout.validityWord]).toBe(
        validityOf(queue.epoch, vector.index, queue.capacityLog2),
      );
    },
  );

  test("the software model agrees with their results", () => {
    const source = new Uint8Array(vectors.source.bytes);
    modelSource(0, 0, source);
    const resultOf = (name: string): number => vectors.vectors.find((vector) => vector.name === name)!.result;
    expect(modelCrc32(source.subarray(0, 5000))).toBe(resultOf("checksum of 5000 bytes"));
    const first = modelCrc32(source.subarray(0, 64));
    expect(modelCrc32(source.subarray(64, 100), first)).toBe(
      resultOf("checksum continued: bytes 64 to 99 after bytes 0 to 63"),
    );
    expect(modelThreshold(source.subarray(0, 777), 128, new Uint8Array(777))).toBe(
      resultOf("threshold at 128"),
    );
  });
});
