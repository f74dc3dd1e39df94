/** The source process: reads or generates frames, fills them into shared memory and sends them. */
import { Channel } from "../../channel/channel.ts";
import type { Frame } from "../../channel/frame.ts";
import type { FrameProducer } from "../../channel/producer.ts";
import type { Region } from "../../memory/region.ts";
import { BackpressureError } from "../../ring/errors.ts";
import type { FrameSource } from "./frame-source.ts";
import { GeneratedFrames } from "./generator.ts";
import { LedgerWriter } from "./ledger.ts";
import type { DemoSettings } from "./messages.ts";
import { Pacer, unlessAborted } from "./pacer.ts";
import type { ParentLink } from "./parent-link.ts";
import { crc32 } from "./pixels.ts";
import { SOURCE_CHANNEL, type SourceMetadata } from "./plan.ts";
import { Turn } from "./turn.ts";
import { Y4mError, Y4mFrames } from "./y4m.ts";

/** Policy `fail`: a refused frame is tried again after so long. */
const RETRY_MS = 1;

export async function openFrames(settings: DemoSettings): Promise<FrameSource> {
  if (settings.input === null)
    return new GeneratedFrames(settings.width, settings.height, settings.frames ?? Infinity);
  const file = settings.input === "-" ? Bun.stdin : Bun.file(settings.input);
  return Y4mFrames.open(file.stream());
}

export class SourceRole {
  readonly #settings: DemoSettings;
  readonly #frames: FrameSource;
  readonly #producer: FrameProducer;
  readonly #ledger: LedgerWriter;
  readonly #stopped: AbortSignal;
  readonly #turn = new Turn();
  /** Frame that was sent last in each block: what a block taken back held. */
  readonly #frameOfBlock = new Map<number, number>();
  #receivers: number[] = [];
  #missed = 0;
  #takenBack: { frame: number; attachment: number }[] = [];
  #refusals = 0;

  constructor(region: Region, settings: DemoSettings, frames: FrameSource, stopped: AbortSignal) {
    this.#settings = settings;
    this.#frames = frames;
    this.#stopped = stopped;
    this.#producer = Channel.open(region, SOURCE_CHANNEL).producer();
    this.#ledger = new LedgerWriter(region);
    this.#producer.observer = {
      published: (_block, attachment) => this.#receivers.push(attachment),
      takenBack: (block, attachment) =>
        this.#takenBack.push({ frame: this.#frameOfBlock.get(block) ?? -1, attachment }),
      missed: () => this.#missed++,
    };
  }

  /** Sends everything, ends the stream, and reports. */
  async run(link: ParentLink): Promise<void> {
    const { consumers } = await link.once("start");
    const everybody = this.#producer.waitForConsumers(consumers, { signal: this.#stopped });
    await unlessAborted(everybody, this.#stopped);
    let error: string | null = null;
    let sent = 0;
    try {
      for await (const picture of this.#pictures()) {
        if (!(await this.#sendOne(sent, picture))) break;
        sent++;
      }
    } catch (cause) {
      if (!(cause instanceof Y4mError)) throw cause;
      error = cause.message;
    }
    await this.#ledger.end(sent);
    this.#producer.close();
    link.send({ kind: "source", report: { refusals: this.#refusals, error } });
  }

  /** The private copies of the frames, at the wanted rate, until the end, the limit, or the signal. The copy is reused. */
  async *#pictures(): AsyncGenerator<Uint8Array, void, void> {
    const { format } = this.#frames;
    const copy = new Uint8Array(format.frameBytes);
    const limit = this.#settings.frames ?? Infinity;
    const rate = this.#settings.rate === "source" ? (format.framesPerSecond ?? "max") : this.#settings.rate;
    const pacer = new Pacer(rate === "max" ? Infinity : rate);
    for (let frame = 0; frame < limit; frame++) {
      if ((await unlessAborted(this.#frames.next(copy), this.#stopped)) !== true) return;
      await pacer.wait(frame, this.#stopped);
      if (this.#stopped.aborted) return;
      yield copy;
    }
  }

  /** Sends or, by policy, drops one frame; false when the run was stopped before either. */
  async #sendOne(number: number, picture: Uint8Array): Promise<boolean> {
    const crc = crc32(picture);
    const sequence = this.#producer.sequence;
    this.#receivers = [];
    this.#missed = 0;
    const sent = await this.#offer(picture, { frame: number, crc });
    if (sent === null) return false;
    for (const { frame, attachment } of this.#takenBack.splice(0))
      await this.#ledger.takenBack(frame, attachment);
    if (sent) await this.#ledger.sent(number, this.#receivers, this.#missed, this.#producer.backlog);
    else await this.#ledger.dropped(number);
    if (this.#producer.sequence !== sequence + 1)
      throw new Error(`frame ${number} took sequence numbers ${sequence} to ${this.#producer.sequence}`);
    await this.#turn.yieldIfDue();
    return true;
  }

  /** True: sent, false: dropped by policy, null: stopped while waiting. */
  async #offer(picture: Uint8Array, metadata: SourceMetadata): Promise<boolean | null> {
    for (;;) {
      try {
        const frame = await this.#loan();
        if (frame === null) return false;
        return await this.#fillAndSend(frame, picture, metadata);
      } catch (error) {
        if (this.#stopped.aborted && error === this.#stopped.reason) return null;
        if (!(error instanceof BackpressureError)) throw error;
        this.#refusals++;
        await Bun.sleep(RETRY_MS);
        if (this.#stopped.aborted) return null;
      }
    }
  }

  #loan(): Promise<Frame | null> {
    return this.#producer.loanAsync({ signal: this.#stopped });
  }

  async #fillAndSend(loan: Frame, picture: Uint8Array, metadata: SourceMetadata): Promise<boolean> {
    using frame = loan;
    frame.bytes.set(picture);
    frame.metadata = metadata;
    frame.tag = metadata.frame;
    this.#frameOfBlock.set(frame.block, metadata.frame);
    return await this.#producer.sendAsync(frame, { signal: this.#stopped });
  }
}
