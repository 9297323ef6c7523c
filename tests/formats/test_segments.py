"""Segments: each address as the textbook says, by the MMU, the prompt and the library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from vmdbg import Mmu
from vmdbg.errors import UserError
from vmdbg.formats.toml import load_format
from vmdbg.inspect.context import find_context
from vmdbg.inspect.translate import translate
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.machine.registers import write
from vmdbg.units import WORD_MASK

Model = Callable[[str], ModuleType]
SHEET = Path(__file__).parents[2] / "docs" / "examples" / "segments.toml"
MACHINE = '[machine]\nkernel = false\nram = "4K"\nswap.size = 0\n[tlb]\nl1 = "off"\nl2 = "off"\n'


def set_segments(machine: Machine, found: list[Any]) -> None:
    for number, segment in enumerate(found):
        write(machine, 0, f"base{number}", segment.base)
        write(machine, 0, f"limit{number}", segment.size)
        write(machine, 0, f"down.seg{number}", int(not segment.positive))


@pytest.mark.parametrize(("va_bits", "count"), [(7, 2), (8, 4)])
def test_every_address_goes_where_the_textbook_says(
    model: Model, va_bits: int, count: int, tmp_path: Path
) -> None:
    rule, path = model("segments"), tmp_path / "s.toml"
    path.write_text(f'[format]\nscheme = "segments"\nva_bits = {va_bits}\nsegments = {count}\n{MACHINE}')
    machine = Machine(load_config(str(path)))
    most = (1 << va_bits) // count
    one = st.builds(rule.Registers, st.integers(0, 600), st.integers(0, most), st.booleans())

    @hypothesis.settings(max_examples=40, deadline=None)
    @hypothesis.given(st.lists(one, min_size=count, max_size=count))
    def scenario(found: list[Any]) -> None:
        set_segments(machine, found)
        context = find_context(machine)
        for va in (*range(1 << va_bits), -1, 1 << va_bits):
            expected = rule.translate(va, va_bits, found)
            pa = machine.k.translate(machine.m, 0, va, 0)
            assert pa == (-1 if expected is None else expected), (va, found)
        for va in range(0, 1 << va_bits, 7):
            outcome = translate(machine, context, va, 0)
            assert outcome.pa == rule.translate(va, va_bits, found)
            assert (outcome.fault is None) == (outcome.pa is not None)

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
        ("segments = 2\npartition = '4K'", "format.partition: not with scheme = 'segments'"),
    ],
)
def test_a_wrong_scheme_says_what_was_expected(lines: str, mistake: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(f'[format]\nscheme = "segments"\nva_bits = 8\n{lines}\n')
    with pytest.raises(UserError, match=mistake):
        load_format(str(tmp_path / "s.toml"))


def test_registers_and_kernels_are_refused() -> None:
    machine = Machine(load_config(str(SHEET)))
    with pytest.raises(UserError, match=r"limit1 is 0 to 64, not 65"):
        write(machine, 0, "limit1", 65)
    with pytest.raises(UserError, match="no kernel knows segments"):
        Machine(load_config(str(SHEET)).with_({"machine.kernel": True}))
    assert machine.m.cpu[1] & WORD_MASK == 0
