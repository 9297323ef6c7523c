"""A letter and an address, as many courses have them: `l 0x1000`, `s 0x1000`, `R 0x1000`, `W 0x1000`.

r(ead) and l(oad) read, w(rite) and s(tore) write, i and f(etch) fetch, m(odify) writes; words are taken by
their first letter.  The address is hex.  What follows behind a blank or a comma is passed over.
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

LINE = re.compile(rb"\s*%s\s+(0[xX])?[0-9a-fA-F]{1,16}([\s,].*)?" % KIND_WORD)


@writes(fills=True)
def letter_address_record(m, at, record):
    """A line."""
    begin = after_blanks(m, at)
    letter = m.text1[begin]
    if letter < 65:
        return remark(m, at)
    kind = kind_of(letter)
    if kind < 0:
        return wrong(m, WRONG_KIND, begin)
    at = begin + 1
    while m.text1[at] >= 65:
        at += 1
    if m.text1[at] != BLANK and m.text1[at] != TAB:
        return wrong(m, WRONG_HEX, at)
    at = after_blanks(m, at)
    va = hex_or_0x(m, at)
    behind = m.scan[SCAN_NEXT]
    if behind == at:
        return wrong(m, WRONG_HEX, at)
    byte = m.text1[behind]
    if byte != BLANK and byte != COMMA and byte != TAB and not at_line_end(m, behind):
        return wrong(m, WRONG_REST, behind)
    if put_access(m, kind, va, record) == 0:
        return wrong(m, WRONG_ADDRESS, at)
    return after_line(m, behind)


LETTER_ADDRESS = TraceFormat(
    "letter-address",
    "a letter (r, w, l, s, x, m) and an address in hex",
    "R 0x0041f7a0",
    "traces of courses",
    LINE,
    letter_address_record,
    begin='"R 0xADDRESS" or "W 0xADDRESS"',
    write=lines_of({OP_READ: "R 0x%x\n", OP_WRITE: "W 0x%x\n", OP_FETCH: "I 0x%x\n", OP_MODIFY: "M 0x%x\n"}),
)
