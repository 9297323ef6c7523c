"""What one pass over a trace finds.  It is made once for each file, and known as long as somebody has it."""

from __future__ import annotations

import os
import weakref
from array import array
from collections import deque

from vmdbg import progress
from vmdbg.errors import InputError
from vmdbg.kernel.access import CROSSES
from vmdbg.kernel.scheduler import OP_EXIT, OP_LINE, OP_WIDTH
from vmdbg.programs.traces.scan import SCAN_SHIFT, SCAN_STRADDLE
from vmdbg.programs.traces.stream import identity
from vmdbg.state.tables import OP
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.programs.traces.parser import Parser

    Known = tuple[object, ...]

#: Accesses of a trace up to which its rows stay in memory for the machines that run it: 256 MB for a process.
#: A longer one is read again by each machine.
LONG = 8_000_000
NO_LIMIT = 1 << 62
MAX_RATIO = 1000  # bytes that a byte of a compressed trace may become
MAX_UNPACKED = 64 << 20  # bytes that any compressed trace may become
GOES_ON = CROSSES << OP_WIDTH  # of a row


class Contents:
    """What is in a trace: `accesses`, of which `left_out` more were of the kernel's addresses, in `records`.

    `rows` are those of all accesses, with an exit behind them; None if there are too many.  `pages` are the
    numbers of the base pages that they touch, negative in the upper half; None if they were not asked for and
    there are too many rows.
    """

    __slots__ = ("__weakref__", "accesses", "left_out", "pages", "records", "rows")

    def __init__(self) -> None:
        self.accesses = self.left_out = self.records = 0
        self.rows: array[int] | None = array("q")
        self.pages: set[int] | None = set()

    def suffice(self, resident: bool, most: int) -> bool:
        """Would `look_through` find no more than this?"""
        return (self.rows is not None or self.accesses > most) and (self.pages is not None or not resident)


_contents: weakref.WeakValueDictionary[Known, Contents] = weakref.WeakValueDictionary()
#: Those without rows, which are small, are kept though nobody has them.
_small: deque[Contents] = deque(maxlen=4)


def contents_of(parser: Parser, resident: bool, most: int) -> Contents:
    """The contents of the trace of a parser, which is at its begin, and at its end if they were not known.

    As `look_through`.
    """
    words = parser.m.scan
    form, space, trace = parser.form.name, parser.space, parser.trace
    addresses = (space.va_bits, space.user_end) if space is not None else ()
    how = form, parser.skip_bad, words[SCAN_SHIFT], words[SCAN_STRADDLE], *addresses
    key = (trace.path, *identity(trace.status), *how)
    found = _contents.get(key)
    if found is None or not found.suffice(resident, most):
        found = _contents[key] = look_through(parser, resident, most)
        if found.rows is None:
            _small.append(found)
    return found


def look_through(parser: Parser, resident: bool, most: int) -> Contents:
    """Read a trace to its end.  Of more than `most` accesses rows are not kept, nor pages unless `resident`.

    InputError names the line or the offset of what is no record.
    """
    found = Contents()
    trace = parser.trace
    most_bytes = max(MAX_UNPACKED, MAX_RATIO * trace.size) if trace.compressed else NO_LIMIT
    with progress.task(f"Reading {os.path.basename(trace.path)}", "B", trace.size) as task:
        while count := parser.chunk():
            found.accesses += count
            if found.accesses > most:
                found.rows = None
                found.pages = found.pages if resident else None
            chunk = parser.op[: OP * count]
            if found.rows is not None:
                found.rows.frombytes(chunk.cast("B"))
            if found.pages is not None:
                add_pages(found.pages, parser, chunk)
            if parser.place > most_bytes:
                raise InputError(f"it unpacks to more than {format_size(most_bytes)}", trace.shown)
            task.at(trace.read_on_disk())
    if not found.accesses:
        raise InputError("there is no access in it", trace.shown)
    found.left_out, found.records = parser.left_out, parser.records
    if found.rows is not None:
        found.rows.extend((OP_EXIT | found.records << OP_LINE, 0, 0, 0))
    return found


def add_pages(pages: set[int], parser: Parser, chunk: memoryview) -> None:
    """Add the base pages that some rows of a parser touch."""
    page_bits = parser.m.scan[SCAN_SHIFT]
    pages.update([va >> page_bits for va in set(chunk[1::OP])])
    if parser.m.scan[SCAN_STRADDLE]:
        pairs = zip(chunk[::OP].tolist(), chunk[1::OP].tolist(), strict=True)
        pages.update([(va >> page_bits) + 1 for word, va in pairs if word & GOES_ON])
