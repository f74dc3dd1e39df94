/**
 * Stopping a hardware queue for a participant that died or leaves (PROTOCOL.md §10.8). The hardware goes on reading and writing whatever happens to
 * the process that asked for it, so nothing is freed before the queue was seen idle.
 */
import { PhysringError } from "../ffi/errors.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { RegionError } from "../memory/errors.ts";
import type { Region } from "../memory/region.ts";
import { isSimulated, RegisterFile, type Registers } from "../memory/register-file.ts";
import type { DoorbellRinger } from "./doorbell-ringer.ts";
import { HardwareQueueLayout, queuePage, StopRegisters } from "./hardware-layout.ts";
import { HardwareQueue } from "./hardware-queue.ts";

/** How long the cleaner of a dead participant waits for a queue to go idle. */
export const IDLE_LIMIT_MS = 1000;
const POLL_MS = 0.2;

/** A queue that did not go idle; its blocks stay the device's until it does. */
export interface Quarantine {
  /** Name of the queue's object. */
  readonly queue: string;
  /** Blocks that the hardware may still read or write. */
  readonly blocks: number;
  readonly reason: string;
}

/**
 * Nothing of the queue is under way: the core has answered the stop of `epoch`, or has not started the queue since its power came (a host submits nothing before
 * it saw its start), or the device is gone.
 */
export function isStopped(registers: Registers, page: number, epoch: number): boolean {
  const state = registers.read(page + StopRegisters.state);
  if (
    state === ((epoch << StopRegisters.epochShift) | StopRegisters.stateIdle) ||
    state === StopRegisters.stateIdle
  )
    return true;
  return registers.read(StopRegisters.magic) === StopRegisters.magicGone;
}

/** Asks a queue to stop: it fetches and starts nothing more. */
export function requestStop(registers: Registers, page: number, epoch: number): void {
  registers.write(page + StopRegisters.control, (epoch << StopRegisters.epochShift) | 0);
}

/** Polls for {@link isStopped}, blocking the thread. */
export function awaitStopped(
  registers: Registers,
  page: number,
  epoch: number,
  limitMs: number,
  gone: () => boolean = () => false,
): boolean {
  const deadlineMs = performance.now() + limitMs;
  for (;;) {
    if (isStopped(registers, page, epoch) || gone()) return true;
    if (performance.now() >= deadlineMs) return false;
    Bun.sleepSync(POLL_MS);
  }
}

/** Stops the queue behind an object through its register file. Null: idle was seen; else why not. */
function stop(queue: HardwareQueue): string | null {
  try {
    using registers = new RegisterFile(queue.registers, StopRegisters.fileBytes);
    const magic = registers.read(StopRegisters.magic);
    if (magic === StopRegisters.magicGone) return null;
    if (magic !== StopRegisters.magicValue)
      return `${queue.registers} is no core: its magic is 0x${(magic >>> 0).toString(16)}`;
    const page = queuePage(queue.queue);
    requestStop(registers, page, queue.epoch);
    if (awaitStopped(registers, page, queue.epoch, IDLE_LIMIT_MS)) return null;
    const state = registers.read(page + StopRegisters.state) >>> 0;
    return `not idle within ${IDLE_LIMIT_MS} ms: state 0x${state.toString(16)}`;
  } catch (error) {
    // A simulated board takes its registers with it. Whatever else kept us from them, the hardware may go on: not seen.
    if (error instanceof RegionError && error.code === "REGION_NOT_FOUND" && isSimulated(queue.registers))
      return null;
    if (error instanceof PhysringError) return error.message;
    throw error;
  }
}

/**
 * Recovery of the queue in `entry` if its owner is `participant` (or `quarantined` and asked for by its next owner, who passes −1). Null: nothing is left to
 * report. Repeating it is harmless: each step concerns what the step before left.
 */
export function recoverHardwareQueue(
  region: Region,
  entry: DirectoryEntry,
  participant: number,
  ringer: DoorbellRinger,
): Quarantine | null {
  const queue = HardwareQueue.at(region, entry);
  if (participant < 0 ? !queue.quarantined : queue.owner !== participant) return null;
  const reason = queue.started ? stop(queue) : null;
  if (reason !== null) {
    queue.detach(participant, HardwareQueueLayout.ownerQuarantined);
    return { queue: queue.name, blocks: queue.countHeld(), reason };
  }
  queue.takeAll(ringer);
  queue.markStopped();
  queue.detach(participant, 0);
  return null;
}
