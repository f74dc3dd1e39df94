/** physring/fpga: hardware as a peer. See docs/FPGA.md, docs/PROTOCOL.md §10 and examples/fpga-*.ts. */
export type { QueueShape, RunOptions } from "./attachment.ts";
export { Block, type BlockHolder, type BlockPart, type Operand } from "./block.ts";
export { BlockQueue } from "./block-queue.ts";
export { Board, type BoardMemory, type Coherency } from "./board.ts";
export { CommandQueue, type CommandQueueOptions, type SubmitOptions } from "./command-queue.ts";
export { CommandRing, type RingHardware, type StartOptions } from "./command-ring.ts";
export type { Command, Completion } from "./commands.ts";
export type { InterruptModeration, WaitMode } from "./completion-waiter.ts";
export { Core, type CoreAbilities, type CoreOptions, type QueueCounters } from "./core.ts";
export type { DeviceMemory } from "./device-memory.ts";
export * from "./errors.ts";
export {
  CompletionLayout,
  HaltCode,
  haltName,
  Opcode,
  type OpcodeName,
  type PacePolicyName,
  Status,
  sourceWord,
  statusName,
} from "./layout.ts";
export {
  buildSimulator,
  SimulatedBoard,
  type SimulationOptions,
  SimulatorMissingError,
} from "./simulation.ts";
export {
  SinkStream,
  type SinkStreamOptions,
  type SourcedFrame,
  SourceStream,
  type SourceStreamOptions,
  type StreamFrame,
} from "./stream.ts";
