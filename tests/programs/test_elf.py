"""ELF files: segments are regions with content, symbols addresses; what is none for a machine is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vmdbg.errors import InputError, UserError
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.machine import Machine
from vmdbg.programs import read_program
from vmdbg.programs.program import Program
from vmdbg.state.tables import CONTROL_VALUE

pytest.importorskip("elftools")
WIDE, PAGE = 48, 1 << 12
Model = Callable[[str], ModuleType]
CODE = bytes(range(1, 200))


@pytest.fixture
def elf(model: Model) -> Any:
    return model("elf_files")


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Program]:
    def read_bytes(data: bytes, va_bits: int = WIDE, page_size: int = PAGE) -> Program:
        path = tmp_path / "made"
        path.write_bytes(data)
        return read_program(str(path), va_bits=va_bits, page_size=page_size)

    return read_bytes


def regions(program: Program) -> list[tuple[str, int, int, int]]:
    return [(r.kind, r.start, r.size, r.rights) for r in program.processes[0].regions]


def typical(elf: Any, **options: Any) -> bytes:
    loads = [
        elf.Load(0x400000, elf.READ | elf.EXECUTE, CODE, len(CODE)),
        elf.Load(0x401010, elf.READ | elf.WRITE, b"data" * 4, 0x3000),
    ]
    names = [
        elf.Name("_start", 0x400010),
        elf.Name("buf", 0x401010, elf.OBJECT),
        elf.Name("hidden", 0x401020, elf.OBJECT, elf.LOCAL),
        elf.Name("buf", 0x402000, elf.OBJECT, elf.LOCAL),
        elf.Name("elsewhere", 0, section=0),
        elf.Name("a.file", 0, 4),
    ]
    return bytes(elf.make(loads, names, **{"entry": 0x400010, **options}))


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("big", [False, True])
def test_segments_and_symbols(elf: Any, read: Callable[..., Program], bits: int, big: bool) -> None:
    program = read(typical(elf, bits=bits, big=big), va_bits=WIDE if bits == 64 else 32)
    assert regions(program) == [
        ("text", 0x400000, 0x1000, 13),
        ("data", 0x401000, 0x1000, 11),
        ("data", 0x402000, 0x3000, 11),
    ]
    text, data, bss = program.processes[0].regions
    assert (text.content, data.content, bss.content) == (CODE, bytes(16) + b"data" * 4, b"")
    assert program.symbols == {"_start": 0x400010, "buf": 0x401010, "hidden": 0x401020}
    assert program.processes[0].rows[1] == 0x400010
    assert program.remarks == []
    assert [program.source_lines[region.line - 1].split()[:3] for region in program.processes[0].regions] == [
        ["region", "text", hex(0x400000)] if bits == 64 else ["region", "text", "0x00400000"],
        ["region", "data", hex(0x401000)] if bits == 64 else ["region", "data", "0x00401000"],
        ["region", "data", hex(0x402000)] if bits == 64 else ["region", "data", "0x00402000"],
    ]


def test_what_the_process_sees(elf: Any, read: Callable[..., Program]) -> None:
    machine = Machine(MachineConfig({"machine.ram": 4 << 20}))
    machine.load(read(typical(elf)))
    machine.run(1)
    counts = machine.counts()
    assert (counts["fetch"], counts["fault-file"]) == (1, 1)
    assert machine.m.control[CONTROL_VALUE] == CODE[0x10]

    def byte(va: int) -> int:
        assert machine.k.access(machine.m, 0, 1, va, 0, 1, 0) == 0
        return int(machine.m.control[CONTROL_VALUE])

    assert bytes(byte(0x401010 + place) for place in range(16)) == b"data" * 4
    assert [byte(0x40100F), byte(0x401FFF), byte(0x403FFF), byte(0x400000), byte(0x4000C7)] == [0, 0, 0, 1, 0]
    assert machine.k.access(machine.m, 0, 1, 0x401010, 1, 1, 0x55) == 0
    machine.swap_out(1, 0x401010)
    assert byte(0x401010) == 0x55  # a private page goes to swap, not into the file
    assert check(machine) == []


def test_both_engines_agree(elf: Any, read: Callable[..., Program], both: None, ready: Any) -> None:
    digests = set()
    for compiled in (False, True):
        machine = Machine(MachineConfig({"machine.ram": 4 << 20}))
        machine.load(read(typical(elf)))
        if compiled:
            ready(machine)
        machine.run(2, compiled)
        digests.add(machine.digest())
    assert len(digests) == 1


def test_position_independent_files_have_a_fixed_base(elf: Any, read: Callable[..., Program]) -> None:
    loads = [elf.Load(0, 5, CODE, len(CODE)), elf.Load(0x1000, 6, b"", 0x1000)]
    data = elf.make(
        loads, [elf.Name("main", 0x20), elf.Name("fixed", 0x30, section=0xFFF1)], kind=3, entry=0x20
    )
    program = read(data)
    assert regions(program) == [
        ("text", 0x555555554000, 0x1000, 13),
        ("data", 0x555555555000, 0x1000, 11),
    ]
    assert program.symbols == {"main": 0x555555554020, "fixed": 0x30}
    assert program.remarks == [
        "made is position-independent: loaded at 0x555555554000, relocations not applied."
    ]


def test_pages_that_segments_share(elf: Any, read: Callable[..., Program]) -> None:
    loads = [elf.Load(0x400000, 5, b"\1" * 0x1100, 0x1100), elf.Load(0x401100, 6, b"\2" * 0x1000, 0x1000)]
    program = read(elf.make(loads))
    assert regions(program) == [
        ("text", 0x400000, 0x1000, 13),
        ("text", 0x401000, 0x1000, 15),
        ("data", 0x402000, 0x1000, 11),
    ]
    shared = program.processes[0].regions[1].content
    assert shared == b"\1" * 0x100 + b"\2" * 0xF00
    coarse = read(elf.make(loads), page_size=1 << 16)
    assert regions(coarse) == [("text", 0x400000, 0x10000, 15)]
    assert coarse.processes[0].regions[0].content == b"\1" * 0x1100 + b"\2" * 0x1000


@pytest.mark.parametrize(
    ("bits", "va_bits", "message"),
    [
        (
            32,
            48,
            "expected a 64-bit ELF file, for the machine has addresses of 48 bits; this one is a 32-bit one",
        ),
        (
            64,
            32,
            "expected a 32-bit ELF file, for the machine has addresses of 32 bits; this one is a 64-bit one",
        ),
        (
            64,
            16,
            "expected a 32-bit ELF file, for the machine has addresses of 16 bits; this one is a 64-bit one",
        ),
        (32, 16, "the segment at 0x400000, 0xc7 bytes, does not fit in user addresses of 16 bits"),
    ],
)
def test_files_for_other_machines(elf: Any, read: Any, bits: int, va_bits: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(typical(elf, bits=bits), va_bits=va_bits)
    assert str(caught.value).partition(": ")[2] == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.make([]), "the ELF file has no loadable segment"),
        (lambda e: e.make([e.Load(0x400000, 5, b"", 0)]), "the ELF file has no loadable segment"),
        (lambda e: typical(e, kind=1), "expected an executable ELF file, not one of type ET_REL"),
        (lambda e: typical(e)[:100], "the file ends inside its headers"),
        (lambda e: typical(e)[:40], "a damaged ELF file: "),
        (lambda e: b"\x7fELF", "a damaged ELF file: "),
        (lambda e: e.make([e.Load(0x400000, 5, b"12", 1)]),
         "the segment at 0x400000 has 2 bytes in the file, but only 1 in memory"),
        (lambda e: e.make([e.Load(0x7FFFFFFFF000, 5, b"", 0x1001)]),
         "the segment at 0x7ffffffff000, 0x1001 bytes, does not fit in user addresses of 48 bits"),
        (lambda e: e.make([e.Load(0, 5, b"", 1, 3)], kind=3),
         "segments aligned to 0x3 bytes; expected a power of two up to 0x40000000"),
        (lambda e: e.make([e.Load(0x1000, 5, b"12", 2)]).replace(b"\2" + bytes(7), b"\2\0\0\x20" + bytes(4)),
         "the segments hold more than 256 MiB"),
        (lambda e: e.make([e.Load(0x1000, 5, b"", 1)] * 257), "more than 256 loadable segments"),
        (lambda e: e.make([e.Load(0x1000, 5, b"", 1)], entry=1 << 60),
         "the entry point 0x1000000000000000 does not fit in 48 bits"),
    ],
)  # fmt: skip
def test_files_that_are_refused(elf: Any, read: Any, change: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(change(elf))
    assert str(caught.value).partition(": ")[2].startswith(message)


def test_without_pyelftools_it_says_so(elf: Any, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "elftools.elf.elffile", None)
    with pytest.raises(UserError, match="ELF files need pyelftools, which is not installed") as caught:
        read(typical(elf))
    assert caught.value.hint == 'Install it with "pip install pyelftools".'


@pytest.mark.parametrize("name", ["/bin/ls", "/bin/sh", sys.executable])
def test_programs_of_the_host(name: str) -> None:
    path = Path(name).resolve()
    if not path.exists() or path.read_bytes()[:5] != b"\x7fELF\2":
        pytest.skip(f"no 64-bit ELF file {name}")
    program = read_program(str(path), va_bits=WIDE, page_size=PAGE)
    machine = Machine(MachineConfig({"machine.ram": 8 << 20}))
    machine.load(program)
    machine.run(1)
    assert machine.counts()["fetch"] == 1
    assert all(r.start % PAGE == 0 and r.size % PAGE == 0 for r in program.processes[0].regions)


def test_regions_are_those_that_the_compiler_laid_out(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or shutil.which("nm") is None:
        pytest.skip("no compiler")
    source = tmp_path / "a.c"
    source.write_text("int zero[5000], full[9] = {1, 2, 3};\nint main(void) { return full[zero[7]]; }\n")
    binary = tmp_path / "a.out"
    subprocess.run([compiler, "-o", binary, source], check=True)
    listed = subprocess.run(["nm", binary], capture_output=True, text=True, check=True).stdout
    program = read_program(str(binary), va_bits=WIDE, page_size=PAGE)
    base = program.symbols["main"] - int(
        next(line for line in listed.splitlines() if line.endswith(" main"))[:16], 16
    )
    assert base in (0, 0x555555554000)
    for line in listed.splitlines():
        value, kind, name = line[:16], line[17], line[19:]
        if kind in "TtDdBb":
            assert program.symbols[name] == int(value, 16) + base
    full = next(r for r in program.processes[0].regions if r.start <= program.symbols["full"] < r.end)
    at = program.symbols["full"] - full.start
    assert full.content[at : at + 12] == b"\1\0\0\0\2\0\0\0\3\0\0\0"


def test_the_other_presets_take_files_of_their_width(elf: Any, tmp_path: Path) -> None:
    path = tmp_path / "made"
    for preset, bits in (("sv39", 64), ("x86_32", 32)):
        path.write_bytes(typical(elf, bits=bits))
        config = load_config(preset)
        machine = Machine(config)
        form = machine.format
        machine.load(read_program(str(path), va_bits=form.va_bits, page_size=form.page_size))
        machine.run(1)
        assert machine.counts()["fetch"] == 1


def test_the_example_is_made_by_hand(elf: Any) -> None:
    """docs/examples/hello.elf: `write(1, "hello, memory\\n", 14)`, then `exit(0)`."""
    code = bytes.fromhex("b801000000bf01000000488d3500100000ba0e0000000f05b83c00000031ff0f05")
    loads = [elf.Load(0x400000, 5, code, len(code)), elf.Load(0x401000, 6, b"hello, memory\n\0", 0x2200)]
    names = [elf.Name("_start", 0x400000)]
    names += [elf.Name("message", 0x401000, elf.OBJECT), elf.Name("buffer", 0x401200, elf.OBJECT)]
    example = Path(__file__).resolve().parents[2] / "docs" / "examples" / "hello.elf"
    assert example.read_bytes() == elf.make(loads, names, entry=0x400000)
