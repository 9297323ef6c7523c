"""Snapshots share what did not change, and put back exactly what was."""

from __future__ import annotations

from array import array
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from vmdbg.kernel.calls import processes
from vmdbg.kernel.calls.syscalls import MMAP_POPULATE, OP_FORK, OP_MMAP
from vmdbg.kernel.scheduler import OP_EXIT, OP_RANGED, OP_WIDTH
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.machine.snapshot import MARKED, ROWS_MARKED, Recorder
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state import tables
from vmdbg.state.tables import KERNEL_RMAP_COUNT, KERNEL_USER_END, STATE, TABLES

START = 0x400000


def machine(**values: object) -> Machine:
    base = {
        "machine.ram": 1 << 20,
        "machine.swap.size": 1 << 18,
        "kernel.first_frame": 2,
        "kernel.policy": "fifo",
    }
    return Machine(MachineConfig(base | {name.replace("__", "."): value for name, value in values.items()}))


def program(rows: list[list[int]], pages: int = 64, regions: int = 1) -> Program:
    spans = [RegionSpec("heap", START + n * 4096 * (pages + 1), pages * 4096, 11) for n in range(regions)]
    flat = array("q", [word for row in [*rows, [OP_EXIT, 0, 0, 0]] for word in row])
    return Program("p", "", [], [ProcessSpec("p", None, -1, spans, flat)])


def sweep(pages: int) -> list[list[int]]:
    """Write to each of the first pages."""
    return [[1 | 1 << OP_WIDTH | OP_RANGED, START, 5, 0], [pages, 4096, 0, 0]]


def content(booted: Machine) -> dict[str, bytes]:
    """The state, byte by byte, without what lies behind it in pools."""
    return {t.name: bytes(booted.buffers[t.name]).rstrip(b"\0") for t in TABLES.values() if t.group == STATE}


SMALL_SHAPE = {
    "ram": 1 << 13, "frames": 8, "chunks": 8, "banks": 1, "cpus": 1, "arrays": 1, "tlb_rows": 4,
    "rmaps": 9, "regions": 3,
    "processes": 3, "slots": 4, "swap": 1 << 12, "ops": 5, "one": 1, "kinds": 64, "stops": 1, "log": 1,
    "path": 8, "file_pages": 0, "page_words": 128, "objects": 1, "cached": 1,
    "nodes": 3, "lists": 2, "buckets": 2, "futures": 2,
}  # fmt: skip


@st.composite
def actions(draw: st.DrawFn) -> tuple[str, int, int]:
    kind = draw(st.sampled_from(("ram", "ram", "swap", "table", "take", "put", "put")))
    return kind, draw(st.integers(0, 1 << 16)), draw(st.integers(0, 255))


@pytest.mark.long
@hypothesis.given(st.lists(actions(), max_size=40))
def test_a_snapshot_is_a_copy(steps: list[tuple[str, int, int]]) -> None:
    """Against whole copies; writes to memory, swap, frames are marked, those to other tables found."""
    buffers = tables.allocate(SMALL_SHAPE)
    recorder = Recorder(buffers, 1 << 10, 1 << 10)
    names = [t.name for t in TABLES.values() if t.group == STATE]
    taken: list[tuple[Any, dict[str, bytes]]] = [
        (recorder.take(SMALL_SHAPE), {n: bytes(buffers[n]) for n in names})
    ]
    for kind, at, value in steps:
        if kind in ("ram", "swap"):
            buffer, marks = (buffers["ram1"], "dirty") if kind == "ram" else (buffers["swap8"], "swapdirty")
            at %= len(buffer)
            buffer[at : at + 1] = bytes([value])
            buffers[marks][at >> 10 : (at >> 10) + 1] = b"\1"
        elif kind == "table":
            name = [n for n in names if n not in MARKED][at % (len(names) - len(MARKED))]
            buffer = buffers[name]
            buffer[at % len(buffer) : at % len(buffer) + 1] = bytes([value])
            if name in ROWS_MARKED:
                buffers[ROWS_MARKED[name]][:] = bytes([1]) * len(buffers[ROWS_MARKED[name]])
        elif kind == "take":
            taken.append((recorder.take(SMALL_SHAPE), {n: bytes(buffers[n]) for n in names}))
        else:
            snapshot, copies = taken[at % len(taken)]
            recorder.put(snapshot)
            assert {n: bytes(buffers[n]) for n in names} == copies


def test_what_did_not_change_is_shared() -> None:
    booted = machine()
    booted.load(program(sweep(64)))
    booted.run(40)
    first = booted.snapshot()
    booted.run(41)
    second = booted.snapshot()
    pairs = list(zip(first.chunks["ram1"], second.chunks["ram1"], strict=True))
    changed = [n for n, (a, b) in enumerate(pairs) if a is not b]
    assert 1 <= len(changed) <= 3  # the page, its table, its entry
    assert any(a is not None and a is b for a, b in pairs)


@pytest.mark.long
def test_pools_that_grew_are_as_small_as_they_were() -> None:
    """Forks double the reverse map, loads the operations, many regions theirs."""
    booted = machine(machine__ram=2 << 20)
    fork = [[OP_FORK, -1, 0, 0]]
    booted.load(program([*sweep(60), *(fork * 12), *sweep(60)]))
    booted.run(60)
    before, digest, held = booted.snapshot(), booted.digest(), content(booted)
    rows = len(booted.m.rmap)
    booted.run(400)
    assert len(booted.m.rmap) > rows
    assert check(booted) == []
    after = booted.digest()
    booted.restore(before)
    assert booted.digest() == digest
    assert content(booted) == held
    assert check(booted) == []
    booted.load(program(sweep(3), 1, 100))
    assert check(booted) == []
    booted.restore(before)
    assert booted.digest() == digest
    assert content(booted) == held
    booted.run(400)
    assert booted.digest() == after


@pytest.mark.long
def test_a_populated_region_finds_rows_after_forks() -> None:
    booted = machine(machine__ram=2 << 20)
    rows = [*sweep(40), *[[OP_FORK, -1, 0, 0]] * 11, [OP_MMAP, START << 4, 300 << 12, 11 | MMAP_POPULATE]]
    booted.load(program(rows))
    for _ in range(52):
        booted.run(booted.operations + 1)
        assert check(booted) == []
    assert booted.counts(1)["mmap"] == 1
    assert booted.m.kernel[KERNEL_RMAP_COUNT] >= 0


def test_kills_and_full_memory_are_undone() -> None:
    booted = machine(machine__ram=1 << 18, machine__swap__size=8 << 12, kernel__quantum=1)
    for _ in range(3):
        booted.load(program(sweep(40)))
    before, digest = booted.snapshot(), booted.digest()
    booted.run(400)
    assert booted.counts()["oom"] >= 1
    end = booted.digest()
    booted.restore(before)
    assert booted.digest() == digest
    processes.end_process(booted.k, booted.format, 2, 137)
    assert check(booted) == []
    booted.restore(before)
    booted.run(400)
    assert booted.digest() == end
    assert check(booted) == []


def test_digests_do_not_depend_on_the_way() -> None:
    one, other = machine(), machine()
    for booted in (one, other):
        booted.load(program(sweep(64)))
    one.run(64)
    for operations in range(1, 65):
        other.run(operations)
        other.digest()
        other.snapshot()
    assert one.digest() == other.digest()
    assert content(one) == content(other)


@pytest.mark.long
def test_pools_grow_at_the_same_operation_in_slices() -> None:
    """The child's pages come one by one, until the rows of the reverse map run low."""
    fork = [[OP_FORK, -1, 0, 0]]
    for spare in range(20):
        digests = set()
        for size in (1, 400):
            booted = machine(machine__ram=2 << 20, kernel__quantum=3)
            booted.load(program([*sweep(40), *(fork * 2), *sweep(60)]))
            booted.run(60)
            rows = booted.m.kernel[KERNEL_RMAP_COUNT]
            while booted.m.kernel[KERNEL_RMAP_COUNT] > spare + 8:  # as if others had taken them
                booted.k.rmap_add(booted.m, booted.m.kernel[KERNEL_USER_END] - 1, 0, 1, 0)
            assert rows > spare
            while booted.operations < 280:
                booted.run(min(booted.operations + size, 280))
            digests.add(booted.digest())
        assert len(digests) == 1
