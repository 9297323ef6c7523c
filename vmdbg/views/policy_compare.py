"""policy compare: the faults of policies with several numbers of frames."""

from __future__ import annotations

from vmdbg.inspect.counts import per_thousand
from vmdbg.inspect.policy import is_oracle
from vmdbg.views.document import Document
from vmdbg.views.plot import Plot, Series
from vmdbg.views.policy import oracle_note, with_oracle
from vmdbg.views.result import GAP, NUMBER, WIDTH, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from vmdbg.inspect.policy import Count

FOR_REMARKS = 30  # columns of the screen in which longer remarks are folded


def remarks(counts: Sequence[Count], policies: Sequence[str]) -> dict[int, list[str]]:
    """What is to be said of a number of frames: more faults than with fewer frames; thrashing."""
    found: dict[int, list[str]] = {}
    by_place = {(count.frames, count.policy): count for count in counts}
    sizes = sorted({count.frames for count in counts})
    for place, frames in enumerate(sizes):
        more = [
            policy
            for policy in policies
            if any(by_place[frames, policy].faults > by_place[less, policy].faults for less in sizes[:place])
        ]
        thrashing = [
            policy
            for policy in policies
            if 2 * (by_place[frames, policy].faults - by_place[frames, policy].cold)
            > by_place[frames, policy].references
        ]
        found[frames] = [f"{', '.join(more)}: more frames, more faults (Belady)"] * bool(more)
        found[frames] += [f"{', '.join(thrashing)}: thrashing"] * bool(thrashing)
    return found


def mpki(count: Count) -> float | None:
    """Faults for 1000 instructions."""
    return per_thousand(count.faults, count.instructions)


def fault_columns(counts: Sequence[Count], policies: Sequence[str]) -> list[Column]:
    """Number of frames, the faults of each policy, and what is to be said of them."""
    with_a = "; clock loads pages with A set" if "clock" in policies and counts[0].references > 100 else ""
    columns = [Column("frames", kind=NUMBER), *(Column(policy, policy, kind=NUMBER) for policy in policies)]
    return [*columns, Column("remark", f" faults{with_a}", format=set_apart, wraps=True)]


def set_apart(remark: str) -> str:
    """A remark, apart from the numbers before it."""
    return f" {remark}" if remark else ""


def fault_rows(counts: Sequence[Count], policies: Sequence[str], sizes: Sequence[int]) -> list[list[Any]]:
    """The rows of these columns."""
    said = remarks(counts, policies)
    faults = {(count.frames, count.policy): count.faults for count in counts}
    return [
        [frames, *(faults[frames, policy] for policy in policies), "; ".join(said[frames])]
        for frames in sizes
    ]


def fault_table(counts: Sequence[Count], policies: Sequence[str], sizes: Sequence[int]) -> Table:
    """Faults of these policies by number of frames."""
    return Table(fault_columns(counts, policies), fault_rows(counts, policies, sizes))


def fits(counts: Sequence[Count], policies: Sequence[str]) -> bool:
    """Has a table of these policies room on the screen, with remarks of FOR_REMARKS columns at least?"""
    most = max(len(str(count.faults)) for count in counts)
    numbers = sum(len(GAP) + max(len(policy), most) for policy in policies)
    *_, column = fault_columns(counts, policies)
    remark = max(len("; ".join(said)) + 1 for said in remarks(counts, policies).values())
    wide = max(len(column.header), min(remark, FOR_REMARKS))
    return len("frames") + numbers + len(GAP) + wide <= WIDTH


def groups(counts: Sequence[Count], policies: Sequence[str]) -> Iterator[list[str]]:
    """The policies in their order, as many at a time as have room in a table."""
    group: list[str] = []
    for policy in policies:
        if group and not fits(counts, [*group, policy]):
            yield group
            group = []
        group.append(policy)
    yield group


def compare_table(counts: Sequence[Count], policies: Sequence[str], sizes: Sequence[int]) -> Document:
    """Faults by number of frames and policy; below them those for 1000 instructions, if there are any."""
    said = remarks(counts, policies)
    columns, rows = fault_columns(counts, policies), fault_rows(counts, policies, sizes)

    def data() -> dict[str, Any]:
        return {
            "references": counts[0].references,
            "instructions": counts[0].instructions,
            "pages": counts[0].cold,
            "oracles": [policy for policy in policies if is_oracle(policy)],
            "counts": [
                {
                    "frames": count.frames,
                    "policy": count.policy,
                    "faults": count.faults,
                    "hits": count.references - count.faults,
                    "cold": count.cold,
                    "ratio": count.faults / count.references if count.references else 0.0,
                    "mpki": mpki(count),
                }
                for count in counts
            ],
            "remarks": {str(frames): lines for frames, lines in said.items() if lines},
        }

    def tables(table: Callable[..., Table]) -> Iterator[Any]:
        for place, group in enumerate(groups(counts, policies)):
            yield from [""] * (place > 0)
            yield from table(counts, group, sizes).lines()

    def lines() -> Iterator[Any]:
        yield from tables(fault_table)
        yield from oracle_note(policies)
        if counts[0].instructions:
            yield f"{counts[0].instructions} instructions; faults for 1000 of them (MPKI):"
            yield from tables(rate_table)

    return Document(data, lines, columns, lambda: rows, plot=lambda: compare_plot(counts, policies, sizes))


def rate_table(counts: Sequence[Count], policies: Sequence[str], sizes: Sequence[int]) -> Table:
    """Faults for 1000 instructions by number of frames and policy."""
    rates = {(count.frames, count.policy): mpki(count) for count in counts}
    columns = [Column("frames", kind=NUMBER), *(Column(policy, policy, kind=NUMBER) for policy in policies)]
    return Table(columns, [[frames, *(rates[frames, policy] for policy in policies)] for frames in sizes])


def compare_plot(counts: Sequence[Count], policies: Sequence[str], sizes: Sequence[int]) -> Plot:
    """Faults over frames, a line for each policy."""
    faults = {(count.frames, count.policy): count.faults for count in counts}
    return Plot(
        f"Page faults of {counts[0].references} references",
        "frames",
        "page faults",
        [Series(with_oracle(policy), sizes, [faults[size, policy] for size in sizes]) for policy in policies],
        binary=True,
        log_y=True,
    )
