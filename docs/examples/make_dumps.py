"""Makes two small dumps of a 64-bit kernel, as QEMU's "dump-guest-memory" would write them.

triple-fault.core: the boot code put the kernel's page directory behind the wrong entry.
running.core: the same kernel later; its tables give more than they should.
"""

import struct

KERNEL = 0xFFFFFFFF80000000
P, W, NX, PS = 1, 2, 1 << 63, 0x80
memory = bytearray(2 << 20)


def put(address: int, *words: int) -> None:
    struct.pack_into(f"<{len(words)}Q", memory, address, *words)


def core(name: str, registers: dict[str, int]) -> None:
    """An ELF core of one segment, with the registers as QEMU's note has them."""
    get = registers.get
    note = struct.pack(
        "<II18Q", 1, 432, *[get(r, 0) for r in ("", "", "", "", "", "", "rsp")], *[0] * 9, get("rip", 0), 2
    )
    tables = {8: ("gdt", 0x17), 9: ("idt", 0xFFF)}
    for number in range(10):  # cs ds es fs gs ss ldtr tr gdtr idtr
        table, limit = tables.get(number, ("", 0))
        selector, flags = (8, 0x209A00) if number == 0 else (0, 0)
        note += struct.pack("<IIIIQ", selector, limit, flags, 0, get(table, 0))
    note += struct.pack("<5Q", 0x80000011, 0, get("cr2", 0), 0x1000, 0x20)
    note = struct.pack("<III8s", 5, len(note), 0, b"QEMU") + note
    start = 64 + 2 * 56 + len(note)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 4, 0, 64 + 2 * 56, 0, 0, len(note), len(note), 0)
    head += struct.pack("<IIQQQQQQ", 1, 0, start, 0, 0, len(memory), len(memory), 0)
    with open(name, "wb") as file:
        file.write(head + note + memory)


# The boot code: the first 2 MiB where they are, and the kernel at its link address.
put(0x1000, 0x2000 | P | W)
put(0x2000, 0x4000 | P | W)
put(0x4000, 0x0 | P | W | PS)
put(0x1000 + 511 * 8, 0x3000 | P | W)
put(0x3000 + 511 * 8, 0x5000 | P | W)  # entry 510 is meant
put(0x5000, 0x6000 | P | W)
for page in range(256, 264):
    put(0x6000 + page * 8, page << 12 | P | W)
state = {"rip": KERNEL + 0x101000, "cr2": KERNEL + 0x101000, "rsp": 0x7FF0}
core("triple-fault.core", {**state, "gdt": 0x7C00, "idt": KERNEL + 0x104000})

# Later: the entry is right, code is read-only, but not everything is.
put(0x3000 + 510 * 8, 0x5000 | P | W, 0)
put(0x6000 + 0x101 * 8, 0x101000 | P, 0x102000 | P)
for page in (0x100, 0x103, 0x104, 0x105, 0x106, 0x107):
    put(0x6000 + page * 8, page << 12 | P | W | (0 if page == 0x106 else NX))
put(0x104000 + 14 * 16, 0x8E0000082000 | (KERNEL + 0x102000 >> 16 & 0xFFFF) << 48, KERNEL >> 32)
put(0x104000 + 8 * 16, 0x8E0000082100 | (KERNEL + 0x102000 >> 16 & 0xFFFF) << 48, KERNEL >> 32)
put(0x103008, 0x00209A0000000000)
core("running.core", {**state, "rsp": KERNEL + 0x107000, "gdt": KERNEL + 0x103000, "idt": KERNEL + 0x104000})
