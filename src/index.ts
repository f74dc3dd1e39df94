/** physring: zero-copy shared-memory IPC for Bun. See README.md, docs/PROTOCOL.md and examples/. */
export { Channel, type ChannelExpectation, type ChannelOptions } from "./channel/channel.ts";
export { MessageInvalidError, type Shape } from "./channel/codec.ts";
export { type ConsumerOptions, FrameConsumer } from "./channel/consumer.ts";
export { Frame } from "./channel/frame.ts";
export { MessageConsumer } from "./channel/message-consumer.ts";
export { MessageProducer } from "./channel/message-producer.ts";
export { Messages, type MessagesOptions } from "./channel/messages.ts";
export { MetadataInvalidError, MetadataTooLargeError } from "./channel/metadata.ts";
export { type ChannelCounters, FrameProducer } from "./channel/producer.ts";
export { RecordConsumer, type RecordConsumerOptions } from "./channel/record-consumer.ts";
export { RecordProducer, type RecordsCounters } from "./channel/record-producer.ts";
export { Records, type RecordsExpectation, type RecordsOptions } from "./channel/records.ts";
export { Service, type ServiceExpectation, type ServiceOptions } from "./channel/service.ts";
export { ServiceClient } from "./channel/service-client.ts";
export {
  type ServeOptions,
  type ServiceCounters,
  ServiceRequest,
  ServiceServer,
} from "./channel/service-server.ts";
export { monotonicNs } from "./ffi/clock.ts";
export { PhysringError, SystemError } from "./ffi/errors.ts";
export type { DeviceAddress, PhysicalAddress, RegionOffset, VirtualAddress } from "./memory/brands.ts";
export { regionOffset } from "./memory/brands.ts";
export { ReadOnlyError, RegionError } from "./memory/errors.ts";
export { listRegions, type RegionInfo } from "./memory/list-regions.ts";
export { type ObjectInfo, Region } from "./memory/region.ts";
export { Cell, type CellOptions } from "./ring/cell.ts";
export type { CellReader } from "./ring/cell-reader.ts";
export type { CellWriter } from "./ring/cell-writer.ts";
export type { DeathEvent, RecoveryEvent } from "./ring/deaths.ts";
export * from "./ring/errors.ts";
export { FreeBlock } from "./ring/free-block.ts";
export type { DeliveryName, PolicyName } from "./ring/layout.ts";
export { deathNotices } from "./ring/life.ts";
export { listParticipants, Participant, type ParticipantInfo } from "./ring/participant.ts";
export { Pool, type PoolGeometry, type PoolShape } from "./ring/pool.ts";
export { Queue, type QueueCounters, type QueueExpectation, type QueueOptions } from "./ring/queue.ts";
export type { QueueConsumer } from "./ring/queue-consumer.ts";
export type { ConsumersModeName } from "./ring/queue-layout.ts";
export type { QueueProducer } from "./ring/queue-producer.ts";
export type { QueueTaker } from "./ring/queue-taker.ts";
export {
  type AwaitOptions,
  type BlockOptions,
  type OpenOptions,
  Ring,
  RingConsumer,
  RingProducer,
} from "./ring/ring.ts";
export { blockAny, type Waitable, waitAny } from "./ring/wait-any.ts";
