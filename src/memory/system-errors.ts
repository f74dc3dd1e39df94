/** What a failed system call means to whoever opens or creates a region. */
import { SystemError } from "../ffi/errors.ts";
import { RegionError, type RegionErrorCode } from "./errors.ts";

const REGION_CODES: ReadonlyMap<string, RegionErrorCode> = new Map([
  ["ENOENT", "REGION_NOT_FOUND"],
  ["ENODEV", "REGION_NOT_FOUND"],
  ["ENXIO", "REGION_NOT_FOUND"],
  ["EACCES", "REGION_PERMISSION"],
  ["EPERM", "REGION_PERMISSION"],
  ["EROFS", "REGION_PERMISSION"],
  ["ELOOP", "REGION_UNSUPPORTED"],
  ["EISDIR", "REGION_UNSUPPORTED"],
  ["ENOSPC", "REGION_NO_SPACE"],
  ["EFBIG", "REGION_NO_SPACE"],
]);

/** Runs a system call of opening or creating; its error becomes a RegionError with the SystemError as its cause. */
export function asRegionError<T>(name: string, remedy: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const code = REGION_CODES.get(error.errnoName);
    if (code === undefined) throw error;
    throw new RegionError(
      code,
      `${name}: ${error.message}${error.remedy === undefined ? ` (${remedy})` : ""}`,
      { cause: error },
    );
  }
}
