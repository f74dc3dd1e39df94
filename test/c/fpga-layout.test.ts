/** include/physring_fpga.h and src/fpga/layout.ts have the same numbers, name by name. */
import { afterAll, describe, expect, test } from "bun:test";
import * as layout from "../../src/fpga/layout.ts";
import { QueueMemoryLayout, queuePage, StopRegisters } from "../../src/ring/hardware-layout.ts";
import { announceSkip, C_COMPILER, CXX_COMPILER, Programs, Run } from "./build.ts";

/** Numbers that the C header has no name for: they follow from others. */
const DERIVED: ReadonlySet<string> = new Set([
  "DescriptorLayout.sizeWords",
  "DescriptorLayout.opcodeMask",
  "DescriptorLayout.destinationEntriesShift",
  "DescriptorLayout.entriesMask",
  "CompletionLayout.sizeWords",
  "CompletionLayout.statusMask",
  "CompletionLayout.opcodeShift",
  "ListEntryLayout.sizeWords",
  "StopRegisters.magicGone",
]);

function typescriptLayout(): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const [name, value] of Object.entries({ ...layout, StopRegisters, QueueMemoryLayout })) {
    if (typeof value === "function" || Array.isArray(value)) continue;
    if (typeof value === "number") numbers[name] = value;
    else
      for (const [field, number] of Object.entries(value))
        if (!DERIVED.has(`${name}.${field}`)) numbers[`${name}.${field}`] = number;
  }
  for (let index = 0; index < 20; index++) {
    numbers[`validity.${index}`] = layout.validityOf(0xabcde, index * 3, 2) >>> 0;
    numbers[`source.${index}`] = layout.sourceWord(0x1234567, index * 0x10001, index) >>> 0;
  }
  numbers["page.3"] = queuePage(3);
  return numbers;
}

if (C_COMPILER === null) announceSkip("the layout of the FPGA header: no C compiler", "gcc libc6-dev");

describe("physring_fpga.h", () => {
  const programs = new Programs();
  afterAll(() => programs[Symbol.dispose]());

  test.skipIf(C_COMPILER === null)("agrees with the TypeScript layout in every number", async () => {
    await using run = new Run(
      programs.build("test/c/fpga-layout.c", "-Wpedantic", "-Wshadow", "-Wconversion"),
    );
    expect(await run.result()).toEqual(typescriptLayout());
  });

  test.skipIf(CXX_COMPILER === null)("is C++11 as well", async () => {
    await using run = new Run(programs.buildCxx("test/c/fpga-layout.c"));
    expect(await run.result()).toEqual(typescriptLayout());
  });
});
