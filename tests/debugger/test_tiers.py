"""Stops, watches, branches and the past are the same whatever code runs the slices: a session in each way."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable

import pytest

from vmdbg.debugger.time import endless
from vmdbg.debugger.time.runner import Runner
from vmdbg.engine.native import Code
from vmdbg.machine.machine import Machine
from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.startup import make_session

pytestmark = pytest.mark.long

DEAR = ("memory", "columns", "catch")  # scripts that wait for --all
#: Preset, settings, and what is typed.  Every `continue` is typed some times more.
SCRIPTS = {
    "catch": ("pressure", ["catch swap-out if slot > 300", "catch fault-major if $_operations > 4000"]),
    "columns": ("pressure", ["catch evict if dirty == 1 && pfn & 7 == 3", "catch tlb-fill 0x412000"]),
    "memory": ("default", ["watch -width 8 0x404008", "watch -entry 0x407000"]),
    "lines": ("default", ["break 36 if $_operations > 2000", "tbreak 38", "catch tlb-fill if va & 64"]),
    "read": (
        "default",
        [
            "awatch -width 8 0x404008 if $_operations > 500",
            "rwatch 0x406100",
            "catch write if va == 0x7ffffffff000",
        ],
    ),
    "counted": ("pressure", ["catch tlb-miss", "ignore 1 900", "catch trap if pid == 1", "ignore 2 333"]),
    "two": ("partitions", ["catch switch", "catch trap if pid == 2"]),
}
AFTERWARDS = [
    "when", "info breakpoints", "reverse-continue", "when", "stepi 3", "events 5", "last write 0x401000",
    "step 40", "info stats/j", "info machine", "goto 0", "continue", "when",
]  # fmt: skip
SLICE = 333  # operations; smaller than the way between most stops


def session_in(machine: str, prepare: Callable[[Runner], None]) -> Callable[[str], str]:
    """A session in which `prepare` says what runs; types a line, returns what it says."""
    out = io.StringIO()
    session = make_session(out, out)
    session.target = open_target(session, machine, "")
    session.settings.attach_later(lambda: MachineSettings(session))
    session.settings.set("confirm", False)

    def type_line(line: str) -> str:
        out.seek(0)
        out.truncate()
        runner = session.timeline.runner
        prepare(runner)
        session.interpreter.try_line(line)
        return out.getvalue()

    return type_line


def play(name: str, prepare: Callable[[Runner], None]) -> list[tuple[str, str]]:
    machine, script = SCRIPTS[name]
    type_line = session_in(machine, prepare)
    lines = [*script, "run", *["continue"] * 12, *AFTERWARDS]
    return [(line, type_line(line)) for line in lines]


def interpreted(runner: Runner) -> None:
    runner.engine, runner.size = "interpreted", SLICE


@pytest.mark.engine
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in DEAR else name for name in SCRIPTS],
)
def test_a_session_sees_the_same_in_each_tier_and_when_they_change(
    name: str, both: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for remark in ("SOON", "LATE"):  # what is said of a run that takes long, which it may here
        monkeypatch.setattr(endless, remark, float("inf"))
    expected = play(name, interpreted)
    assert sum("0:" in text or ":" in text for _, text in expected) > 9
    codes: dict[str, list[Code | None]] = {}
    known: dict[Machine, list[Code | None]] = {}
    turns = itertools.count()
    whole = Runner.slice
    way = ""

    def slice_by_turns(self: Runner, limit: int) -> int:
        if self.machine not in known:
            build = self.machine.build()
            if build.key not in codes:
                codes[build.key] = [build.quick(), self.machine.build(checked=False).full(), None]
            known[self.machine] = codes[build.key]
        quick, full, none = known[self.machine]
        choices = {"quick": [quick], "full": [full], "by turns": [quick, full, none, full, quick]}[way]
        self.engine, self.patience = "auto", float("inf")
        self.machine.compiled = choices[next(turns) % len(choices)]
        self.size = SLICE
        return whole(self, limit)

    monkeypatch.setattr(Runner, "slice", slice_by_turns)
    for way in ("quick", "full", "by turns"):
        for (line, right), (_, found) in zip(expected, play(name, lambda runner: None), strict=True):
            assert found == right, (way, line)


def test_the_scripts_do_stop() -> None:
    for name in SCRIPTS:
        said = play(name, interpreted)
        stops = [text for line, text in said if line in ("run", "continue") and "exited" not in text]
        assert len(stops) > 3, (name, said)
        assert not [line for line, text in said if "ndefined" in text or "syntax" in text], said
