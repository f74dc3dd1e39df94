// SPDX-License-Identifier: MIT
/*
 * physical ADDRESS BYTES CHARACTER: how many pages of physical memory hold nothing
 * but that character.  /proc/kcore has the kernel's map of all memory, by physical
 * address in its program headers.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include "check.h"

int main(int argc, char **argv)
{
	static char data[4096];
	uint64_t phys, bytes, count = 0, done;
	Elf64_Phdr segment;
	Elf64_Ehdr header;
	int core;

	require(argc == 4);
	phys = strtoull(argv[1], NULL, 0);
	bytes = strtoull(argv[2], NULL, 0);
	core = open("/proc/kcore", O_RDONLY);
	require(core >= 0 && pread(core, &header, sizeof(header), 0) == sizeof(header));
	for (int i = 0; i < header.e_phnum; i++) {
		require(pread(core, &segment, sizeof(segment),
			      header.e_phoff + i * sizeof(segment)) == sizeof(segment));
		if (segment.p_type == PT_LOAD && segment.p_paddr != (uint64_t)-1 &&
		    segment.p_paddr <= phys && phys + bytes <= segment.p_paddr + segment.p_memsz)
			goto found;
	}
	require(!"a segment with this memory");
found:
	for (done = 0; done < bytes; done += sizeof(data)) {
		require(pread(core, data, sizeof(data),
			      segment.p_offset + phys - segment.p_paddr + done) == sizeof(data));
		count += data[0] == argv[3][0] && !memcmp(data, data + 1, sizeof(data) - 1);
	}
	printf("%llu\n", (unsigned long long)count);
	return 0;
}
