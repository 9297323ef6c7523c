"""A process of Linux: its regions as a table, an address in a line."""

from __future__ import annotations

from vmdbg.units import format_size
from vmdbg.views.address_space import size_column
from vmdbg.views.result import ADDRESS, FLAG, RIGHTS, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from vmdbg.inspect.notation import Notation

HIDDEN_FRAME = "its frame is shown only to those with CAP_SYS_ADMIN"


def known_size(size: int | None) -> str:
    """An amount; `?` where Linux does not show it."""
    return "?" if size is None else format_size(size) if size else "-"


def process_map_table(show: Notation, rows: Iterable[list[Any]]) -> Table:
    """The regions, with what of them is where."""
    columns = [
        Column("start", kind=ADDRESS, format=show.va),
        Column("end", kind=ADDRESS, format=show.va),
        Column("size", align=">", format=format_size),
        Column("rights", kind=RIGHTS),
        size_column("page_size", "page"),
        *(Column(key, align=">", format=known_size) for key in ("resident", "shared", "swapped")),
        Column("share", kind=FLAG, shown=False),
        Column("kind", "region"),
        Column("backing", shown=False),
    ]
    return Table(columns, rows, empty="No regions: a thread of the kernel has none.")


def process_line(facts: dict[str, Any]) -> str:
    """`Process 71 (bash), 28 regions, 5 MiB: 3 MiB resident, 2 MiB of them shared, none swapped.`"""
    head = (
        f"Process {facts['pid']} ({facts['name']}), {facts['regions']} regions, {format_size(facts['size'])}"
    )
    if facts["resident"] is None:
        return f"{head}; what of it is in memory is not shown."
    shared = format_size(facts["shared"]) if facts["shared"] else "none"
    swapped = format_size(facts["swapped"]) if facts["swapped"] else "none"
    return f"{head}: {format_size(facts['resident'])} resident, {shared} of that shared, {swapped} swapped."


def place_line(show: Notation, found: dict[str, Any]) -> str:
    """`0x401234 -> 0x108234  pfn 0x108, 4 KiB, rw-u, heap; no other process has it`."""
    va = show.va(found["va"])
    if found["outcome"] == "unmapped":
        return f"{va} is in no region."
    where = f"{format_size(found['page_size'])}, {found['rights']}, {found['region']}"
    if found["outcome"] == "absent":
        return f"{va} -> not in memory  {where}; its first access faults"
    if found["outcome"] == "swapped":
        swap = found["swap"]
        return f"{va} -> swapped  area {swap['area']}, place {swap['place']:#x}, {where}"
    whose = "a file's or shared" if found["file"] else "anonymous"
    whose += ", mapped only here" if found["alone"] else ", mapped elsewhere too"
    if found["pa"] is None:
        return f"{va} -> in memory  {where}; {whose}; {HIDDEN_FRAME}"
    return f"{va} -> {found['pa']:#x}  pfn {found['pfn']:#x}, {where}; {whose}"
