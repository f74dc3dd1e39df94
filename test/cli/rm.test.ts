/** `physring rm` as a user types it. */
import { expect, test } from "bun:test";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { Region } from "../../src/index.ts";
import { Participant } from "../../src/ring/participant.ts";
import { physring, SharedDirectory } from "./command.ts";

test("what nobody uses goes, what is in use stays unless forced, what is no region of ours is named", async () => {
  using shm = new SharedDirectory();
  process.env["PHYSRING_SHM_DIR"] = shm.path;
  try {
    for (const name of ["left", "dead1", "dead2"]) Region.create(name, { size: "1MiB" }).close();
    using used = Region.create("used", { size: "1MiB" });
    Participant.of(used);
    writeFileSync(`${shm.path}/physring.garbage`, "no region");
    expect(await physring(["rm"], shm)).toMatchObject({ code: 2 });
    expect(await physring(["rm", "--dead", "left"], shm)).toMatchObject({ code: 2 });
    expect((await physring(["rm", "--help"], shm)).stdout).toContain("--dead");
    expect(await physring(["rm", "left", "--dry-run"], shm)).toMatchObject({
      code: 0,
      stdout: "left: would be removed\n",
    });
    expect(await physring(["rm", "left"], shm)).toMatchObject({ code: 0, stdout: "left: removed\n" });
    const again = await physring(["rm", "left", "used"], shm);
    expect(again.code).toBe(1);
    expect(again.stdout).toContain("there is no region left");
    expect(again.stdout).toContain("used is in use");
    const otherwise = await physring(["rm", "shm:used"], shm);
    expect([otherwise.code, otherwise.stdout]).toEqual([1, expect.stringContaining("shm:used is in use")]);
    expect(await physring(["rm", "shm:dead1", "--dry-run"], shm)).toMatchObject({ code: 0 });
    expect(used.objects()).toEqual([]);
    const all = await physring(["rm", "--dead", "--json"], shm);
    expect(all.code).toBe(0);
    expect(JSON.parse(all.stdout)).toEqual([
      { name: "dead1", removed: true },
      { name: "dead2", removed: true },
    ]);
    expect(await physring(["rm", "--dead"], shm)).toMatchObject({
      code: 0,
      stdout: `no region in ${shm.path} that nobody uses\n`,
    });
    expect([existsSync(used.path), existsSync(`${shm.path}/physring.garbage`)]).toEqual([true, true]);
    expect(await physring(["rm", "--force", "used"], shm)).toMatchObject({
      code: 0,
      stdout: "used: removed\n",
    });
    writeFileSync(`${shm.path}/other`, "not ours");
    expect((await physring(["rm", "other"], shm)).code).toBe(1);
    expect(existsSync(`${shm.path}/other`)).toBe(true);
  } finally {
    delete process.env["PHYSRING_SHM_DIR"];
    for (const file of ["other", "physring.garbage"]) rmSync(`${shm.path}/${file}`, { force: true });
  }
});
