"""What is in a trace: how many accesses of which kinds, which addresses and pages."""

from __future__ import annotations

from vmdbg import progress
from vmdbg.kernel.scheduler import OP_FETCH, OP_MODIFY, OP_READ, OP_WRITE
from vmdbg.state.tables import OP, OP_VA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.programs.traces.parser import Parser

KINDS = {"reads": OP_READ, "writes": OP_WRITE, "fetches": OP_FETCH, "modifies": OP_MODIFY}
WORD = (1 << 64) - 1


def summary(parser: Parser, page_bits: int) -> dict[str, Any]:
    """The facts of a trace by name, read to its end.

    `records` are of text: lines; `accesses` is the sum of the four kinds.  `pages` are distinct ones of
    2**`page_bits` bytes; `first` and `last` are the lowest and highest address, unsigned, None without an
    access.  InputError for a record that is none.
    """
    counts = dict.fromkeys(KINDS, 0)
    pages: set[int] = set()
    first, last, total = WORD, 0, 0
    with progress.task(f"Reading {parser.trace.shown}", "B", parser.trace.size or None) as task:
        while count := parser.chunk():
            rows = parser.op[: OP * count]
            kinds = bytes(rows.cast("B")[:: 8 * OP])
            for name, kind in KINDS.items():
                counts[name] += kinds.count(kind)
            seen = {va & WORD for va in rows[OP_VA::OP]}
            first, last = min(first, *seen, WORD), max(last, *seen, 0)
            pages.update([va >> page_bits for va in seen])
            total += count
            task.at(parser.trace.read_on_disk())
    return {
        "file": parser.trace.shown,
        "format": parser.form.name,
        "records": parser.records - parser.head.records,
        "accesses": total,
        **counts,
        "pages": len(pages),
        "first": first if total else None,
        "last": last if total else None,
        "malformed": parser.bad,
    }
