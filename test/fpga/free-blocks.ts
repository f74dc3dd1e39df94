/** Whether anybody still writes to blocks that were reported free: on the CPUs' side, and on the device's where that is other memory. */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import type { Core } from "../../src/fpga/index.ts";
import { SyncBatch } from "../../src/memory/sync-batch.ts";
import type { Participant } from "../../src/ring/participant.ts";
import type { Pool } from "../../src/ring/pool.ts";
import { Patience } from "../support/patience.ts";
import type { TestBoard } from "./boards.ts";

const MARK = 0x5a;
const WATCH_NS = 4e6;
const WATCH_LIMIT_MS = 5000;

/** Nanoseconds that the board's process was on a processor: waiting for a busy machine is no watching. */
function processorTimeNs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]);
}

/** The file that the board's bus reads and writes for the region at `path`. */
function devicePath(board: TestBoard, core: Core): string {
  const { memories } = JSON.parse(readFileSync(`${core.board!.directory}/board.json`, "utf8")) as {
    memories: { path: string; devicePath: string }[];
  };
  return memories[core.board!.memoryIndex(board.region.path)]!.devicePath;
}

/**
 * Takes every free block, marks it, waits for `meanwhile`, lets the board run for a while, and looks for other bytes.
 * @throws Error naming the block that changed
 */
export async function expectNobodyWrites(
  board: TestBoard,
  core: Core,
  participant: Participant,
  pool: Pool,
  queue: number,
  meanwhile: Promise<unknown> | null = null,
): Promise<void> {
  const { region, geometry } = pool;
  const blocks: number[] = [];
  for (let block = pool.loan(participant.bit); block >= 0; block = pool.loan(participant.bit))
    blocks.push(block);
  const views = blocks.map((block) => region.view(pool.blockOffset(block), geometry.frameBytes));
  const batch = new SyncBatch();
  for (const block of blocks) batch.add(pool.blockOffset(block), geometry.frameBytes);
  const memory = core.deviceMemory(region, queue);
  // What the dead host has not synced: a mark that equals a stale line would not make it dirty.
  memory.syncForCpu(batch, "both");
  for (const view of views) view.fill(MARK);
  memory.syncForDevice(batch, "both");
  await meanwhile;
  const { pid } = board.simulation.process;
  const until = processorTimeNs(pid) + WATCH_NS;
  for (const patience = new Patience(WATCH_LIMIT_MS); processorTimeNs(pid) < until && !patience.isOver; )
    await Bun.sleep(1);
  if (blocks.length === 0 || processorTimeNs(pid) < until)
    throw new Error("nothing was watched: no block is free, or the board got no processor time");
  const fd = openSync(devicePath(board, core), "r");
  const ofDevice = new Uint8Array(geometry.frameBytes);
  const changed = blocks.filter((block, i) => {
    readSync(fd, ofDevice, 0, ofDevice.length, pool.blockOffset(block));
    return [views[i]!, ofDevice].some((bytes) => bytes.some((byte) => byte !== MARK));
  });
  closeSync(fd);
  for (const block of blocks) pool.clear(block, participant.bit, participant.ringer);
  if (changed.length > 0) throw new Error(`block ${changed[0]} changed after it was reported free`);
}
