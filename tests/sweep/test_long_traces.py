"""Traces with which machines of a sweep are fed, from memory or as they are read: they count the same."""

from __future__ import annotations

import functools
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from vmdbg.engine import build as builds
from vmdbg.engine import native
from vmdbg.errors import UserError
from vmdbg.inspect.policy import compare
from vmdbg.inspect.target import boot
from vmdbg.machine import future, long_run
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.programs import program, read_program
from vmdbg.programs.traces import contents, feed, parser
from vmdbg.sweep import work
from vmdbg.sweep.plan import find_setting, identity, point
from vmdbg.sweep.work import run_point

needs_compiler = pytest.mark.skipif(not native.available(), reason="llvmlite is not installed")
SETTINGS: list[dict[str, Any]] = [
    {},
    {"kernel.policy": "fifo", "kernel.user_frames": 16},
    {"kernel.policy": "lru", "kernel.user_frames": 64, "trace.warm_up": 777},
    {"kernel.policy": "opt", "kernel.user_frames": 16},
    {"kernel.policy": "wsclock", "kernel.user_frames": 64, "kernel.low_free": 8, "kernel.high_free": 16},
    {"trace.resident": "on"},
    {"trace.resident": "on", "trace.page": "thp", "trace.promote": 3},
    {"trace.page": "2M"},
    {"trace.page": "thp", "trace.promote": 3},
    {"trace.straddle": "on", "trace.page": "thp", "trace.promote": 3, "kernel.user_frames": 600},
    {"machine.cpus": 2, "kernel.quantum": 10, "machine.forget": 7},
    {"machine.format": "sv39", "trace.straddle": "on", "kernel.user_frames": 16},
    {"machine.format": "x86_32", "tlb.fill": "kernel"},
    {"machine.swap.size": 0, "kernel.user_frames": 16},
    {"trace.warm_up": 9999},
]


def lines(seed: int, count: int) -> list[str]:
    """Accesses of three ranges of 2 MiB, some of which go on in the next page, and some of the kernel's."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        page = chance.choice((0x400000, 0x7FC000, 0x800000)) + (
            min(chance.randrange(40), chance.randrange(40)) << 12
        )
        va = page + chance.choice((chance.randrange(4096), 4095))
        va = 0xFFFFFFFF81000000 + va if chance.random() < 0.01 else va
        found.append(f"{chance.choice(('I ', ' L', ' S', ' M'))} {va:08x},{chance.choice((1, 8))}\n")
    return found


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "some.lackey"
    path.write_text("".join(lines(1, 2000)))
    return str(path)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 64 rows, and nothing known of any trace."""
    monkeypatch.setattr(parser, "ROWS", 64)
    monkeypatch.setattr(feed, "ROWS", 64)
    contents._small.clear()
    work._last.clear()


def forget_code() -> None:
    """As in another process."""
    builds._last.clear()
    builds._builds.clear()


def measures(path: str, more: dict[str, Any]) -> dict[str, Any]:
    """The row of a machine for traces with other values of some settings."""
    chosen = {name: find_setting(name).parse(str(value)) for name, value in more.items()}
    config = point(load_config("trace"), chosen, identity(path)).config
    return run_point(config.values, config.name, path)


@pytest.mark.parametrize("more", SETTINGS, ids=lambda more: " ".join(map(str, more.values())) or "none")
def test_a_fed_machine_counts_what_one_with_all_rows_counts(
    more: dict[str, Any], trace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if more.get("machine.format") == "x86_32":
        Path(trace).write_text(Path(trace).read_text().replace("ffffffff8", "c"))
    from_memory = measures(trace, more)
    monkeypatch.setattr(contents, "LONG", 100)
    work._last.clear()
    assert measures(trace, more) == from_memory
    monkeypatch.setattr(work, "boot", lambda config, path, fed: boot(config, path))
    assert measures(trace, more) == from_memory
    if more not in SETTINGS[-2:]:
        assert from_memory["accesses"] > 1200
        assert from_memory["resident"] > 0


def test_machines_that_have_to_know_all_get_all(trace: str) -> None:
    Path(trace).write_text(" L 10,1\n" * 90)
    for config in (load_config("trace").with_({"kernel.policy": "opt"}), load_config("partitions")):
        machine = boot(config, trace, fed=True).machine
        assert machine.feeds == {}
        assert machine.shape["ops"] < 100
    assert len(boot(load_config("trace"), trace, fed=True).machine.feeds) == 1


@pytest.mark.parametrize("long", [1 << 20, 100])
def test_what_is_too_long_to_be_foreseen_is_refused_before_it_is_in_memory(
    long: int, trace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "kernel.policy opt needs to know all accesses before the program runs: it makes more than 1900."
    monkeypatch.setattr(future, "MOST_ACCESSES", 1900)
    monkeypatch.setattr(contents, "LONG", long)
    whole = measures(trace, {"kernel.policy": "opt"})
    assert whole == {"error": said}
    monkeypatch.setattr(work, "boot", lambda config, path, fed: boot(config, path))
    assert measures(trace, {"kernel.policy": "opt"}) == whole
    monkeypatch.undo()
    monkeypatch.setattr(future, "MOST_ACCESSES", 1900)
    monkeypatch.setattr(Machine, "load", lambda self, program: pytest.fail("it was loaded"))
    assert measures(trace, {"kernel.policy": "opt"}) == whole


def test_a_trace_is_looked_through_once(trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its rows stay in memory or not; another policy, page size or number of frames is no reason."""
    passes = []
    look_through = contents.look_through
    monkeypatch.setattr(contents, "look_through", lambda *given: passes.append(given) or look_through(*given))
    for long in (1 << 20, 100):
        monkeypatch.setattr(contents, "LONG", long)
        contents._contents.clear()
        passes.clear()
        for more in ({}, {"trace.page": "2M"}, {"kernel.policy": "fifo", "kernel.user_frames": 16}):
            measures(trace, more)
        assert len(passes) == 1
        if long > 100:
            measures(trace, {"kernel.policy": "opt"})
            assert len(passes) == 1
        measures(trace, {"trace.resident": "on"})
        measures(trace, {"trace.resident": "on", "trace.page": "2M"})
        assert len(passes) == (1 if long > 100 else 2)  # of a long one the pages are kept only if asked for
    Path(trace).write_text("".join(lines(2, 1000)))
    assert 900 < measures(trace, {})["accesses"] < 1000


@pytest.mark.parametrize("long", [1 << 20, 100])
def test_what_is_no_record_is_the_error_of_each_point(
    long: int, trace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "LONG", long)
    found = lines(1, 2000)
    found[1500] = " L nonsense\n"
    Path(trace).write_text("".join(found))
    said = [measures(trace, {"kernel.user_frames": frames})["error"] for frames in (16, 64)]
    assert said[0] == said[1]
    assert said[0].startswith(f"{trace}:1501:4: expected ")


def test_a_file_that_becomes_shorter_meanwhile_is_said(trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "LONG", 100)
    Path(trace).write_text("".join(lines(1, 200_000)))
    machine = boot(load_config("trace"), trace, fed=True).machine
    Path(trace).write_text("".join(lines(1, 100_000)))
    with pytest.raises(UserError, match=r"some\.lackey: it has become shorter since it was read\."):
        long_run.run_until(machine, long_run.NO_END)


@needs_compiler
@pytest.mark.long
def test_memory_does_not_grow_with_the_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of it would take 64 bytes an access."""
    monkeypatch.undo()
    monkeypatch.setattr(contents, "LONG", 1000)
    peaks = []
    for count in (300_000, 600_000):
        path = tmp_path / f"{count}.lackey"
        path.write_text("".join(lines(3, 10_000)) * (count // 10_000))
        tracemalloc.start()
        config = load_config("trace").with_({"kernel.user_frames": 64})
        machine = boot(config, str(path), fed=True).machine
        long_run.run_until(machine, long_run.NO_END)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert machine.shape["ops"] <= feed.PLACES + 3
        assert machine.program.length > 0.98 * count
    assert peaks[1] - peaks[0] < 1 << 20


def test_policy_compare_counts_alike(trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = functools.partial(read_program, trace, va_bits=48, page_size=4096, user_end=1 << 47)
    policies, sizes = ["fifo", "lru", "opt"], [8, 40]
    whole = compare(policies, sizes, [], lambda fed: read())
    assert 1900 < whole[0].references < 2000
    for long in (1 << 20, 100):
        monkeypatch.setattr(contents, "LONG", long)
        assert compare(policies, sizes, [], lambda fed: read(fed=fed)) == whole


def test_rows_that_do_not_change_are_neither_copied_nor_looked_at_twice(
    trace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    kinds_of = program.kinds_of
    monkeypatch.setattr(program, "kinds_of", lambda rows: looks.append(rows) or kinds_of(rows))
    read = read_program(trace, va_bits=48, page_size=4096, user_end=1 << 47)
    (spec,) = read.processes
    assert spec.relocated(100) is spec.rows
    for _ in range(2):
        assert Machine(load_config("trace")).load(read) == [1]
        assert 1900 < read.length < 2000
    assert len(looks) == 1


@needs_compiler
@pytest.mark.long
def test_code_that_is_there_is_used_at_once(
    trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second machine of a kind runs no operation interpreted, nor does one in another process."""
    monkeypatch.setenv("VMDBG_CACHE", str(tmp_path / "cache"))
    forget_code()
    Path(trace).write_text("".join(lines(1, 4000)))
    engines: list[bool] = []
    run = Machine.run
    monkeypatch.setattr(
        Machine, "run", lambda self, limit, fast=False: engines.append(fast) or run(self, limit, fast)
    )
    slow = measures(trace, {})
    assert not any(engines)  # so few operations are not worth making code
    boot(load_config("trace"), trace).machine.compile()
    for forget in (False, True):
        if forget:
            forget_code()
        engines.clear()
        assert measures(trace, {}) == slow
        assert set(engines[1:]) == {True}  # the first is the warm-up at boot, of 0 operations


@needs_compiler
@pytest.mark.long
def test_a_reader_uses_code_that_is_there(
    trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the file is long enough that it would have made it."""
    monkeypatch.setenv("VMDBG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(contents, "LONG", 100)
    forget_code()
    Path(trace).write_text("".join(lines(1, 20_000)))
    slowly: list[object] = []
    run_slowly = parser.Parser.run_slowly
    monkeypatch.setattr(parser.Parser, "run_slowly", lambda self: slowly.append(self) or run_slowly(self))
    boot(load_config("trace"), trace, fed=True)
    assert slowly
    slowly.clear()
    boot(load_config("trace").with_({"kernel.policy": "lru"}), trace, fed=True)
    assert slowly == []
