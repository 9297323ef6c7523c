"""One-dimensional arrays in files of NumPy, `.npy`: of integers, or of structures with a field of them
(NumPy, numpy/lib/format.py, versions 1 to 3).  NumPy itself is not needed.

Integers are addresses, each a read.  Of a structure the field of the address and that of the kind of access
are found by their names, as the columns of a CSV file; a kind is a number (0 read, 1 write, 2 fetch, 3 load
and store) or a letter.
"""

from __future__ import annotations

import ast
import re
from math import prod
from struct import pack, unpack_from

from vmdbg.engine import writes
from vmdbg.errors import UserError
from vmdbg.programs.traces.formats.columns import ADDRESSES, KINDS, place_of
from vmdbg.programs.traces.record import Head, TraceFormat
from vmdbg.programs.traces.scan import SCAN_FIRST, WRONG_ADDRESS, WRONG_KIND, kind_of, put_access, wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmdbg.programs.traces.record import Access

MAGIC = b"\x93NUMPY"
TYPE = re.compile(r"([<>|=]?)([iuSbfVUc?])([0-9]{0,9})")
OFFSET, WIDTH, BIG, SIGNED, KIND, KIND_WIDTH, KIND_BIG, STRIDE = range(SCAN_FIRST, SCAN_FIRST + 8)
HEADER = 10  # offset at which a header begins to say what there is
MOST_HEADER, MOST_BYTES = 1 << 15, 1 << 16  # of a header, of an element


@writes
def array_number(m, at, width, big):
    """The number of `width` bytes at `at`, lowest byte first, or last (`big`); signed if it has 8."""
    step = -1
    at += width - 1
    if big:
        step = 1
        at -= width - 1
    value = m.text1[at]
    if width == 8 and value > 127:
        value -= 256
    width -= 1
    while width > 0:
        at += step
        value = value << 8 | m.text1[at]
        width -= 1
    return value


@writes(fills=True)
def array_record(m, at, record):
    """An element."""
    width = m.scan[WIDTH]
    va = array_number(m, at + m.scan[OFFSET], width, m.scan[BIG])
    if m.scan[SIGNED] and width < 8 and va >> (width * 8 - 1 & 63):
        va -= 1 << (width * 8 & 63)
    kind = 0
    if m.scan[KIND] >= 0:
        kind = array_number(m, at + m.scan[KIND], m.scan[KIND_WIDTH], m.scan[KIND_BIG])
        if kind > 3 or kind < 0:
            kind = kind_of(kind & 255)
        if kind < 0:
            return wrong(m, WRONG_KIND, at + m.scan[KIND])
    if put_access(m, kind, va, record) == 0:
        return wrong(m, WRONG_ADDRESS, at + m.scan[OFFSET])
    return at + m.scan[STRIDE]


class Field:
    """A field of the elements: where it lies, in bytes, and what it is."""

    __slots__ = ("big", "kind", "name", "offset", "size", "whole")

    def __init__(self, name: str, text: str, offset: int, count: int = 1) -> None:
        found = TYPE.fullmatch(text)
        if found is None:
            raise UserError(f'expected integers, letters or numbers as fields, not "{text:.20}".')
        self.name, self.offset, self.kind = name.lower(), offset, found[2]
        self.size = int(found[3] or 1) * (4 if found[2] == "U" else 1)
        self.big, self.whole = found[1] == ">", self.size * count


def fields_of(description: object) -> list[Field]:
    """The fields of an element.  UserError."""
    if isinstance(description, str):
        return [Field(ADDRESSES[0], description, 0)]
    fields, offset = list[Field](), 0
    if not isinstance(description, list):
        raise UserError("expected a type, or fields with names.")
    for item in description:
        match item:
            case (str(name), str(text)):
                fields.append(Field(name, text, offset))
            case (str(name), str(text), tuple(shape)) if all(isinstance(n, int) and n > 0 for n in shape):
                fields.append(Field(name, text, offset, prod(shape)))
            case _:
                raise UserError("expected the name and the type of each field.")
        offset += fields[-1].whole
    return fields


def header_of(head: bytes) -> tuple[dict[str, object], int]:
    """What the header says, and where the elements begin.  UserError."""
    wide = len(head) > 6 and head[6] > 1
    start = HEADER + 2 * wide
    if not head.startswith(MAGIC) or len(head) < start:
        raise UserError("offset 0: expected the header of a .npy file.")
    (size,) = unpack_from("<I" if wide else "<H", head, 8)
    try:
        found = ast.literal_eval(head[start : start + min(size, MOST_HEADER)].decode("latin-1").strip())
        if not isinstance(found, dict) or len(head) < start + size:
            raise ValueError
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise UserError(f"offset {start}: expected the header of a .npy file.") from None
    return found, start + size


def prepare(head: bytes) -> Head:
    """What the header says of the elements.  UserError if they are no addresses."""
    said, offset = header_of(head)
    try:
        return elements_of(said, offset)
    except UserError as error:
        raise UserError(f"offset {HEADER}: {error}") from None


def elements_of(said: dict[str, object], offset: int) -> Head:
    """The elements of an array whose header says this, from an offset on.  UserError without the place."""
    shape = said.get("shape")
    if not (isinstance(shape, tuple) and len(shape) == 1 and isinstance(shape[0], int)):
        raise UserError("expected an array of one dimension.")
    fields = fields_of(said.get("descr"))
    names = [field.name for field in fields]
    place, other = place_of(names, ADDRESSES), place_of(names, KINDS)
    if place < 0:
        raise UserError(
            f"expected a field named {', '.join(ADDRESSES[:3])}; there are {', '.join(names):.60}."
        )
    address, kind = fields[place], fields[other] if other >= 0 else None
    if address.kind not in "iu" or address.size not in (1, 2, 4, 8) or address.whole != address.size:
        raise UserError("expected integers as addresses.")
    if kind is not None and (kind.kind not in "iuSb" or not 1 <= kind.whole <= 8):
        raise UserError("expected numbers or letters as kinds of access.")
    stride = sum(field.whole for field in fields)
    if stride > MOST_BYTES:
        raise UserError(f"expected elements of at most {MOST_BYTES} bytes, not {stride:.3g}.")
    words = (address.offset, address.size, int(address.big), int(address.kind == "i"))
    if kind is None:
        more = (-1, 0, 0)
    else:
        more = (kind.offset, 1 if kind.kind == "S" else kind.size, int(kind.big))
    return Head(offset, 0, (*words, *more, stride), stride, total=shape[0])


def write(accesses: Iterable[Access], page_bits: int) -> Iterator[bytes]:
    """An array of structures; all of it is in memory first, for its length stands before it."""
    body = b"".join([pack("<QB", va & (1 << 64) - 1, kind) for kind, va in accesses])
    shape = f"({len(body) // 9},)"
    said = f"{{'descr': [('address', '<u8'), ('op', '|u1')], 'fortran_order': False, 'shape': {shape}, }}"
    padding = -(len(said) + 11) % 64
    yield MAGIC + b"\x01\x00" + pack("<H", len(said) + padding + 1) + said.encode() + b" " * padding + b"\n"
    yield body


NUMPY_ARRAY = TraceFormat(
    "npy",
    "NumPy array of integers, or of structures with a field address",
    "{'descr': '<u8', 'shape': (N,)}",
    "NumPy, numpy/lib/format.py",
    lambda head: head.startswith(MAGIC),
    array_record,
    prepare=prepare,
    write=write,
    suffixes=(".npy",),
)
