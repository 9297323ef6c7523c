"""Traces of ChampSim: records of 64 bytes, `struct input_instr` (ChampSim, inc/trace_instruction.h).

ip (8 bytes, little-endian), is_branch, branch_taken, 2 destination and 4 source registers (1 byte each), 2
addresses that are written, 4 that are read (8 bytes each; 0: none).  A record is a fetch at ip, then the
loads, then the stores.
"""

from __future__ import annotations

from struct import Struct

from vmdbg.engine import writes
from vmdbg.kernel.scheduler import OP_FETCH, OP_READ
from vmdbg.kernel.scheduler import OP_WRITE as OP_STORE
from vmdbg.programs.traces.record import LINES_ASKED, TraceFormat
from vmdbg.programs.traces.scan import WRONG_ADDRESS, WRONG_FLAG, put_access, wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmdbg.programs.traces.record import Access

RECORD = Struct("<Q8B6Q")
SIZE, FLAGS, STORES, LOADS = 64, 8, 2, 6  # bytes; byte; words of stores; one past those of loads
MASK = (1 << 64) - 1


@writes(fills=True)
def champsim_record(m, at, record):
    """A record."""
    if m.text1[at + FLAGS] > 1 or m.text1[at + FLAGS + 1] > 1:
        return wrong(m, WRONG_FLAG, at + FLAGS)
    word = at >> 3
    va = m.text8[word]
    if va and put_access(m, OP_FETCH, va, record) == 0:
        return wrong(m, WRONG_ADDRESS, at)
    number = 4
    while number < 8:
        va = m.text8[word + number]
        if va and put_access(m, OP_READ, va, record) == 0:
            return wrong(m, WRONG_ADDRESS, (word + number) << 3)
        number += 1
    number = 2
    while number < 4:
        va = m.text8[word + number]
        if va and put_access(m, OP_STORE, va, record) == 0:
            return wrong(m, WRONG_ADDRESS, (word + number) << 3)
        number += 1
    return at + SIZE


def recognise(head: bytes) -> bool:
    """Are flags flags, and addresses canonical ones of at most 57 bits?"""
    records = len(head) // SIZE
    if not records or b"\0" not in head:
        return False
    seen = False
    for number in range(min(records, LINES_ASKED)):
        (
            ip,
            branch,
            taken,
            *_,
        ) = found = RECORD.unpack_from(head, number * SIZE)
        addresses = [ip, *found[9:]]
        if branch > 1 or taken > 1 or any((1 << 57) <= va < (1 << 64) - (1 << 57) for va in addresses):
            return False
        seen = seen or ip > 1 << 12
    return seen


def write(accesses: Iterable[Access], page_bits: int) -> Iterator[bytes]:
    """A record for each fetch, with the loads and stores that follow it, as many as fit."""
    ip, loads, stores = 0, list[int](), list[int]()
    for kind, va in accesses:
        store = kind not in (OP_FETCH, OP_READ)
        full = bool(stores) and len(stores) == 2 if store else bool(stores) or len(loads) == 4
        if kind == OP_FETCH or full:
            if ip or loads or stores:
                yield packed(ip, loads, stores)
            ip, loads, stores = (va & MASK if kind == OP_FETCH else 0), [], []
        if kind != OP_FETCH:
            (stores if store else loads).append(va & MASK)
    if ip or loads or stores:
        yield packed(ip, loads, stores)


def packed(ip: int, loads: list[int], stores: list[int]) -> bytes:
    """A record."""
    words = [*stores, *[0] * (2 - len(stores)), *loads, *[0] * (4 - len(loads))]
    return RECORD.pack(ip, *[0] * 8, *words)


CHAMPSIM = TraceFormat(
    "champsim",
    "ChampSim, records of 64 bytes",
    "struct input_instr",
    "ChampSim, inc/trace_instruction.h",
    recognise,
    champsim_record,
    size=SIZE,
    rows=7,
    write=write,
    suffixes=(".champsim", ".champsimtrace"),
)
