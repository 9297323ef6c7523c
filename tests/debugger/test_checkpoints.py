"""Copies along the way: how many, how far apart, how much they may hold."""

from __future__ import annotations

from vmdbg.debugger.time.checkpoints import MOST, OBJECT, Checkpoints, unshared
from vmdbg.machine.snapshot import Chunks, Snapshot


def copy_of(*chunks: bytes | None) -> Snapshot:
    return Snapshot({"ram1": Chunks.of(list(chunks))}, {"ram1": 16 * len(chunks)})


def test_the_nearest_copy_at_or_before_a_time() -> None:
    kept = Checkpoints(5, copy_of(None))
    later = copy_of(b"a")
    kept.add(40_000, later)
    assert kept.before(5)[0] == 5
    assert kept.before(39_999)[0] == 5
    assert kept.before(40_000) == (40_000, later)
    assert not kept.wants(40_001)
    assert kept.wants(60_000)


def test_too_many_copies_thin_out_evenly_and_the_first_stays() -> None:
    kept = Checkpoints(0, copy_of(None))
    spacing = kept.spacing
    for number in range(1, 3 * MOST):
        kept.add(number * spacing, copy_of(None))
    assert len(kept.times) <= MOST
    assert kept.times[0] == 0
    assert kept.spacing > spacing
    gaps = {after - before for before, after in zip(kept.times, kept.times[1:], strict=False)}
    assert max(gaps) <= 2 * kept.spacing


def test_copies_hold_no_more_than_the_budget() -> None:
    kept = Checkpoints(0, copy_of(None), budget=1000)
    for number in range(1, 100):
        kept.add(number, copy_of(bytes([number]) * 100))
        assert sum(kept.sizes) <= 1000 or len(kept.times) == 2
    assert kept.times[0] == 0


def test_shared_chunks_count_once() -> None:
    page, other = b"p" * 10, b"q" * 10
    assert unshared(copy_of(page, None), copy_of(page, other)) == 10 + OBJECT
    assert unshared(copy_of(page), copy_of(page, other)) == 10 + OBJECT
    assert unshared(copy_of(page, other), copy_of(None, other)) == 0


def test_a_branch_forgets_what_came_after() -> None:
    kept = Checkpoints(0, copy_of(None))
    for time in (10, 20, 30):
        kept.add(time, copy_of(bytes([time])))
    kept.cut(20)
    assert kept.times == [0, 10, 20]
    kept.cut(-5)
    assert kept.times == [0]
    assert len(kept.sizes) == len(kept.snapshots) == 1
