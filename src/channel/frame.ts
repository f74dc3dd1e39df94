/**
 * A frame: a block of the pool while this participant holds it. Fill it and send it, or read it and release it; nothing is
 * copied. A frame that leaves its scope (`using`) unsent is given back.
 */
import { borrowBuffer, detachBuffer } from "../ffi/borrow.ts";
import type { DeviceAddress, RegionOffset } from "../memory/brands.ts";
import { regionOffset } from "../memory/brands.ts";
import { ArgumentError, FrameReleasedError, FrameSharedError } from "../ring/errors.ts";
import type { SendFields } from "../ring/lane-slot.ts";
import type { Participant } from "../ring/participant.ts";
import type { Pool } from "../ring/pool.ts";
import { packMetadata, unpackMetadata } from "./metadata.ts";

/**
 * In debug mode (environment variable `PHYSRING_DEBUG=1`) every view of a frame is detached when the frame is sent or released:
 * a view kept by mistake has length 0 from then on, instead of showing another frame's bytes.
 */
export const DEBUG = process.env["PHYSRING_DEBUG"] === "1";

type FrameState = "loaned" | "received" | "sent" | "released";

/** What a receiver learns of a frame from its descriptor. */
export interface FrameHeader {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly tag: number;
  readonly metaLength: number;
  readonly receiverCount: number;
  readonly sequence: number;
  readonly timestampNs: number;
  readonly channel: { readonly name: string; readonly history: number };
}

export class Frame implements Disposable, SendFields {
  readonly pool: Pool;
  readonly block: number;
  /** Sequence number given by the channel's producer, from 0, counting dropped frames too; −1 before it is sent. */
  readonly sequence: number;
  /** CLOCK_MONOTONIC at publication, in nanoseconds; 0 before it is sent. */
  readonly timestampNs: number;
  /** 32 bits of the user's. */
  tag: number;
  /** @internal */
  metaLength: number;
  /** @internal */
  readonly soleReceiver: boolean;
  readonly #participant: Participant;
  /** Where it was received; a channel with history keeps its frames. */
  readonly #source: FrameHeader["channel"] | null;
  #offset: RegionOffset;
  #lengthBytes: number;
  #state: FrameState;
  #bytes: Uint8Array | null = null;

  /** @internal Frames come from a producer's loan() or a consumer's receive(). */
  constructor(pool: Pool, participant: Participant, block: number, header: FrameHeader | null) {
    this.pool = pool;
    this.block = block;
    this.#participant = participant;
    this.#source = header === null ? null : header.channel;
    this.#state = header === null ? "loaned" : "received";
    this.#offset = header === null ? pool.blockOffset(block) : regionOffset(header.offset);
    this.#lengthBytes = header?.lengthBytes ?? pool.geometry.frameBytes;
    this.tag = header?.tag ?? 0;
    this.metaLength = header?.metaLength ?? 0;
    this.soleReceiver = header === null || header.receiverCount === 1;
    this.sequence = header?.sequence ?? -1;
    this.timestampNs = header?.timestampNs ?? 0;
  }

  /** The payload itself, in shared memory. @throws FrameReleasedError after send or release */
  get bytes(): Uint8Array {
    this.#assertHeld();
    this.#bytes ??= this.#makeView();
    return this.#bytes;
  }

  #makeView(): Uint8Array {
    const { region } = this.pool;
    if (DEBUG && this.#lengthBytes > 0)
      return new Uint8Array(borrowBuffer(region.virtualAddress(this.#offset), this.#lengthBytes));
    return region.view(this.#offset, this.#lengthBytes);
  }

  /** Offset of the payload in the region, in bytes: what travels. */
  get offset(): RegionOffset {
    return this.#offset;
  }

  /** Address of the payload as the device (FPGA, DMA engine) sees it; null in memory that no device was given. */
  get deviceAddress(): DeviceAddress | null {
    this.#assertHeld();
    return this.pool.region.deviceAddress(this.#offset);
  }

  /** Payload length in bytes; after a loan the channel's `frameBytes`. Set it to send less. */
  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  set lengthBytes(lengthBytes: number) {
    this.#assertHeld();
    const start = this.#offset - this.pool.blockOffset(this.block);
    if (
      !Number.isInteger(lengthBytes) ||
      lengthBytes < 0 ||
      start + lengthBytes > this.pool.geometry.blockBytes
    ) {
      throw new ArgumentError(
        `frame length ${lengthBytes}: 0 to ${this.pool.geometry.blockBytes - start} bytes fit`,
      );
    }
    this.#dropView();
    this.#lengthBytes = lengthBytes;
  }

  /** Any MessagePack value travelling with the frame; `undefined` when there is none. Reading decodes anew each time, from a private copy.
   * @throws MetadataTooLargeError, MetadataInvalidError */
  get metadata(): unknown {
    this.#assertHeld();
    if (this.metaLength === 0) return undefined;
    return unpackMetadata(this.#metaArea(), this.metaLength);
  }

  set metadata(value: unknown) {
    this.#assertHeld();
    this.metaLength = 0;
    if (value !== undefined) this.metaLength = packMetadata(value, this.#metaArea());
  }

  #metaArea(): Buffer {
    const view = this.pool.region.view(this.pool.metaOffset(this.block), this.pool.geometry.metaBytes);
    return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  }

  /** Neither sent nor released yet. */
  get held(): boolean {
    return this.#state === "loaned" || this.#state === "received";
  }

  #assertHeld(): void {
    if (!this.held) throw new FrameReleasedError(this.#state);
    this.pool.region.assertOpen();
  }

  /** @internal The hold went to the receivers. */
  markSent(): void {
    this.#state = "sent";
    this.#dropView();
  }

  /** @internal For {@link FrameProducer.send}: this frame is ours to send. @throws FrameSharedError when its channel has a history */
  assertSendable(participant: Participant, pool: Pool): void {
    this.#assertHeld();
    if (this.#participant !== participant || this.pool.entry.index !== pool.entry.index) {
      throw new ArgumentError(
        "a frame can be sent only through channels of its own pool, by the region handle that holds it",
      );
    }
    const source = this.#source;
    if (source !== null && source.history > 0) throw new FrameSharedError(this.block, source.name);
  }

  #dropView(): void {
    if (DEBUG && this.#bytes !== null && this.#bytes.byteLength > 0)
      detachBuffer(this.#bytes.buffer as ArrayBuffer);
    this.#bytes = null;
  }

  /** Gives the block back; twice is once. */
  release(): void {
    if (!this.held) return;
    this.#state = "released";
    this.#dropView();
    if (this.pool.region.closed) return;
    this.pool.clear(this.block, this.#participant.bit, this.#participant.ringer);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
