"""Registers, functions, symbols and memory of the machine in expressions."""

from __future__ import annotations

import pytest

from vmdbg.debugger.machine_scope import MachineScope
from vmdbg.errors import UserError
from vmdbg.expressions.values import make_integer, make_string
from vmdbg.inspect.context import find_context
from vmdbg.inspect.target import Target, boot_named
from vmdbg.inspect.tlb import cached_entries
from vmdbg.inspect.translate import translate
from vmdbg.inspect.walk import ACCESSES, READ
from vmdbg.inspect.why import why


@pytest.fixture
def target() -> Target:
    return boot_named()


@pytest.fixture
def scope(target: Target) -> MachineScope:
    return MachineScope(target.machine, lambda what, action: action())


def number(scope: MachineScope, name: str) -> int:
    value = scope.register(name)
    assert value is not None
    return int(value)


def call(scope: MachineScope, name: str, va: int) -> int:
    value = scope.call(name, [make_integer(va, 64, signed=False)])
    assert value is not None
    return int(value)


def test_registers_have_the_names_of_the_manual(scope: MachineScope) -> None:
    assert number(scope, "cr3") == 0x103000
    assert number(scope, "cr2") == 0x548000
    assert number(scope, "cr0.wp") == 1
    assert number(scope, "cr0") == 1 << 16
    assert number(scope, "_pid") == 1
    assert scope.register("satp") is None
    assert scope.register("cr0.nothing") is None


def test_a_bit_of_a_register_changes_what_is_allowed(target: Target, scope: MachineScope) -> None:
    kernel = find_context(target.machine, mode=1)
    assert why(target.machine, kernel, 0x401000, ACCESSES["w"]).outcome.fault is not None
    scope.set_register("cr0.wp", make_integer(0))
    assert why(target.machine, kernel, 0x401000, ACCESSES["w"]).outcome.fault is None
    assert number(scope, "cr0") == 0
    scope.set_register("cr0", make_integer(1 << 16, 64))
    assert why(target.machine, kernel, 0x401000, ACCESSES["w"]).outcome.fault is not None


def test_another_root_empties_the_tlb_of_the_space(target: Target, scope: MachineScope) -> None:
    scope.set_register("cr3", make_integer(0x104000, 64))
    assert number(scope, "cr3") == 0x104000
    assert list(cached_entries(target.machine)) == []
    assert translate(target.machine, find_context(target.machine), 0x401000, READ).fault is not None


def test_what_cannot_be_set_is_refused_and_nothing_changes(target: Target, scope: MachineScope) -> None:
    before = target.machine.digest()
    with pytest.raises(UserError, match=r"^Register \$_pid cannot be set\.$"):
        scope.set_register("_pid", make_integer(2))
    assert target.machine.digest() == before


def test_what_acts_goes_through_the_timeline(target: Target, scope: MachineScope) -> None:
    heard: list[str] = []
    scope.perform = lambda what, action: heard.append(what)
    before = target.machine.digest()
    scope.set_register("cr0.wp", make_integer(0))
    scope.write_memory(0x404000, b"x")
    assert heard == ["set $cr0.wp = 0x0", "set memory at 0x404000"]
    assert target.machine.digest() == before


def test_memory_by_the_tables(target: Target, scope: MachineScope) -> None:
    assert scope.read_memory(0x406000, 2) == b"\x11\0"
    assert scope.read_memory(0x400FF8, 16) == bytes(16)
    with pytest.raises(UserError, match=r"^Cannot access memory at address 0x405000$"):
        scope.read_memory(0x404FFC, 8)
    with pytest.raises(UserError, match=r"^Cannot access memory at address 0x407000$"):
        scope.read_memory(0x407000, 1)
    scope.write_memory(0x404FFC, b"abcd")
    assert scope.read_memory(0x404FFC, 4) == b"abcd"
    with pytest.raises(UserError, match=r"^Cannot access memory at address 0x405000$"):
        scope.write_memory(0x404FFE, b"wxyz")
    assert scope.read_memory(0x404FFC, 4) == b"abcd"


def test_physical_memory(scope: MachineScope) -> None:
    entry = int.from_bytes(scope.read_physical(0x106008, 8), "little")
    assert entry == call(scope, "pte", 0x401000) == 0x108025
    with pytest.raises(UserError, match=r"^Cannot access memory at address 0x4000000$"):
        scope.read_physical(0x3FFFFFC, 8)


def test_functions(scope: MachineScope) -> None:
    assert call(scope, "pa", 0x401234) == 0x108234
    assert call(scope, "pfn", 0x7F0000012345) == 0x212
    assert call(scope, "vpn", 0x401234) == 0x401
    assert call(scope, "offset", 0x401234) == 0x234
    assert call(scope, "entry", 0x401234) == 0x106008
    assert call(scope, "slot", 0x407000) == 1
    assert call(scope, "slot", 0x401000) == 0
    assert scope.call("nothing", []) is None
    with pytest.raises(UserError, match=r"^Address 0x5000 is not mapped: PD\[0\] is empty\.$"):
        call(scope, "pa", 0x5000)
    with pytest.raises(UserError, match=r"^You must provide one or two arguments for \$pa\.$"):
        scope.call("pa", [])


def test_symbols(scope: MachineScope) -> None:
    assert scope.symbol("heap") == 0x406000
    assert scope.symbol("nothing") is None
    assert scope.symbolize(0x406008) == "heap+8"
    assert scope.symbolize(0x406000) == "heap"
    assert scope.symbolize(0x5000) == ""
    value = scope.call("sym", [make_string("heap")])
    assert value is not None
    assert int(value) == 0x406000
    with pytest.raises(UserError, match=r'^No symbol "nothing" in current context\.$'):
        scope.call("sym", [make_string("nothing")])
    assert {"heap", "$cr3", "$cr0.wp", "$pte"} <= set(scope.names())


def test_counters(target: Target, scope: MachineScope) -> None:
    counts = target.machine.counts()
    for arguments in ([], [make_integer(1)]):
        value = scope.call("count", [make_string("tlb-miss"), *arguments])
        assert value is not None
        assert int(value) == counts["tlb-miss"] > 0
    with pytest.raises(UserError, match=r'^Undefined event: "tlb-mist"\.$'):
        scope.call("count", [make_string("tlb-mist")])
    with pytest.raises(UserError, match=r"^No process 9\.$"):
        scope.call("count", [make_string("tlb-miss"), make_integer(9)])
