"""What DynamoRIO's drcachesim prints with `-simulator_type view` (clients/drcachesim/tools/view.cpp).

    1           0:     3264571 ifetch       3 byte(s) @ 0x00007f86f5e0c003 48 89 e7   mov    %rsp, %rdi
    2           1:     3264571 write        8 byte(s) @ 0x00007ffeb7ff6698 by PC 0x00007f86f5e0c006

Record number, instruction number, thread, kind, size, address.  Markers, prefetches and what stands around
the table are passed over.
"""

from __future__ import annotations

import re

from vmdbg.engine import writes
from vmdbg.kernel.scheduler import OP_FETCH, OP_MODIFY, OP_READ, OP_WRITE
from vmdbg.programs.traces.record import TraceFormat
from vmdbg.programs.traces.scan import (
    BLANK,
    NEWLINE,
    SCAN_NEXT,
    WRONG_ADDRESS,
    WRONG_BEGIN,
    WRONG_TARGET,
    after_blanks,
    after_line,
    decimal_number,
    hex_or_0x,
    put_access,
    put_size,
    wrong,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmdbg.programs.traces.record import Access

COLON, AT_SIGN = 58, 64
LINE = re.compile(
    rb"Output format:|<--record.*|-{20,}|View tool.*|\s*\d+ : .*|\s*\d+\s+\d+:\s+\S+\s+[<a-z].*"
)
WORDS = {OP_READ: b"read  ", OP_WRITE: b"write ", OP_MODIFY: b"write ", OP_FETCH: b"ifetch"}


@writes(fills=True)
def dynamorio_record(m, at, record):
    """A line."""
    begin = after_blanks(m, at)
    if m.digit[m.text1[begin]] > 9:
        return after_line(m, at)
    at = begin
    while m.digit[m.text1[at]] < 10:
        at += 1
    at = after_blanks(m, at)
    if m.text1[at] == COLON:
        return after_line(m, at)  # a sum below the table
    while m.digit[m.text1[at]] < 10:
        at += 1
    if m.text1[at] != COLON:
        return wrong(m, WRONG_BEGIN, at)
    at = after_blanks(m, at + 1)
    while m.text1[at] != BLANK and m.text1[at] != NEWLINE:
        at += 1
    at = after_blanks(m, at)
    first = m.text1[at]
    second = m.text1[at + 1]
    if first == 105 and second == 102:
        return dynamorio_target(m, at, OP_FETCH, record)
    if first == 114 and second == 101:
        return dynamorio_target(m, at, OP_READ, record)
    if first == 119 and second == 114:
        return dynamorio_target(m, at, OP_WRITE, record)
    return after_line(m, at)


@writes
def dynamorio_target(m, at, kind, record):
    """The address of an access, behind `@`; where the next line begins."""
    size = 0
    while m.text1[at] != AT_SIGN and m.text1[at] != NEWLINE:
        if m.text1[at] == BLANK and m.digit[m.text1[at + 1]] < 10:
            size = decimal_number(m, at + 1)
        at += 1
    if m.text1[at] == NEWLINE:
        return wrong(m, WRONG_TARGET, at)
    at = after_blanks(m, at + 1)
    va = hex_or_0x(m, at)
    if m.scan[SCAN_NEXT] == at:
        return wrong(m, WRONG_TARGET, at)
    if put_access(m, kind, va, record) == 0:
        return wrong(m, WRONG_ADDRESS, at)
    put_size(m, va, size)
    return after_line(m, at)


def write(accesses: Iterable[Access], page_bits: int) -> Iterator[bytes]:
    """The table, all in one thread."""
    yield b"Output format:\n<--record#-> <--instr#->: <---tid---> <record details>\n" + b"-" * 60 + b"\n"
    fetches = 0
    for number, (kind, va) in enumerate(accesses, 1):
        fetches += kind == OP_FETCH
        found = va & (1 << 64) - 1
        yield b"%12d %11d: %11d %s       1 byte(s) @ 0x%016x\n" % (number, fetches, 1, WORDS[kind], found)


DYNAMORIO = TraceFormat(
    "dynamorio",
    "DynamoRIO's drcachesim -simulator_type view",
    "1 0: 3264571 ifetch 3 byte(s) @ 0x00007f86f5e0c003",
    "DynamoRIO, clients/drcachesim/tools/view.cpp",
    LINE,
    dynamorio_record,
    begin='"RECORD INSTRUCTION: THREAD"',
    write=write,
)
