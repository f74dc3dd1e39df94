/** The latest-value cell in the kill test: no torn value, none older than one seen before, and always one to be had. */
import { Cell, type CellReader, type Region } from "../../src/index.ts";
import { CellLayout } from "../../src/ring/cell-layout.ts";
import { CellBusyError } from "../../src/ring/errors.ts";
import type { Random } from "../support/random.ts";
import { type Actor, PATIENCE_MS, ready, strategyOf } from "./actor-roles.ts";
import type { Topology } from "./parts.ts";
import { checkPayload, writePayload } from "./payload.ts";

const NAME = "v";
const VALUE_BYTES = 512;

async function write(actor: Actor, region: Region): Promise<void> {
  using writer = await actor.attach("writer", () => Cell.open(region, NAME).writer());
  ready(actor);
  for (let number = 0; !actor.stopping; number++) {
    actor.beat();
    writePayload(writer.begin(), actor.options.incarnation, number);
    writer.commit();
    actor.frame();
    if (actor.random.oneIn(8)) await Bun.sleep(actor.random.below(2));
  }
}

class Watcher {
  #version = 0;
  readonly #last = new Map<number, number>();

  constructor(
    readonly reader: CellReader,
    readonly fault: (what: string) => void,
  ) {}

  /** False: overtaken, or there is none yet. */
  look(inPlace: boolean): boolean {
    const { reader } = this;
    let bytes: Uint8Array;
    try {
      if (inPlace) {
        if (reader.peek() < 0) return false;
        // A copy all the same, but by the engine: the check must hold for whatever reads the bytes.
        bytes = new Uint8Array(reader.cellWords.slice(reader.at, reader.at + VALUE_BYTES / 4).buffer);
        if (!reader.isIntact()) return false;
      } else {
        if (reader.read() < 0) return false;
        bytes = reader.bytes;
      }
    } catch (error) {
      if (error instanceof CellBusyError) return false;
      throw error;
    }
    const payload = checkPayload(bytes);
    if (typeof payload === "string") {
      this.fault(`torn: ${payload}`);
      return true;
    }
    const { incarnation, number } = payload;
    const last = this.#last.get(incarnation) ?? -1;
    if (number < last) this.fault(`value ${incarnation}:${number} after ${last}`);
    this.#last.set(incarnation, number);
    if (((reader.version - this.#version) | 0) < 0 && this.#version !== 0)
      this.fault(`version ${reader.version} after ${this.#version}`);
    this.#version = reader.version;
    return true;
  }
}

async function read(actor: Actor, region: Region): Promise<void> {
  const watcher = new Watcher(Cell.open(region, NAME).reader(), (what) => actor.fault(what));
  ready(actor);
  const { wait } = actor.options;
  while (!actor.stopping) {
    actor.beat();
    if (watcher.look(actor.random.oneIn(2))) actor.frame();
    if (wait === "await") await watcher.reader.wait({ timeoutMs: PATIENCE_MS });
    else watcher.reader.block({ timeoutMs: PATIENCE_MS, strategy: strategyOf(wait) });
    if (actor.random.oneIn(64)) await Bun.sleep(0);
  }
}

export const cell: Topology = {
  name: "cell",
  parts: { writer: { count: 1, run: write }, reader: { count: 3, run: read } },
  create(region: Region, random: Random): void {
    Cell.create(region, NAME, { valueBytes: VALUE_BYTES, buffers: random.pick([4, 16]) });
  },
  verify({ region }): string[] {
    const faults: string[] = [];
    const watcher = new Watcher(Cell.open(region, NAME).reader(), (what) => faults.push(what));
    if (!watcher.look(false)) faults.push("no value is left");
    const { version } = watcher.reader;
    using writer = Cell.open(region, NAME).writer();
    writePayload(writer.begin(), 0x7fff_ffff, 4711);
    writer.commit();
    if (!watcher.look(false) || watcher.reader.version !== version + 1)
      faults.push("a newcomer's value does not arrive");
    const waiters = Cell.open(region, NAME).geometry.words[CellLayout.waitersWord]!;
    if (waiters !== 0) faults.push(`waiters of the dead are left: ${waiters.toString(2)}`);
    return faults;
  },
};
