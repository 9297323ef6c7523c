"""Traces of libCacheSim in its format oracleGeneral: records of 24 bytes, little-endian (libCacheSim,
traceReader/customizedReader/oracle/oracleGeneralBin.h).

Time (4 bytes), number of the object (8), its size (4), when it is next used (8, signed; -1: never).  An
object stands for a page: its number is the page's.
"""

from __future__ import annotations

from struct import Struct

from vmdbg.engine import writes
from vmdbg.kernel.scheduler import OP_READ
from vmdbg.programs.traces.record import LINES_ASKED, TraceFormat
from vmdbg.programs.traces.scan import WRONG_LINK, WRONG_OBJECT, little_endian, put_page, wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmdbg.programs.traces.record import Access

RECORD = Struct("<IQIq")
SIZE, OBJECT, NEXT = 24, 4, 16
NEVER = -2  # the lowest number that means that an object is not used again


@writes(fills=True)
def oracle_general_record(m, at, record):
    """A record."""
    if little_endian(m, at + NEXT, 8) < NEVER:
        return wrong(m, WRONG_LINK, at + NEXT)
    if put_page(m, OP_READ, little_endian(m, at + OBJECT, 8), record) == 0:
        return wrong(m, WRONG_OBJECT, at + OBJECT)
    return at + SIZE


def recognise(head: bytes) -> bool:
    """Does time not go back, and is each object used again later, or never?"""
    records = min(len(head) // SIZE, LINES_ASKED)
    if not records or b"\0" not in head:
        return False
    before = 0
    for number in range(records):
        time, _, size, following = RECORD.unpack_from(head, number * SIZE)
        if time < before or not size or following < NEVER or (0 <= following <= number):
            return False
        before = time
    return True


def write(accesses: Iterable[Access], page_bits: int) -> Iterator[bytes]:
    """A record for each access; when a page is next used is not known while they pass: all say never."""
    for number, (_, va) in enumerate(accesses):
        yield RECORD.pack(number & 0xFFFFFFFF, (va >> page_bits) & ((1 << 64) - 1), 1 << page_bits, -1)


ORACLE_GENERAL = TraceFormat(
    "oracle-general",
    "libCacheSim, oracleGeneral: objects are pages",
    "24 bytes: time, object, size, next use",
    "libCacheSim, oracleGeneralBin.h",
    recognise,
    oracle_general_record,
    size=SIZE,
    loses="kinds of access",
    write=write,
    suffixes=(".oracleGeneral", ".oracleGeneral.bin"),
)
