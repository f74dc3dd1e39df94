/** Creating, opening and checking the geometry of a service (PROTOCOL.md §14). Nothing here runs per request. */
import { type RegionOffset, regionOffset } from "../memory/brands.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { LINE_BYTES, ObjectKind, WORD_BYTES } from "../memory/layout.ts";
import { roundUp } from "../memory/numbers.ts";
import type { Region } from "../memory/region.ts";
import { ArgumentError, CorruptError } from "./errors.ts";
import {
  checkRecordsShape,
  type RecordsGeometry,
  type RecordsShape,
  readRecords,
  recordsSizeBytes,
  writeRecords,
} from "./records-geometry.ts";
import { ServiceLayout } from "./service-layout.ts";

/** Shape of a service, fixed at creation and stored in the segment. */
export interface ServiceShape {
  /** Most clients at a time, 1 to 30. */
  readonly placeCount: number;
  /** Records of each place; reliable, one consumer. */
  readonly requests: RecordsShape;
  readonly responses: RecordsShape;
}

/** One client's place. */
export interface ServicePlace {
  readonly index: number;
  readonly requests: RecordsGeometry;
  readonly responses: RecordsGeometry;
}

/** A checked service. */
export interface ServiceGeometry {
  readonly name: string;
  readonly region: Region;
  /** Words of the header. */
  readonly words: Int32Array;
  readonly places: readonly ServicePlace[];
}

function lines(bytes: number): number {
  return roundUp(bytes, LINE_BYTES);
}

function placeBytesOf(shape: ServiceShape): number {
  return lines(recordsSizeBytes(shape.requests)) + lines(recordsSizeBytes(shape.responses));
}

/** Bytes that a service of this shape takes. */
export function serviceSizeBytes(shape: ServiceShape): number {
  return ServiceLayout.placesOffset + shape.placeCount * placeBytesOf(shape);
}

/** @throws ArgumentError naming the limit; the directory's errors when the name exists or space is short */
export function createServiceGeometry(region: Region, name: string, shape: ServiceShape): ServiceGeometry {
  const { placeCount } = shape;
  if (!(Number.isInteger(placeCount) && placeCount >= 1 && placeCount <= ServiceLayout.maxPlaces))
    throw new ArgumentError(
      `service ${name}: ${placeCount} clients; 1 to ${ServiceLayout.maxPlaces} are possible`,
    );
  checkRecordsShape(`${name} (requests)`, shape.requests);
  checkRecordsShape(`${name} (responses)`, shape.responses);
  const entry = region.directory.create(ObjectKind.service, name, serviceSizeBytes(shape), (offset) =>
    writeService(region, offset, shape),
  );
  return openServiceGeometry(region, entry);
}

function writeService(region: Region, offset: RegionOffset, shape: ServiceShape): void {
  const words = region.words(offset, ServiceLayout.placesOffset / WORD_BYTES);
  const placeBytes = placeBytesOf(shape);
  const responsesOffset = lines(recordsSizeBytes(shape.requests));
  words.fill(0);
  words[ServiceLayout.versionWord] = ServiceLayout.version;
  words[ServiceLayout.placeCountWord] = shape.placeCount;
  words[ServiceLayout.placeBytesWord] = placeBytes;
  words[ServiceLayout.placesOffsetWord] = ServiceLayout.placesOffset;
  words[ServiceLayout.responsesOffsetWord] = responsesOffset;
  for (let place = 0; place < shape.placeCount; place++) {
    const start = offset + ServiceLayout.placesOffset + place * placeBytes;
    writeRecords(region, regionOffset(start), shape.requests);
    writeRecords(region, regionOffset(start + responsesOffset), shape.responses);
  }
  words[ServiceLayout.magicWord] = ServiceLayout.magic;
}

/** Reads and checks a service and the records of all its places.
 * @throws CorruptError when any number is outside the protocol or the space given */
export function openServiceGeometry(region: Region, entry: DirectoryEntry): ServiceGeometry {
  if (entry.kind !== ObjectKind.service || entry.sizeBytes < ServiceLayout.placesOffset)
    throw new CorruptError(`service ${entry.name}: directory entry`);
  const words = region.words(entry.offset, ServiceLayout.placesOffset / WORD_BYTES);
  const placeCount = words[ServiceLayout.placeCountWord]! >>> 0;
  const placeBytes = words[ServiceLayout.placeBytesWord]! >>> 0;
  const responsesOffset = words[ServiceLayout.responsesOffsetWord]! >>> 0;
  const intact =
    words[ServiceLayout.magicWord] === ServiceLayout.magic &&
    words[ServiceLayout.versionWord] === ServiceLayout.version &&
    words[ServiceLayout.placesOffsetWord] === ServiceLayout.placesOffset &&
    placeCount >= 1 &&
    placeCount <= ServiceLayout.maxPlaces &&
    placeBytes % LINE_BYTES === 0 &&
    responsesOffset % LINE_BYTES === 0 &&
    responsesOffset < placeBytes &&
    ServiceLayout.placesOffset + placeCount * placeBytes <= entry.sizeBytes;
  if (!intact) throw new CorruptError(`service ${entry.name}: geometry`);
  const places = Array.from({ length: placeCount }, (_, index): ServicePlace => {
    const start = entry.offset + ServiceLayout.placesOffset + index * placeBytes;
    const name = `${entry.name} place ${index}`;
    const requests = readRecords(region, name, regionOffset(start), responsesOffset);
    const responses = readRecords(
      region,
      name,
      regionOffset(start + responsesOffset),
      placeBytes - responsesOffset,
    );
    for (const records of [requests, responses])
      if (records.mode !== "reliable" || records.maxConsumers !== 1)
        throw new CorruptError(`service ${name}: mode`);
    return { index, requests, responses };
  });
  return { name: entry.name, region, words, places };
}
