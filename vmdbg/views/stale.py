"""A TLB entry that disagrees with the tables: what each says, and which operation owes the flush."""

from __future__ import annotations

from vmdbg.views.translate import outcome_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.debugger.time.stale import Stale
    from vmdbg.inspect.notation import Notation
    from vmdbg.views.result import Line


def stale_lines(show: Notation, found: Stale) -> Iterator[Line]:
    """What the TLB or a page-walk cache holds, what the tables say, what is owed since when."""
    if found.cached is None or found.tables is None:
        yield f"cache   {found.entry}  (cpu {found.cpu})"
        yield f"tables  {found.reason}"
    else:
        way = f", {found.way}" if found.way else ""
        yield [("", "TLB     "), *outcome_line(show, found.cached), ("", f"  (cpu {found.cpu}{way})")]
        yield [("", "tables  "), *outcome_line(show, found.tables, cached=False)]
    since = f" since {found.since}" if found.since else ""
    yield f"owed    a flush of vpn {found.vpn}{since}"
