/** Typed errors of hardware queues. */
import { PhysringError } from "../ffi/errors.ts";
import { haltName, type StatusName, statusName } from "./layout.ts";

const REMEDIES: Readonly<Partial<Record<StatusName, string>>> = {
  OPCODE: "this core has no such engine (register `opcodes`)",
  FLAGS: "bits 10-31 of a descriptor's first word are zero",
  LENGTH: "a command moves 1 to 2^31 bytes",
  PARAMETER: "see the table of opcodes in docs/PROTOCOL.md §10.2",
  ALIGNMENT: "data of commands starts at a multiple of 64 bytes",
  RANGE: "data of commands lies in blocks of the queue's pool",
  LIST: "a list has 1 to 1024 parts, each but the last a multiple of 64 bytes, and they add up to the length",
  READ_SLVERR: "the bus refused a read: check the memory behind the source",
  READ_DECERR: "nothing answers at the source's device address: check the device base of the buffer",
  WRITE_SLVERR: "the bus refused a write: check the memory behind the destination",
  WRITE_DECERR: "nothing answers at the destination's device address: check the device base of the buffer",
};

function describe(status: number): string {
  const name = statusName(status);
  const remedy = REMEDIES[name as StatusName];
  return remedy === undefined ? name : `${name} (${remedy})`;
}

/** A command that makes no sense, found by the host before anything was written. `status` is what the core would have said. */
export class CommandInvalidError extends PhysringError {
  readonly status: number;

  constructor(status: number, detail = "") {
    super("COMMAND_INVALID", `invalid command: ${describe(status)}${detail === "" ? "" : `; ${detail}`}`);
    this.status = status;
  }
}

/** The core completed a command with an error. Nothing is known about its destination. */
export class CommandFailedError extends PhysringError {
  readonly status: number;

  constructor(status: number) {
    super("COMMAND_FAILED", `the core answered ${describe(status)}`);
    this.status = status;
  }
}

/** A block that a command names is not held by this participant alone: it is free, shared, or in another command. Nothing was submitted. */
export class BlockBusyError extends PhysringError {
  constructor(block: number, withDevice: boolean) {
    super(
      "BLOCK_BUSY",
      withDevice
        ? `block ${block} is in a command that has not completed; one that timed out or was aborted has its blocks still: wait for its completion, or reset() the queue, which gives them back`
        : `block ${block} is not held by this participant alone: it is free, or held by others too`,
    );
  }
}

/** All places of the queue are taken. Nothing was submitted. */
export class QueueFullError extends PhysringError {
  constructor(capacity: number) {
    super(
      "QUEUE_FULL",
      `all ${capacity} commands of the queue are under way: reap completions, or use a larger capacity`,
    );
  }
}

/** The command was not completed within its time. The hardware still has its blocks: they come back with its completion, or by reset(). */
export class CommandTimeoutError extends PhysringError {
  constructor(timeoutMs: number) {
    super(
      "COMMAND_TIMEOUT",
      `no completion within ${timeoutMs} ms; the blocks stay the hardware's until it completes or the queue is reset()`,
    );
  }
}

/** The queue was reset while the command was under way: it had not completed, and its destination may be half written. */
export class QueueResetError extends PhysringError {
  constructor() {
    super(
      "QUEUE_RESET",
      "the queue was reset before this command completed; its destination may be partly written: submit it again",
    );
  }
}

/** The core stopped the queue: a broken rule or a bus that refuses queue memory. reset() starts it anew. */
export class QueueHaltedError extends PhysringError {
  readonly haltCode: number;

  constructor(haltCode: number) {
    super("QUEUE_HALTED", `the core halted the queue: ${haltName(haltCode)}; reset() starts it anew`);
    this.haltCode = haltCode;
  }
}

/** The queue does not go idle: the bus never answered. The blocks of its commands stay the hardware's. */
export class QueueStuckError extends PhysringError {
  readonly blocks: number;

  constructor(limitMs: number, blocks: number) {
    super(
      "QUEUE_STUCK",
      `the queue did not go idle within ${limitMs} ms: ${blocks} blocks are quarantined until it does; reset the device`,
    );
    this.blocks = blocks;
  }
}

/** All bits of the core's magic are set: it was unplugged or lost its power. */
export class DeviceGoneError extends PhysringError {
  constructor(path: string) {
    super("DEVICE_GONE", `${path}: the device does not answer any more`);
  }
}

/** What the core wrote contradicts the protocol (a completion of nothing, or the same one twice). The queue is to be reset. */
export class CoreFaultError extends PhysringError {
  constructor(what: string) {
    super("CORE_FAULT", `the core broke the protocol: ${what}; reset() the queue`);
  }
}

/** The queue was closed. */
export class QueueClosedError extends PhysringError {
  constructor(name: string) {
    super("QUEUE_CLOSED", `hardware queue ${name} is closed`);
  }
}
