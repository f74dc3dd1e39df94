/**
 * The source's ledger: a small ring to the sink that says of every frame what became of it at the source. The sink checks
 * against it that nothing got lost on the way. One 32-byte slot for each event:
 *
 *     w0 kind | w1, w2 frame | w3, w4 attachment | w5 receivers still to come of this frame | w6 missed lanes | w7 backlog
 */
import type { Region } from "../../memory/region.ts";
import { Ring, type RingConsumer, type RingProducer } from "../../ring/ring.ts";
import type { FrameLedger } from "./tracker.ts";

export const LEDGER_NAME = "ledger";

const Word = {
  kind: 0,
  frameLow: 1,
  frameHigh: 2,
  attachmentLow: 3,
  attachmentHigh: 4,
  more: 5,
  missed: 6,
  backlog: 7,
} as const;
const Kind = { sent: 1, dropped: 2, takenBack: 3, end: 4 } as const;
const SLOT_BYTES = 32;
const CAPACITY = 1024;
const TWO_32 = 2 ** 32;

export function createLedger(region: Region): void {
  Ring.create(region, LEDGER_NAME, { slotBytes: SLOT_BYTES, capacity: CAPACITY });
}

/** Bytes of region that the ledger takes, with room to spare. */
export const LEDGER_BYTES = 2 * SLOT_BYTES * CAPACITY;

interface LedgerEvent {
  readonly kind: number;
  readonly frame: number;
  readonly attachment: number;
  readonly more: number;
  readonly missed: number;
  readonly backlog: number;
}

export class LedgerWriter {
  readonly #ring: RingProducer;

  constructor(region: Region) {
    this.#ring = Ring.open(region, LEDGER_NAME).producer();
  }

  /** The frame went to `attachments`; `missed` consumers were attached and got nothing. */
  async sent(frame: number, attachments: readonly number[], missed: number, backlog: number): Promise<void> {
    for (let i = 0; i < attachments.length; i++) {
      const more = attachments.length - 1 - i;
      await this.#write({ kind: Kind.sent, frame, attachment: attachments[i]!, more, missed, backlog });
    }
  }

  /** Nobody gets the frame. */
  dropped(frame: number): Promise<void> {
    return this.#write({ kind: Kind.dropped, frame, attachment: 0, more: 0, missed: 0, backlog: 0 });
  }

  /** The frame was taken back from `attachment`. */
  takenBack(frame: number, attachment: number): Promise<void> {
    return this.#write({ kind: Kind.takenBack, frame, attachment, more: 0, missed: 0, backlog: 0 });
  }

  /** There were so many frames. */
  end(frames: number): Promise<void> {
    return this.#write({ kind: Kind.end, frame: frames, attachment: 0, more: 0, missed: 0, backlog: 0 });
  }

  async #write(event: LedgerEvent): Promise<void> {
    const ring = this.#ring;
    while (ring.reserve(1) === 0) await ring.wait();
    const { words, at } = ring;
    words[at + Word.kind] = event.kind;
    words[at + Word.frameLow] = event.frame | 0;
    words[at + Word.frameHigh] = Math.floor(event.frame / TWO_32);
    words[at + Word.attachmentLow] = event.attachment | 0;
    words[at + Word.attachmentHigh] = Math.floor(event.attachment / TWO_32);
    words[at + Word.more] = event.more;
    words[at + Word.missed] = event.missed;
    words[at + Word.backlog] = event.backlog;
    ring.commit(1);
  }
}

export class LedgerReader {
  readonly #ring: RingConsumer;
  /** Frames waiting in the source's fullest lane when it sent last. */
  backlog = 0;

  constructor(region: Region) {
    this.#ring = Ring.open(region, LEDGER_NAME).consumer();
  }

  ready(): boolean {
    return this.#ring.ready();
  }

  /** Enters what the source has written since the last call; returns the number of events. */
  readInto(ledger: FrameLedger): number {
    const ring = this.#ring;
    const count = ring.peek(CAPACITY);
    for (let i = 0; i < count; i++) this.#enter(ledger, ring.at + i * ring.slotWords);
    if (count > 0) ring.release(count);
    return count;
  }

  #enter(ledger: FrameLedger, at: number): void {
    const { words } = this.#ring;
    const frame = (words[at + Word.frameLow]! >>> 0) + words[at + Word.frameHigh]! * TWO_32;
    const attachment = (words[at + Word.attachmentLow]! >>> 0) + words[at + Word.attachmentHigh]! * TWO_32;
    switch (words[at + Word.kind]!) {
      case Kind.sent:
        this.backlog = words[at + Word.backlog]!;
        ledger.sent(frame, attachment, words[at + Word.more]!, words[at + Word.missed]!);
        break;
      case Kind.dropped:
        ledger.dropped(frame);
        break;
      case Kind.takenBack:
        ledger.takenBack(frame, attachment);
        break;
      case Kind.end:
        ledger.end(frame);
        break;
      default:
        throw new Error(`the ledger has an event of kind ${words[at + Word.kind]}`);
    }
  }
}
