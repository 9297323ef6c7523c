"""What processors of RISC-V execute to make one access, and the tables that lead to it: the same for all."""

from __future__ import annotations

import struct

CODE = 0x90000000  # physical: tables, from 0x6000 on the page that is executed
HERE = 0x6F  # jump to itself


def pattern(base: int, first: int, size: int) -> bytes:
    """What frames from offset `first` on hold: every 16 bytes load their own offset, in sixteens."""
    words = [(at >> 4 << 12 | 0x537, HERE, base + at, at) for at in range(first, size, 16)]
    return b"".join(struct.pack("<IIII", *four) for four in words)


def pointer(address: int) -> int:
    """An entry that leads to a table."""
    return address >> 12 << 10 | 1


def entries_for_code(levels: int) -> tuple[int, int, list[tuple[int, int]]]:
    """Where the code is mapped, the offset of the root's entry for it, which leads to CODE + 0x1000, and the
    other entries, by address.  The first page is the kernel's, the second a program's: the same frame."""
    last = CODE + 0x1000 * (levels - 1)
    entries = [(at, pointer(at + 0x1000)) for at in range(CODE + 0x1000, last, 0x1000)]
    width = 4 if levels == 2 else 8
    entries += [(last, pointer(CODE + 0x6000) | 0xCE), (last + width, pointer(CODE + 0x6000) | 0xDE)]
    if levels == 2:
        return 0x60000000, 0x180 * 4, entries
    return (1 << 64) - (1 << 9 * levels + 11), 256 * 8, entries
