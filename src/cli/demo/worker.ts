/** A worker process: computes on the pixels in place and passes the frame (or, with --fanout, a result) on to the sink. */
import { Channel } from "../../channel/channel.ts";
import type { FrameConsumer } from "../../channel/consumer.ts";
import type { Frame } from "../../channel/frame.ts";
import type { FrameProducer } from "../../channel/producer.ts";
import type { Region } from "../../memory/region.ts";
import type { StreamFormat } from "./frame-source.ts";
import type { DemoSettings } from "./messages.ts";
import { crc32, type LumaPlane, lumaHistogram } from "./pixels.ts";
import { asSourceMetadata, outputName, SOURCE_CHANNEL, type WorkerMetadata } from "./plan.ts";
import { Turn } from "./turn.ts";

export class WorkerRole {
  readonly #settings: DemoSettings;
  readonly #luma: LumaPlane;
  readonly #output: FrameProducer;
  readonly #input: FrameConsumer;
  readonly #turn = new Turn();

  /** The output first: whoever consumes frames of the source has one. */
  constructor(region: Region, settings: DemoSettings, format: StreamFormat, worker: number) {
    this.#settings = settings;
    this.#luma = { samples: format.width * format.height, bitDepth: format.bitDepth };
    this.#output = Channel.open(region, outputName(worker)).producer();
    this.#input = Channel.open(region, SOURCE_CHANNEL).consumer();
  }

  /** This worker's stay on the source's channel. */
  get attachment(): number {
    return this.#input.attachment;
  }

  /** Until the source ends the stream. */
  async run(): Promise<void> {
    for await (using frame of this.#input) {
      if (this.#settings.fanout) await this.#sendResult(frame);
      else await this.#forward(frame);
      await this.#turn.yieldIfDue();
    }
    this.#output.close();
  }

  #examine(frame: Frame): WorkerMetadata {
    const { frame: number, crc } = asSourceMetadata(frame.metadata);
    if (number !== frame.sequence)
      throw new Error(`frame ${number} came with sequence number ${frame.sequence}`);
    return {
      frame: number,
      crc,
      attachment: this.attachment,
      workerCrc: crc32(frame.bytes),
      sentNs: frame.timestampNs,
      histogram: lumaHistogram(frame.bytes, this.#luma),
    };
  }

  /** The same block goes on to the sink: nothing is copied. */
  async #forward(frame: Frame): Promise<void> {
    const metadata = this.#examine(frame);
    if (metadata.frame === this.#settings.corruptFrame) flipByte(frame);
    frame.metadata = metadata;
    await this.#output.sendAsync(frame);
  }

  /** Others read the frame as well, so it cannot go on; the result does. */
  async #sendResult(frame: Frame): Promise<void> {
    if (frame.tag === this.#settings.corruptFrame) flipByte(frame);
    const metadata = this.#examine(frame);
    using result = await this.#output.loanAsync();
    if (result === null) throw new Error("a channel with policy block dropped a result");
    result.lengthBytes = 0;
    result.metadata = metadata;
    await this.#output.sendAsync(result);
  }
}

/** The self-test of --corrupt-frame: one byte in shared memory changes while the frame is on its way. */
function flipByte(frame: Frame): void {
  frame.bytes[frame.bytes.length >>> 1]! ^= 0x01;
}
