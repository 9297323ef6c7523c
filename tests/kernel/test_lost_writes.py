"""What was written is there again, whatever became of A: only who writes a page back clears D."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from vmdbg.debugger import accesses
from vmdbg.debugger.machine_scope import MachineScope
from vmdbg.formats import NAMES, find
from vmdbg.formats.contract import ENTRY_LEAF
from vmdbg.inspect.target import boot_named
from vmdbg.kernel.calls import processes, regions
from vmdbg.kernel.calls.objects import Wanted
from vmdbg.kernel.calls.syscalls import Mapping, map_region
from vmdbg.kernel.policies import POLICIES
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import CONTROL_STEPS, PATH, PATH_ADDRESS, PATH_ENTRY, PROCESS, PROCESS_ROOT
from vmdbg.units import s64

FORMATS = [name for name in NAMES if find(name).role("writable")]  # a fork can share pages
READ, WRITE = 0, 1
RW, R = 11, 9


def booted(name: str, content: bytes | None = None, **settings: Any) -> tuple[Machine, int]:
    """A machine with a process that has one page, of its own or shared with a file; and its address."""
    form = find(name)
    base = 0x400000 if form.va_bits > 16 else 0x4000
    values = {"machine.format": name, "machine.ram": 64 * form.page_size, "kernel.first_frame": 1, **settings}
    made = Machine(MachineConfig({**values, "machine.swap.size": 40 * form.page_size}))
    region = RegionSpec("file" if content else "anon", base, form.page_size, RW, content=content)
    region.share = content is not None
    made.load(Program("p", "", [], [ProcessSpec("p", None, -1, [region], array("q", [OP_EXIT, 0, 0, 0]))]))
    return made, base


def leaf(made: Machine, pid: int, va: int) -> tuple[int, int]:
    """Address and value of the entry that maps a page."""
    m = made.m
    assert made.k.walk(m, m.process[pid * PROCESS + PROCESS_ROOT], va) == ENTRY_LEAF
    row = (m.control[CONTROL_STEPS] - 1) * PATH
    return m.path[row + PATH_ADDRESS], m.path[row + PATH_ENTRY]


def protect(made: Machine, pid: int, va: int, rights: int) -> None:
    made.make_room_for_system_call(pid)
    regions.protect(made.k, made.format, pid, va, made.format.page_size, rights)
    assert check(made) == []


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rights", [(RW,), (R, RW)])
def test_a_page_that_was_written_and_aged_keeps_its_bytes_through_mprotect(
    name: str, rights: tuple[int, ...]
):
    made, va = booted(name)
    accesses.access(made, va, WRITE, 1, 1)
    made.swap_out(1, va)
    accesses.access(made, va, WRITE, 1, 2)
    made.k.age(made.m, made.find_page(1, va))
    for each in rights:
        protect(made, 1, va, each)
    made.swap_out(1, va)
    assert accesses.access(made, va, READ).value == 2
    assert check(made) == []


@pytest.mark.parametrize("name", FORMATS)
def test_so_does_a_shared_page_of_a_file(name: str):
    made, va = booted(name, b"\x07" * 9)
    accesses.access(made, va, WRITE, 1, 2)
    made.k.age(made.m, made.find_page(1, va))
    protect(made, 1, va, RW)
    made.swap_out(1, va)
    assert accesses.access(made, va, READ).value == 2


@pytest.mark.parametrize("name", FORMATS)
def test_so_does_the_page_of_a_child_whose_parent_has_gone(name: str):
    made, va = booted(name)
    accesses.access(made, va, WRITE, 1, 1)
    made.swap_out(1, va)
    accesses.access(made, va, WRITE, 1, 2)
    made.make_room_for_system_call(1)
    child, _, _ = processes.fork(made.k, made.format, 1, bool(made.config["tlb.asids"]), 1)
    protect(made, child, va, RW)
    processes.end_process(made.k, made.format, 1, 0)
    assert check(made) == []
    made.swap_out(child, va)
    assert accesses.access(made, va, READ).value == 2


@pytest.mark.parametrize("name", FORMATS)
def test_so_does_a_page_that_is_given_back_to_the_last_one_who_has_it(name: str):
    """No copy is made, the entry gets its W again; what comes before the write itself may be a swap-out."""
    made, va = booted(name)
    accesses.access(made, va, WRITE, 1, 1)
    made.swap_out(1, va)
    accesses.access(made, va, WRITE, 1, 2)
    made.make_room_for_system_call(1)
    child, _, _ = processes.fork(made.k, made.format, 1, bool(made.config["tlb.asids"]), 1)
    processes.end_process(made.k, made.format, 1, 0)
    cpu, _ = accesses.running_process(made)
    made.k.age(made.m, made.find_page(child, va))
    assert made.k.translate(made.m, cpu, va, WRITE) == -1
    assert made.k.handle_fault(made.m, cpu, va, WRITE) == 0
    assert made.counts()["fault-cow"] == 1
    assert check(made) == []
    made.swap_out(child, va)
    assert accesses.access(made, va, READ).value == 2


@pytest.mark.parametrize("name", FORMATS)
def test_a_and_d_are_those_of_either_entry(name: str):
    k, form = booted(name)[0].k, find(name)
    depth = len(form.levels) - 1
    plain = k.make_leaf(8 * form.page_size, RW, depth)
    forms = {(0, 0): plain, (1, 0): k.touched(plain, 0), (1, 1): k.touched(plain, 1)}
    forms[0, 1] = k.aged(forms[1, 1])
    for (a, d), entry in forms.items():
        for (other_a, other_d), other in forms.items():
            assert k.keep_ad(entry, other) == forms[a | other_a, d | other_d]


@pytest.mark.parametrize("name", FORMATS)
def test_check_compares_what_an_entry_allows_with_its_region(name: str):
    made, va = booted(name)
    accesses.access(made, va, WRITE, 1, 1)
    address, entry = leaf(made, 1, va)
    user = made.format.by_role["user"]
    for wrong in (s64(user.put(entry, 0)), made.k.protected(entry)):
        made.k.store(made.m, address, made.format.entry_bytes, wrong)
        found = [violation.message for violation in check(made) if violation.rule == "rights"]
        protected_only = wrong == made.k.protected(entry)
        assert bool(found) != protected_only  # a private page may lack W: its first write faults
    made.k.store(made.m, address, made.format.entry_bytes, entry)
    assert check(made) == []


def test_check_finds_a_right_to_write_what_others_need():
    made, va = booted("x86_64")
    accesses.access(made, va, WRITE, 1, 1)
    _, entry = leaf(made, 1, va)
    made.make_room_for_system_call(1)
    processes.fork(made.k, made.format, 1, True, 1)
    address, _ = leaf(made, 1, va)
    made.k.store(made.m, address, 8, entry)
    assert any("others need what frame" in violation.message for violation in check(made))


def test_check_finds_a_lost_write_before_it_is_swapped_out():
    made, va = booted("x86_64")
    accesses.access(made, va, WRITE, 1, 1)
    made.swap_out(1, va)
    accesses.access(made, va, WRITE, 1, 2)
    address, entry = leaf(made, 1, va)
    made.k.store(made.m, address, 8, made.k.cleaned(entry))
    assert any("clean, but its content" in violation.message for violation in check(made))


@pytest.mark.parametrize(
    ("wanted", "said"), [(Wanted("f", 0, b"seven"), "its file"), (Wanted("box", 4096), "slot 1")]
)
def test_check_finds_the_lost_write_of_a_shared_page(wanted: Wanted, said: str):
    made, va = booted("x86_64")
    made.make_room_for_system_call(1)
    va += 4096
    mapping = Mapping(va, 4096, RW)
    mapping.object, mapping.share = wanted, True
    map_region(made.k, made.format, 1, mapping)
    accesses.access(made, va, WRITE, 1, 1)
    made.swap_out(1, va)
    accesses.access(made, va, WRITE, 1, 2)
    assert check(made) == []
    address, entry = leaf(made, 1, va)
    made.k.store(made.m, address, 8, made.k.cleaned(entry))
    assert any(f"clean, but its content is not that of {said}" in found.message for found in check(made))


def test_what_an_expression_writes_is_not_lost():
    target = boot_named()
    scope = MachineScope(target.machine, lambda what, action: action())
    made, va = target.machine, 0x406000
    accesses.access(made, va, READ)
    made.swap_out(1, va)
    accesses.access(made, va, READ)
    scope.write_memory(va, b"\x07")
    assert check(made) == []
    made.swap_out(1, va)
    assert accesses.access(made, va, READ).value == 7


def test_what_an_expression_writes_to_a_table_makes_the_tlb_suspect():
    target = boot_named()
    made, va = target.machine, 0x406000
    accesses.access(made, va, READ)
    address, _ = leaf(made, 1, va)
    MachineScope(target.machine, lambda what, action: action()).write_memory(
        made.format.kernel_base + address, bytes(8)
    )
    accesses.access(made, va, READ)
    assert made.counts()["tlb-stale"] == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_a_copy_whose_source_is_the_victim_frees_one_frame_once(policy: str):
    """One frame: making room for the copy takes the page that is to be copied; the access starts again."""
    made, va = booted("x86_64", **{"kernel.user_frames": 1, "kernel.policy": policy})
    accesses.access(made, va, WRITE, 1, 1)
    made.make_room_for_system_call(1)
    processes.fork(made.k, made.format, 1, True, 1)
    freed = made.counts().get("frame-free", 0)
    assert accesses.access(made, va, WRITE, 1, 2).value == 1
    assert made.counts()["frame-free"] == freed + 1
    assert accesses.access(made, va, READ).value == 2
    assert check(made) == []
