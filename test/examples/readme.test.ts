/** The two programs of the README, as they stand there. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { Job, SharedDirectory } from "../cli/command.ts";

setDefaultTimeout(60_000);

const ROOT = join(import.meta.dir, "../..");

async function programs(directory: string): Promise<void> {
  const text = await Bun.file(join(ROOT, "README.md")).text();
  const blocks = [...text.matchAll(/```ts\n\/\/ (\w+\.ts)\n(.*?)```/gs)];
  expect(blocks.map(([, name]) => name)).toEqual(["producer.ts", "consumer.ts"]);
  mkdirSync(join(directory, "node_modules"));
  symlinkSync(ROOT, join(directory, "node_modules/physring"));
  for (const [, name, body] of blocks) await Bun.write(join(directory, name!), body!);
}

test("run one after the other, again and again, in any order", async () => {
  using shm = new SharedDirectory();
  const directory = mkdtempSync("/tmp/physring-readme-");
  try {
    await programs(directory);
    for (const order of [
      ["producer", "consumer"],
      ["consumer", "producer"],
      ["consumer", "producer"],
    ]) {
      const jobs = order.map((name) => ({ name, job: new Job(join(directory, `${name}.ts`), [], { shm }) }));
      for (const { name, job } of jobs) {
        const { code, stdout, stderr } = await job.finished;
        expect([name, code, stderr]).toEqual([name, 0, ""]);
        if (name === "consumer") {
          expect(stdout.split("\n").length - 1).toBeGreaterThanOrEqual(300);
          expect(stdout).toContain("exposureUs: 599");
        }
      }
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
