/** For programs that do not care who comes first: what is there is opened, else it is made, and of several who try one makes it. */
import { retryUntil } from "./appear.ts";
import { RegionError, type RegionErrorCode } from "./errors.ts";

/** Longer than anybody takes to make something. */
const LIMIT_MS = 2000;

const ABSENT: ReadonlySet<RegionErrorCode> = new Set([
  "REGION_NOT_FOUND",
  "REGION_NOT_A_REGION", // a device without a region yet; a file that is none is refused by the creation
  "REGION_HALF_MADE", // its creator died
  "OBJECT_NOT_FOUND",
]);
const BEING_MADE: ReadonlySet<RegionErrorCode> = new Set(["REGION_BUSY", "REGION_LIVE", "OBJECT_EXISTS"]);

function isOneOf(error: unknown, codes: ReadonlySet<RegionErrorCode>): boolean {
  return error instanceof RegionError && codes.has(error.code);
}

/** @throws what `open` or `create` throw for other reasons, or when neither succeeds in two seconds */
export function openOrCreate<T>(open: () => T, create: () => T): T {
  let last: unknown;
  const result = retryUntil(LIMIT_MS, () => {
    try {
      return open();
    } catch (error) {
      last = error;
      if (isOneOf(error, BEING_MADE)) return null;
      if (!isOneOf(error, ABSENT)) throw error;
    }
    try {
      return create();
    } catch (error) {
      last = error;
      if (isOneOf(error, BEING_MADE)) return null;
      throw error;
    }
  });
  if (result === null) throw last;
  return result;
}
