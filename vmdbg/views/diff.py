"""diff: what two states of a machine differ in, as a table."""

from __future__ import annotations

from vmdbg.inspect.diff import changes_between, last_number
from vmdbg.units import WORD_MASK
from vmdbg.views.result import Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.inspect.diff import Change
    from vmdbg.inspect.diff_facts import State


def difference_table(before: State, after: State) -> Table:
    """A row for each run of facts that differ; `-` where there is none."""
    columns = [Column("sort"), Column("what"), Column("before"), Column("after")]
    rows = (
        [change.key.sort, name_text(after, change), said_text(after, change, 1), said_text(after, change, 2)]
        for change in changes_between(before, after)
    )
    return Table(columns, rows, empty="No difference.")


def name_text(state: State, change: Change) -> str:
    """What a change is of: `1 (demo): 0x400000`, `pfn 0x200..0x3ff`, `slots 3..9`."""
    key, show = change.key, state.words.show
    if key.at < 0:
        return str(key.name)
    end = key.at + change.count * key.span
    if key.sort == "entry":
        pages = f"..{show.va(end & WORD_MASK)} ({change.count} pages)" if change.count > 1 else ""
        return f"{key.owner}{show.va(key.at)}{pages}"
    number = show.pfn if key.sort == "frame" else str
    word = "pfn" if key.sort == "frame" else "slot" if end == key.at + 1 else "slots"
    return f"{word} {number(key.at)}" + (f"..{number(end - 1)}" if end > key.at + 1 else "")


def said_text(state: State, change: Change, side: int) -> str:
    """What was said before (1) or is said after (2): `pfn 0x108..0x117, rw-u, P RW`; `-` for nothing."""
    said = change[side]
    if said is None:
        return "-"
    if said.number < 0:
        return f"{said.head}{said.tail}"
    number = state.words.show.pfn if said.head == "pfn " else str
    last = last_number(state, change, said)
    text = number(said.number)
    if change.scattered:
        text += " and others"
    elif last > said.number:
        text += f"..{number(last)}"
    return f"{said.head}{text}{said.tail}"
