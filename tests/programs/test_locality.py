"""Curves, histograms and working sets of traces, against models and replays with LRU; samples of them."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from vmdbg.errors import UserError
from vmdbg.inspect.policy import count_references, count_trace
from vmdbg.programs import read_program
from vmdbg.programs.traces import measure
from vmdbg.programs.traces.catalog import open_trace
from vmdbg.programs.traces.locality import Distances, Interval, continued, in_pairs, powers_of_two
from vmdbg.programs.traces.measure import distances, working_set

DATA = Path(__file__).resolve().parent.parent / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text())
TRACES = ("ls.lackey", "sqlite.lackey")
BITS = 12


@pytest.fixture(scope="session")
def models(model: Callable[[str], ModuleType]) -> ModuleType:
    return model("locality")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that begin small, so that they grow, and slots that are soon all given."""
    monkeypatch.setattr(measure, "POWER", 3)


def write(path: Path, pages: Sequence[int]) -> str:
    path.write_text("".join(f" L {page << BITS:x},1\n" for page in pages))
    return str(path)


def draw_pages(seed: int, count: int = 2000) -> list[int]:
    """Accesses with loops, scans and popular pages; some pages in the upper half."""
    draw = random.Random(seed)
    base = draw.choice((1, 1 << 30, 0xFFFF800000000))
    pages = draw.choice((5, 40, 400))
    found: list[int] = []
    while len(found) < count:
        first, span = draw.randrange(pages), draw.randint(1, pages)
        chosen = [base + (first + at) % pages for at in range(span)]
        found += draw.choice(
            (chosen, chosen[::-1], [draw.choice(chosen[:7]) for _ in range(60)], chosen[:3] * 9)
        )
    return found[:count]


def counts_of(found: Distances) -> dict[int, int]:
    return {distance: count for distance, count in enumerate(found.counts) if count}


@pytest.mark.parametrize("seed", range(5))
def test_distances_are_those_of_the_model(
    tmp_path: Path, small: None, models: ModuleType, engine: str, seed: int
) -> None:
    pages = draw_pages(seed)
    found = distances(open_trace(write(tmp_path / "t", pages), engine=engine), BITS)
    expected, first = models.stack_distances(pages)
    assert (counts_of(found), found.pages, found.accesses) == (expected, first, len(pages))


@pytest.mark.parametrize(("window", "every"), [(1, 1), (2, 7), (17, 1), (300, 250), (5000, 64)])
def test_working_sets_are_those_of_the_model(
    tmp_path: Path, small: None, models: ModuleType, engine: str, window: int, every: int
) -> None:
    pages = draw_pages(window + every, 900)
    parser = open_trace(write(tmp_path / "t", pages), engine=engine)
    found = working_set(parser, BITS, window, every)
    sizes, missed = models.working_sets(pages, window)
    assert found.pages == len(set(pages))
    assert found.intervals == [
        Interval(len(part), sum(part), min(part), max(part), sum(missed[at : at + every]))
        for at in range(0, len(pages), every)
        for part in [sizes[at : at + every]]
    ]


def test_intervals_go_on_over_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: ModuleType
) -> None:
    """Without a length of intervals they grow until there are few; what they say together stays the same."""
    monkeypatch.setattr(measure, "KEPT", 4)
    pages = draw_pages(3)
    path = write(tmp_path / "t", pages)
    sizes, missed = models.working_sets(pages, 50)
    parser = open_trace(path, engine="interpreted")
    found = working_set(parser, BITS, 50)
    assert found.every == 512
    assert [one.accesses for one in found.intervals] == [512, 512, 512, 464]
    assert found.whole == Interval(2000, sum(sizes), min(sizes), max(sizes), sum(missed))
    assert found.coarser(2).intervals == in_pairs(found.intervals)


def test_an_interval_that_a_chunk_cuts_is_one() -> None:
    half, whole = Interval(2, 6, 3, 3, 1), Interval(4, 8, 1, 4, 2)
    assert continued([whole, half], [half, whole], 4) == [whole, Interval(4, 12, 3, 3, 2), whole]
    assert continued([whole], [half], 4) == [whole, half]


@pytest.mark.parametrize("seed", range(2))
def test_the_curve_is_what_replays_with_lru_count(tmp_path: Path, seed: int) -> None:
    pages = draw_pages(seed, 150)
    pages = [1 + page % 40 for page in pages]
    found = distances(open_trace(write(tmp_path / "t", pages)), BITS)
    for frames in (1, 2, 5, 13, found.pages):
        assert found.misses(frames) == count_references("lru", frames, pages).faults


@pytest.mark.parametrize("name", TRACES)
def test_the_curve_of_a_real_trace(both: None, name: str) -> None:
    found = distances(open_trace(str(DATA / f"{name}.xz")), BITS)
    expected = EXPECTED[name]
    assert (found.accesses, found.pages) == (expected["accesses"], expected["pages"])
    assert {frames: found.misses(int(frames)) for frames in expected["frames"]} == {
        frames: counts["LRU"] for frames, counts in expected["frames"].items()
    }


def replayed_misses(name: str, frames: int) -> int:
    path = str(DATA / f"{name}.xz")
    return count_trace(
        "lru", frames, lambda fed: read_program(path, va_bits=48, page_size=1 << BITS, fed=fed)
    ).faults


@pytest.mark.slow
@pytest.mark.parametrize("name", TRACES)
def test_the_curve_of_a_real_trace_is_what_replays_count_at_all_sizes(both: None, name: str) -> None:
    found = distances(open_trace(str(DATA / f"{name}.xz")), BITS)
    sizes = range(1, found.pages + 1)
    assert [found.misses(size) for size in sizes] == [replayed_misses(name, size) for size in sizes]


# -- samples


def draw_many(seed: int) -> list[int]:
    """20000 accesses to some thousand pages: Zipf's popularity, or loops of several lengths."""
    draw = random.Random(seed)
    pages, base = 3000, draw.randrange(1 << 24)
    if seed % 2:
        weights = list(itertools.accumulate(1 / (rank + 1) ** 0.9 for rank in range(pages)))
        order = list(range(pages))
        draw.shuffle(order)
        return [base + order[place] for place in draw.choices(range(pages), cum_weights=weights, k=20000)]
    found: list[int] = []
    while len(found) < 20000:
        span = draw.choice((40, 300, 1000))
        first = base + draw.randrange(pages - span)
        found += list(range(first, first + span)) * draw.randint(1, 6)
    return found[:20000]


def test_a_sample_of_all_pages_is_no_estimate(tmp_path: Path) -> None:
    path = write(tmp_path / "t", draw_pages(1))
    whole, same = distances(open_trace(path), BITS), distances(open_trace(path), BITS, 1.0)
    assert (whole.counts, whole.rate) == (same.counts, same.rate)
    assert whole.bounds(7) == (whole.ratio(7), whole.ratio(7))


@pytest.mark.long
def test_an_estimate_is_within_the_error_that_it_states(tmp_path: Path, both: None) -> None:
    """Over many samples, at all sizes that they can tell apart, 95 of 100 are."""
    inside, errors, stated = [], [], []
    for seed in range(6):
        path = write(tmp_path / "t", draw_many(seed))
        truth = distances(open_trace(path, engine="compiled"), BITS)
        for rate in (0.1, 0.4):
            found = distances(open_trace(path, engine="compiled"), BITS, rate)
            assert found.accesses == truth.accesses
            for size in (size for size in truth.bends(40) if size * rate >= 1):
                low, high = found.bounds(size)
                inside.append(low <= truth.ratio(size) <= high)
                errors.append(abs(found.ratio(size) - truth.ratio(size)))
                stated.append((high - low) / 2)
    assert sum(inside) / len(inside) >= 0.95
    assert sum(errors) / len(errors) <= 0.05
    assert sum(stated) / len(stated) <= 5 * sum(errors) / len(errors)  # it is no empty promise


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("rate", [0.3])
def test_an_estimate_of_a_real_trace(both: None, name: str, rate: float) -> None:
    path = str(DATA / f"{name}.xz")
    truth, found = (
        distances(open_trace(path, engine="compiled"), BITS),
        distances(open_trace(path, engine="compiled"), BITS, rate),
    )
    sizes = [size for size in truth.bends(60) if size * rate >= 1]
    inside = [size for size in sizes if found.bounds(size)[0] <= truth.ratio(size) <= found.bounds(size)[1]]
    assert len(inside) >= 0.95 * len(sizes)


def test_a_histogram_has_every_access_once(tmp_path: Path) -> None:
    pages = draw_pages(2)
    path = write(tmp_path / "t", pages)
    whole = distances(open_trace(path), BITS)
    assert sum(row.accesses for row in whole.histogram()) + whole.pages == len(pages)
    assert [(row.low, row.high) for row in whole.histogram()[:4]] == [(1, 1), (2, 2), (3, 4), (5, 8)]
    sample = distances(open_trace(path), BITS, 0.25)
    rows = sample.histogram()
    assert (rows[0].low, rows[0].high) == (1, 4)
    assert sum(row.accesses for row in rows) + sample.pages == pytest.approx(len(pages), abs=len(rows))


# -- commands


def test_sizes_that_nobody_names() -> None:
    assert powers_of_two(9) == [1, 2, 4, 8, 9]
    assert powers_of_two(8) == [1, 2, 4, 8]
    assert powers_of_two(0) == []


def test_too_many_intervals_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "MOST_INTERVALS", 10)
    with pytest.raises(UserError, match="more than 10 intervals"):
        working_set(open_trace(write(tmp_path / "t", range(1, 50))), BITS, 5, 1)
