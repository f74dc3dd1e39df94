/** Sizes as people write them. */
import { RegionError } from "./errors.ts";

const UNITS: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["B", 1],
  ["K", 2 ** 10],
  ["KiB", 2 ** 10],
  ["M", 2 ** 20],
  ["MiB", 2 ** 20],
  ["G", 2 ** 30],
  ["GiB", 2 ** 30],
  ["kB", 1e3],
  ["MB", 1e6],
  ["GB", 1e9],
]);

/** Largest region: 64-bit offsets in descriptors, but all arithmetic here is in doubles. */
const MAX_SIZE_BYTES = 2 ** 52;

/** Bytes from a number or a text such as `"256MiB"`, `"1.5 GiB"`, `"64K"`, `"100MB"`; throws `SIZE_INVALID`. */
export function parseSize(size: number | string): number {
  const match = typeof size === "number" ? null : /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(size);
  const unit = match === null ? 1 : UNITS.get(match[2]!);
  const bytes = typeof size === "number" ? size : Number(match?.[1]) * (unit ?? Number.NaN);
  if (!Number.isInteger(bytes) || bytes <= 0 || bytes > MAX_SIZE_BYTES) {
    throw new RegionError(
      "SIZE_INVALID",
      `${JSON.stringify(size)} is no size: write a positive number of bytes or e.g. "256MiB"`,
    );
  }
  return bytes;
}
