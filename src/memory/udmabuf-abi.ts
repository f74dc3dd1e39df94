/**
 * Numbers of the u-dma-buf interface: ioctls 1-10 are those of u-dma-buf 4.7 and later (ioctl_version 1 and 2), 0x40 and
 * up those of our own driver (kmod/uapi). Layouts are little-endian; offsets count bytes.
 */

/** asm-generic/ioctl.h: direction in bits 31:30, size in 29:16, magic in 15:8, number in 7:0. */
const READ = 2;
const WRITE = 1;
const MAGIC = "U".charCodeAt(0);

function request(direction: number, number: number, sizeBytes: number): number {
  return ((direction << 30) | (sizeBytes << 16) | (MAGIC << 8) | number) >>> 0;
}

export const Ioctl = {
  getSize: request(READ, 2, 8),
  getDmaAddress: request(READ, 3, 8),
  setSyncForCpu: request(WRITE, 5, 8),
  setSyncForDevice: request(WRITE, 6, 8),
  getDeviceInfo: request(READ, 7, 24),
  getSync: request(READ, 8, 24),
  setSync: request(WRITE, 9, 24),
  /** Our driver only; u-dma-buf answers EINVAL. */
  getBuffer: request(READ, 0x40, 56),
  syncRanges: request(WRITE, 0x41, 24),
} as const;

/** struct u_dma_buf_dev_info: flags, size, address. Bits of the flags that have no name hold whatever was on the kernel's stack. */
export const DeviceInfo = {
  sizeBytes: 24,
  flagsOffset: 0,
  flagCoherent: 1 << 9,
  mmapModeShift: 10,
  mmapModeMask: 7,
} as const;

/** quirk_mmap_mode of u-dma-buf; `auto` is `off` where caches are coherent, else `on`. */
export const MmapMode = { off: 1, on: 2, auto: 3, page: 4 } as const;

/** struct u_dma_buf_sync: flags, size, offset. The command is in flags 1:0; a mode or size of 0 leaves the old one. */
export const SyncSetting = {
  sizeBytes: 24,
  flagsOffset: 0,
  rangeSizeOffset: 8,
  rangeOffsetOffset: 16,
  directionShift: 2,
  directionMask: 3,
  modeShift: 8,
  modeMask: 0xff,
} as const;

/** struct u_dma_buf_buffer of our driver. */
export const BufferInfo = {
  sizeBytes: 56,
  flagsOffset: 0,
  bufferSizeOffset: 8,
  dmaAddressOffset: 24,
  physicalAddressOffset: 32,
  instanceOffset: 40,
  flagCoherent: 1,
  flagNoDevice: 2,
  flagNoLongTermPin: 4,
} as const;

/** struct u_dma_buf_sync_ranges of our driver, and the one range it points to. */
export const SyncRanges = {
  sizeBytes: 24,
  rangesOffset: 0,
  countOffset: 8,
  commandOffset: 12,
  directionOffset: 16,
  rangeBytes: 16,
  rangeOffsetOffset: 0,
  rangeSizeOffset: 8,
} as const;

/** Commands of setSync and syncRanges. */
export const SyncCommand = { forCpu: 1, forDevice: 3 } as const;

/** Who wrote or will write the bytes: both, the CPU (to the device), the device (from it). */
export const SyncDirection = { both: 0, "to-device": 1, "from-device": 2 } as const;
export type SyncDirectionName = keyof typeof SyncDirection;

/** The word of setSyncForCpu and setSyncForDevice: offset in 63:32, size in 31:4, direction in 3:2, command in bit 0. */
export const CompositeWord = { unitBytes: 16, limitBytes: 2 ** 32, directionShift: 2, command: 1 } as const;

/** sync_mode of the driver: the page protection of mappings made through an O_SYNC descriptor. */
export const SyncModeCode = { cached: 0, noncached: 1, "write-combine": 2, "dma-coherent": 3 } as const;
/** The bits of a SyncModeCode in sync_mode, and the one that gives every mapping that protection, O_SYNC or not. */
export const SYNC_MODE_CODE_MASK = 3;
export const SYNC_MODE_ALWAYS = 4;
