"""Where an access goes: the TLB first, the tables else, and what is said of a fault."""

from __future__ import annotations

from typing import Any

import pytest

from vmdbg.debugger import accesses
from vmdbg.debugger.output import line_text
from vmdbg.errors import UserError
from vmdbg.inspect.context import Context, check_address, find_context, running_pid
from vmdbg.inspect.notation import Notation
from vmdbg.inspect.target import Target, boot_named
from vmdbg.inspect.tlb import cached_entries
from vmdbg.inspect.translate import translate, walk_data
from vmdbg.inspect.translate import walk as walk_of
from vmdbg.inspect.walk import ACCESSES, READ
from vmdbg.inspect.why import Verdict, why
from vmdbg.machine import registers
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.state.tables import CPU, CPU_MODE, CPU_PID, CPU_ROOT, KERNEL_READY_FIRST, KERNEL_ROOT
from vmdbg.units import s64
from vmdbg.views.why import why_data, why_lines


def poke(target: Target, va: int, change: int) -> None:
    """Exclusive-or the last-level entry of an address with a word, and tell nobody."""
    walk, _ = walk_of(target.machine, find_context(target.machine), va)
    step = walk.last
    target.machine.k.store(
        target.machine.m, step.address, target.machine.format.entry_bytes, s64(step.entry ^ change)
    )


def test_the_tlb_is_asked_before_the_tables(demo: Target) -> None:
    found = translate(demo.machine, find_context(demo.machine), 0x401234, READ)
    assert (found.via, found.pa, found.cached, found.stale) == ("L1", 0x108234, True, "")
    cold = translate(
        demo.machine, find_context(demo.machine, root=find_context(demo.machine).root), 0x401234, READ
    )
    assert (cold.via, cold.pa, cold.cached) == ("walk", 0x108234, False)


def test_json_of_a_translation(demo: Target) -> None:
    data = translate(demo.machine, find_context(demo.machine), 0x401234, READ).data()
    assert data["outcome"] == "translated"
    assert (data["va"], data["pa"], data["page_size"], data["rights"]) == (
        0x401234,
        0x108234,
        1 << 12,
        "r-xu",
    )
    assert (data["via"], data["stale"], data["fault"], data["pid"]) == ("L1", False, None, 1)


@pytest.mark.parametrize(
    ("va", "access", "kind", "level", "index", "slot", "code"),
    [
        (0x5000, "r", "not-present", "PD", 0, None, 4),
        (0x407ABC, "w", "not-present", "PT", 7, 1, 6),
        (0x401234, "w", "protection", "PT", 1, None, 7),
        (0x404000, "x", "protection", "PT", 4, None, 0x15),
        (0x800000000000, "r", "non-canonical", None, None, None, 5),
        (0xFFFF888000000000, "r", "protection", "PD", 0, None, 5),
    ],
)
def test_json_of_a_fault(
    demo: Target,
    va: int,
    access: str,
    kind: str,
    level: str | None,
    index: int | None,
    slot: int | None,
    code: int,
) -> None:
    data = translate(demo.machine, find_context(demo.machine), va, ACCESSES[access]).data()
    assert (data["outcome"], data["pa"]) == ("fault", None)
    fault = data["fault"]
    assert (fault["kind"], fault["level"], fault["index"], fault["slot"]) == (kind, level, index, slot)
    assert fault["code"] == code
    assert data["slot"] == slot


def test_a_kernel_access_reaches_the_direct_map(demo: Target) -> None:
    assert (
        translate(demo.machine, find_context(demo.machine, mode=1), 0xFFFF888000108234, ACCESSES["r"]).pa
        == 0x108234
    )


def test_stale_right(demo: Target) -> None:
    poke(demo, 0x404000, 2)  # RW off; the TLB still has it
    found = translate(demo.machine, find_context(demo.machine), 0x404000, ACCESSES["w"])
    assert found.pa == 0x10A000
    assert found.stale == "PT[4] is r--u"
    assert walk_of(demo.machine, find_context(demo.machine), 0x404000)[0].last.rights == 9


def test_stale_frame_and_dead_page(demo: Target) -> None:
    poke(demo, 0x404000, 1 << 12)
    assert translate(demo.machine, find_context(demo.machine), 0x404000, READ).stale == "PT[4] maps pfn 0x10b"
    poke(demo, 0x404000, 1)
    assert (
        translate(demo.machine, find_context(demo.machine), 0x404000, READ).stale
        == "PT[4] is not valid (0x800000000010b066)"
    )
    poke(demo, 0x404000, 0x800000000010B066)
    assert translate(demo.machine, find_context(demo.machine), 0x404000, READ).stale == "PT[4] is empty"
    kinds = {found.vpn: found.check for found in cached_entries(demo.machine, level=1)}
    assert kinds[0x404] == "dead-page"
    assert kinds[0x401] == "ok"


def test_a_right_that_the_tlb_lacks_is_refused_by_the_tlb(demo: Target) -> None:
    poke(demo, 0x401000, 2)  # RW on in the tables, not in the TLB
    fault = translate(demo.machine, find_context(demo.machine), 0x401000, ACCESSES["w"]).fault
    assert fault is not None
    assert fault.reason == "L1i holds r-xu"


def test_of_another_address_space_nothing_is_cached(demo: Target) -> None:
    assert not translate(demo.machine, find_context(demo.machine, asid=7), 0x401234, READ).cached
    assert [found.check for found in cached_entries(demo.machine, asid=7)] == []


def test_the_mode_of_the_cpu_counts(demo: Target) -> None:
    demo.machine.m.cpu[0 * CPU + CPU_MODE] = 1
    fault = translate(demo.machine, find_context(demo.machine), 0x401000, ACCESSES["x"]).fault
    assert fault is not None
    assert fault.reason == "PT[1] has US = 1"


def test_walk_json(tutorial: Target) -> None:
    walk, found = walk_of(tutorial.machine, find_context(tutorial.machine), 0x0110)
    data = walk_data(tutorial.machine, walk, found)
    assert data["format"] == "tutorial16"
    assert data["root"] == 0x800
    assert data["steps"] == [
        {
            "level": "PT",
            "index": 1,
            "entry_address": 0x802,
            "entry": 0x11D7,
            "kind": "leaf",
            "linux": "pte",
            "flags": ["V", "R", "W", "U", "A", "D"],
            "rights": "rw-u",
        }
    ]
    assert (data["outcome"], data["pa"], data["page_size"]) == ("translated", 0x1110, 256)


def test_a_page_in_swap_has_its_slot_at_the_top_of_the_json(tutorial: Target) -> None:
    tutorial.machine.swap_out(1, 0x0110)
    walk, found = walk_of(tutorial.machine, find_context(tutorial.machine), 0x0110)
    assert walk_data(tutorial.machine, walk, found)["slot"] == 1
    assert walk_data(tutorial.machine, walk, found)["steps"][0]["kind"] == "swapped"


def test_a_root_outside_memory_is_a_bus_fault(demo: Target) -> None:
    found = translate(demo.machine, find_context(demo.machine, root=0xDEADBEEF000), 0x401000, READ)
    assert found.fault is not None
    assert (found.fault.kind, found.fault.reason) == ("bus", "PML4[0] lies outside memory")


def test_on_an_idle_cpu_the_process_that_will_run_is_meant(tutorial: Target) -> None:
    tutorial.machine.m.cpu[CPU_PID] = tutorial.machine.m.cpu[CPU_ROOT] = 0
    with pytest.raises(UserError, match=r"^No process\.$"):
        find_context(tutorial.machine)
    tutorial.machine.m.kernel[KERNEL_READY_FIRST] = 1
    assert running_pid(tutorial.machine, 0) == 0
    assert translate(tutorial.machine, find_context(tutorial.machine), 0x110, READ).region == "heap"


def test_mistakes(demo: Target, tutorial: Target) -> None:
    with pytest.raises(UserError, match=r"^Address 0x12345 does not fit in 16 bits \(0x0000\.\.0xffff\)\.$"):
        check_address(tutorial.machine, 0x12345)
    assert check_address(demo.machine, -1) == (1 << 64) - 1
    with pytest.raises(UserError, match=r"^No process 9\.$"):
        find_context(demo.machine, pid=9)
    with pytest.raises(UserError, match=r"^No CPU 1: this machine has only CPU 0\.$"):
        find_context(demo.machine, cpu=1)


def test_a_page_of_a_gibibyte(demo: Target) -> None:
    step = walk_of(demo.machine, find_context(demo.machine), 0x40000000)[0].steps[1]
    assert step.level == "PDPT"
    demo.machine.k.store(demo.machine.m, step.address, 8, 0x87)
    walk, found = walk_of(demo.machine, find_context(demo.machine), 0x40012345)
    assert (len(walk.steps), found.page_size, found.pa) == (2, 1 << 30, 0x12345)
    assert walk.last.flags == ["P", "RW", "US", "PS"]
    demo.machine.k.store(demo.machine.m, step.address, 8, 0x87 | 1 << 13)
    fault = translate(demo.machine, find_context(demo.machine), 0x40012345, READ).fault
    assert fault is not None
    assert (fault.kind, fault.code) == ("reserved", 0xD)


def test_why_says_when_the_tlb_would_not_agree(demo: Target) -> None:
    poke(demo, 0x404000, 1)
    verdict = why(demo.machine, find_context(demo.machine), 0x404000, ACCESSES["w"])
    assert verdict.outcome.fault.kind == "not-present"
    assert verdict.tlb is not None
    assert verdict.tlb.pa == 0x10A000


def test_why_proposes_one_edit_for_each_entry_that_withholds_a_right(demo: Target) -> None:
    for step in walk_of(demo.machine, find_context(demo.machine), 0x404000)[0].steps[2:]:
        demo.machine.k.store(demo.machine.m, step.address, 8, s64(step.entry & ~2))
    cause = why(demo.machine, find_context(demo.machine), 0x404000, ACCESSES["w"]).cause
    assert [(edit.step.name, edit.what) for edit in cause.edits] == [("PD[2]", "set RW"), ("PT[4]", "set RW")]
    cause = why(demo.machine, find_context(demo.machine), 0x404000, ACCESSES["x"]).cause
    assert [(edit.step.name, edit.what) for edit in cause.edits] == [("PT[4]", "clear NX")]


def test_why_changes_an_entry_once(demo: Target) -> None:
    step = walk_of(demo.machine, find_context(demo.machine), 0x404000)[0].steps[2]
    demo.machine.k.store(demo.machine.m, step.address, 8, s64(step.entry & ~6))
    (edit,) = why(demo.machine, find_context(demo.machine), 0x404000, ACCESSES["w"]).cause.edits
    assert (edit.step.name, edit.old, edit.new, edit.what) == (
        "PD[2]",
        step.entry & ~6,
        step.entry,
        "set US, set RW",
    )


@pytest.mark.parametrize(
    ("machine", "va", "change", "field", "what"),
    [
        ("default", 0x7F0000000000, 1 << 13, "bit 13", "clear bit 13"),
        ("default", 0x7F0000000000, 3 << 13, "bits 20:12", "clear bits 20:12"),
        ("sv39", 0x404000, 1 << 60, "bit 60", "clear bit 60"),
        ("sv39", 0x404000, 1 << 1, "R", "set R"),
        ("sv39", 0x2000000000, 1 << 10, "bit 10", "clear bit 10"),
    ],
)
def test_why_says_which_bit_is_reserved(machine: str, va: int, change: int, field: str, what: str) -> None:
    target = boot_named(machine)
    step = walk_of(target.machine, find_context(target.machine), va)[0].last
    target.machine.k.store(target.machine.m, step.address, 8, s64(step.entry ^ change))
    verdict = why(target.machine, find_context(target.machine), va, ACCESSES["r"])
    assert verdict.outcome.fault.kind == "reserved"
    assert (verdict.cause.field, verdict.cause.step.name) == (field, step.name)
    (edit,) = verdict.cause.edits
    assert (edit.what, edit.new) == (what, step.entry)
    assert verdict.rules == ["z"]


def test_an_entry_outside_memory_has_no_value_and_decides(demo: Target) -> None:
    demo.machine.k.store(demo.machine.m, 0x103000, 8, 0xDEAD000000027)
    verdict = why(demo.machine, find_context(demo.machine), 0x401234, ACCESSES["r"])
    assert verdict.outcome.fault.kind == "bus"
    assert (verdict.cause, verdict.rules) == (None, [])
    assert why_data(verdict)["steps"][-1]["entry"] is None
    assert "PDPT   -    " in "\n".join(line_text(line) for line in drawn(demo.machine, verdict))


@pytest.mark.parametrize(
    ("machine", "va", "how", "code"),
    [
        ("default", 0x401000, "w", "error code 0x7 (P W U)"),
        ("sv39", 0x401000, "w", "scause 0xf (store/AMO page fault)"),
        ("sv39", 0x404000, "x", "scause 0xc (instruction page fault)"),
        ("sv39", 0x5000, "r", "scause 0xd (load page fault)"),
        ("tutorial16", 0x0110, "r", "error code 0x4 (U)"),
    ],
)
def test_a_fault_is_reported_in_the_manuals_words(machine: str, va: int, how: str, code: str) -> None:
    target = boot_named(machine)
    verdict = why(target.machine, find_context(target.machine), va, ACCESSES[how])
    assert line_text(next(iter(drawn(target.machine, verdict)))).endswith(f", {code}")


def drawn(machine: Machine, verdict: Verdict) -> Any:
    """What `why` says."""
    return why_lines(Notation(machine.format), machine.format, verdict)


def test_a_table_entry_with_a_bit_of_a_leaf_is_mended_if_the_page_behind_it_allows(demo: Target) -> None:
    step = walk_of(demo.machine, find_context(demo.machine), 0x401234)[0].steps[0]
    demo.machine.k.store(demo.machine.m, step.address, 8, s64(step.entry | 1 << 7))
    (edit,) = why(demo.machine, find_context(demo.machine), 0x401234, ACCESSES["r"]).cause.edits
    assert (edit.what, edit.new) == ("clear PS", step.entry)
    cause = why(demo.machine, find_context(demo.machine), 0x401234, ACCESSES["w"]).cause
    assert (cause.field, cause.edits) == ("PS", [])


@pytest.mark.parametrize(
    ("name", "smep", "nxe", "code"),
    [
        ("x86_64", 1, 1, 0x15),
        ("x86_64", 1, 0, 0x1D),  # NX is reserved
        ("x86_64", 0, 1, 0x15),
        ("x86_64", 0, 0, 0xD),
        ("x86_32", 0, None, 0x5),  # no PAE, no NX: SMEP alone decides
        ("x86_32", 1, None, 0x15),
    ],
)
def test_error_codes_tell_fetches_only_where_the_registers_say_so(
    name: str, smep: int, nxe: int | None, code: int
) -> None:
    """Intel SDM 3A, 4.7: I/D is set if CR4.SMEP = 1, or CR4.PAE = 1 and IA32_EFER.NXE = 1."""
    machine = Machine(MachineConfig({"machine.format": name}))
    registers.write(machine, 0, "cr4.smep", smep)
    if nxe is not None:
        registers.write(machine, 0, "efer.nxe", nxe)
    assert check(machine) == []
    base = machine.format.kernel_base
    context = Context(None, machine.m.kernel[KERNEL_ROOT], 0, None, 0)
    found = translate(machine, context, base, 2)
    assert found.fault is not None
    assert found.fault.code == code
    absent = translate(machine, context, 0x1000, 2)
    assert absent.fault is not None
    assert absent.fault.code == 4 | code & 16
    loaded = translate(machine, context, 0x1000, 1)
    assert loaded.fault is not None
    assert loaded.fault.code == 6


@pytest.mark.parametrize(("name", "code"), [("x86_64", 0x14), ("x86_32", 0x4), ("sv39", 12)])
def test_the_fault_that_is_taken_has_the_code_that_was_foretold(name: str, code: int) -> None:
    target = boot_named("default" if name == "x86_64" else name)
    machine, va = target.machine, 0x5000
    foretold = translate(machine, find_context(target.machine), va, 2)
    assert foretold.fault is not None
    done = accesses.access(machine, va, 2)
    assert (done.killed, done.code, foretold.fault.code) == (True, code, code)
