"""Segments: each address as the textbook says, by the MMU, the prompt and the library."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg import Mmu
from vmdbg.errors import UserError
from vmdbg.formats import find
from vmdbg.formats.contract import FAULT_KINDS
from vmdbg.formats.toml import load_format
from vmdbg.inspect.context import find_context
from vmdbg.inspect.translate import translate
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.machine.registers import read, write
from vmdbg.state.tables import CONTROL_FAULT
from vmdbg.units import WORD_MASK

Model = Callable[[str], ModuleType]
PAGED = Path(__file__).parents[2] / "docs" / "examples" / "paged-segments.toml"
SHEET = Path(__file__).parents[2] / "docs" / "examples" / "segments.toml"
MACHINE = '[machine]\nkernel = false\nram = "4K"\nswap.size = 0\n[tlb]\nl1 = "off"\nl2 = "off"\n'


def set_segments(machine: Machine, found: list[Any]) -> None:
    for number, segment in enumerate(found):
        write(machine, 0, f"base{number}", segment.base)
        write(machine, 0, f"limit{number}", segment.size)
        write(machine, 0, f"down.seg{number}", int(not segment.positive))
        rights = sum(1 << place for place, letter in enumerate("rwx") if letter in segment.protection)
        write(machine, 0, f"rights.seg{number}", rights)


@pytest.mark.parametrize(("va_bits", "count"), [(7, 2), (8, 4)])
def test_every_address_goes_where_the_textbook_says(
    model: Model, va_bits: int, count: int, tmp_path: Path
) -> None:
    rule, path = model("segments"), tmp_path / "s.toml"
    path.write_text(f'[format]\nscheme = "segments"\nva_bits = {va_bits}\nsegments = {count}\n{MACHINE}')
    machine = Machine(load_config(str(path)))
    most = (1 << va_bits) // count
    rights = st.sampled_from(("rwx", "rx", "rw", "r", "x", ""))
    one = st.builds(rule.Registers, st.integers(0, 600), st.integers(0, most), st.booleans(), rights)

    @hypothesis.settings(max_examples=40, deadline=None)
    @hypothesis.given(st.lists(one, min_size=count, max_size=count))
    def scenario(found: list[Any]) -> None:
        set_segments(machine, found)
        context = find_context(machine)
        for va in (*range(1 << va_bits), -1, 1 << va_bits):
            access = va % 3
            expected = rule.translate(va, va_bits, found, "rwx"[access])
            pa = machine.k.translate(machine.m, 0, va, access)
            assert pa == (-1 if expected is None else expected), (va, found)
        for va in range(0, 1 << va_bits, 7):
            access = va % 3
            outcome = translate(machine, context, va, access)
            assert outcome.pa == rule.translate(va, va_bits, found, "rwx"[access])
            assert (outcome.fault is None) == (outcome.pa is not None)
            inside = rule.translate(va, va_bits, found) is not None
            assert outcome.fault is None or outcome.fault.kind == ("protection" if inside else "bounds")

    scenario()


def test_the_first_problem_of_the_homework() -> None:
    """segmentation.py -a 128 -p 512 -b 0 -l 20 -B 512 -L 20 -s 0: of its five addresses one is valid."""
    mmu = Mmu(str(SHEET), bytearray(512), base0=0, limit0=20, base1=512, limit1=20)
    found = [mmu.access(va, "read", size=1) for va in (108, 97, 53, 33, 65)]
    assert [answer.pa if answer.ok else answer.kind for answer in found] == [492, *["bounds"] * 4]
    assert not mmu.access(19, "read", size=2).ok  # it begins inside
    assert mmu.access(18, "read", size=2).ok
    assert "growing down" in mmu.access(97, "read", size=1).reason


@pytest.mark.parametrize(
    ("lines", "mistake"),
    [
        ("segments = 3", "format.segments: expected 2 or 4"),
        (
            "segments = 2\ngrows_down = [2]",
            "format.grows_down: expected a list of numbers of segments, 0 to 1",
        ),
        ("partition = '4K'", "format.segments is missing"),
        ("segments = 2\nrights = ['rx']", "format.rights: expected 2 times letters of rwx"),
        ("segments = 2\npartition = '4K'", "format.partition: not with scheme = 'segments'"),
    ],
)
def test_a_wrong_scheme_says_what_was_expected(lines: str, mistake: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(f'[format]\nscheme = "segments"\nva_bits = 8\n{lines}\n')
    with pytest.raises(UserError, match=mistake):
        load_format(str(tmp_path / "s.toml"))


def test_rights_are_those_of_the_file_and_of_the_registers(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    head = '[format]\nscheme = "segments"\nva_bits = 8\nsegments = 2\n'
    path.write_text(head + 'rights = ["rx", "rw"]\n' + MACHINE)
    mmu = Mmu(str(path), bytearray(256), base0=0, limit0=64, base1=64, limit1=64)
    assert [mmu.access(0, how, size=1).ok for how in ("read", "write", "fetch")] == [True, False, True]
    assert [mmu.access(128, how, size=1).ok for how in ("read", "write", "fetch")] == [True, True, False]
    found = mmu.access(0, "write", size=1)
    assert (found.kind, found.reason, found.code) == ("protection", "segment 0 is r-xu", 7)
    assert mmu.access(64, "write", size=1).kind == "bounds"
    assert [page.rights for page in (mmu.walk(0), mmu.walk(128))] == ["r-xu", "rw-u"]
    mmu.registers["rights.seg0"] = 7
    assert mmu.access(0, "write", size=1).ok
    mmu.registers["down"] = 2
    assert (mmu.registers["rights.seg0"], mmu.registers["rights"]) == (7, 0x3700)
    assert [len(mmu.why(va, "fetch").rules) for va in (0, 63, 128, 255)] == [2, 2, 1, 1]


def test_pages_behind_segments(model: Model) -> None:
    """Every address of a small space, by the MMU with its TLB, the prompt and the library."""
    rule = model("segments")
    booted = Machine(load_config(str(PAGED)))
    form, m, k = booted.format, booted.m, booted.k
    rights = st.sampled_from(("rwx", "rx", "rw", "r", "x", ""))
    bases = st.integers(0, 256).map(lambda place: 8 * place)
    one = st.builds(rule.Registers, bases, st.integers(0, 256), st.booleans(), rights)

    @hypothesis.settings(max_examples=drawn(25), deadline=None)
    @hypothesis.given(st.lists(one, min_size=4, max_size=4), st.integers(0, 1 << 30))
    def scenario(found: list[Any], seed: int) -> None:
        rng = random.Random(seed)
        memory = bytes(rng.getrandbits(8) | 0x80 * (rng.random() < 0.5) for _ in range(2048))
        m.ram1[:] = memory
        k.tlb_flush(m, 0, -1, 0)
        set_segments(booted, found)
        mmu = Mmu(str(PAGED), bytearray(memory))
        mmu.registers.update({name: read(booted, 0, name) for name in mmu.registers if "." not in name})
        context = find_context(booted)
        mapped = {page.va: page.pa for page in mmu.map()}
        for va in rng.sample(range(1 << form.va_bits), 100):
            access = rng.randrange(3)
            expected, pa = rule.translate_paged(va, form.va_bits, 5, found, memory, "rwx"[access])
            said = translate(booted, context, va, access)
            assert ("translated" if said.fault is None else said.fault.kind) == expected
            reached = k.translate(m, 0, va, access)
            kind = "translated" if reached >= 0 else FAULT_KINDS[m.control[CONTROL_FAULT]]
            assert (kind, reached) == (expected, pa)
            answer = mmu.access(va, ("read", "write", "fetch")[access], size=1)
            assert (answer.kind if not answer.ok else "translated", answer.ok) == (expected, pa >= 0)
            assert mmu.why(va, ("read", "write", "fetch")[access]).allowed == answer.ok
            assert pa < 0 or mapped[va & -32] == pa & -32
        assert m.ram1.tobytes() == memory

    scenario()


def test_pages_of_another_size_and_what_is_only_with_segments(tmp_path: Path) -> None:
    level = find(str(PAGED), 64).levels[0]
    assert (level.shift, level.bits) == (6, 2)
    path, text = tmp_path / "s.toml", PAGED.read_text()
    path.write_text(text.replace("segments = 4", ""))
    with pytest.raises(UserError, match=r"format.grows_down: only with segments"):
        load_format(str(path))
    path.write_text(text.replace("bits = 3", "bits = 8"))
    with pytest.raises(UserError, match=r"format.levels"):
        load_format(str(path))
    path.write_text(text.replace("kernel = false", "kernel = true"))
    with pytest.raises(UserError, match="no kernel knows segments"):
        Machine(load_config(str(path)))


def test_limits_count_in_the_tlb_too() -> None:
    """A limit that shrinks shuts out what the TLB holds; rights and bases flush it."""
    booted = Machine(load_config(str(PAGED)))
    k, m = booted.k, booted.m
    m.ram1[0x100] = 0xC5
    write(booted, 0, "base0", 0x100)
    write(booted, 0, "limit0", 32)
    assert [k.translate(m, 0, 31, how) for how in (0, 0)] == [0xBF, 0xBF]
    write(booted, 0, "limit0", 16)
    assert k.translate(m, 0, 31, 0) == -1
    assert FAULT_KINDS[m.control[CONTROL_FAULT]] == "bounds"
    assert translate(booted, find_context(booted), 31, 0).fault.kind == "bounds"
    write(booted, 0, "rights.seg0", 2)
    assert k.translate(m, 0, 1, 0) == -1
    assert FAULT_KINDS[m.control[CONTROL_FAULT]] == "protection"


def test_each_cpu_has_segments_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    head = '[format]\nscheme = "segments"\nva_bits = 8\nsegments = 2\n'
    path.write_text(head + MACHINE.replace("[tlb]", "cpus = 2\n[tlb]"))
    machine = Machine(load_config(str(path)))
    for cpu, base in ((0, 256), (1, 512)):
        write(machine, cpu, "base1", base)
        write(machine, cpu, "limit1", 16 << cpu)
    found = [translate(machine, find_context(machine, cpu=cpu), 128 + 20, 0) for cpu in (0, 1)]
    assert [outcome.pa for outcome in found] == [None, 532]
    assert found[0].fault.reason == "segment 1 is 0x80..0x8f"


def test_registers_and_kernels_are_refused() -> None:
    machine = Machine(load_config(str(SHEET)))
    with pytest.raises(UserError, match=r"limit1 is 0 to 64, not 65"):
        write(machine, 0, "limit1", 65)
    with pytest.raises(UserError, match="no kernel knows segments"):
        Machine(load_config(str(SHEET)).with_({"machine.kernel": True}))
    assert machine.m.cpu[1] & WORD_MASK == 0
