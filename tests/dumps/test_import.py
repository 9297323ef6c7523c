"""import: on the simulated copy every command that looks says what it says of the real computer."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.models import qmp_peer
from tests.models.dumps import LONG, NX, Memory, P, U, W, core
from tests.models.qmp_peer import Computer, Peer
from vmdbg.errors import UserError
from vmdbg.hardware import page_tables
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine

#: What every looking command is asked; addresses are those of the tables below.
ASKED = {
    "translate": ["0x401234", "0x403000 w -u", "/j 0x7fff00000000 x", "-cpu 1 0x401234"],
    "walk": ["0x401234", "/j 0x402000", "0x10", "-root 0x3000 0x401000"],
    "split": ["0x401234", "/j 0x402000"],
    "why": ["0x401234 w", "/j 0x403000 w -u", "0x7000000 x", "0x401000 -e 3"],
    "map": ["", "/j", "-merge", "-fold", "/j where w && x", "-k", "0x400000..0x402000"],
    "tables": ["", "/j"],
    "overhead": ["", "/j"],
    "rmap": ["", "0x81", "/j 0x82"],
    "info aliases": ["0x401000", "/j 0x402000"],
    "pte": ["0x0000000000081067", "/j 0x8000000000081067"],
    "x": ["/8gx 0x401000", "/s 0x401000"],
    "xp": ["/32gx 0x1000", "/4gx 0x10000ffc", "/2gx 0x100017f8"],
    "find": ["0x401000, 0x403fff, 0x77"],
    "find root": ["", "/j"],
    "check rights": ["", "/j"],
    "check cpu": ["", "/j", "-cpu 1"],
    "code": ["0x15"],
    "dump": [],
    "info registers": ["", "cr3"],
    "info symbol": ["0x401000"],
    "output": ["$cr3", "$rip", "$cr0.wp", "$pte(0x401000)"],
}


def files(folder: Path) -> str:
    """A dump with two CPUs and two pieces of memory, the second of which has no whole page."""
    source = random.Random(5)
    memory = Memory(1 << 20)
    for page in range(12):
        flags = source.choice([P, P | W, P | U, P | W | U]) | source.choice([0, 0, NX])
        memory.map(0x401000 + page * 4096, 0x81000 + source.randrange(6) * 4096, flags)
    memory.map(0xFFFFFFFF80000000, 0x0, P | W, depth=2)
    memory.map(0x40000000, 0x10000000, P | U)
    memory.put(memory.entry(0x50000000, 3), 0xFFF000 | P)  # no memory there
    memory.put(memory.entry(0x60000000, 1), 1 << 51 | P | 0x80)
    other = Memory(1 << 20, root=0x71000, free=0x72000)
    other.bytes = memory.bytes
    other.map(0x401000, 0x90000, P | W)
    memory.bytes[0x81000:0x81010] = b"linux\0" + bytes([0x77]) * 10
    first = {**LONG, "rip": 0x401000, "rsp": 0x402800, "cr2": 0x1234, "gdtr": 0x403000, "gdtr.limit": 255}
    first |= {"idtr": 0x404000, "idtr.limit": 0xFFF}
    banks = [(0, bytes(memory.bytes)), (0x10000000, source.randbytes(0x1803))]
    (folder / "two.core").write_bytes(core(banks, [first, {**LONG, "cr3": 0x71000, "rip": 0x401010}]))
    return f"target dump {folder / 'two.core'}"


def looking_commands(shell: Any) -> set[str]:
    registry = shell.session.interpreter.registry
    registry.load_all()
    return {
        command.name
        for command in registry.commands()
        if command.group == "looking"
        and not command.needs - {"translate", "addresses"}
        and command.words[0] not in ("calc", "policy", "plot")
    }


def asked(shell: Any) -> dict[str, str]:
    lines = [name + (more if more.startswith("/") else f" {more}") for name in ASKED for more in ASKED[name]]
    return {line: shell.type(line) for line in lines}


def test_every_looking_command_says_the_same(shell: Any, tmp_path: Path) -> None:
    shell.type("machine tutorial16")
    missing = looking_commands(shell) - set(ASKED)
    assert not missing, f"say above what these are asked: {sorted(missing)}"
    assert "simulated already" in shell.type("import")
    assert "2 CPUs" in shell.type(files(tmp_path))
    real, banks = asked(shell), shell.json("info target/j")["banks"]
    assert shell.type("import").startswith(
        "Simulated machine, x86_64, 2 CPUs, 1054723 B in 2 pieces; cr3 0x1000"
    )
    assert shell.json("info target/j")["banks"] == banks
    for line, text in asked(shell).items():
        assert text == real[line], line


def test_a_copy_can_be_changed(shell: Any, tmp_path: Path) -> None:
    shell.type(files(tmp_path))
    content = (tmp_path / "two.core").read_bytes()
    before = asked(shell)
    shell.type("import")
    entry = shell.json("walk/j 0x401000")["steps"][-1]
    assert "fault" in shell.type("read 0x7000000")
    shell.type("undo")
    shell.type(f"poke {entry['entry_address']:#x} 0x92067")
    assert shell.json("translate/j 0x401000")["pa"] == 0x92000
    shell.type("set $cr0.wp = 0")
    assert "[ ]" in shell.type("info registers cr0")
    shell.type("set $cr3 = 0x71000")
    assert shell.json("translate/j 0x401000")["pa"] == 0x90000
    assert shell.json("info registers/j cr3")[0]["value"] == 0x71000
    assert "fault" not in shell.type("write 0x401000 5")
    assert shell.type("xp/1gx 0x90000").split()[-1].endswith("05")
    assert "0x10000008: " in shell.type("poke 0x10000008 7")
    shell.type("goto begin")
    assert asked(shell) == before
    assert tmp_path.joinpath("two.core").read_bytes() == content
    text = shell.type(f"save machine {tmp_path / 'copy.machine'}")
    assert "Saved" in text
    shell.type(f"load machine {tmp_path / 'copy.machine'}")
    assert shell.type("map") == before["map "]


def test_a_guest_is_imported(shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    memory = Memory(1 << 20)
    memory.map(0x401000, 0x81000, P | W | U)
    computer = Computer(memory.bytes, {**LONG, "efer": 0xD00, "rip": 0x401000})
    with Peer(tmp_path / "qmp", computer.serve):
        shell.type("target qemu qmp")
        map_of_guest = shell.type("map")
        shell.type("import")
        assert computer.running
        assert shell.type("map") == map_of_guest
        computer.memory[0x81000] = 9
        assert shell.type("xp/1bx 0x81000").split()[-1] == "0x00"


@pytest.mark.parametrize(
    ("registers", "lines"),
    [
        (
            qmp_peer.monitor({"cr0": 0x80010011, "cr3": 0x1000, "cr4": 0x20, "efer": 0}),
            ("x86_pae",),
        ),
        (
            qmp_peer.monitor({"cr0": 0x80010011, "cr3": 0x1000, "cr4": 0x10, "efer": 0}),
            ("x86_32",),
        ),
        (" pc 0000000000002010\n satp 8000000000000001\n stvec 0000000000003000\n", ("sv39",)),
        ("PC=0000000000400000\nttbr0_el1=0x1000 tcr_el1=0x580100010 sctlr_el1=0x1\nPSTATE=3c5\n", ("arm64",)),
        ("ttbr0_el1=0x1000 tcr_el1=0x8000186800c000c sctlr_el1=0x1\nPSTATE=3c5\n", ("arm64_lpa2",)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_other_formats(
    shell: Any, registers: str, lines: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_tables.Bounded.__init__, "__defaults__", (2,))
    source = random.Random(9)
    memory = bytearray(source.randbytes(1 << 15))
    for at in range(0x1000, 0x8000, 8):
        word = source.choice(
            [0] * 60 + [1 << 10 | 1, 0x2003, 0x3003, 0x400 << 10 | 0xCF, source.getrandbits(15)]
        )
        memory[at : at + 8] = word.to_bytes(8, "little")
    regs = shell.file("regs", registers)
    text = shell.type(f"target dump {shell.file('m.raw', memory)} -regs {regs}")
    assert lines[0] in text
    looked = ["map/j", "map -fold", "tables", "overhead", "check rights", "find root", "rmap"]
    looked += ["info registers", *(f"why {source.getrandbits(38):#x} {how}" for how in "rwx" * 8)]
    real = {line: shell.type(line) for line in looked}
    shell.type("import")
    assert {line: shell.type(line) for line in looked} == real


@pytest.mark.parametrize(
    ("banks", "error"),
    [
        ("0x0", r"expected ADDRESS\+SIZE"),
        ("x+y", r"expected ADDRESS\+SIZE"),
        ("0x0+0", "no piece of memory"),
        ("-1+8", "no piece of memory"),
        ("0x7fffffffffffffff+8", "no piece of memory"),
        ("0x0+0x10000000", "are possible"),
        ("0x8000+0x10000 0x0+0x10000", "pieces at 0x0 and 0x8000 overlap"),
        (" ".join(f"{n << 20:#x}+1" for n in range(5000)), "are possible"),
    ],
)
def test_banks_that_cannot_be(banks: str, error: str) -> None:
    with pytest.raises(UserError, match=error):
        Machine(load_config("bare").with_({"machine.banks": banks}))
    with pytest.raises(UserError, match="without a kernel"):
        Machine(load_config("default").with_({"machine.banks": "0x0+0x1000"}))
