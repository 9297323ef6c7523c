"""CSV with a line of names first: with addresses, or with objects as libCacheSim's CSV traces have them.

The columns are found by their names, whatever the case: the address, or the object; the kind of access
(without one, each is a read); the size in bytes.  Others are passed over.  Between fields stands a comma, a
semicolon, a tab or a bar; quotes around a field are dropped, and what stands between them is no end of it.
"""

from __future__ import annotations

import csv

from vmdbg.engine import reads, writes
from vmdbg.errors import InputError
from vmdbg.kernel.scheduler import OP_FETCH, OP_MODIFY, OP_READ, OP_WRITE
from vmdbg.programs.traces.record import Head, TraceFormat
from vmdbg.programs.traces.scan import (
    BLANK,
    NEWLINE,
    SCAN_FIRST,
    SCAN_NEXT,
    WRONG_ADDRESS,
    WRONG_COLUMN,
    WRONG_KIND,
    WRONG_NUMBER,
    WRONG_OBJECT,
    any_number,
    at_line_end,
    kind_of,
    put_access,
    put_page,
    put_size,
    remark,
    wrong,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmdbg.programs.traces.record import Access

ADDRESSES = ("address", "addr", "va", "vaddr", "virtual_address")
OBJECTS = ("object", "obj", "object_id", "obj_id", "objid", "objectid", "id", "key", "lba", "page", "vpn")
KINDS = ("op", "type", "kind", "access", "rw", "operation", "is_write", "iswrite")
SIZES = ("size", "bytes", "width", "length")
DELIMITERS = ",;\t|"
QUOTE = 34
SEPARATOR, COLUMN, KIND, PAGES, BYTES = range(SCAN_FIRST, SCAN_FIRST + 5)  # what the first line says


@reads
def after_quote(m, at):
    """Behind the quote that ends a field, in which two are one quote; the line's end if there is none."""
    while m.text1[at] != NEWLINE:
        at += 1
        if m.text1[at - 1] == QUOTE:
            if m.text1[at] != QUOTE:
                return at
            at += 1
    return at


@writes(fills=True)
def column_record(m, at, record):
    """A line."""
    if at_line_end(m, at) or m.text1[at] == 35:
        return remark(m, at)
    separator = m.scan[SEPARATOR]
    left = 1 + (m.scan[KIND] >= 0)
    kind = OP_READ
    va = 0
    size = 0
    place = at
    column = 0
    while True:
        quoted = 0
        while m.text1[at] == BLANK or (m.text1[at] == QUOTE and not quoted):
            quoted |= m.text1[at] == QUOTE
            at += 1
        if column == m.scan[COLUMN]:
            quoted = 0
            place = at
            left -= 1
            va = any_number(m, at)
            if m.scan[SCAN_NEXT] == at:
                return wrong(m, WRONG_NUMBER, at)
            at = m.scan[SCAN_NEXT]
            while m.text1[at] == BLANK or m.text1[at] == QUOTE:
                at += 1
            if m.text1[at] != separator and not at_line_end(m, at):
                return wrong(m, WRONG_NUMBER, place)
        elif column == m.scan[KIND]:
            left -= 1
            kind = kind_of(m.text1[at])
            if kind < 0:
                return wrong(m, WRONG_KIND, at)
        elif column == m.scan[BYTES]:
            size = any_number(m, at)
        if quoted:
            at = after_quote(m, at)
        while m.text1[at] != separator and m.text1[at] != NEWLINE:
            at += 1
        if m.text1[at] == NEWLINE:
            break
        at += 1
        column += 1
    if left:
        return wrong(m, WRONG_COLUMN, at)
    if m.scan[PAGES]:
        if put_page(m, kind, va, record) == 0:
            return wrong(m, WRONG_OBJECT, place)
    elif put_access(m, kind, va, record) == 0:
        return wrong(m, WRONG_ADDRESS, place)
    else:
        put_size(m, va, size)
    return at + 1


def names_of(head: bytes) -> tuple[int, list[str], str]:
    """Bytes of the first line, the names in it, and what stands between them; no names if it has none."""
    line = head.split(b"\n", 1)[0]
    try:
        text = line.decode().strip().lstrip("#")
        delimiter = max(DELIMITERS, key=text.count)
        fields = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True), [])
    except (UnicodeDecodeError, csv.Error):
        return 0, [], ""
    names = [name.strip(" \"'").lower() for name in fields]
    return len(line) + 1, names, delimiter


def place_of(names: list[str], wanted: tuple[str, ...]) -> int:
    """The number of the first column with one of these names; -1 if there is none."""
    return next((index for index, name in enumerate(names) if name in wanted), -1)


def is_table(head: bytes) -> bool:
    """Do names of columns stand first, one of an address among them?"""
    return b"\0" not in head and place_of(names_of(head)[1], ADDRESSES) >= 0


def is_object_table(head: bytes) -> bool:
    """As `is_table`, for a column that names objects (of a cache trace) instead of addresses."""
    return b"\0" not in head and place_of(names_of(head)[1], OBJECTS) >= 0


def prepared(head: bytes, wanted: tuple[str, ...]) -> Head:
    """What the first line says of the columns.  InputError if none has one of the wanted names."""
    size, names, delimiter = names_of(head)
    place = place_of(names, wanted)
    if place < 0:
        said = f"expected names of columns, one of them {', '.join(wanted[:3])}"
        raise InputError(said, line=1, column=1)
    objects = wanted is OBJECTS
    sizes = -1 if objects else place_of(names, SIZES)
    words = ord(delimiter), place, place_of(names, KINDS), int(objects), sizes
    return Head(min(size, len(head)), 1, words)


def write_table(accesses: Iterable[Access], page_bits: int) -> Iterator[bytes]:
    """Columns `address` and `op`."""
    letters = {OP_READ: b"r", OP_WRITE: b"w", OP_FETCH: b"x", OP_MODIFY: b"m"}
    yield b"address,op\n"
    for kind, va in accesses:
        yield b"0x%x,%s\n" % (va & (1 << 64) - 1, letters[kind])


def write_objects(accesses: Iterable[Access], page_bits: int) -> Iterator[bytes]:
    """Columns as libCacheSim's examples have them."""
    yield b"time,object_id,object_size\n"
    for number, (_, va) in enumerate(accesses):
        yield b"%d,%d,%d\n" % (number, va >> page_bits, 1 << page_bits)


TABLE = TraceFormat(
    "csv",
    "CSV with names of columns: address, op",
    "0x401000,r,8",
    "RFC 4180, without line ends in fields",
    is_table,
    column_record,
    begin="fields",
    prepare=lambda head: prepared(head, ADDRESSES),
    write=write_table,
    suffixes=(".csv",),
)
OBJECT_TABLE = TraceFormat(
    "libcachesim-csv",
    "CSV with names of columns: object_id; objects are pages",
    "1,401,4096",
    "libCacheSim, doc/quickstart_cachesim.md",
    is_object_table,
    column_record,
    begin="fields",
    loses="kinds of access",
    prepare=lambda head: prepared(head, OBJECTS),
    write=write_objects,
)
