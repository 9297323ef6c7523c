"""Doors to physical memory, and the functions that have a body for each engine."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from vmdbg.engine import link
from vmdbg.machine import boot
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import halt
from vmdbg.state import tables
from vmdbg.state.tables import BANK, BANK_BASE, BANK_OFFSET, BANK_SIZE
from vmdbg.units import s64

RAM = 1 << 14
LOW, HIGH = 0x1000, 0x80000000  # two banks of half the memory each


def functions(twins: bool) -> dict[str, Any]:
    bound = {**boot.bindings(MachineConfig({"machine.ram": RAM})), "halt": halt}
    return link.link(bound, twins=twins)


@cache
def machine() -> Any:
    """Hot functions over a memory of two banks."""
    shape = boot.shape(MachineConfig({"machine.ram": RAM, "machine.swap.size": 0})) | {"banks": 2}
    k = link.Linked(functions(True), tables.views(tables.allocate(shape)))
    for row, base in ((0, LOW), (BANK, HIGH)):
        k.m.bank[row + BANK_BASE] = base
        k.m.bank[row + BANK_SIZE] = RAM // 2
        k.m.bank[row + BANK_OFFSET] = row // BANK * (RAM // 2)
    return k


addresses = st.one_of(
    st.sampled_from((LOW, HIGH)).flatmap(lambda base: st.integers(base - 9, base + 9)),
    st.sampled_from((LOW, HIGH)).flatmap(lambda base: st.integers(base + RAM // 2 - 9, base + RAM // 2 + 9)),
    st.integers(LOW, LOW + RAM // 2),
    st.integers(-(1 << 63), (1 << 63) - 1),
)
widths = st.sampled_from((1, 2, 4, 8))
words = st.integers(-(1 << 63), (1 << 63) - 1)


def inside(pa: int, width: int) -> bool:
    return any(base <= pa and pa + width <= base + RAM // 2 for base in (LOW, HIGH))


@hypothesis.given(addresses, widths, words)
def test_what_is_stored_is_loaded(pa: int, width: int, value: int) -> None:
    k = machine()
    before = bytes(k.m.ram1)
    assert k.store(k.m, pa, width, value) == inside(pa, width)
    if not inside(pa, width):
        assert k.load(k.m, pa, width) == -1
        assert bytes(k.m.ram1) == before
        return
    at = pa - LOW if pa < HIGH else pa - HIGH + RAM // 2
    text = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
    assert bytes(k.m.ram1) == before[:at] + text + before[at + width :]
    expected = int.from_bytes(text, "little", signed=width == 8)
    assert k.load(k.m, pa, width) == expected
    assert k.m.dirty[at >> 12] == 1
    assert k.m.dirty[at + width - 1 >> 12] == 1


@pytest.mark.parametrize("frames", [2, 4])
def test_frames_and_addresses_undo_each_other(frames: int) -> None:
    k = machine()
    for frame in range(frames):
        pa = k.frame_address(k.m, frame)
        assert pa == (LOW + frame * 4096 if frame < 2 else HIGH + (frame - 2) * 4096)
        assert k.frame_at(k.m, pa) == k.frame_at(k.m, pa + 4095) == frame
    assert k.frame_at(k.m, LOW - 1) == k.frame_at(k.m, HIGH + RAM // 2) == -1


def both_bodies(name: str) -> list[Callable[..., Any]]:
    return [functions(twins)[name] for twins in (False, True)]


def test_there_is_a_test_for_each_pair() -> None:
    assert set(link.TWINS) == {"load", "zero_words", "copy_words"}
    for name in link.TWINS:
        compiled, interpreted = both_bodies(name)
        assert compiled.__code__ is not interpreted.__code__


@pytest.mark.long
@hypothesis.given(addresses, widths)
def test_words_are_loaded_alike(pa: int, width: int) -> None:
    k = machine()
    for at in range(len(k.m.ram1)):
        k.m.ram1[at] = at * 37 & 0xFF
    compiled, interpreted = both_bodies("load")
    assert compiled(k.m, pa, width) == interpreted(k.m, pa, width)


@pytest.mark.long
@hypothesis.given(st.lists(words, min_size=1, max_size=40), st.data())
def test_words_are_zeroed_alike(content: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(content)))
    count = data.draw(st.integers(0, len(content) - start))
    expected = content[:start] + [0] * count + content[start + count :]
    for function in both_bodies("zero_words"):
        target = memoryview(bytearray(8 * len(content))).cast("q")
        for place, word in enumerate(content):
            target[place] = word
        function(target, start, count)
        assert list(target) == expected


@pytest.mark.long
@hypothesis.given(st.lists(words, min_size=1, max_size=40), st.data())
def test_words_are_copied_alike(content: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(content)))
    count = data.draw(st.integers(0, len(content) - start))
    to = data.draw(st.integers(0, 8))
    for function in both_bodies("copy_words"):
        source = memoryview(bytearray(8 * len(content))).cast("q")
        for place, word in enumerate(content):
            source[place] = word
        target = memoryview(bytearray(8 * (len(content) + 8))).cast("q")
        function(target, to, source, start, count)
        assert list(target) == [0] * to + content[start : start + count] + [0] * (
            len(content) + 8 - to - count
        )


@hypothesis.given(words, st.integers(1, 8))
def test_words_have_a_sign_and_narrow_ones_none(value: int, width: int) -> None:
    """A misaligned word is that of its bytes, little-endian."""
    k = machine()
    for at in range(width):
        k.m.ram1[3 + at] = value >> 8 * at & 0xFF
    unsigned = value & (1 << 8 * width) - 1
    assert k.load_bytes(k.m, 3, width) == (s64(unsigned) if width == 8 else unsigned)
    k.store_bytes(k.m, 5, width, value)
    assert bytes(k.m.ram1[5 : 5 + width]) == unsigned.to_bytes(width, "little")
