"""Addresses, one a line, each a read: decimal or with `0x` in hex; or all in hex without `0x`."""

from __future__ import annotations

import re

from vmdbg.engine import writes
from vmdbg.kernel.scheduler import OP_FETCH, OP_MODIFY, OP_READ, OP_WRITE
from vmdbg.programs.traces.record import TraceFormat, lines_of
from vmdbg.programs.traces.scan import (
    SCAN_NEXT,
    WRONG_ADDRESS,
    after_blanks,
    any_number,
    end_line,
    hex_or_0x,
    put_access,
    remark,
    wrong,
)

#: What begins with another 0 is padded hex.
NUMBER = re.compile(rb"\s*(0[xX][0-9a-fA-F]{1,16}|0|[1-9][0-9]{0,19})")
HEX = re.compile(rb"\s*[0-9a-fA-F]{1,16}")
EACH = (OP_READ, OP_WRITE, OP_FETCH, OP_MODIFY)


@writes(fills=True)
def address_record(m, at, record):
    """A line with a decimal number, or one with 0x."""
    begin = after_blanks(m, at)
    va = any_number(m, begin)
    behind = m.scan[SCAN_NEXT]
    if behind == begin:
        return remark(m, at)
    if put_access(m, OP_READ, va, record) == 0:
        return wrong(m, WRONG_ADDRESS, begin)
    return end_line(m, behind)


@writes(fills=True)
def hex_record(m, at, record):
    """A line with a hex number."""
    begin = after_blanks(m, at)
    va = hex_or_0x(m, begin)
    behind = m.scan[SCAN_NEXT]
    if behind == begin:
        return remark(m, at)
    if put_access(m, OP_READ, va, record) == 0:
        return wrong(m, WRONG_ADDRESS, begin)
    return end_line(m, behind)


ADDRESSES = TraceFormat(
    "addresses",
    "an address a line, decimal or 0x and hex",
    "4308896",
    "traces of courses",
    NUMBER,
    address_record,
    begin="an address, in decimal or 0x and hex",
    loses="kinds of access",
    write=lines_of(dict.fromkeys(EACH, "0x%x\n")),
)
HEX_ADDRESSES = TraceFormat(
    "hex-addresses",
    "an address a line, hex without 0x",
    "0041bfa0",
    "traces of courses",
    HEX,
    hex_record,
    begin="an address in hex",
    loses="kinds of access",
    write=lines_of(dict.fromkeys(EACH, "%08x\n")),
)
