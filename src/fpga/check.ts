/**
 * The checks of a descriptor that need no memory access, in the order of PROTOCOL.md §10.6: the host makes them before it writes anything, the core
 * makes them again. 64-bit numbers are pairs of 32-bit words, so that nothing is allocated.
 */
import {
  ALIGN_BYTES,
  DescriptorLayout,
  HAS_DESTINATION,
  HAS_SOURCE,
  MAX_LENGTH_BYTES,
  MAX_LIST_ENTRIES,
  Opcode,
  Status,
} from "./layout.ts";

/** A range of device addresses [base, limit). */
export interface AddressWindow {
  readonly base: number;
  readonly limit: number;
}

/** What a core can do, as its registers say. */
export interface CheckLimits {
  /** Bit n: opcode n is built in. */
  readonly opcodes: number;
  readonly maxFilterWidth: number;
  readonly dataWindow: AddressWindow;
  readonly queueWindow: AddressWindow;
}

const KNOWN_FLAGS = DescriptorLayout.flagSourceList | DescriptorLayout.flagDestinationList;

function parameterValid(
  opcode: number,
  lengthBytes: number,
  parameter: number,
  limits: CheckLimits,
): boolean {
  if (opcode === Opcode.threshold) return parameter >>> 0 <= 255;
  if (opcode !== Opcode.filter3x3) return true;
  const width = parameter >>> 0;
  return (
    width >= ALIGN_BYTES &&
    width % ALIGN_BYTES === 0 &&
    width <= limits.maxFilterWidth &&
    lengthBytes % width === 0
  );
}

/** Whether [address, address + bytes) lies in the window. Addresses are below 2^53 on any machine that has a window at all. */
function inside(low: number, high: number, bytes: number, window: AddressWindow): boolean {
  const address = (high >>> 0) * 2 ** 32 + (low >>> 0);
  return address >= window.base && address + bytes <= window.limit;
}

/** Status of a command's words as the core would answer it before any bus access: 0 is OK. */
export function checkCommand(
  limits: CheckLimits,
  opcodeFlags: number,
  sourceLow: number,
  sourceHigh: number,
  destinationLow: number,
  destinationHigh: number,
  length: number,
  listEntries: number,
  parameter: number,
): number {
  const opcode = opcodeFlags & DescriptorLayout.opcodeMask;
  if (opcode >= 32 || ((limits.opcodes >>> opcode) & 1) === 0) return Status.OPCODE;
  if ((opcodeFlags & ~(DescriptorLayout.opcodeMask | KNOWN_FLAGS)) !== 0) return Status.FLAGS;
  if (opcode === Opcode.nop) return Status.OK;
  const lengthBytes = length >>> 0;
  if (lengthBytes === 0 || lengthBytes > MAX_LENGTH_BYTES) return Status.LENGTH;
  if (!parameterValid(opcode, lengthBytes, parameter, limits)) return Status.PARAMETER;
  // An engine that this page does not know may have both.
  const hasSource = HAS_SOURCE[opcode] ?? true;
  const hasDestination = HAS_DESTINATION[opcode] ?? true;
  const misaligned = (hasSource ? sourceLow : 0) | (hasDestination ? destinationLow : 0);
  if ((misaligned & (ALIGN_BYTES - 1)) !== 0) return Status.ALIGNMENT;
  const sourceEntries =
    (opcodeFlags & DescriptorLayout.flagSourceList) === 0 ? -1 : listEntries & DescriptorLayout.entriesMask;
  const destinationEntries =
    (opcodeFlags & DescriptorLayout.flagDestinationList) === 0
      ? -1
      : listEntries >>> DescriptorLayout.destinationEntriesShift;
  // The core looks at the list's length before its range: one that is not 1 to 1024 has no range.
  if (hasSource && !operandInside(limits, sourceLow, sourceHigh, lengthBytes, sourceEntries))
    return Status.RANGE;
  if (
    hasDestination &&
    !operandInside(limits, destinationLow, destinationHigh, lengthBytes, destinationEntries)
  )
    return Status.RANGE;
  if ((hasSource && !entriesValid(sourceEntries)) || (hasDestination && !entriesValid(destinationEntries)))
    return Status.LIST;
  return Status.OK;
}

function entriesValid(entries: number): boolean {
  return entries < 0 || (entries >= 1 && entries <= MAX_LIST_ENTRIES);
}

function operandInside(
  limits: CheckLimits,
  low: number,
  high: number,
  lengthBytes: number,
  entries: number,
): boolean {
  if (entries < 0) return inside(low, high, lengthBytes, limits.dataWindow);
  return inside(low, high, entries * 16, limits.queueWindow);
}
