#!/usr/bin/env python3
"""Reads a lossy broadcast of physring with mmap and struct alone (docs/PROTOCOL.md, sections 2, 4 and 12).

    bun examples/broadcast.ts &                 # or anything with Records.create(region, name, { mode: "lossy" })
    python3 examples/peer.py ticker ticks 10   # the next 10 records; without a number: for ever

The region is mapped for reading only: a reader that cannot write cannot hold anybody up, nor break anything. On x86-64 loads stay
in order; on other processors Python offers no fence, and this reader would need one before each look at `claim`.
"""

import mmap
import os
import struct
import sys
import time

RECORDS, READY, LOSSY = 5, 2, 1
RECS, PADDING, MOD = 0x53434552, 0x80000000, 1 << 32
# Byte offsets in the object: tail and its two marks, claim and epoch, ended.
TAIL, MARKS, CLAIM, EPOCH, ENDED = 128, (136, 144), 256, 260, 512


class Corrupt(Exception):
    """A number in shared memory contradicts the protocol."""


class Broadcast:
    """A lossy reader of the records `name` in the region file `path`, starting at what comes next."""

    def __init__(self, path, name):
        with open(path, "rb") as file:
            self.memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        if self.memory[:8] != b"PHYSRING" or self.word(8) != 1 or self.word(20) != 1:
            raise Corrupt(f"{path} is no region of layout version 1")
        self.object = self.find(name.encode())
        magic, version, self.capacity, cursors, mode = (self.load(4 * i) for i in range(5))
        index_count, index_offset, records_offset = (self.load(4 * i) for i in (7, 8, 9))
        whole = self.object + records_offset + self.capacity <= len(self.memory)
        if (magic, version, cursors, mode) != (RECS, 1, 0, LOSSY) or self.capacity & (self.capacity - 1) or not whole:
            raise Corrupt(f"{name} is no lossy broadcast of version 1")
        self.records = self.object + records_offset
        self.missed = 0
        self.go_to_tail()
        self.expected = self.sequence_at_tail

    def word(self, offset):
        return struct.unpack_from("<I", self.memory, offset)[0]

    def load(self, offset):
        return self.word(self.object + offset)

    def find(self, name):
        for entry in range(4096, 4096 + 64 * 128, 128):
            state, kind, _, _, low, high, size, _ = struct.unpack_from("<8I", self.memory, entry)
            if state == READY and self.memory[entry + 64 : entry + 128].rstrip(b"\0") == name:
                offset = low | high << 32
                if kind != RECORDS or offset % 4096 or offset + size > len(self.memory):
                    raise Corrupt(f"{name} is no records object")
                return offset
        raise LookupError(f"no object {name}")

    def go_to_tail(self):
        """Section 12.3, without walking back: a position, the sequence due there, and the epoch of the position."""
        for _ in range(100000):
            epoch, tail = self.load(EPOCH), self.load(TAIL)
            for mark in MARKS:
                if self.load(mark) == tail:
                    sequence = self.load(mark + 4)
                    if self.load(TAIL) == tail and self.load(EPOCH) == epoch:
                        self.at, self.sequence_at_tail = tail, sequence
                        self.epoch = epoch if (tail >> 31 ^ epoch) & 1 == 0 else (epoch - 1) % MOD
                        return
        raise Corrupt("tail and marks")

    def intact(self):
        """Whether the bytes at our position were not overwritten before this call: claim first, then epoch."""
        claim = self.load(CLAIM)
        return (claim - self.at) % MOD <= self.capacity and (self.load(EPOCH) - self.epoch) % MOD <= 1

    def step(self, size):
        after = (self.at + size) % MOD
        if (after ^ self.at) >> 31:
            self.epoch = (self.epoch + 1) % MOD
        self.at = after

    def next(self):
        """The next record as (sequence, bytes), or None when there is none. Counts in `missed` what was overwritten unread."""
        while True:
            available = (self.load(TAIL) - self.at) % MOD
            if available == 0:
                return None
            position = self.at % self.capacity
            length, sequence = struct.unpack_from("<2I", self.memory, self.records + position)
            if not self.intact():
                self.go_to_tail()
                continue
            size = (length % PADDING + 15) // 8 * 8
            if size > available or position + size > self.capacity:
                raise Corrupt("header of a record")
            if length >= PADDING:
                self.step(size)
                continue
            start = self.records + position + 8
            payload = self.memory[start : start + length]
            if not self.intact():  # overwritten while we copied
                self.go_to_tail()
                continue
            self.step(size)
            self.missed += (sequence - self.expected) % MOD
            self.expected = (sequence + 1) % MOD
            return sequence, payload

    def ended(self):
        return self.load(ENDED) != 0 and self.load(TAIL) == self.at


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    directory = os.environ.get("PHYSRING_SHM_DIR") or "/dev/shm"
    broadcast = Broadcast(f"{directory}/physring.{sys.argv[1]}", sys.argv[2])
    left = int(sys.argv[3]) if len(sys.argv) > 3 else -1
    print("reading", flush=True)
    while left != 0:
        record = broadcast.next()
        if record is None:
            if broadcast.ended():
                break
            time.sleep(0.001)
            continue
        sequence, payload = record
        print(sequence, broadcast.missed, payload.hex(), flush=True)
        left -= 1


if __name__ == "__main__":
    main()
