"""Traces of Valgrind's tool lackey (`--trace-mem=yes`; Valgrind's manual, section 13, and lackey/lk_main.c).

`I  0401ab70,3`, ` L ADDRESS,SIZE`, ` S`, ` M`, addresses in hex.  Each line is one access; `M`, load and
store, writes.  What valgrind itself says begins with `==` or `--`.
"""

from __future__ import annotations

import re

from vmdbg.engine import writes
from vmdbg.kernel.scheduler import OP_FETCH, OP_MODIFY, OP_READ, OP_WRITE
from vmdbg.programs.traces.record import TraceFormat, lines_of, sample_lines
from vmdbg.programs.traces.scan import (
    BLANK,
    COMMA,
    NEWLINE,
    SCAN_NEXT,
    WRONG_ADDRESS,
    WRONG_COMMA,
    WRONG_HEX,
    WRONG_SIZE,
    at_line_end,
    decimal_number,
    hex_number,
    put_access,
    put_size,
    remark,
    wrong,
)

LINE = re.compile(rb"(I  | [LSM] )[0-9a-fA-F]+,[0-9]+")
MOST_DIGITS = 6  # of a size


@writes(fills=True)
def lackey_record(m, at, record):
    """A line."""
    first = m.text1[at]
    kind = -1
    if m.text1[at + 2] == BLANK:
        second = m.text1[at + 1]
        if first == BLANK:
            if second == 76:
                kind = OP_READ
            elif second == 83:
                kind = OP_WRITE
            elif second == 77:
                kind = OP_MODIFY
        elif first == 73 and second == BLANK:
            kind = OP_FETCH
    if kind < 0:
        return remark(m, at)
    at += 3
    va = hex_number(m, at)
    behind = m.scan[SCAN_NEXT]
    if behind == at:
        return wrong(m, WRONG_HEX, at)
    if m.text1[behind] != COMMA:
        return wrong(m, WRONG_COMMA, behind)
    if put_access(m, kind, va, record) == 0:
        return wrong(m, WRONG_ADDRESS, at)
    behind += 1
    if m.text1[behind + 1] == NEWLINE and 1 <= m.digit[m.text1[behind]] <= 9:
        put_size(m, va, m.digit[m.text1[behind]])
        return behind + 2
    return lackey_size(m, behind, va)


@writes
def lackey_size(m, at, va):
    """The size at the end of a line, of the access at `va`; where the next line begins."""
    size = decimal_number(m, at)
    behind = m.scan[SCAN_NEXT]
    if size == 0 or behind == at or behind - at > MOST_DIGITS or not at_line_end(m, behind):
        return wrong(m, WRONG_SIZE, at)
    put_size(m, va, size)
    return behind + 1 if m.text1[behind] == NEWLINE else behind + 2


def recognise(head: bytes) -> bool:
    """Is the first line one of lackey's, or does only valgrind speak?"""
    lines = sample_lines(head)
    return bool(LINE.fullmatch(lines[0])) if lines else head.startswith(b"==")


LACKEY = TraceFormat(
    "lackey",
    "Valgrind's lackey, --trace-mem=yes",
    "I  0401ab70,3",
    "Valgrind manual, lackey; lackey/lk_main.c",
    recognise,
    lackey_record,
    begin='"I  ", " L ", " S " or " M "',
    line=LINE,
    write=lines_of(
        {OP_FETCH: "I  %08x,1\n", OP_READ: " L %08x,1\n", OP_WRITE: " S %08x,1\n", OP_MODIFY: " M %08x,1\n"}
    ),
)
