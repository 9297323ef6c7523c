"""check rights: a line for each finding, and how many there are."""

from __future__ import annotations

from vmdbg.inspect.check_rights import RULES
from vmdbg.units import format_size
from vmdbg.views.result import ADDRESS, RIGHTS, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vmdbg.inspect.check_rights import Finding
    from vmdbg.inspect.notation import Notation
    from vmdbg.views.result import Line


def rights_table(show: Notation, findings: Sequence[Finding]) -> Table:
    """The findings; in JSON each with all it has."""
    columns = [
        Column("rule"),
        Column("start", kind=ADDRESS),
        Column("end", kind=ADDRESS),
        Column("pa", kind=ADDRESS),
        Column("rights", kind=RIGHTS),
        Column("address", kind=ADDRESS),
        Column("other", kind=ADDRESS),
        Column("text"),
    ]
    rows = [finding.data() for finding in findings]
    return Table(columns, rows, drawn=lambda: rights_lines(show, findings))


def rights_lines(show: Notation, findings: Sequence[Finding]) -> Iterator[Line]:
    """Every rule, with what was found or `none`; the sum."""
    width = max(map(len, RULES.values()))
    for rule, words in RULES.items():
        found = [finding for finding in findings if finding.rule == rule]
        for place, finding in enumerate(found):
            yield f"{'' if place else words:{width}}  {finding_text(show, finding)}"
        if not found:
            yield [("", f"{words:{width}}  "), ("ok", "none")]
    count = len(findings)
    if count:
        yield f'{count} finding{"" if count == 1 else "s"}.  "why ADDRESS" says more of each.'
    else:
        yield "No findings."


def finding_text(show: Notation, finding: Finding) -> str:
    """A finding in one line."""
    if finding.start is None or finding.end is None or finding.rule == "aliases":
        return finding.text
    size = format_size((finding.end - finding.start) % (1 << 64))
    return f"{size}  {show.va(finding.start)} {finding.rights}  {finding.text}"
