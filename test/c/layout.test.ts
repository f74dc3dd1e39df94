/** include/physring.h and src/ have the same layout, name by name and in both directions. */
import { afterAll, describe, expect, test } from "bun:test";
import * as memory from "../../src/memory/layout.ts";
import * as ring from "../../src/ring/layout.ts";
import * as records from "../../src/ring/records-layout.ts";
import { announceSkip, C_COMPILER, CXX_COMPILER, Programs, Run } from "./build.ts";

/** Of no concern to the C header: it has no pools and no channels. */
const OUT_OF_SCOPE: ReadonlySet<string> = new Set([
  "PoolLayout",
  "ChannelLayout",
  "LaneSlotLayout",
  "Delivery",
]);

/** Every number of the layout modules, as "Structure.name" or "NAME". */
function typescriptLayout(): Record<string, number> {
  const numbers: Record<string, number> = {};
  for (const [name, value] of Object.entries({ ...memory, ...ring, ...records })) {
    if (OUT_OF_SCOPE.has(name)) continue;
    if (typeof value === "function") continue;
    if (typeof value === "number") numbers[name] = value;
    else for (const [field, number] of Object.entries(value)) numbers[`${name}.${field}`] = number;
  }
  return numbers;
}

if (C_COMPILER === null) announceSkip("the layout of the C header: no C compiler", "gcc libc6-dev");
if (CXX_COMPILER === null) announceSkip("the C header in C++: no C++ compiler", "g++");

describe("physring.h", () => {
  const programs = new Programs();
  afterAll(() => programs[Symbol.dispose]());

  test.skipIf(C_COMPILER === null)("agrees with the TypeScript layout in every number", async () => {
    await using run = new Run(programs.build("test/c/layout.c", "-Wpedantic", "-Wshadow", "-Wconversion"));
    expect(await run.result()).toEqual(typescriptLayout());
  });

  test.skipIf(CXX_COMPILER === null)("is C++11 as well", async () => {
    await using run = new Run(programs.buildCxx("test/c/layout.c"));
    expect(await run.result()).toEqual(typescriptLayout());
  });
});
