"""Dumps of every sort under the looking commands: against a walk of their own, and against each other."""

from __future__ import annotations

import os
import random
import re
import resource
import shutil
import subprocess
import time
from typing import Any

import pytest

from tests.models.dumps import LONG, NX, Memory, P, U, W, core, lime, monitor
from tests.models.elf_files import OBJECT, READ, Load, Name, make
from tests.models.walker import LAYOUTS, walk
from vmdbg.dumps.pasted_registers import pasted_registers
from vmdbg.inspect.context import find_context
from vmdbg.inspect.target import LACKS


def a_kernel() -> Memory:
    memory = Memory()
    memory.map(0x400000, 0x80000, P | U)
    memory.map(0x401000, 0x81000, P | W | U | NX)
    memory.map(0xFFFFFFFF80000000, 0x90000, P)
    memory.map(0xFFFF888000000000, 0, P | W | NX, depth=2)
    return memory


def random_memory(random: random.Random) -> Memory:
    """Tables of random entries, most of which lead somewhere."""
    memory = Memory(1 << 18)
    for table in range(1, 40):
        for _ in range(12):
            target = random.choice([random.randrange(64) << 12, random.getrandbits(40) & ~0xFFF])
            flags = random.getrandbits(9) | (P if random.random() < 0.9 else 0)
            flags &= ~0x80 if random.random() < 0.8 else -1
            high = random.choice([0, 0, 0, NX])
            memory.put(table << 12 | random.randrange(512) << 3, target | flags | high)
    return memory


def a_path(memory: Memory, source: random.Random) -> int:
    """An address whose walk goes along entries that are not zero, as far as there are any."""
    table, va = 0x1000, 0
    for shift in (39, 30, 21, 12):
        used = [index for index in range(512) if table < 1 << 18 and memory.get(table + 8 * index)]
        index = source.choice(used or [source.randrange(512)])
        va |= index << shift
        table = memory.get(table + 8 * index) & 0xFFFFFFFFFF000 if table < 1 << 18 else table
    return va | (0xFFFF << 48 if va >> 47 else 0) | source.randrange(4096)


def files(shell: Any, memory: Memory, registers: dict[str, int]) -> list[str]:
    """Commands that open the same memory from each sort of file; the last two have it in pieces."""
    data = bytes(memory.bytes)
    half = len(data) // 2 & ~0xFFF
    pieces = [(0, data[:half]), (half, data[half:])]
    regs = shell.file("regs.txt", monitor(registers))
    return [
        f"target dump {shell.file('m.raw', data)} -regs {regs}",
        f"target dump {shell.file('m.core', core([(0, data)], [registers]))}",
        f"target dump {shell.file('m.lime', lime(pieces))} -regs {regs}",
        f"target dump {shell.file('n.core', core(pieces[::-1], [registers]))}",
    ]


def test_each_sort_of_file_gives_the_same_answers(shell: Any) -> None:
    memory, answers = a_kernel(), set()
    for line in files(shell, memory, LONG):
        assert "cr3 0x1000, kernel" in shell.type(line)
        commands = [
            "map",
            "tables",
            "walk 0x401010",
            "overhead",
            "xp/8gx 0x1000",
            "check rights",
            "rmap",
            "info aliases 0x401000",
        ]
        answers.add("\n".join(map(shell.type, commands)))
    assert len(answers) == 1
    assert re.search(r"^0x401000 +0x402000 +4 KiB  rw-u +4 KiB  0x81000", answers.pop(), re.MULTILINE)


@pytest.mark.parametrize("seed", range(8))
def test_translations_are_those_of_a_walk_of_its_own(shell: Any, seed: int) -> None:
    source = random.Random(seed)
    memory = random_memory(source)
    line = source.choice(files(shell, memory, LONG))
    shell.type(line)
    for _ in range(25):
        va = a_path(memory, source)
        wanted = walk(LAYOUTS["x86_64"], bytes(memory.bytes), 0, 0x1000, va)
        found = shell.json(f"walk/j {va:#x}")
        assert [step["entry_address"] for step in found["steps"]] == wanted.entries
        assert found["outcome"] == ("translated" if wanted.kind == "leaf" else "fault")
        if wanted.kind == "leaf":
            assert found["pa"] == wanted.pa


def test_the_map_is_every_page_of_a_walk_of_its_own(shell: Any) -> None:
    memory = random_memory(random.Random(99))
    shell.type(files(shell, memory, LONG)[1])
    rows = shell.json("map/j")
    assert len(rows) > 5
    for row in rows:
        for va in (row["start"], (row["end"] - 1) & (1 << 64) - 1):
            found = walk(LAYOUTS["x86_64"], bytes(memory.bytes), 0, 0x1000, va)
            assert found.kind == "leaf"
            assert found.pa - row["pa"] == va - row["start"]
            letters = "".join(letter if found.rights >> bit & 1 else "-" for bit, letter in enumerate("rwx"))
            assert row["rights"] == letters + "ku"[found.rights >> 3]


def test_holes_are_holes(shell: Any) -> None:
    memory = a_kernel()
    data = bytes(memory.bytes)
    path = shell.file("h.core", core([(0, data[:0x80000]), (0x90000, data[0x90000:])], [LONG]))
    shell.type(f"target dump {path}")
    assert shell.type("xp/1bx 0x80000").endswith("Cannot access memory at address 0x80000\n")
    assert "0x400000 -> 0x80000" in shell.type("translate 0x400000")
    assert shell.type("x/1bx 0x400000").endswith("Cannot access memory at address 0x400000\n")
    assert shell.type("xp/1bx 0x90000").startswith("0x90000:\t0x00")


def test_registers_of_each_cpu(shell: Any) -> None:
    memory = a_kernel()
    second = {**LONG, "cs": 0x33, "rip": 0x400000, "cr3": 0x5000}
    shell.type(f"target dump {shell.file('two.core', core([(0, bytes(memory.bytes))], [LONG, second]))}")
    assert shell.json("info registers/j -cpu 1 cr3")[0]["value"] == 0x5000
    assert "user read 0x400000" in shell.type("why 0x400000 -cpu 1")
    assert "kernel read 0x400000" in shell.type("why 0x400000")
    assert shell.type("print/x $cr3") == "$1 = 0x1000\n"


def test_an_old_core_of_i386_is_read_as_one(shell: Any) -> None:
    data = bytearray(1 << 16)
    data[0x1000:0x1004] = (0x2007).to_bytes(4, "little")
    data[0x2000:0x2004] = (0x3005).to_bytes(4, "little")
    registers = {**LONG, "cr4": 0}
    shell.type(f"target dump {shell.file('i.core', core([(0, bytes(data))], [registers], machine=3))}")
    assert "x86_32" in shell.type("info target")
    assert "0x00000010 -> 0x0000003010" in shell.type("translate 0x10") or "0x00003010" in shell.type(
        "translate 0x10"
    )


@pytest.mark.parametrize(
    ("registers", "sentence"),
    [
        ({**LONG, "cr0": 0x11}, "Paging is off (CR0 = 0x11: PG = 0)."),
        ({**LONG, "cr3": 0}, "Paging is on, but CR3 is 0."),
    ],
)
def test_without_a_root_it_is_said_how_to_keep_registers(
    shell: Any, registers: dict[str, int], sentence: str
) -> None:
    line = f"target dump {shell.file('m.core', core([(0, bytes(a_kernel().bytes))], [registers]))}"
    for text in (shell.type(line), shell.type("walk 0x400000")):
        assert sentence in " ".join(text.split())
        assert "-no-reboot -no-shutdown" in " ".join(text.split())
    assert "0x400000 -> 0x80000" in shell.type("walk -root 0x1000 0x400000")
    assert "0x400000 -> 0x80000" in shell.type(f"{line} -root 0x1000") + shell.type("walk 0x400000")


def test_registers_as_bochs_prints_them() -> None:
    text = """
<bochs:2> r
CPU0:
rax: 00000000_0000aa55
rsp: 00000000_00007c00
rip: ffffffff_80101000
eflags 0x00000046: id vip vif ac vm rf nt IOPL=0 of df if tf sf ZF af PF cf
<bochs:3> creg
CR0=0xe0000011: PG CD NW ac wp ne ET ts em mp PE
CR2=page fault laddr=0xffffffff80101000
CR3=0x000000001000
    PCD=page-level cache disable=0
CR4=0x00000020: pke smap smep osxsave
EFER=0x00000500: ffxsr nxe LMA LME sce
<bochs:4> sreg
cs:0x0008, dh=0x00209900, dl=0x00000000, valid=1
gdtr:base=0x0000000000007c80, limit=0xf
idtr:base=0xffffffff80110000, limit=0xfff
"""
    (cpu,) = pasted_registers(text)
    wanted = {
        "rip": 0xFFFFFFFF80101000, "rsp": 0x7C00, "eflags": 0x46, "cr0": 0xE0000011,
        "cr2": 0xFFFFFFFF80101000, "cr3": 0x1000, "cr4": 0x20, "efer": 0x500, "cs": 8,
        "cs.flags": 0x209900, "gdtr": 0x7C80,
        "idtr": 0xFFFFFFFF80110000, "idtr.limit": 0xFFF,
    }  # fmt: skip
    assert {name: cpu.get(name) for name in wanted} == wanted


def test_registers_of_several_cpus_and_of_riscv() -> None:
    text = "CPU#0\n" + monitor(LONG) + "CPU#1\n" + monitor({**LONG, "cr3": 0x9000})
    assert [cpu["cr3"] for cpu in pasted_registers(text)] == [0x1000, 0x9000]
    riscv = " pc       ffffffff80001000\n satp     8000000000080123\n"
    riscv += " x1/ra    0000000080000000 x2/sp    0000000000000010\n"
    (cpu,) = pasted_registers(riscv)
    assert (cpu["pc"], cpu["satp"], cpu["x2"]) == (0xFFFFFFFF80001000, 0x8000000000080123, 0x10)


def test_what_a_dump_lacks_is_said_in_a_sentence(shell: Any) -> None:
    shell.type(files(shell, a_kernel(), LONG)[1])
    registry = shell.session.interpreter.registry
    registry.load_all()
    refused = [command for command in registry.commands() if command.needs - {"addresses", "translate"}]
    assert len(refused) > 50
    sentences = {f"a dump {text}." for text in LACKS.values()}
    for command in refused:
        text = shell.type(command.name)
        assert text.count("\n") == 1, (command.name, text)
        assert text.strip().rpartition(": ")[0] == f'"{command.name}"' or any(s in text for s in sentences)
    assert "only looked at" in shell.type("set variable *(int *)0x401000 = 1")
    assert "only looked at" in shell.type("set $cr3 = 1")


def test_a_session_at_a_dump_is_saved_and_comes_back(shell: Any) -> None:
    shell.type(files(shell, a_kernel(), LONG)[0])
    before = shell.type("map") + shell.type("info target")
    shell.type(f"save session {shell.folder / 'again'}")
    shell.type("machine tutorial16")
    shell.type(f"source {shell.folder / 'again'}")
    assert shell.type("map") + shell.type("info target") == before


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_gdb_reads_what_is_exported(shell: Any) -> None:
    shell.type(files(shell, a_kernel(), LONG)[0])
    shell.type(f"export {shell.folder / 'm.core'}")
    read = ["gdb", "-nx", "-q", "-batch", "-c", str(shell.folder / "m.core"), "-ex", "x/2gx 0x1000"]
    done = subprocess.run(read, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == shell.type("xp/2gx 0x1000").split()


def test_a_sparse_image_of_64_gib_opens_at_once(shell: Any) -> None:
    path = shell.file("big.raw", bytes(a_kernel().bytes))
    os.truncate(path, 64 << 30)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    shell.type(f"target dump {path} -root 0x1000")
    assert "0x401000 -> 0x81000" in shell.type("translate 0x401000")
    assert "0x1000 " in shell.type("find root")
    assert shell.type("xp/1gx 0xf00000000").strip().endswith("0x0000000000000000")
    assert time.process_time() - began < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


def test_roots_are_found(shell: Any) -> None:
    memory = a_kernel()
    other = Memory(1 << 20, root=0x40000, free=0x41000)
    other.bytes = memory.bytes
    other.map(0x10000, 0x82000, P | U)
    memory.put(0x40000 + 8 * 511, memory.get(0x1000 + 8 * 511))  # the kernel half is shared
    shell.type(f"target dump {shell.file('m.raw', memory.bytes)}")
    rows = shell.json("find root/j")
    assert {row["root"] for row in rows} == {0x1000, 0x40000}
    assert all("shares tables with 1 other" in row["reasons"] for row in rows)
    shell.type(files(shell, memory, {**LONG, "rip": 0xFFFFFFFF80000000})[1])
    first = shell.json("find root/j")[0]
    assert (first["root"], first["reasons"][:2]) == (0x1000, ["cr3 of CPU 0", "maps what CPU 0 executes"])


def test_roots_of_tables_as_large_as_memory_are_not_looked_for(shell: Any) -> None:
    shell.type("machine word-table")
    assert shell.type("find root") == (
        "A root table of word-table has 512 KiB: nothing tells it from data.\n"
    )


def test_names_from_a_symbol_file(shell: Any) -> None:
    memory = a_kernel()
    memory.bytes[0x90020:0x90028] = b"toy 1.0\0"
    names = [Name("_text", 0xFFFFFFFF80000000), Name("banner", 0xFFFFFFFF80000020, OBJECT)]
    path = shell.file("k.elf", make([Load(0x400000, READ, b"x", 1)], names))
    shell.type(files(shell, memory, LONG)[1])
    assert shell.type(f"symbol-file {path}") == f"2 symbols from {path}.\n"
    assert shell.type("x/s banner") == '0xffffffff80000020 <banner>:\t"toy 1.0"\n'
    assert "-> 0x90020" in shell.type("walk &banner")
    assert "_text" in shell.type("map 0xffffffff80000000..0xffffffff80001000")
    assert shell.type("symbol-file") == "No symbol file now.\n"
    assert "No symbol" in shell.type("print banner")


@pytest.mark.parametrize("name", ["default", "sv39", "sv48", "tutorial16", "x86_32"])
def test_an_exported_machine_shows_the_same(shell: Any, name: str) -> None:
    shell.type(f"machine {name}")
    if not shell.session.machine.program:
        pytest.skip("the machine has no program that makes tables")
    shell.type("stepi 5")
    context = find_context(shell.session.machine)
    root = f" -root {context.root}"
    looking = ["tables", "map", "overhead", "walk 0x10", "check rights", "rmap"]
    before = [shell.type(line + root) for line in looking]
    path = shell.folder / "m.core"
    assert "ELF core of" in shell.type(f"export {path}")
    assert f", {shell.session.machine.format.name}, 1 CPU" in shell.type(f"target dump {path}")
    assert [shell.type(line + root) for line in looking] == before
    assert [shell.type(line) for line in looking] == before
    assert "Raw image of" in shell.type(f"export -image {shell.folder / 'm.raw'}")
