/**
 * From a pointer to the address that the hardware needs, for any byte of a mapping, without a system call per lookup.
 *
 *     bun examples/v2p.ts                    /dev/udmabuf0 if it is there, else shared memory
 *     bun examples/v2p.ts /dev/udmabuf1 64   the first 64 MiB of a DMA buffer
 *     sudo bun examples/v2p.ts camera 8      8 MiB of shared memory (physical addresses need root)
 */
import { existsSync } from "node:fs";
import { Region, regionOffset, type VirtualAddress } from "physring";

const [name = existsSync("/dev/udmabuf0") ? "/dev/udmabuf0" : `v2p-example-${process.pid}`, sizeMiB] =
  process.argv.slice(2);
const isDevice = name.startsWith("/dev/");

/** What to write into the address register of a DMA engine, or (shared memory) what the memory controller sees. */
function v2p(address: VirtualAddress): string {
  const found = Region.locate(address);
  if (found === null) return "in no region";
  const { offset, device, physical } = found.region.addresses(found.offset);
  const known = isDevice ? device : physical;
  return `offset 0x${offset.toString(16)}, ${typeof known === "number" ? `0x${known.toString(16)}` : known.message}`;
}

function show(label: string, address: VirtualAddress): void {
  console.log(`${label.padEnd(16)} 0x${address.toString(16)} -> ${v2p(address)}`);
}

// A whole buffer, whoever formatted it; the file descriptor and the mapping are closed at the end of the block.
using region = isDevice
  ? Region.open(name, {
      raw: true,
      ...(sizeMiB === undefined ? {} : { sizeBytes: Number(sizeMiB) * 2 ** 20 }),
    })
  : Region.create(name, { size: `${sizeMiB ?? 1}MiB` });
console.log(`${name}: ${region.sizeBytes} bytes`);

const first = region.virtualAddress(regionOffset(0));
const last = region.virtualAddress(regionOffset(region.sizeBytes - 1));
show("first byte", first);
show("first + 4096", (first + 4096) as VirtualAddress);
show("last byte", last);
show("one past it", (last + 1) as VirtualAddress);

if (!isDevice) Region.destroy(name);
