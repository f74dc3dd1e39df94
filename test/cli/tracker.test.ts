import { describe, expect, test } from "bun:test";
import { type Delivery, FrameTracker } from "../../src/cli/demo/tracker.ts";

const ALICE = 1;
const BOB = 2;

/** A tracker with a record of what it delivered and released. */
class Books {
  readonly delivered: Delivery[] = [];
  readonly released: number[] = [];
  readonly tracker = new FrameTracker((delivery) => this.delivered.push(delivery));

  sent(frame: number, ...attachments: number[]): void {
    attachments.forEach((attachment, i) => {
      this.tracker.sent(frame, attachment, attachments.length - 1 - i, 0);
    });
  }

  arrived(frame: number, attachment: number, intact = true, receivedNs = 20): void {
    this.tracker.arrived({
      frame,
      attachment,
      intact,
      sentNs: 10,
      receivedNs,
      release: () => this.released.push(frame),
    });
  }

  close(frames: number): Partial<FrameTracker["counts"]> {
    this.tracker.end(frames);
    this.tracker.finish();
    const { counts } = this.tracker;
    expect(counts.delivered + counts.dropped + counts.lost).toBe(counts.frames);
    return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0));
  }
}

describe("order", () => {
  test("a frame that comes early is held until its turn", () => {
    const books = new Books();
    books.sent(0, ALICE);
    books.sent(1, BOB);
    books.arrived(1, BOB);
    expect(books.tracker.settle()).toBe(0);
    expect(books.released).toEqual([]);
    books.arrived(0, ALICE);
    expect(books.tracker.settle()).toBe(2);
    expect(books.released).toEqual([0, 1]);
    expect(books.close(2)).toEqual({ frames: 2, delivered: 2 });
  });

  test("a frame may arrive before its ledger entry is read", () => {
    const books = new Books();
    books.arrived(0, ALICE);
    expect(books.tracker.settle()).toBe(0);
    books.sent(0, ALICE);
    expect(books.tracker.settle()).toBe(1);
  });

  test("a frame that overtakes another of the same worker is counted", () => {
    const books = new Books();
    books.sent(0, ALICE);
    books.sent(1, ALICE);
    books.arrived(1, ALICE);
    books.arrived(0, ALICE);
    expect(books.close(2)).toEqual({ frames: 2, delivered: 2, misordered: 1 });
  });

  test("the window is bounded", () => {
    const books = new Books();
    expect(() => books.arrived(100_000, ALICE)).toThrow("frame 0 is missing");
  });
});

describe("fates", () => {
  test("latency counts to the last result", () => {
    const books = new Books();
    books.sent(0, ALICE, BOB);
    books.arrived(0, BOB, true, 90);
    books.arrived(0, ALICE, true, 30);
    books.tracker.settle();
    expect(books.delivered).toEqual([{ sentNs: 10, lastNs: 90 }]);
  });

  test("sent, not arrived, nobody died: lost", () => {
    const books = new Books();
    books.sent(0, ALICE);
    books.sent(1, ALICE);
    books.sent(2, ALICE);
    books.arrived(0, ALICE);
    books.arrived(2, ALICE);
    expect(books.close(3)).toEqual({ frames: 3, delivered: 2, lost: 1 });
    expect(books.released).toEqual([0, 2]);
  });

  test("one of two results missing: lost", () => {
    const books = new Books();
    books.sent(0, ALICE, BOB);
    books.arrived(0, ALICE);
    expect(books.close(1)).toEqual({ frames: 1, lost: 1 });
  });

  test("frames that the ledger never mentions are lost", () => {
    const books = new Books();
    books.sent(0, ALICE);
    books.arrived(0, ALICE);
    expect(books.close(3)).toEqual({ frames: 3, delivered: 1, lost: 2 });
  });

  test("died with its worker: dropped; what it had passed on: delivered; what another one has: not excused", () => {
    const books = new Books();
    for (let frame = 0; frame < 3; frame++) books.sent(frame, frame === 2 ? BOB : ALICE);
    books.arrived(0, ALICE);
    books.tracker.bury(ALICE);
    expect(books.close(3)).toEqual({ frames: 3, delivered: 1, dropped: 1, droppedWithWorkers: 1, lost: 1 });
  });

  test("the ledger may tell of a frame for a worker that is buried already", () => {
    const books = new Books();
    books.tracker.bury(ALICE);
    books.sent(0, ALICE);
    expect(books.close(1)).toEqual({ frames: 1, dropped: 1, droppedWithWorkers: 1 });
  });

  test("taken back before its worker died, told after: dropped by policy, settled or not", () => {
    const books = new Books();
    books.sent(0, ALICE);
    books.sent(1, BOB);
    books.sent(2, ALICE);
    books.tracker.bury(ALICE);
    expect(books.tracker.settle()).toBe(1);
    books.tracker.takenBack(0, ALICE);
    books.tracker.takenBack(2, ALICE);
    books.arrived(1, BOB);
    expect(books.close(3)).toEqual({ frames: 3, delivered: 1, dropped: 2 });
  });

  test("dropped by policy: at the source, taken back, or missed by somebody", () => {
    const books = new Books();
    books.tracker.dropped(0);
    books.sent(1, ALICE);
    books.tracker.takenBack(1, ALICE);
    books.tracker.sent(2, ALICE, 0, 1);
    books.arrived(2, ALICE);
    expect(books.close(3)).toEqual({ frames: 3, dropped: 3 });
  });

  test("whom unsettled frames wait for", () => {
    const books = new Books();
    books.sent(0, ALICE, BOB);
    books.arrived(0, BOB);
    expect([...books.tracker.waitingFor()]).toEqual([ALICE]);
  });
});

describe("what must not happen", () => {
  test("twice: before and after its turn, by a stranger, after it was taken back", () => {
    const books = new Books();
    books.sent(0, ALICE);
    books.arrived(0, ALICE);
    books.arrived(0, ALICE);
    books.tracker.settle();
    books.arrived(0, ALICE);
    books.arrived(1, BOB);
    books.sent(1, ALICE);
    books.arrived(1, ALICE);
    books.sent(2, ALICE);
    books.tracker.takenBack(2, ALICE);
    books.arrived(2, ALICE);
    expect(books.close(3)).toEqual({ frames: 3, delivered: 2, dropped: 1, duplicated: 4 });
    expect(books.released).toHaveLength(6);
  });

  test("a frame that the source does not know", () => {
    const books = new Books();
    books.arrived(5, ALICE);
    expect(books.close(0)).toEqual({ duplicated: 1 });
  });

  test("a flipped byte counts once, however many noticed", () => {
    const books = new Books();
    books.sent(0, ALICE, BOB);
    books.arrived(0, ALICE, false);
    books.arrived(0, BOB, false);
    expect(books.close(1)).toEqual({ frames: 1, delivered: 1, corrupted: 1 });
  });
});
