/** physring's commands as a user of the guest runs them. */
import { expect } from "bun:test";
import type { Check } from "../../../../src/cli/doctor/check.ts";

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function physring(...args: string[]): Promise<Result> {
  const child = Bun.spawn([process.execPath, "/host/src/cli/physring.ts", ...args], { stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, stdout, stderr };
}

/** The checks of `physring doctor`, by id. */
export async function doctor(...args: string[]): Promise<Map<string, Check>> {
  const { stdout, stderr } = await physring("doctor", "--json", ...args);
  expect(stderr).toBe("");
  const { sections } = JSON.parse(stdout) as { sections: { checks: Check[] }[] };
  return new Map(sections.flatMap(({ checks }) => checks).map((check) => [check.id, check]));
}
