/** examples/peer.py: a lossy broadcast read with nothing but mmap and struct. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync } from "node:fs";
import { Records } from "../../src/channel/records.ts";
import { Region } from "../../src/memory/region.ts";
import { RecordsLayout } from "../../src/ring/records-layout.ts";
import { Job, SharedDirectory, until } from "../cli/command.ts";

setDefaultTimeout(90_000);

const PYTHON = Bun.which("python3");
const PEER = `${import.meta.dir}/../../examples/peer.py`;

if (PYTHON === null) console.log("SKIP: examples/peer.py: apt-get install python3-minimal");

function payload(sequence: number): Uint8Array {
  return Uint8Array.from({ length: (sequence * 37) % 300 }, (_, i) => sequence * 7 + i);
}

/** Runs peer.py against records that start at `position`; returns its lines as [sequence, missed, payload in hex]. */
async function read(position: number, send: (records: Records) => Promise<void>): Promise<string[][]> {
  using shm = new SharedDirectory();
  process.env["PHYSRING_SHM_DIR"] = shm.path;
  try {
    using region = Region.create("cast", { size: "1MiB" });
    const records = Records.create(region, "r", { capacityBytes: 8192, mode: "lossy" });
    const { words } = records.geometry;
    words[RecordsLayout.tailWord] = position;
    words[RecordsLayout.firstMarkWord] = position;
    words[RecordsLayout.claimWord] = position;
    words[RecordsLayout.epochWord] = position >>> 31;
    chmodSync(`${shm.path}/physring.cast`, 0o400); // it needs no more
    const child = Bun.spawn([PYTHON!, PEER, "cast", "r"], {
      env: { ...process.env, PHYSRING_SHM_DIR: shm.path },
      stdout: "pipe",
      stderr: "pipe",
    });
    let output = "";
    const reading = (async () => {
      for await (const part of child.stdout) output += new TextDecoder().decode(part);
    })();
    await until("it reads", () => output.startsWith("reading"));
    await send(records);
    await reading;
    expect([await child.exited, await new Response(child.stderr).text()]).toEqual([0, ""]);
    const [first, ...lines] = output.replace(/\n$/, "").split("\n"); // an empty payload ends its line with a space
    expect(first).toBe("reading");
    return lines.map((line) => line.split(" "));
  } finally {
    Region.destroy("cast");
    delete process.env["PHYSRING_SHM_DIR"];
  }
}

for (const position of [0, 0x7fff_f000, -4096]) {
  test.skipIf(PYTHON === null)(`python reads every record from position ${position}`, async () => {
    const lines = await read(position, async (records) => {
      using tx = records.producer();
      for (let i = 0; i < 200; i++) {
        tx.send(payload(i));
        if (i % 10 === 9) await Bun.sleep(20);
      }
    });
    const [last, missed] = lines.at(-1)!;
    expect(lines.length + Number(missed)).toBe(Number(last) + 1);
    expect(lines.length).toBeGreaterThan(50); // on an idle machine all 200
    for (const [sequence, , hex] of lines) expect(hex).toBe(payload(Number(sequence)).toHex());
  });
}

test.skipIf(PYTHON === null)("python is lapped and knows exactly by how much", async () => {
  const lines = await read(-100_000, async (records) => {
    using tx = records.producer();
    for (let i = 0; i < 100_000; i++) {
      tx.send(payload(i));
      if (i % 500 === 0) await Bun.sleep(1);
    }
  });
  let next = 0;
  let missedBefore = 0;
  for (const [sequence, missed, hex] of lines) {
    expect(Number(sequence) - next).toBe(Number(missed) - missedBefore);
    expect(hex).toBe(payload(Number(sequence)).toHex());
    next = Number(sequence) + 1;
    missedBefore = Number(missed);
  }
  expect(missedBefore).toBeGreaterThan(1000);
  expect(lines.length).toBeGreaterThan(20);
});

test.skipIf(PYTHON === null)("examples/broadcast.ts and peer.py side by side", async () => {
  using shm = new SharedDirectory();
  const ticker = new Job(`${import.meta.dir}/../../examples/broadcast.ts`, ["20"], { shm });
  await until("it sends", () => ticker.stdout.includes("sending"));
  const child = Bun.spawn([PYTHON!, PEER, "ticker", "ticks", "3"], {
    env: { ...process.env, PHYSRING_SHM_DIR: shm.path },
    stdout: "pipe",
  });
  const output = await new Response(child.stdout).text();
  expect(output.trim().split("\n")).toHaveLength(4);
  const last = output.trim().split("\n").at(-1)!.split(" ");
  expect(Buffer.from(last[2]!, "hex").toString()).toEndWith(`tick ${last[0]}`);
  expect((await ticker.finished).code).toBe(0);
});
