"""ELF files made by hand: headers, loadable segments, a symbol table (System V ABI, chapter 4)."""

from __future__ import annotations

import struct
from typing import NamedTuple

EXEC, DYN = 2, 3
READ, WRITE, EXECUTE = 4, 2, 1
FUNC, OBJECT, GLOBAL, LOCAL = 2, 1, 1, 0


class Load(NamedTuple):
    """A loadable segment: where, PF_ flags, the bytes in the file, and its size in memory."""

    va: int
    flags: int
    content: bytes
    size: int
    align: int = 0x1000


class Name(NamedTuple):
    """A symbol."""

    text: str
    value: int
    kind: int = FUNC
    bind: int = GLOBAL
    section: int = 1


def make(
    loads: list[Load],
    names: list[Name] | None = None,
    *,
    bits: int = 64,
    big: bool = False,
    kind: int = EXEC,
    entry: int = 0,
) -> bytes:
    """The bytes of such a file."""
    order, wide = ">" if big else "<", bits == 64
    header, program, section, symbol = (64, 56, 64, 24) if wide else (52, 32, 40, 16)
    at = header + program * len(loads)
    table, body = b"", b""
    for load in loads:
        row = (load.va, load.va, len(load.content), load.size)
        if wide:
            table += struct.pack(order + "IIQQQQQQ", 1, load.flags, at + len(body), *row, load.align)
        else:
            table += struct.pack(order + "IIIIIIII", 1, at + len(body), *row, load.flags, load.align)
        body += load.content
    strings, symbols = b"\0", b"\0" * symbol
    for name in names or []:
        info = name.bind << 4 | name.kind
        if wide:
            symbols += struct.pack(order + "IBBHQQ", len(strings), info, 0, name.section, name.value, 0)
        else:
            symbols += struct.pack(order + "IIIBBH", len(strings), name.value, 0, info, 0, name.section)
        strings += name.text.encode() + b"\0"
    symbols_at = at + len(body)
    strings_at = symbols_at + len(symbols)
    sections_at = strings_at + len(strings)
    rows = [(0,) * 10, (0, 1, 6, 0, 0, 0, 0, 0, 0, 0)]
    rows.append((0, 2, 0, 0, symbols_at, len(symbols), 3, 1, 8, symbol))
    rows.append((0, 3, 0, 0, strings_at, len(strings), 0, 0, 1, 0))
    form = order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII")
    ends = b"".join(struct.pack(form, *row) for row in rows)
    ident = b"\x7fELF" + bytes((2 if wide else 1, 2 if big else 1, 1)) + bytes(9)
    form = order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH")
    machine = 62 if wide else 3
    sizes = (header, program, len(loads), section, len(rows), 3)
    head = ident + struct.pack(form, kind, machine, 1, entry, header, sections_at, 0, *sizes)
    return head + table + body + symbols + strings + ends
