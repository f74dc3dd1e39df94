/**
 * A named latest-value cell in a region: one writer, any number of readers that always get the newest whole value (PROTOCOL.md §13).
 *
 *     using writer = Cell.create(region, "pose", { valueBytes: 64 }).writer();
 *     writer.write(bytes);                                  // or begin(), fill in place, commit()
 *     const reader = Cell.open(region, "pose").reader();    // any process; the region may be read-only
 *     const length = reader.read();                         // reader.bytes, reader.words, reader.version
 */
import type { AppearOptions } from "../memory/appear.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { ObjectKind } from "../memory/layout.ts";
import { openOrCreate } from "../memory/open-or-create.ts";
import type { Region } from "../memory/region.ts";
import { type CellGeometry, createCellGeometry, openCellGeometry } from "./cell-geometry.ts";
import { CellLayout } from "./cell-layout.ts";
import { CellReader } from "./cell-reader.ts";
import { CellWriter } from "./cell-writer.ts";
import { InUseError } from "./errors.ts";
import { expectShape } from "./expect-shape.ts";
import { attachOwner } from "./owner.ts";
import { Participant } from "./participant.ts";
import type { OpenOptions } from "./ring.ts";

export interface CellOptions {
  /** Most bytes of a value, 1 to 2^26. */
  readonly valueBytes: number;
  /** A power of two from 4 (default) to 64: a reader has that many − 1 writes of time for one copy. */
  readonly buffers?: number;
}

export class Cell {
  readonly region: Region;
  readonly geometry: CellGeometry;

  private constructor(region: Region, geometry: CellGeometry) {
    this.region = region;
    this.geometry = geometry;
  }

  /** Creates a cell without a value.
   * @throws ArgumentError when the shape is outside the limits; the directory's errors when the name exists or space is short */
  static create(region: Region, name: string, options: CellOptions): Cell {
    const { valueBytes, buffers = CellLayout.minBufferCount } = options;
    return new Cell(region, createCellGeometry(region, name, { valueBytes, bufferCount: buffers }));
  }

  /**
   * Opens a cell by name, waiting for it if asked to. Its shape comes from the segment; what is given here is what the caller relies on.
   * @throws RegionError `OBJECT_NOT_FOUND`, `OBJECT_KIND`, `OBJECT_SHAPE`
   */
  static open(region: Region, name: string, options: OpenOptions & Partial<CellOptions> = {}): Cell {
    return Cell.#checked(region, region.directory.open(name, ObjectKind.cell, options.waitMs), options);
  }

  /** {@link open} if it is there, and of the shape that `options` say; else {@link create}. */
  static openOrCreate(region: Region, name: string, options: CellOptions): Cell {
    return openOrCreate(
      () => Cell.open(region, name, options),
      () => Cell.create(region, name, options),
    );
  }

  /** {@link open}, waiting in the event loop; without a time limit by default. */
  static async openAsync(
    region: Region,
    name: string,
    options: AppearOptions & Partial<CellOptions> = {},
  ): Promise<Cell> {
    return Cell.#checked(region, await region.directory.openAsync(name, ObjectKind.cell, options), options);
  }

  static #checked(region: Region, entry: DirectoryEntry, expected: Partial<CellOptions>): Cell {
    const geometry = openCellGeometry(region, entry);
    const { valueBytes, bufferCount: buffers } = geometry;
    const found: Required<CellOptions> = { valueBytes, buffers };
    expectShape(`cell ${entry.name}`, found, { valueBytes: expected.valueBytes, buffers: expected.buffers });
    return new Cell(region, geometry);
  }

  /** Becomes the writer. @throws InUseError when another live participant is */
  writer(): CellWriter {
    const participant = Participant.of(this.region);
    const { words, name } = this.geometry;
    const attach = (): boolean => attachOwner(words, CellLayout.writerOwnerWord, participant.index) !== 0;
    if (attach()) return new CellWriter(this.geometry, participant);
    participant.recoverDead();
    if (attach()) return new CellWriter(this.geometry, participant);
    throw new InUseError(`the writer of cell ${name}`, "close that one first, or use a cell each");
  }

  /** A reader. It needs no place among the participants, until it waits. */
  reader(): CellReader {
    return new CellReader(this.geometry, this.region);
  }
}
