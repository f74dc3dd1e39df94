/** Single-line mistakes in the latest-value cell that the schedules must catch. */
import type { NamedMutation } from "./mutations.ts";

const WRITER = "src/ring/cell-writer.ts";
const READER = "src/ring/cell-reader.ts";
const GEOMETRY = "src/ring/cell-geometry.ts";

export const CELL_MUTATIONS: readonly NamedMutation[] = [
  {
    what: "buffer not marked while it is written",
    small: true,
    file: WRITER,
    from: "publish(this.words, buffer + CellLayout.sequenceWord, 0);",
    to: "",
  },
  {
    what: "the mark may come after the value",
    file: WRITER,
    from: "fenceStores();\n    this.writing",
    to: "this.writing",
  },
  {
    what: "writes into the buffer of the latest value",
    small: true,
    file: WRITER,
    from: "const buffer = bufferOf(this.cell, version);\n    publish",
    to: "const buffer = bufferOf(this.cell, this.latest);\n    publish",
  },
  {
    what: "latest before the value is whole",
    small: true,
    file: WRITER,
    from: "this.writing = version;",
    to: "this.writing = version; publish(this.words, CellLayout.latestWord, version);",
  },
  {
    what: "not looked at again after the copy",
    file: READER,
    from: "if (this.isIntact()) return lengthBytes;",
    to: "if (this.seen !== 0) return lengthBytes;",
  },
  {
    what: "value read before its sequence",
    small: true,
    file: READER,
    from: "fenceLoads();\n        const lengthBytes",
    to: "const lengthBytes",
  },
  {
    what: "sequence read again before the value",
    file: READER,
    from: "fenceLoads();\n    return loadHint(",
    to: "return loadHint(",
  },
  {
    what: "latest stored without release",
    small: true,
    file: WRITER,
    from: "publish(this.words, CellLayout.latestWord, version);",
    to: "storePlain(this.words, CellLayout.latestWord, version);",
  },
  {
    what: "version 0 is used",
    small: true,
    file: WRITER,
    from: "const version = (this.latest + 1) | 0 || 1;",
    to: "const version = (this.latest + 1) | 0;",
  },
  {
    what: "waiting readers are not woken",
    small: true,
    file: WRITER,
    from: "if (this.waiters.any()) this.waiters.rouseAll(this.participant.ringer);",
    to: "",
  },
  {
    what: "recovery leaves the writer's place taken",
    small: true,
    file: GEOMETRY,
    from: "detachOwner(cell.words, CellLayout.writerOwnerWord, participant);",
    to: "",
  },
];
