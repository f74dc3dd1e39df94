/** Single-line mistakes in records that the schedules must catch. */
import type { NamedMutation } from "./mutations.ts";

const WRITER = "src/ring/record-writer.ts";
const READER = "src/ring/record-reader.ts";

const either: readonly NamedMutation[] = [
  {
    what: "tail published without release",
    file: WRITER,
    from: "publish(words, RecordsLayout.tailWord, this.written);",
    to: "storePlain(words, RecordsLayout.tailWord, this.written);",
  },
  {
    what: "tail read without acquire",
    file: READER,
    from: "const tail = confirmHint(this.words, RecordsLayout.tailWord, hint) | 0;",
    to: "const tail = hint;",
  },
  {
    what: "mark behind the tail",
    file: WRITER,
    from: "storePlain(words, mark, this.written);",
    to: "",
  },
  {
    what: "padding not published with its record",
    file: WRITER,
    from: "this.written = (this.written + this.padding) | 0;",
    to: "this.written = (this.written + this.padding) | 0; publish(this.words, RecordsLayout.tailWord, this.written);",
  },
  {
    what: "a record may cross the end",
    file: WRITER,
    from: "const padding = size <= rest ? 0 : rest;",
    to: "const padding = size <= rest + 512 ? 0 : rest;",
  },
];

const reliable: readonly NamedMutation[] = [
  ...either,
  {
    what: "lines touched that are not free",
    file: WRITER,
    from: "if (ahead > free) ahead = free;",
    to: "",
  },
  {
    what: "no fence between publication and sleepers",
    file: WRITER,
    from: "if (loadAfterFence(words, RecordsLayout.sleepersWord) !== 0) this.wakeSleepers();",
    to: "if (loadHint(words, RecordsLayout.sleepersWord) !== 0) this.wakeSleepers();",
  },
  {
    what: "asleep without a second look",
    file: READER,
    from: "sleepersFence();\n    return this.hasNext(endCounts);",
    to: "sleepersFence();\n    return false;",
  },
  {
    what: "gate of the fastest, not of the slowest",
    file: WRITER,
    from: "if (distance > this.capacity || distance < oldest) continue;",
    to: "if (distance > this.capacity || (oldest !== 0 && distance > oldest)) continue;",
  },
  {
    what: "no second scan after the claim",
    file: WRITER,
    from: "bound = (this.scan() + this.capacity) | 0;",
    to: "",
  },
  {
    what: "joiner does not look at the claim",
    file: READER,
    from: "if ((claim - this.at) >>> 0 <= this.capacity && (epoch - this.epoch) >>> 0 <= 1) return;",
    to: "return;",
  },
  {
    what: "joiner without a fence",
    file: READER,
    from: "fence();\n      const claim = loadAcquire(words, RecordsLayout.claimWord);",
    to: "const claim = loadHint(words, RecordsLayout.claimWord);",
  },
  {
    what: "evicted place free at once",
    small: "alone",
    file: WRITER,
    from: "owner, owner | OwnerWord.busyBit)) return false;",
    to: "owner, ((owner >>> 8) + 1) << 8)) return false;",
  },
  {
    what: "evicted consumer believes what it read",
    file: READER,
    from: "if (loadHint(words, this.ownerWord) !== this.owner) this.refuseEvicted();",
    to: "",
  },
  {
    what: "padding taken for a record",
    file: READER,
    from: "header >= 0 &&",
    to: "",
  },
  {
    what: "a record that is not published yet",
    file: READER,
    from: "const available = (this.cachedTail - at) >>> 0;",
    to: "const available = this.capacity;",
  },
  {
    what: "released before it is read",
    file: READER,
    from: "this.length = header;\n      this.size = size;",
    to: "this.length = header;\n      this.size = size;\n      publish(this.words, this.cursorWord, (this.at + size) | 0);",
  },
];

const lossy: readonly NamedMutation[] = [
  ...either,
  {
    what: "no claim",
    file: WRITER,
    from: "if (((this.limit - this.claim) | 0) > 0) this.storeClaim(this.limit);",
    to: "",
  },
  {
    what: "claim not before the bytes",
    file: WRITER,
    from: "fence();",
    to: "",
  },
  {
    what: "claim looked at before the bytes",
    file: READER,
    from: "const words = this.words;\n    fenceLoads();",
    to: "const words = this.words;",
  },
  {
    what: "claim allowed one record too far",
    file: READER,
    from: "return ((claim - this.at) | 0) >>> 0 <= this.capacity &&",
    to: "return ((claim - this.at) | 0) >>> 0 <= this.capacity + 512 &&",
  },
  {
    what: "header believed before the claim is looked at",
    file: READER,
    from: "if (!this.intact()) {",
    to: "if (header === 0 && !this.intact()) {",
  },
  {
    what: "missed records not counted",
    file: READER,
    from: "this.missed += gap >>> 0;",
    to: "",
  },
  {
    what: "lapped reader forgets what it expected",
    file: READER,
    from: "this.expected = expected;",
    to: "",
  },
];

export const RECORD_MUTATIONS = { reliable, lossy };
