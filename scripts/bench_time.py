"""Measure what time travel and stops cost: the record, going anywhere, questions to the past, stops.

Each figure compares two ways of running the same operations in one run of this program, by turns.  Times
are seconds of this process's CPU: on a machine that does nothing else they are those of a clock.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [os.environ.get("VMDBG_TREE", str(ROOT))]

#: As the demo's loop, without end: nearly all accesses hit the TLB.
HITS = """\
process hits
region text 0x400000 16K rx
region data 0x404000 8K rw
region heap 0x406000 64K rw
region stack 0x7fffffffb000 16K rw
loop
  fetch 0x400000 .. 0x400040 step 4
  modify 0x404008, 1, 8
  read 0x406000 .. 0x409000 step 256
  write 0x7fffffffe000 .. 0x7ffffffff000 step 512, 0
end
read 0x404ff0
"""
#: Twice the memory, page by page: every access is a major fault.
THRASH = """\
process thrash
region heap 0x10000000 200M rw
loop
  modify 0x10000000 .. 0x1c800000 step 4K, 1, 8
end
"""
ROUNDS = 12


class Case(NamedTuple):
    """A machine and its program (empty: the preset's own)."""

    name: str
    preset: str
    program: str
    values: dict[str, object]


CASES = (
    Case("default", "default", HITS, {}),
    Case("pressure", "pressure", "", {}),
    Case("thrash", "default", THRASH, {"machine.ram": 100 << 20, "machine.swap.size": 256 << 20}),
)


def machine_of(case: Case, folder: str) -> Any:
    """A machine, booted."""
    from vmdbg.inspect.target import boot
    from vmdbg.machine.config import load_config

    config = load_config(case.preset).with_(case.values)
    file = ""
    if case.program:
        file = str(Path(folder) / f"{case.name}.vmp")
        Path(file).write_text(case.program, encoding="utf-8")
    return boot(config, file).machine


def timeline_of(machine: Any) -> Any:
    """A timeline that runs compiled."""
    from vmdbg.debugger.stops.stops import Stops
    from vmdbg.debugger.time.timeline import Timeline

    line = Timeline(machine, Stops())
    line.runner.engine = "compiled"
    line.runner.begin()
    return line


def seconds(action: Any) -> float:
    """CPU seconds of an action."""
    start = time.process_time()
    action()
    return time.process_time() - start


def go_on(timeline: Any, goal: int) -> None:
    """Run a timeline forward to so many operations executed."""
    from vmdbg.debugger.time.forward import forward

    forward(timeline, goal)


def run_bare(machine: Any, goal: int, size: int) -> None:
    """The compiled engine alone, in slices of the debugger's size."""
    while machine.operations < goal:
        machine.run(min(goal, machine.operations + size), True)


# --- the record, and going anywhere ------------------------------------------------------------


def recorded(case: Case, folder: str, operations: int) -> Any:
    """Run a case for so many operations, recorded and bare by turns; prints what recording costs."""
    line, other = timeline_of(machine_of(case, folder)), machine_of(case, folder)
    other.compiled = line.machine.compiled
    begin, ours, bare = line.machine.operations, 0.0, 0.0
    for turn in range(1, ROUNDS + 1):
        goal = begin + operations * turn // ROUNDS
        ours += seconds(lambda goal=goal: go_on(line, goal))
        bare += seconds(lambda goal=goal: run_bare(other, goal, line.runner.size))
    if line.machine.digest() != other.digest():
        raise SystemExit("bench: recording changed the machine")
    held = sum(line.branch.checkpoints.sizes) / 1e6
    print(
        f"{case.name:10}{operations / bare / 1e6:8.1f} M/s, recorded {ours / bare - 1:+7.1%};"
        f" {len(line.branch.checkpoints.times)} copies, {held:.0f} MB;",
        end="",
        flush=True,
    )
    rng, times = random.Random(1), []
    for _ in range(40):
        place = rng.randrange(begin, begin + operations)
        times.append(seconds(lambda place=place: line.go(place)))
    line.go(begin + operations)
    print(
        f" going: median {statistics.median(times):.3f} s, worst {max(times):.3f} s"
        f" = 1/{bare / max(times):.0f} of the run",
        flush=True,
    )
    return line


def asked(case: Case, line: Any, stretch: int) -> None:
    """`last write`, `last map`, `reverse-continue` to what was `stretch` operations back; each beside the
    compiled run of that stretch."""
    from vmdbg.debugger.stops.patterns import Pattern
    from vmdbg.debugger.time.questions import find_back
    from vmdbg.debugger.time.reverse import back_to_stop
    from vmdbg.state.events import ENTRY_WRITE, TLB_MISS, WRITE

    end = line.machine.operations
    for name, kind in (("last write", WRITE), ("last map", ENTRY_WRITE), ("reverse-continue", TLB_MISS)):
        pattern = Pattern(kind, low=-9, high=-8)  # there is no such address: it looks as far as it may
        bare, took = [], []
        for _ in range(3):
            line.go(end - stretch)
            bare.append(seconds(lambda: run_bare(line.machine, end, line.runner.size)))
            begin, line.begin = line.begin, end - stretch
            if name == "reverse-continue":
                stop = line.stops.add("search", "", [pattern])
                took.append(seconds(lambda: back_to_stop(line)))
                line.stops.delete(stop)
                line.go(end)
            else:
                took.append(seconds(lambda pattern=pattern: find_back(line, [pattern])))
            line.begin = begin
        ratio = statistics.median(a / b for a, b in zip(took, bare, strict=True))
        print(f"{case.name:10}{name:18}{ratio:6.2f} times the compiled run of {stretch / 1e6:.0f} M")


# --- stops -------------------------------------------------------------------------------------


def session_of(case: Case, folder: str) -> Any:
    """A session on a machine that runs compiled."""
    import io

    from vmdbg.shell.boot import open_target
    from vmdbg.shell.startup import make_session

    machine_of(case, folder)  # writes the program
    session = make_session(io.StringIO(), sys.stderr)
    session.target = open_target(session, case.preset, str(Path(folder) / f"{case.name}.vmp"), trusted=True)
    session.settings.set("engine", "compiled")
    session.timeline.runner.begin()
    go_on(session.timeline, session.target.machine.operations + 1_000_000)
    return session


QUIET = ("break 12", "break *0x404ff0", "catch oom", "catch fault", "catch signal", "watch -slot 3",
         "watch -frame 0x300", "watch -entry 0x40a000", "watch 0x404ff0")  # fmt: skip
NEVER = ("catch tlb-hit if pid == 99", "catch tlb-hit if va == 0x12345678", "break 9 if pid == 99",
         'catch read if event == "write"')  # fmt: skip


def stopped(case: Case, folder: str, operations: int) -> None:
    """What set stops cost that never hold; how often a second a condition can look at the machine."""
    session = session_of(case, folder)
    line = session.timeline

    def run(commands: tuple[str, ...]) -> float:
        for command in commands:
            session.interpreter.execute(command)
        goal = line.machine.operations + operations
        took = seconds(lambda: go_on(line, goal))
        if line.machine.operations != goal:
            raise SystemExit(f"bench: {commands} stopped")
        for stop in list(session.stops.by_number.values()):
            session.stops.delete(stop)
        return took

    for commands in [(), *((command,) for command in QUIET + NEVER), QUIET]:
        with_stops: list[float] = []
        without: list[float] = []
        for _ in range(ROUNDS):
            with_stops.append(run(commands))
            without.append(run(()))
        speed = statistics.median(b / a for a, b in zip(with_stops, without, strict=True))
        print(f"{speed:6.3f} of the speed with {', '.join(commands) or 'none'}", flush=True)
    evaluated(session)


def evaluated(session: Any) -> None:
    """How often a second a condition that reads the machine is asked."""
    session.interpreter.execute("catch write if *(char*)0x404008 == 99")
    stop = max(session.stops.by_number.values(), key=lambda stop: stop.number)
    asked, holds = [0], stop.condition.holds

    def count(*arguments: Any) -> bool:
        asked[0] += 1
        return bool(holds(*arguments))

    stop.condition.holds = count
    line = session.timeline
    took = seconds(lambda: go_on(line, line.machine.operations + 3000))
    print(f"{asked[0] / took:6.0f} evaluations a second of a condition that reads the machine")


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operations", type=int, default=100_000_000, help="operations of each recorded run")
    parser.add_argument("--only", choices=[case.name for case in CASES] + ["stops"], help="one part of it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vmdbg-bench-") as folder:
        for case in CASES:
            if options.only not in (None, case.name):
                continue
            count = options.operations if case.name != "thrash" else options.operations // 3
            line = recorded(case, folder, count)
            if case.name != "thrash":
                asked(case, line, count // 2)
        if options.only in (None, "stops"):
            stopped(CASES[0], folder, 5_000_000)


if __name__ == "__main__":
    main()
