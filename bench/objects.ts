/** The 6-field object of the MessagePack benchmark, and the checksum of its fields. */
import { addWord } from "./messages.ts";

export interface Reading {
  id: number;
  name: string;
  x: number;
  y: number;
  stampNs: number;
  valid: boolean;
}

/** Its field names in order: the shape a message channel is created with. */
export const READING_SHAPE = ["id", "name", "x", "y", "stampNs", "valid"];

const NAMES = Array.from({ length: 64 }, (_, i) => `sensor-${i}`);

/** Reading number `sequence`: a new object each, as a program would have it. */
export function readingOf(sequence: number): Reading {
  return {
    id: sequence,
    name: NAMES[sequence & 63]!,
    x: sequence * 0.25,
    y: -1.5 - (sequence & 1023),
    stampNs: 1_000_000 + sequence * 1000,
    valid: (sequence & 3) !== 0,
  };
}

export function addReading(sum: number, reading: Reading): number {
  let result = addWord(sum, reading.id);
  result = addWord(result, reading.name.length * 256 + reading.name.charCodeAt(reading.name.length - 1));
  result = addWord(result, (reading.x * 4) | 0);
  result = addWord(result, (reading.y * 2) | 0);
  result = addWord(result, reading.stampNs | 0);
  return addWord(result, reading.valid ? 1 : 0);
}

/** Checksum of readings 0 … count − 1. */
export function expectedReadings(count: number): number {
  let sum = 0;
  for (let sequence = 0; sequence < count; sequence++) sum = addReading(sum, readingOf(sequence));
  return sum >>> 0;
}
