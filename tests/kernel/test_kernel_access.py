"""The kernel's own accesses: by both engines, through the TLB, under SMAP, SUM and PAN, and given up."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmdbg.errors import UserError
from vmdbg.formats import NAMES, find
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.machine.registers import read, write
from vmdbg.programs.vmp import parse_vmp
from vmdbg.shell.boot import open_target
from vmdbg.shell.startup import make_session
from vmdbg.state.tables import (
    CONTROL_VALUE,
    CPU_MODE,
    CPU_ROOT,
    PATH,
    PATH_ADDRESS,
    PROCESS,
    PROCESS_ROOT,
    PROCESS_STATUS,
    TLB,
    TLB_KEY,
    TLB_WORD,
)

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
Ready = Callable[[Machine], Machine]
GLOBAL = 128
#: Registers that keep the kernel from user pages, and the one that lets it in, by format.
WINDOWS = {
    "x86_64": (("cr4.smap", 1), ("eflags.ac", 1)),
    "sv39": (("sstatus.sum", 0), ("sstatus.sum", 1)),
    "arm64": (("pstate.pan", 1), ("pstate.pan", 0)),
}


def boot(text: str, **settings: Any) -> Machine:
    config = MachineConfig(settings)
    form = find(config["machine.format"])
    machine = Machine(config)
    machine.load(parse_vmp(text.encode(), "k.vmp", va_bits=form.va_bits, page_size=form.page_size))
    return machine


def ram_of(name: str) -> dict[str, Any]:
    base = 0x40000000 if name.startswith("arm") else 0x80000000 if name.startswith("sv") else 0
    return {"machine.format": name, "machine.ram": 1 << 26, "machine.ram_base": base}


def run(machine: Machine, engine: str, ready: Ready, limit: int = 1000) -> Machine:
    if engine == "compiled":
        ready(machine)
    machine.run(limit, engine == "compiled")
    return machine


def globals_in(machine: Machine) -> int:
    m = machine.m
    rows = range(0, len(m.tlb), TLB)
    return sum(m.tlb[row + TLB_KEY] >= 0 and m.tlb[row + TLB_WORD] & GLOBAL != 0 for row in rows)


@pytest.mark.parametrize("name", [name for name in NAMES if find(name).kernel_base is not None])
def test_every_format_reads_its_direct_map(name: str, engine: str, ready: Ready) -> None:
    base = find(name).kernel_base
    text = f"kread {base & (1 << 64) - 1 if find(name).sign_extended else base}, 8\nloop\nkread {base}\nend"
    machine = run(boot(text, **ram_of(name)), engine, ready, 50)
    assert machine.counts()["read"] == machine.counts()["kernel-access"] == 50
    assert machine.counts().get("kernel-fault", 0) == 0
    assert machine.m.cpu[CPU_MODE] == 0
    assert globals_in(machine)
    assert check(machine) == []


def test_global_entries_survive_a_change_of_the_root(engine: str, ready: Ready) -> None:
    text = "region heap 0x400000 4K rw\nwrite 0x400000, 1\nkread 0xffff888000001000"
    machine = run(boot(text), engine, ready, 2)
    before = globals_in(machine)
    write(machine, 0, "cr3", machine.m.cpu[CPU_ROOT])
    assert before == globals_in(machine) == sum(key >= 0 for key in machine.m.tlb[TLB_KEY::TLB])


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_to_user_pages(name: str, engine: str, ready: Ready) -> None:
    """Closed, the kernel's read and write are given up, pages there or not; open, they are served."""
    closed, opened = WINDOWS[name]
    text = "region heap 0x400000 16K rw\nwrite 0x400000, 0x61\nkread 0x400000\nkwrite 0x401000, 7\n"
    text += "kwrite 0x400ffc, 0x1122334455667788, 8\nread 0x400ffc, 8\nread 0x400000"
    machine = boot(text, **ram_of(name))
    write(machine, 0, *closed)
    run(machine, engine, ready, 4)
    assert machine.counts()["kernel-fault"] == 3
    assert machine.counts().get("fault-minor") == 1
    machine = boot(text, **ram_of(name))
    write(machine, 0, *opened)
    run(machine, engine, ready, 5)
    assert machine.counts().get("kernel-fault", 0) == 0
    assert machine.counts()["fault-minor"] == 2
    assert [machine.counts()[kind] for kind in ("straddle-write", "straddle-read")] == [1, 1]
    assert machine.m.control[CONTROL_VALUE] == 0x11223344
    run(machine, engine, ready)
    assert machine.m.process[PROCESS + PROCESS_STATUS] == 0
    assert check(machine) == []


@pytest.mark.parametrize("name", WINDOWS)
def test_a_program_opens_and_closes_the_window(name: str, engine: str, ready: Ready) -> None:
    """Two of four accesses lie in a window, which goes with its process."""
    text = "region heap 0x400000 4K rw\nkclose\nkread 0x400000\nkopen\nkwrite 0x400000, 1\nkread 0x400000\n"
    machine = boot(f"{text}kclose\nkread 0x400000", **ram_of(name))
    if name == "x86_64":
        write(machine, 0, "cr4.smap", 1)
    register, opened = machine.format.window
    before = read(machine, 0, register)
    run(machine, engine, ready, 7)
    assert read(machine, 0, register) == 1 - opened
    run(machine, engine, ready)
    assert machine.counts()["kernel-fault"] == 2
    assert machine.counts()["fault-minor"] == 1
    assert machine.counts().get("syscall-error", 0) == 0
    assert read(machine, 0, register) == before
    assert check(machine) == []


def test_a_window_that_the_machine_has_not_is_refused(engine: str, ready: Ready) -> None:
    values = {"machine.format": "tutorial16", "machine.ram": 1 << 16, "kernel.first_frame": 8}
    machine = run(boot("region heap 0x4000 1K rw\nkopen\nkwrite 0x4000, 1", **values), engine, ready)
    assert machine.counts()["syscall-error"] == 1
    assert machine.counts().get("kernel-fault", 0) == 0


@pytest.mark.parametrize(
    ("line", "kinds"),
    [
        ("kread 0x10", {"kernel-fault": 1}),
        ("kwrite 0x500000, 1", {"kernel-fault": 1}),
        ("kread 0xffffc88800000000", {"kernel-fault": 1}),
        ("kread 0x7fffffff0000, 4", {"kernel-fault": 1}),
    ],
)
def test_what_the_kernel_does_not_serve_is_given_up(
    line: str, kinds: dict[str, int], engine: str, ready: Ready
) -> None:
    """Nowhere, a region without the right, the kernel half without a page: EFAULT, the process goes on."""
    machine = run(
        boot(f"region text 0x500000 4K rx\nregion heap 0x400000 4K rw\n{line}\nwrite 0x400000, 1"),
        engine,
        ready,
    )
    counts = machine.counts()
    assert {kind: counts.get(kind, 0) for kind in kinds} == kinds
    assert counts["write"] == 1
    assert counts.get("signal", 0) == 0
    assert check(machine) == []


def test_a_store_to_a_table_is_compared_at_the_next_use(engine: str, ready: Ready) -> None:
    """The kernel clears the entry of a page that the TLB holds: the next access tells that it is stale."""
    base, text = 0xFFFF888000000000, "region heap 0x400000 4K rw\nwrite 0x400000, 1\n"
    first = run(boot(text), "interpreted", ready, 1)
    k, m = first.k, first.m
    k.walk(m, m.process[PROCESS + PROCESS_ROOT], 0x400000)
    entry = m.path[3 * PATH + PATH_ADDRESS]
    machine = run(boot(f"{text}kwrite {base + entry:#x}, 0, 8\nread 0x400000"), engine, ready, 3)
    assert machine.counts()["tlb-stale"] == 1


def test_the_end_of_time_is_not_asked_of_the_kernel() -> None:
    with pytest.raises(UserError, match="the kernel's own"):
        boot("region heap 0x400000 4K rw\nkread 0x400000", **{"kernel.policy": "opt"})


def test_at_its_event_the_cpu_is_in_kernel_mode() -> None:
    """In the middle of the operation commands look as the kernel does; before it and after it, not."""
    session = make_session(io.StringIO(), io.StringIO())
    session.target = open_target(session, "default", str(EXAMPLES / "window.vmp"))
    mode = [session.machine.m.cpu[CPU_MODE]]
    for line in ("catch kernel-access", "continue", "step", "reverse-stepi", "step"):
        session.interpreter.run_lines("test", [line])
        mode.append(session.machine.m.cpu[CPU_MODE])
        assert check(session.machine) == []
    assert mode == [0, 0, 1, 0, 1, 0]


@pytest.mark.parametrize("name", WINDOWS)
def test_each_process_has_its_own_window(name: str, engine: str, ready: Ready) -> None:
    """Processes in turn: what each may touch follows from its own program, whoever ran between.

    One that neither opened nor closed goes by the CPU's register, as it was before.
    """
    rng, texts, expected, cpus = random.Random(2), [], [], 2
    closed, (register, opened) = WINDOWS[name][0], find(name).window or ("", 0)
    for number in range(5):
        is_open, faults, lines = False, 0, ["region heap 0x400000 4K rw", "write 0x400000, 1"]
        for _ in range(30):
            what = rng.choice(
                ("kread 0x400000", "kread 0x400000", "kopen", "kclose") if number else ("kread 0x400000",)
            )
            lines.append(what)
            faults += what.startswith("kread") and not is_open
            is_open = what == "kopen" or (is_open and what != "kclose")
        texts.append("\n".join(lines))
        expected.append(faults)
    machine = boot(texts[0], **ram_of(name), **{"machine.cpus": cpus, "kernel.quantum": 2})
    form = machine.format
    for text in texts[1:]:
        machine.load(parse_vmp(text.encode(), "k.vmp", va_bits=form.va_bits, page_size=form.page_size))
    for cpu in range(cpus):
        write(machine, cpu, *closed)
        write(machine, cpu, register, 1 - opened)
    run(machine, engine, ready)
    assert [machine.counts(pid).get("kernel-fault", 0) for pid in range(1, 6)] == expected
    assert [read(machine, cpu, register) for cpu in range(cpus)] == [1 - opened] * cpus
    assert check(machine) == []


def test_a_register_that_is_set_holds_for_all_without_a_window(engine: str, ready: Ready) -> None:
    text = "region heap 0x400000 4K rw\nwrite 0x400000, 1\nfork\nkread 0x400000\nkread 0x400000"
    machine = boot(text, **{"kernel.quantum": 1})
    write(machine, 0, "cr4.smap", 1)
    write(machine, 0, "eflags.ac", 1)
    run(machine, engine, ready)
    assert machine.counts().get("kernel-fault", 0) == 0
