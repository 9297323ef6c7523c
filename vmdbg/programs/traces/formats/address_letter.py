"""An address in hex and a letter, as many courses have them: `0041f7a0 R`, `13f5e2c0 W`.

Letters and words are those of `letter_address`; what follows behind a blank or a comma is passed over.
"""

from __future__ import annotations

import re

from vmdbg.engine import writes
from vmdbg.kernel.scheduler import OP_FETCH, OP_MODIFY, OP_READ, OP_WRITE
from vmdbg.programs.traces.record import KIND_WORD, TraceFormat, lines_of
from vmdbg.programs.traces.scan import (
    BLANK,
    COMMA,
    SCAN_NEXT,
    TAB,
    WRONG_ADDRESS,
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

LINE = re.compile(rb"\s*(0[xX])?[0-9a-fA-F]{1,16}\s+%s([\s,].*)?" % KIND_WORD)


@writes(fills=True)
def address_letter_record(m, at, record):
    """A line."""
    begin = after_blanks(m, at)
    va = hex_or_0x(m, begin)
    behind = m.scan[SCAN_NEXT]
    if behind == begin:
        return remark(m, at)
    at = behind
    if m.text1[at] != BLANK and m.text1[at] != TAB:
        return wrong(m, WRONG_KIND, at)
    at = after_blanks(m, at)
    kind = kind_of(m.text1[at])
    if kind < 0 or m.text1[at] < 65:
        return wrong(m, WRONG_KIND, at)
    while m.text1[at] >= 65:
        at += 1
    byte = m.text1[at]
    if byte != BLANK and byte != COMMA and byte != TAB and not at_line_end(m, at):
        return wrong(m, WRONG_REST, at)
    if put_access(m, kind, va, record) == 0:
        return wrong(m, WRONG_ADDRESS, begin)
    return after_line(m, at)


ADDRESS_LETTER = TraceFormat(
    "address-letter",
    "an address in hex and a letter",
    "0041f7a0 R",
    "traces of courses",
    LINE,
    address_letter_record,
    begin='"ADDRESS R" or "ADDRESS W"',
    write=lines_of({OP_READ: "%08x R\n", OP_WRITE: "%08x W\n", OP_FETCH: "%08x I\n", OP_MODIFY: "%08x M\n"}),
)
