/** Debug mode: views of a frame end with it. */
import { expect, test } from "bun:test";
import { uniqueName } from "../support/regions.ts";

async function run(debug: string): Promise<Record<string, unknown>> {
  const child = Bun.spawn(
    [process.execPath, `${import.meta.dir}/fixtures/stale-views.ts`, uniqueName("debug")],
    {
      env: { ...process.env, PHYSRING_DEBUG: debug },
      stderr: "inherit",
    },
  );
  return JSON.parse(await new Response(child.stdout).text());
}

test("PHYSRING_DEBUG=1: a view kept after send or release is empty and refuses writes", async () => {
  expect(await run("1")).toEqual({
    first: 1,
    sent: 0,
    received: 0,
    stale: null,
    write: "TypeError",
    next: 9,
  });
});

test("without it the stale view shows the next frame: what debug mode is for", async () => {
  expect(await run("0")).toMatchObject({ first: 1, received: 4096, stale: 5, write: "allowed", next: 5 });
});
