"""Traces of the cache simulator Dinero in its format `din` (dineroIV, manual page, "Trace formats").

A label and an address in hex: 0 is a read, 1 a write, 2 an instruction fetch; 3 and 4, escape records, are
passed over.  What follows on the line is a remark.
"""

from __future__ import annotations

import re

from vmdbg.engine import writes
from vmdbg.kernel.scheduler import OP_FETCH, OP_MODIFY, OP_READ, OP_WRITE
from vmdbg.programs.traces.record import TraceFormat, lines_of
from vmdbg.programs.traces.scan import (
    BLANK,
    SCAN_NEXT,
    TAB,
    WRONG_ADDRESS,
    WRONG_BEGIN,
    WRONG_HEX,
    WRONG_REST,
    after_blanks,
    after_line,
    at_line_end,
    hex_or_0x,
    put_access,
    remark,
    wrong,
)

LINE = re.compile(rb"\s*[0-4]\s+(0[xX])?[0-9a-fA-F]{1,16}(\s.*)?")


@writes(fills=True)
def dinero_record(m, at, record):
    """A line."""
    begin = after_blanks(m, at)
    label = m.text1[begin] - 48
    if label < 0 or label > 4:
        return remark(m, at)
    at = begin + 1
    if m.text1[at] != BLANK and m.text1[at] != TAB:
        return wrong(m, WRONG_BEGIN, begin)
    if label > OP_FETCH:
        return after_line(m, at)
    at = after_blanks(m, at)
    va = hex_or_0x(m, at)
    behind = m.scan[SCAN_NEXT]
    if behind == at:
        return wrong(m, WRONG_HEX, at)
    if m.text1[behind] != BLANK and m.text1[behind] != TAB and not at_line_end(m, behind):
        return wrong(m, WRONG_REST, behind)
    if put_access(m, label, va, record) == 0:
        return wrong(m, WRONG_ADDRESS, at)
    return after_line(m, behind)


DINERO = TraceFormat(
    "dinero",
    "Dinero's din: 0 read, 1 write, 2 fetch",
    "0 401ab70",
    "dineroIV, manual page, Trace formats",
    LINE,
    dinero_record,
    begin='"0 ", "1 " or "2 ", and an address',
    write=lines_of({OP_READ: "0 %x\n", OP_WRITE: "1 %x\n", OP_FETCH: "2 %x\n", OP_MODIFY: "1 %x\n"}),
    suffixes=(".din",),
)
