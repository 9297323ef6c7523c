"""A letter and an address in decimal, in either order, as some courses have them: `R 4308896`, `4308896 W`.

Whether `R 20000` is hex or decimal no line says.  Of many different addresses in hex some have a digit above
9, so that a trace in which none has is decimal; one with few addresses is taken as hex.
"""

from __future__ import annotations

import re

from vmdbg.engine import writes
from vmdbg.kernel.scheduler import OP_FETCH, OP_MODIFY, OP_READ, OP_WRITE
from vmdbg.programs.traces.record import KIND_WORD, TraceFormat, lines_of, sample_lines
from vmdbg.programs.traces.scan import (
    BLANK,
    COMMA,
    SCAN_NEXT,
    TAB,
    WRONG_ADDRESS,
    WRONG_DECIMAL,
    WRONG_KIND,
    WRONG_REST,
    after_blanks,
    after_line,
    at_line_end,
    decimal_number,
    kind_of,
    put_access,
    remark,
    wrong,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmdbg.programs.traces.record import Access

NUMBER = rb"0|[1-9][0-9]{0,19}"  # what begins with another 0 is padded hex
HEX_NUMBER = rb"(?:0[xX])?[0-9a-fA-F]{1,16}"
LINE = re.compile(rb"\s*(?:%s\s+(%s)|(%s)\s+%s)(?:[\s,].*)?" % (KIND_WORD, NUMBER, NUMBER, KIND_WORD))
HEX = re.compile(rb"\s*(?:%s\s+%s|%s\s+%s)(?:[\s,].*)?" % (KIND_WORD, HEX_NUMBER, HEX_NUMBER, KIND_WORD))
SAID = b"# decimal"  # the remark with which vmdbg begins such a trace
LINES, ENOUGH = 4000, 64  # lines that are looked at; different addresses among them that are enough


def recognise(head: bytes) -> bool:
    """Does the head say that it is decimal, or do all lines have decimal numbers, enough of them to tell?

    Lines that are wrong in hex, too, say nothing, as long as most are right.
    Of 64 different multiples of 4 in hex all would have a last digit below A once in 10**8 traces.
    """
    if head.partition(b"\n")[0].rstrip() == SAID:
        return True
    lines = sample_lines(head, LINES)
    matches = [LINE.fullmatch(line) for line in lines]
    found = [match[1] or match[2] for match in matches if match]
    if len(set(found)) < ENOUGH or 2 * len(found) < len(lines):
        return False
    return not any(HEX.fullmatch(line) for line, match in zip(lines, matches, strict=True) if not match)


def write(accesses: Iterable[Access], page_bits: int) -> Iterator[bytes]:
    """Lines, and before them the remark that they are decimal."""
    yield SAID + b"\n"
    yield from lines_of({OP_READ: "R %d\n", OP_WRITE: "W %d\n", OP_FETCH: "I %d\n", OP_MODIFY: "M %d\n"})(
        accesses, page_bits
    )


@writes(fills=True)
def decimal_letter_record(m, at, record):
    """A line."""
    begin = after_blanks(m, at)
    at = begin
    kind = -1
    if m.text1[at] >= 65:
        kind = kind_of(m.text1[at])
        if kind < 0:
            return wrong(m, WRONG_KIND, at)
        while m.text1[at] >= 65:
            at += 1
        if m.text1[at] != BLANK and m.text1[at] != TAB:
            return wrong(m, WRONG_DECIMAL, at)
        at = after_blanks(m, at)
    number = at
    va = decimal_number(m, at)
    at = m.scan[SCAN_NEXT]
    if at == number:
        return wrong(m, WRONG_DECIMAL, at) if kind >= 0 else remark(m, begin)
    if kind < 0:
        if m.text1[at] != BLANK and m.text1[at] != TAB:
            return wrong(m, WRONG_DECIMAL, at)
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
        return wrong(m, WRONG_ADDRESS, number)
    return after_line(m, at)


DECIMAL_LETTER = TraceFormat(
    "decimal-letter",
    "an address in decimal and a letter, in either order",
    "R 4308896",
    "traces of courses",
    recognise,
    decimal_letter_record,
    begin='"R ADDRESS" or "ADDRESS R" in decimal',
    write=write,
)
