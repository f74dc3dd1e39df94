/** Typed errors of regions and their directory. */
import { PhysringError } from "../ffi/errors.ts";

/** What went wrong with a region; stable, for programs. */
export type RegionErrorCode =
  /** No such region, device or process descriptor. */
  | "REGION_NOT_FOUND"
  | "REGION_PERMISSION"
  /** `create` found a region that somebody has open. */
  | "REGION_LIVE"
  /** `create` found bytes that are not a region of ours. */
  | "REGION_FOREIGN"
  /** Another process creates (or replaces) the region at this moment. */
  | "REGION_BUSY"
  /** The creator died before the region was ready. */
  | "REGION_HALF_MADE"
  | "REGION_TOO_SMALL"
  | "REGION_TOO_LARGE"
  /** `open` found no superblock. */
  | "REGION_NOT_A_REGION"
  | "REGION_VERSION"
  | "REGION_BYTE_ORDER"
  /** A number in the superblock or control area is impossible. */
  | "REGION_CORRUPT"
  /** The sidecar belongs to another instance of the device's buffer. */
  | "REGION_STALE_SIDECAR"
  | "REGION_NO_SPACE"
  | "REGION_READ_ONLY"
  | "REGION_CLOSED"
  /** The file is not of the kind that the name asks for, or the option does not go with it. */
  | "REGION_UNSUPPORTED"
  | "NAME_INVALID"
  | "SIZE_INVALID"
  | "OUT_OF_RANGE"
  | "DIRECTORY_CORRUPT"
  | "DIRECTORY_BUSY"
  | "DIRECTORY_FULL"
  /** No gap of the region is large enough for the object. */
  | "DIRECTORY_NO_ROOM"
  | "OBJECT_EXISTS"
  | "OBJECT_NOT_FOUND"
  | "OBJECT_KIND"
  /** The object is not of the shape that the opener expects. */
  | "OBJECT_SHAPE";

/** See {@link ReadOnlyError}, which alone has the code `REGION_READ_ONLY`. */
export class RegionError extends PhysringError {
  declare readonly code: RegionErrorCode;

  constructor(code: RegionErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

/** The region is open for reading only, and the call would change it. Nothing was changed. */
export class ReadOnlyError extends RegionError {
  constructor(region: string, what: string) {
    super("REGION_READ_ONLY", `${what}: region ${region} is open for reading only; open it without readOnly`);
  }
}
