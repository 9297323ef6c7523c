"""tlb, tlb lookup, tlb check: entries and look-ups."""

from __future__ import annotations

from vmdbg.inspect.notation import rights_text
from vmdbg.units import format_size
from vmdbg.views.result import ADDRESS, FLAG, NUMBER, RIGHTS, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from vmdbg.inspect.notation import Notation
    from vmdbg.inspect.tlb import Cached, Probe


def tlb_columns(show: Notation) -> list[Column]:
    """The columns of `tlb`."""
    return [
        Column("cpu", kind=NUMBER),
        Column("level"),
        Column("set", kind=NUMBER),
        Column("way", kind=NUMBER),
        Column("vpn", kind=ADDRESS, format=show.vpn),
        Column("pfn", kind=ADDRESS, format=show.pfn),
        Column("page_size", "size", format=format_size),
        Column("asid", kind=NUMBER),
        Column("global", kind=FLAG, shown=False),
        Column("rights", kind=RIGHTS),
        Column("flags", exported=False),
        Column("dirty", kind=FLAG, shown=False),
        Column("check"),
        Column("stale", kind=FLAG, shown=False),
        Column("reason", shown=False),
        Column("owed", kind=NUMBER, shown=False),
    ]


def tlb_row(found: Cached) -> list[Any]:
    """One entry as the cells of `tlb_columns`."""
    stale = found.check != "ok"
    return [
        found.cpu,
        found.array,
        found.set,
        found.way,
        found.vpn,
        found.pfn,
        found.page_size,
        found.asid,
        found.asid is None,
        rights_text(found.rights),
        found.flags,
        found.dirty,
        found.check,
        stale,
        found.reason or None,
        found.owed,
    ]


def tlb_table(show: Notation, entries: Iterable[Cached], empty: str) -> Table:
    """The entries of the TLB."""
    return Table(tlb_columns(show), (tlb_row(found) for found in entries), empty=empty)


def probe_lines(show: Notation, probes: Iterable[Probe]) -> Iterator[str]:
    """`L1: set 1 = 0x401 mod 16, tag 0x40, asid 1: hit in way 0 of 4`."""
    for probe in probes:
        unit = "pages" if probe.level else "ranges"
        size = "" if probe.page_size == 1 << show.page_bits else f" ({format_size(probe.page_size)} {unit})"
        end = f"hit in way {probe.way} of {probe.ways}" if probe.way >= 0 else f"none of {probe.ways} ways"
        if probe.sets == 1:
            page = show.vpn(probe.page_number) if not size else f"{probe.page_number:#x}"
            end = end.replace("ways", "entries") if probe.way < 0 else end
            yield f"{probe.array}: vpn {page}{size}, asid {probe.asid}: {end}"
        else:
            where = f"set {probe.set} = {probe.page_number:#x} mod {probe.sets}{size}"
            yield f"{probe.array}: {where}, tag {probe.tag:#x}, asid {probe.asid}: {end}"


def stale_words(show: Notation, found: Cached) -> str:
    """`L1 way 2, vpn 0x02 -> pfn 0x12: dead-page`: an entry that disagrees with the tables."""
    place = (
        f"{found.array} set {found.set} way {found.way}"
        if found.sets > 1
        else f"{found.array} way {found.way}"
    )
    return f"{place}, vpn {show.vpn(found.vpn)} -> pfn {show.pfn(found.pfn)}: {found.check}"


def check_lines(show: Notation, entries: list[Cached]) -> Iterator[str]:
    """What `tlb check` says: each entry that disagrees, then the count."""
    if not entries:
        yield "The TLB is empty."
        return
    stale = [found for found in entries if found.check != "ok"]
    several = len({found.cpu for found in entries}) > 1
    for found in stale:
        cpu = f"cpu {found.cpu} " if several else ""
        owed = f"; owed since operation {found.owed}" if found.owed is not None else ""
        yield f"{cpu}{stale_words(show, found)} ({found.reason}){owed}"
    count = f"{len(entries)} entr{'y' if len(entries) == 1 else 'ies'}"
    owing = sum(found.owed is not None for found in stale)
    said = f"{len(stale)} stale" + (f", {owing} of them owed" if owing else "")
    yield f"{count}: {'all agree with the tables' if not stale else said}."
