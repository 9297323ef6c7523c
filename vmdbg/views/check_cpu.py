"""check cpu: what is needed, where it goes, and the sentence."""

from __future__ import annotations

from vmdbg.inspect.notation import rights_text
from vmdbg.units import format_size
from vmdbg.views.result import ADDRESS, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.inspect.check_cpu import CpuCheck, Need
    from vmdbg.inspect.notation import Notation
    from vmdbg.machine.machine import Machine
    from vmdbg.views.result import Line

KEYS = ("needed", "address", "ok", "access", "mode", "pa", "note")


def check_cpu_lines(machine: Machine, show: Notation, check: CpuCheck) -> Iterator[Line]:
    """The table of needs, then what follows."""
    columns = [Column("needed"), Column("address", kind=ADDRESS, format=show.va), Column("outcome")]
    rows = [[need.what, need.address, outcome_text(machine, show, need)] for need in check.needs]
    yield from Table(columns, rows).lines()
    yield check.chain


def outcome_text(machine: Machine, show: Notation, need: Need) -> str:
    """`-> 0x7ff0  2 MiB, rwxk`, `fault: not-present, PDPT[510] is empty`, or what else is wrong."""
    found = need.outcome
    if found is None:
        return need.note
    if found.fault is not None:
        return f"fault: {found.fault.kind}, {found.fault.reason}"
    assert found.pa is not None
    name = machine.symbols.name_of(need.address) if machine.symbols is not None else ""
    tail = f" <{name}>" if name else ""
    tail += f"  ({need.note})" if need.note else ""
    return f"-> {show.pa(found.pa)}  {format_size(found.page_size)}, {rights_text(found.rights)}{tail}"
