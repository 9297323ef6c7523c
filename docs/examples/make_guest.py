"""Makes a guest for QEMU whose boot code turns paging on and jumps to a kernel that is not mapped.

boot.img is the floppy with the boot code, tables.bin the page tables, which QEMU puts at 0x110000.
"""

import struct

KERNEL, TABLES, P, W, PS = 0xFFFFFFFF80101000, 0x110000, 1, 2, 0x80
tables = bytearray(6 * 4096)


def put(table: int, index: int, entry: int) -> None:
    struct.pack_into("<Q", tables, table - TABLES + 8 * index, entry)


def load(register: bytes, value: int) -> bytes:
    """`mov register, value` in code of 16 bits."""
    return b"\x66" + register + struct.pack("<I", value)


put(0x110000, 0, 0x111000 | P | W)  # the first 2 MiB are where they are
put(0x111000, 0, 0x112000 | P | W)
put(0x112000, 0, P | W | PS)
put(0x110000, 511, 0x113000 | P | W)  # the kernel at its link address
put(0x113000, 511, 0x114000 | P | W)  # entry 510 is meant
put(0x114000, 0, 0x115000 | P | W)
for page in range(0x100, 0x108):
    put(0x115000, page, page << 12 | P | W)

code = b"\xfa\x31\xc0\x8e\xd8\x0f\x01\x16\xf0\x7d"  # cli; ds = 0; lgdt [0x7df0]
code += load(b"\xb8", 0x20) + b"\x0f\x22\xe0"  # CR4.PAE
code += load(b"\xb8", TABLES) + b"\x0f\x22\xd8"  # CR3
code += load(b"\xb9", 0xC0000080) + load(b"\xb8", 0x100) + b"\x66\x31\xd2\x0f\x30"  # EFER.LME
code += load(b"\xb8", 0x80000011) + b"\x0f\x22\xc0"  # CR0.PG and PE
code += b"\x66\xea" + struct.pack("<IH", 0x7C00 + len(code) + 8, 8)  # jump into code of 64 bits
code += b"\x0f\x01\x1c\x25" + struct.pack("<I", 0x7DD0)  # lidt [0x7dd0]
code += b"\x48\xc7\xc4" + struct.pack("<I", 0x7C00)  # the stack
code += b"\x48\xb8" + struct.pack("<Q", KERNEL) + b"\xff\xe0"  # jump to the kernel
sector = bytearray(code.ljust(512, b"\0"))
sector[0x1D0:0x1DA] = struct.pack("<HQ", 0xFFF, KERNEL + 0x3000)  # IDT
sector[0x1E0:0x1F0] = struct.pack("<QQ", 0, 0x00209A0000000000)  # GDT
sector[0x1F0:0x1F6] = struct.pack("<HI", 15, 0x7C00 + 0x1E0)
sector[510:] = b"\x55\xaa"
with open("boot.img", "wb") as file:
    file.write(sector.ljust(1440 << 10, b"\0"))
with open("tables.bin", "wb") as file:
    file.write(tables)
