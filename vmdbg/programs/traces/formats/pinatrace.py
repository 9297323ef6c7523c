"""Traces of Pin's example tool pinatrace (Pin, source/tools/ManualExamples/pinatrace.cpp).

`0x7f53c7a3f093: R 0x7ffc2d6a1b58`: the instruction, `R` or `W`, the address that it accesses.  The data
accesses are the trace; an instruction is no fetch, for it stands in each of its accesses' lines.
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
    WRONG_KIND,
    WRONG_REST,
    after_blanks,
    after_line,
    at_line_end,
    hex_or_0x,
    kind_of,
    put_access,
    remark,
    wrong,
)

COLON = 58
LINE = re.compile(rb"\s*(0[xX])?[0-9a-fA-F]{1,16}:\s+[RWrw]\s+(0[xX])?[0-9a-fA-F]{1,16}(\s.*)?")


@writes(fills=True)
def pinatrace_record(m, at, record):
    """A line."""
    begin = after_blanks(m, at)
    hex_or_0x(m, begin)
    behind = m.scan[SCAN_NEXT]
    if behind == begin:
        return remark(m, at)
    if m.text1[behind] != COLON:
        return wrong(m, WRONG_BEGIN, begin)
    at = after_blanks(m, behind + 1)
    kind = kind_of(m.text1[at])
    if kind < 0 or kind > OP_WRITE or m.text1[at] < 65 or m.text1[at + 1] > BLANK:
        return wrong(m, WRONG_KIND, at)
    at = after_blanks(m, at + 1)
    va = hex_or_0x(m, at)
    behind = m.scan[SCAN_NEXT]
    if behind == at:
        return wrong(m, WRONG_HEX, at)
    if m.text1[behind] != BLANK and m.text1[behind] != TAB and not at_line_end(m, behind):
        return wrong(m, WRONG_REST, behind)
    if put_access(m, kind, va, record) == 0:
        return wrong(m, WRONG_ADDRESS, at)
    return after_line(m, behind)


PINATRACE = TraceFormat(
    "pinatrace",
    "Pin's tool pinatrace",
    "0x7f53c7a3f093: R 0x7ffc2d6a1b58",
    "Pin, ManualExamples/pinatrace.cpp",
    LINE,
    pinatrace_record,
    begin='"0xINSTRUCTION: R 0xADDRESS"',
    loses="that fetches are no reads",
    write=lines_of(
        {
            OP_READ: "0x0: R 0x%x\n",
            OP_WRITE: "0x0: W 0x%x\n",
            OP_FETCH: "0x0: R 0x%x\n",
            OP_MODIFY: "0x0: W 0x%x\n",
        }
    ),
)
