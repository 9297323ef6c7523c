"""Accesses by RISC-V's machine mode: as the library's `Mmu` makes them, with faults of its own."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.typed_shell import Shell
from vmdbg import Mmu
from vmdbg.debugger.bare_accesses import bare_access
from vmdbg.inspect.target import boot
from vmdbg.machine.config import load_config
from vmdbg.machine.registers import read, write
from vmdbg.shell.boot import open_target
from vmdbg.state.tables import KERNEL_NEWEST
from vmdbg.units import WORD_MASK, s64

DATA, PLACE, WIDE = 0x404000, 0x80108000, 0x1122334455667788
WORDS = ("read", "write", "fetch")


@pytest.mark.parametrize("name", ["sv39", "sv32"])
def test_as_the_library_does(name: str) -> None:
    """Random registers, addresses and accesses: the same outcome, code, bytes and tables."""
    rng, kinds = random.Random(7), set[str]()
    machine = boot(load_config(name).with_({"machine.ram": 4 << 20, "machine.swap.size": 1 << 20})).machine
    m, base = machine.m, machine.config["machine.ram_base"]
    start, half = bytes(m.ram1), 0xC0000000 if name == "sv32" else WORD_MASK + 1 - 0x2A00000000
    places = [DATA, 0x401000, 0x403FFC, 0x700000, PLACE, base + len(start) - 4, 0x10, half]
    for _ in range(50):
        names = ("mstatus.mprv", "mstatus.mpp", "sstatus.sum", "sstatus.mxr")
        values = dict(
            zip(names, (rng.randrange(2), rng.choice((0, 1, 3)), *rng.choices((0, 1), k=2)), strict=True)
        )
        va, how, width = rng.choice(places) + rng.choice((0, 0, 8)), rng.randrange(3), rng.choice((1, 4, 8))
        m.ram1[:] = start
        machine.k.tlb_flush(m, 0, -1, 0)
        for register, value in values.items():
            write(machine, 0, register, value)
        memory = bytearray(start)
        mmu = Mmu(name, memory, ram_base=base, satp=read(machine, 0, "satp") or 0)
        mmu.registers.update(values)
        before = [read(machine, 0, register) for register in ("stval", "satp", "mstatus")]
        expected = mmu.access(va, WORDS[how], size=width, machine=True)
        done = bare_access(machine, s64(va), how, width, WIDE & (1 << 8 * width) - 1, by_machine=True)
        assert [read(machine, 0, register) for register in ("stval", "satp", "mstatus")] == before
        if done.fault is not None:
            kinds.add(done.fault.kind)
            assert expected.ok == (done.fault.kind == "bus")
            assert expected.ok or (done.fault.kind, done.code) == (expected.kind, expected.code)
            assert done.fault.kind != "bus" or done.code == (5, 7, 1)[how]
            if done.fault.kind != "bus":
                assert bytes(m.ram1) == bytes(memory)
            continue
        kinds.add("translated")
        pages = [va] if va % 4096 + width <= 4096 else [va, (va | 4095) + 1]
        at = [mmu.translate(page, WORDS[how], machine=True).pa - base for page in pages]
        first = min(width, 4096 - va % 4096)
        held = memory[at[0] : at[0] + first] + (memory[at[1] : at[1] + width - first] if at[1:] else b"")
        assert done.value & (1 << 8 * width) - 1 == int.from_bytes(held, "little")
        if how == 1:
            data = WIDE.to_bytes(8, "little")[:width]
            memory[at[0] : at[0] + first] = data[:first]
            if at[1:]:
                memory[at[1] : at[1] + width - first] = data[first:]
        assert bytes(m.ram1) == bytes(memory)
    assert kinds == {"translated", "not-present", "protection", "bus"}


def test_at_the_prompt(tmp_path: Path) -> None:
    """With a kernel, which serves nothing of it; what was done is undone and done again."""
    shell = Shell(tmp_path)
    session, said = shell.session, shell.type
    session.target = open_target(session, "sv39", "")
    assert said(f"read -m {PLACE:#x} 8").startswith("0x80108000: 0x0000000000000001  (no TLB")
    assert said(f"fetch -m {DATA:#x}").startswith(
        "0x404000 -> fault: bus, 0x404000 lies outside memory, mcause 0x1"
    )
    said("set $mstatus.mprv = 1")
    assert "-> 0x0000000000000007" in said(f"write -m {DATA:#x} 7 8")
    assert said(f"read {DATA:#x} 8").startswith("0x404000: 0x0000000000000007")
    assert "mcause 0xd (load page fault)" in said("fault -m 0x700000 r")
    assert "mcause 0xd" in said("why -m 0x700000 r")
    assert said("check").startswith("Consistent")
    said("goto 13:0")
    assert "0x0000000000000001" in said(f"read -m {PLACE:#x} 8")
    assert "exclude one another" in said("read -k -m 0x404000")
    session.target = open_target(session, "sv39", "")
    said("kill 1")
    assert said(f"read -m {PLACE:#x}").startswith("0x80108000: 0x")
    assert "mcause" not in said(f"translate -m {PLACE:#x} r")
    session.target = open_target(session, "default", "")
    assert "x86_64 has no machine mode" in said("read -m 0x404000")


def test_the_policy_learns_of_it(tmp_path: Path) -> None:
    """An access by machine mode to a page of a program makes it the page that was used last."""
    shell = Shell(tmp_path)
    shell.session.target = boot(load_config("sv39").with_({"kernel.policy": "lru"}))
    shell.type("step 14")
    kernel = shell.session.machine.m.kernel
    shell.type("set $mstatus.mprv = 1")
    for address in (0x404000, 0x406000):
        shell.type(f"read {address:#x}")
    newest = kernel[KERNEL_NEWEST]
    assert "0x404000: 0x" in shell.type("read -m 0x404000")
    assert kernel[KERNEL_NEWEST] != newest
    by_machine = kernel[KERNEL_NEWEST]
    shell.type("read 0x406000")
    shell.type("read 0x404000")
    assert kernel[KERNEL_NEWEST] == by_machine
