"""Traces replayed: counts of real ones, both engines alike, going back, stops, pipes, errors on the way."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.time.forward import forward
from vmdbg.debugger.time.timeline import Timeline
from vmdbg.debugger.time.types import AT_END
from vmdbg.errors import InputError, UserError
from vmdbg.inspect.replayed import replay_counts
from vmdbg.inspect.target import boot_fed
from vmdbg.kernel.scheduler import OP_EXIT, OP_KIND, OP_LINE
from vmdbg.machine.config import load_config
from vmdbg.machine.file import load_machine, save_machine
from vmdbg.machine.machine import Machine
from vmdbg.programs.addresses import Space
from vmdbg.programs.traces import feed as feeding
from vmdbg.programs.traces import parser as parsing
from vmdbg.programs.traces.catalog import FORMATS, open_trace
from vmdbg.programs.traces.feed import ReplayedProgram, TraceFeed
from vmdbg.state.tables import OP, PROCESS, PROCESS_END

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
FOREVER = 1 << 60
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a trace are small."""
    monkeypatch.setattr(parsing, "ROWS", 64)
    monkeypatch.setattr(feeding, "ROWS", 64)
    monkeypatch.setattr(feeding, "PLACES", 66)


def lackey(count: int, seed: int = 1) -> bytes:
    chance = random.Random(seed)
    lines = [
        b"%s%08x,4\n" % (chance.choice((b"I  ", b" L ", b" S ", b" M ")), chance.randrange(1 << 18) & ~7)
        for _ in range(count)
    ]
    return b"".join(lines)


def replayed(
    *paths: Path | str, engine: str = "interpreted", skip: int = 0, count: int | None = None
) -> Machine:
    config = load_config("trace").with_({"kernel.user_frames": 16, "kernel.quantum": 50})
    machine = Machine(config)
    space = Space(machine.format.va_bits, machine.format.grain, machine.format.user_end)
    feeds = [TraceFeed(open_trace(str(path), space=space, engine=engine), skip, count) for path in paths]
    return boot_fed(config, ReplayedProgram(feeds, space)).machine


def finish(machine: Machine, compiled: bool = False) -> Machine:
    while machine.run(FOREVER, compiled) == 0:
        pass
    return machine


def program_of(machine: Machine) -> ReplayedProgram:
    found: ReplayedProgram = machine.program
    return found


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ls.lackey", "sqlite.lackey"])
@pytest.mark.parametrize(("policy", "column"), [("fifo", "FIFO"), ("clock", "CLOCK_ref1")])
def test_misses_of_real_traces(run_vmdbg: Run, name: str, policy: str, column: str, both: None) -> None:
    lines = ["machine trace", f"set kernel.policy {policy}"]
    for frames in EXPECTED[name]["frames"]:
        lines += [f"set kernel.user_frames {frames}", f"replay/json {DATA / name}.xz"]
    done = run_vmdbg("-nx", "-batch", *[part for line in lines for part in ("-ex", line)], timeout=250)
    assert done.stderr == ""
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["faults"] for row in found] == [row[column] for row in EXPECTED[name]["frames"].values()]
    assert {row["accesses"] for row in found} == {EXPECTED[name]["accesses"]}
    assert {row["writes"] for row in found} == {EXPECTED[name]["writes"]}


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ls.lackey", "sqlite.lackey"])
def test_tlb_of_real_traces(run_vmdbg: Run, name: str, both: None) -> None:
    for known in EXPECTED[name]["tlb_lru_4k"]:
        shape = [
            f"{known[f'{level}_entries'] // known[f'{level}_ways']}x{known[f'{level}_ways']}"
            for level in ("L1", "L2")
        ]
        lines = [
            "machine trace",
            "set kernel.policy clock",
            f"set tlb.l1 {shape[0]}",
            f"set tlb.l2 {shape[1]}",
        ]
        lines.append(f"replay/json {DATA / name}.xz")
        done = run_vmdbg("-nx", "-batch", *[part for line in lines for part in ("-ex", line)], timeout=250)
        row = json.loads(done.stdout.splitlines()[-1])
        found = row["tlb_hits"], row["tlb_l2_hits"], row["tlb_misses"]
        assert found == (known["L1_hits"], known["L2_hits"], known["L2_misses_walks"])


@pytest.mark.long
def test_a_replay_counts_as_a_program_does(tmp_path: Path, run_vmdbg: Run, engine: str) -> None:
    path = tmp_path / "t.lackey"
    path.write_bytes(lackey(3000))
    ask = ["set kernel.user_frames 16", f"set engine {engine}"]
    both = [["replay/json t.lackey", "info stats/csv"], ["file t.lackey", "continue", "info stats/csv"]]
    stats = []
    for lines in both:
        done = run_vmdbg("-nx", "-batch", *[part for line in ask + lines for part in ("-ex", line)])
        assert done.stderr == ""
        stats.append(done.stdout.partition("event,")[2])
    assert stats[0] == stats[1] != ""


@pytest.mark.slow
@pytest.mark.parametrize("name", [form.name for form in FORMATS])
def test_both_engines_alike(
    tmp_path: Path, small: None, name: str, ready: Callable[[Machine], Machine], both: None
) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    chance = random.Random(name)
    found = [(chance.randrange(4), chance.randrange(1, 1 << 18)) for _ in range(700)]
    path = tmp_path / f"t.{name}"
    form = next(form for form in FORMATS if form.name == name)
    assert form.write is not None
    path.write_bytes(b"".join(form.write(iter(found), 12)))
    slow, fast = finish(replayed(path)), finish(ready(replayed(path, engine="compiled")), True)
    assert slow.counts() == fast.counts()
    assert slow.digest() == fast.digest()
    assert slow.operations >= 701


@pytest.mark.long
def test_any_time_has_one_state(tmp_path: Path, small: None) -> None:
    """However the machine came to a time, through its parts or to it and on."""
    path = tmp_path / "t"
    path.write_bytes(lackey(500))
    other = tmp_path / "u.xz"
    other.write_bytes(lzma.compress(lackey(300, 2)))
    stepwise, digests = replayed(path, other), {}
    while True:
        digests[stepwise.operations] = stepwise.digest()
        goal = stepwise.operations + 21
        while stepwise.operations < goal and not (ended := stepwise.run(goal)):
            pass
        if ended:
            break
    for moment in (21, 63, 84, 126, 504):
        once = replayed(path, other)
        while once.operations < moment:
            once.run(moment)
        assert once.digest() == digests[moment]


def timeline_of(machine: Machine) -> Timeline:
    line = Timeline(machine, Stops())
    line.runner.engine = "interpreted"
    return line


@pytest.mark.long
def test_going_back_reads_the_file_again(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pack in (bytes, gzip.compress):
        path = tmp_path / "t"
        path.write_bytes(pack(lackey(2000)))
        line = timeline_of(replayed(path))
        program_of(line.machine).feeds[0].most_kept = 2
        digests = {}
        for moment in (100, 777, 1500):
            line.go(moment)
            digests[moment] = line.machine.digest()
        assert forward(line).kind == AT_END
        counts = line.machine.counts()
        for moment in (777, 100, 1500, 100):
            line.go(moment)
            assert line.machine.digest() == digests[moment]
        assert forward(line).kind == AT_END
        assert line.machine.counts() == counts
        assert program_of(line.machine).feeds[0].given == 2000


@pytest.mark.long
def test_a_file_that_changed_is_not_read_again(tmp_path: Path, small: None) -> None:
    path = tmp_path / "t"
    path.write_bytes(lackey(2000))
    line = timeline_of(replayed(path))
    program_of(line.machine).feeds[0].most_kept = 2
    line.go(1900)
    digest = line.machine.digest()
    path.write_bytes(lackey(2000, 2))
    with pytest.raises(UserError, match="it has changed since it was read"):
        line.go(700)
    assert line.machine.digest() == digest


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Callable[[bytes], Path]]:
    """A named pipe into which bytes are written."""
    threads = []

    def make(data: bytes) -> Path:
        path = tmp_path / f"pipe{len(threads)}"
        os.mkfifo(path)
        threads.append(threading.Thread(target=lambda: path.write_bytes(data)))
        threads[-1].start()
        return path

    yield make
    for thread in threads:
        thread.join(10)


@pytest.mark.long
def test_of_a_pipe_the_last_parts_are_kept(small: None, pipe: Callable[[bytes], Path]) -> None:
    line = timeline_of(replayed(pipe(lackey(6000))))
    line.branch.checkpoints.spacing = 100
    assert forward(line).kind == AT_END
    begin, end = line.begin, line.machine.operations
    assert 0 < begin <= end - 64
    assert end == 6001
    line.go(begin)
    first = line.machine.digest()
    line.go(end)
    line.go(begin)
    assert line.machine.digest() == first
    with pytest.raises(UserError, match=f"^The record begins at {begin}:0"):
        line.go(begin - 1)


@pytest.mark.long
def test_what_is_wrong_further_on_is_told_there(tmp_path: Path, small: None, engine: str) -> None:
    path = tmp_path / "t.lackey"
    path.write_bytes(lackey(500) + b"I  zz,3\n" + lackey(10))
    line = timeline_of(replayed(path))
    for _ in range(2):
        with pytest.raises(InputError, match=r"t\.lackey:501:4: expected an address in hex \(lackey\)$"):
            forward(line)
        assert (line.machine.operations, line.end) == (500, 500)
    line.go(20)
    line.go(500)
    path.write_bytes(b"I  zz,3\n" + lackey(10))
    with pytest.raises(InputError, match=r"t\.lackey:1:4"):
        replayed(path)


@pytest.mark.long
def test_skip_and_count(tmp_path: Path, small: None) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"".join(b" L %x,1\n" % (page << 12) for page in range(1, 301)))
    for skip, count, expected in (
        (0, 5, 5),
        (250, None, 50),
        (64, 64, 64),
        (63, 66, 66),
        (299, 1, 1),
    ):
        machine = finish(replayed(path, skip=skip, count=count))
        assert machine.counts().get("read", 0) == expected
        assert machine.operations == expected + 1
        rows = machine.m.op[0 : machine.m.process[PROCESS + PROCESS_END] * OP : OP]
        last = next(row >> OP_LINE for row in rows if row & OP_KIND == OP_EXIT)
        assert last == (skip + expected if count else 300)
    for skip in (300, 999):
        with pytest.raises(UserError, match=r"t: -skip passes over all of its accesses\."):
            replayed(path, skip=skip)


@pytest.mark.long
def test_a_saved_machine_says_what_it_lacks(tmp_path: Path, small: None) -> None:
    path = tmp_path / "t"
    path.write_bytes(lackey(500))
    machine = replayed(path)
    machine.run(10)
    save_machine(machine, str(tmp_path / "kept"))
    loaded = load_machine(str(tmp_path / "kept"), lambda config: None)
    assert loaded.digest() == machine.digest()
    with pytest.raises(UserError, match="replay it again"):
        loaded.run(FOREVER)


def test_counts_have_names(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"I  1000,4\n L 2000,4\n S 2008,4\nI  1004,4\n")
    machine = finish(replayed(path))
    counts = replay_counts(machine, program_of(machine))
    names = ("accesses", "instructions", "reads", "writes", "faults", "tlb_misses", "walks")
    assert [counts[name] for name in names] == [4, 2, 1, 1, 2, 2, 4]
    assert counts["mpki"] == 1000.0
    path.write_bytes(b"4096\n")
    machine = finish(replayed(path))
    assert replay_counts(machine, program_of(machine))["mpki"] is None
