"""What `translate` and `why` say where a register decides: as hardware does, and which bit would turn it."""

from __future__ import annotations

import pytest

from vmdbg.inspect.context import find_context
from vmdbg.inspect.target import boot_named
from vmdbg.inspect.walk import WRITE, walk_tables
from vmdbg.inspect.why import why
from vmdbg.machine.registers import write
from vmdbg.state.tables import CONTROL_FAULT
from vmdbg.units import s64

DATA = 0x404000


@pytest.mark.parametrize(
    ("name", "register", "bits", "kind", "rule", "field"),
    [
        ("sv39", "menvcfg.adue", 1 << 6 | 1 << 7, "access-flag", "a", "A"),
        ("sv39", "menvcfg.adue", 1 << 7, "access-flag", "a", "D"),
        ("arm64", "tcr_el1.ha", 1 << 10, "access-flag", "a", "AF"),
        ("default", "cr4.pke", 0, "protection-key", "y", "PK"),
    ],
)
def test_why(name: str, register: str, bits: int, kind: str, rule: str, field: str) -> None:
    machine = boot_named(name).machine
    context = find_context(machine)
    step = walk_tables(machine, context.root, DATA).last
    entry = step.entry & ~bits if bits else step.entry | 3 << 59
    machine.k.store_entry(machine.m, step.address, s64(entry))
    machine.k.tlb_flush(machine.m, 0, -1, 0)
    if not bits:
        write(machine, 0, "pkru", 0x80)
    assert why(machine, context, DATA, WRITE).outcome.fault is None
    write(machine, 0, register, 1 if not bits else 0)
    found = why(machine, context, DATA, WRITE)
    assert found.outcome.fault is not None
    assert found.cause is not None
    assert (found.outcome.fault.kind, found.cause.rule, found.cause.field) == (kind, rule, field)
    assert [turned.name for turned, _ in found.registers] == [register]
    assert machine.k.translate(machine.m, 0, DATA, WRITE) == -1
    assert machine.m.control[CONTROL_FAULT] == found.outcome.fault.number
