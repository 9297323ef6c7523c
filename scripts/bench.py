"""Measure vmdbg: both engines against a C program of equal work, and what building the engine costs.

C and vmdbg run the same operations by turns on the same processor, and must end with the same number of
events of every kind; speeds are medians, a ratio is the median of vmdbg's speed to C's in the same turn.
Rows that are "recorded" are run by a timeline, as at the prompt, so that time can go back to any of it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), os.environ.get("VMDBG_TREE", str(ROOT))]

from workloads import GEOMETRY, PAGE, Workload, dictionary_model, hits, workloads  # noqa: E402

EXIT, LOOP, END = 16, 8, 9  # kinds of operations: the end of the program, a loop, its end
ROUNDS = 1 << 40  # of a loop that does not end


# --- vmdbg -------------------------------------------------------------------------------------


class Simulator:
    """A machine of vmdbg's for a workload, with one process that makes its accesses."""

    def __init__(self, workload: Workload) -> None:
        from vmdbg.machine.config import MachineConfig
        from vmdbg.machine.machine import Machine
        from vmdbg.programs.program import ProcessSpec, Program, RegionSpec

        l1, l2 = (f"{sets}x{ways}" for sets, ways in (GEOMETRY[:2], GEOMETRY[2:]))
        config = MachineConfig({
            "machine.ram": workload.frames * PAGE, "machine.payload": bool(workload.payload),
            "kernel.zero_drop": False,  # as in reference.c
            "machine.swap.size": (workload.frames * 4 - 1) * PAGE, "kernel.user_frames": workload.user_frames,
            "kernel.policy": "fifo" if workload.fifo else "clock", "tlb.l1": l1, "tlb.l2": l2,
        })  # fmt: skip
        self.machine = Machine(config)
        rows, references = self.rows(workload)
        everything = RegionSpec("trace", 0, 1 << 47, 15, 0, False, 0)
        process = ProcessSpec("bench", None, -1, [everything], rows, (0, 0), {}, references)
        self.machine.load(Program(workload.name, "", [], [process], [], {}))
        self.first = self.machine.m.process[self.column("PC")]

    @staticmethod
    def rows(workload: Workload) -> tuple[Any, list[int]]:
        """The program, and its rows that name rows."""
        rows = workload.rows()
        rows.extend((EXIT, 0, 0, 0))
        return rows, []

    def column(self, name: str) -> int:
        """Where a column of process 1 is."""
        from vmdbg.state import tables

        return int(tables.PROCESS + getattr(tables, f"PROCESS_{name}"))

    def compile(self, cache: str) -> None:
        """Get full code; it is kept below `cache`."""
        os.environ["VMDBG_CACHE"] = cache
        self.machine.compile()

    def run(self, count: int, compiled: bool = True) -> float:
        """Seconds for the first `count` operations of the program."""
        self.machine.m.process[self.column("PC")] = self.first
        start = time.process_time()
        reason = self.machine.run(self.machine.operations + count, compiled)
        seconds = time.process_time() - start
        if reason:
            raise SystemExit(f"bench: vmdbg stopped for reason {reason}")
        return seconds


class Recorded(Simulator):
    """The same in a loop, on a timeline that keeps the record of time."""

    def __init__(self, workload: Workload) -> None:
        from vmdbg.debugger.stops.stops import Stops
        from vmdbg.debugger.time.timeline import Timeline

        super().__init__(workload)
        self.line = Timeline(self.machine, Stops())
        self.line.runner.engine = "compiled"

    @staticmethod
    def rows(workload: Workload) -> tuple[Any, list[int]]:
        rows = array("q", (LOOP, ROUNDS, 0, 0))
        rows.extend(workload.rows())
        last = len(rows) // 4
        rows.extend((END, 1, 0, 0, EXIT, 0, 0, 0))
        return rows, [last]

    def run(self, count: int, compiled: bool = True) -> float:
        from vmdbg.debugger.time.forward import forward

        start = time.process_time()
        forward(self.line, self.machine.operations + count)
        return time.process_time() - start


# --- C -----------------------------------------------------------------------------------------


class Reference:
    """scripts/reference.c, compiled for each way in which a machine is bound."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.compiler = next(
            (found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None
        )

    def program(self, workload: Workload) -> Path:
        """The compiled program for a workload's payload and policy."""
        program = self.folder / f"reference-{workload.payload}{workload.fifo}"
        if not program.exists():
            flags = ["-O3", "-march=native", f"-DPAYLOAD={workload.payload}", f"-DFIFO={workload.fifo}"]
            source = ROOT / "scripts" / "reference.c"
            subprocess.run([self.compiler, *flags, "-o", program, source], check=True)
        return program

    def start(self, workload: Workload, warm_up: int, timed: int) -> subprocess.Popen[str]:
        """Start it: it does the warm-up passes, then one timed pass for each line that it is sent."""
        file = self.folder / "workload"
        with file.open("wb") as stream:
            workload.header(warm_up, timed).tofile(stream)
            workload.rows().tofile(stream)
        pipe = subprocess.PIPE
        return subprocess.Popen([self.program(workload), file, "--step"], stdin=pipe, stdout=pipe, text=True)


def one_pass(process: subprocess.Popen[str]) -> float:
    """Seconds of the next timed pass of the C program."""
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


TURN, MOST_REPEATS, MOST_TURNS = 0.2, 64, 12  # seconds of a recorded turn; passes in it; turns


class Measured(NamedTuple):
    """Seconds of each pass, and events of all passes."""

    vmdbg: list[float]
    c: list[float]
    counts: dict[str, int]


def measure(
    workload: Workload, reference: Reference, cache: str, warm_up: int, timed: int, kind: type[Simulator]
) -> Measured:
    """Run a workload on new machines, a pass in C and one in vmdbg by turns."""
    simulator = kind(workload)
    simulator.compile(cache)
    count = len(workload.accesses)
    warm = [simulator.run(count) for _ in range(warm_up)]
    repeats = 1
    if (
        kind is Recorded
    ):  # each turn is one command of the debugger's, and as long as commands are that matter
        repeats = max(1, min(MOST_REPEATS, round(TURN / warm[-1])))
        timed = min(timed, MOST_TURNS)
    process = reference.start(workload, warm_up, timed * repeats) if reference.compiler else None
    result = Measured([], [], {})
    for _ in range(timed):
        if process:
            result.c.append(sum(one_pass(process) for _ in range(repeats)) / repeats)
        result.vmdbg.append(simulator.run(count * repeats) / repeats)
    result.counts.update(simulator.machine.counts(1))
    if process:
        assert process.stdout
        counts = json.loads(process.stdout.readline())["counts"]
        process.communicate()
        if counts != result.counts:
            raise SystemExit(f"bench: {workload.name}: other events\n vmdbg {result.counts}\n C     {counts}")
    return result


def on_one_processor() -> None:
    """Stay on one processor, with what is started from here on: another may be slower by half."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


HEADING = f"{'M accesses/s':34}{'vmdbg':>8}{'C':>8}{'ratio':>8}{'walks':>8}{'faults':>8}"


def compare(
    workload: Workload, reference: Reference, cache: str, warm_up: int, timed: int, kind: type[Simulator]
) -> float:
    """Measure a workload and print a row of the table; returns the ratio, 0 without C."""
    measured = measure(workload, reference, cache, warm_up, timed, kind)
    count = len(workload.accesses)
    name = workload.name + ", recorded" * (kind is Recorded)
    columns = f"{name:34}{count / statistics.median(measured.vmdbg) / 1e6:8.1f}"
    ratio = 0.0
    if measured.c:
        ratio = statistics.median(c / v for c, v in zip(measured.c, measured.vmdbg, strict=True))
        columns += f"{count / statistics.median(measured.c) / 1e6:8.1f}{ratio:8.2f}"
    else:
        columns += f"{'-':>8}{'-':>8}"
    accesses = sum(measured.counts.get(event, 0) for event in ("read", "write"))
    for event in ("tlb-fill", "trap"):
        columns += f"{measured.counts.get(event, 0) / accesses:8.1%}"
    print(columns, flush=True)
    return ratio


# --- interpreted -------------------------------------------------------------------------------


def interpreted(count: int) -> None:
    """Print the speed of the interpreted engine beside that of a dictionary model."""
    workload = hits(count, 0)
    simulator = Simulator(workload)
    seconds: dict[str, list[float]] = {"vmdbg": [], "model": []}
    for _ in range(5):
        seconds["vmdbg"].append(simulator.run(count, compiled=False))
        start = time.process_time()
        dictionary_model(workload.accesses)
        seconds["model"].append(time.process_time() - start)
    ours, model = (count / statistics.median(seconds[name]) / 1e6 for name in ("vmdbg", "model"))
    print(f"\nInterpreted, hits: {ours:.2f} M accesses/s; dictionary model {model:.2f}: {ours / model:.2f}")


# --- library -----------------------------------------------------------------------------------


def library(count: int) -> None:
    """Print how many walks and accesses `vmdbg.Mmu` makes in a second: four levels, tables in a buffer."""
    import random

    from vmdbg import Mmu

    memory, pages = bytearray(1 << 20), 512
    for at, entry in ((0x1000, 0x2007), (0x2000, 0x3007), (0x3000, 0x4007)):
        memory[at : at + 8] = entry.to_bytes(8, "little")
    for page in range(pages):
        memory[0x4000 + 8 * page : 0x4008 + 8 * page] = (page << 12 | 7).to_bytes(8, "little")
    mmu, draw = Mmu("x86_64", memory, cr3=0x1000), random.Random(1)
    addresses = [draw.randrange(pages << 12) & ~7 for _ in range(count)]
    speeds = []
    for name, ask in (("walks", mmu.walk), ("accesses", mmu.access)):
        seconds = []
        for _ in range(5):
            start = time.process_time()
            for va in addresses:
                ask(va)
            seconds.append(time.process_time() - start)
        speeds.append(f"{count / statistics.median(seconds):,.0f} {name}/s")
    print(f"Library, vmdbg.Mmu: {'; '.join(speeds)}")


# --- building ----------------------------------------------------------------------------------


def build_once(preset: str, cache: str) -> None:
    """In a fresh process: make the code of a preset's machine, say what the pieces took as JSON.

    Seconds of this process's CPU, all threads; MB of memory at most, in all and before anything was compiled.
    """
    os.environ["VMDBG_CACHE"] = cache
    from vmdbg.machine.config import load_config
    from vmdbg.machine.machine import Machine

    pieces = {}
    machine = Machine(load_config(preset))
    pieces["machine"] = peak()
    last = time.process_time()

    def piece(name: str) -> None:
        nonlocal last
        now = time.process_time()
        pieces[name] = now - last
        last = now

    from vmdbg.engine import native

    native.llvm()
    piece("import")
    build = machine.build()
    piece("key")
    if build.cached() is not None:
        piece("load")
    else:
        last = time.process_time()
        build.text()
        piece("translate")
        build.quick()
        piece("quick")
        build.full()
        piece("full")
    pieces["all"] = time.process_time()
    pieces["peak"] = peak()
    print(json.dumps(pieces))


def peak() -> float:
    """The most memory that this process had, in MB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1024 if sys.platform != "darwin" else 1 << 20)


COSTS = ("import", "key", "translate", "quick", "full", "all")


def building(cache: str) -> None:
    """Print what first code of each preset costs, and the same from the cache: each in a fresh process."""
    from vmdbg.machine.config import preset_names

    print(
        f"{'CPU seconds':16}"
        + "".join(f"{name:>11}" for name in COSTS)
        + f"{'peak MB':>9}{'machine MB':>11}{'from cache':>12}"
    )
    for preset in preset_names():
        first, again = (build_in_process(preset, f"{cache}/{preset}") for _ in range(2))
        columns = [*(f"{first[name]:11.3f}" for name in COSTS), f"{first['peak']:9.0f}"]
        columns += [f"{first['machine']:11.0f}", f"{again['key'] + again['load']:12.3f}"]
        print(f"{preset:16}" + "".join(columns), flush=True)


def build_in_process(preset: str, cache: str) -> dict[str, float]:
    """What `build_once` says."""
    command = [sys.executable, __file__, "--build-once", preset, cache]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    said: dict[str, float] = json.loads(done.stdout)
    return said


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operations", type=int, default=1 << 18, help="accesses of each workload")
    parser.add_argument("--passes", type=int, default=51, help="timed passes of each, by turns")
    parser.add_argument("--warm-up", type=int, default=4, help="passes before them")
    parser.add_argument("--build-once", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--builds", action="store_true", help="what making the code costs, nothing else")
    parser.add_argument("--no-builds", action="store_true", help="the speeds, nothing else")
    parser.add_argument("--cache", help="keep the engine's code in this folder (default: an empty one)")
    parser.add_argument("--recorded", action="store_true", default=None, help="only the recorded rows")
    parser.add_argument("--library", action="store_true", help="only what the library makes of its Mmu")
    parser.add_argument("--fifo", action="store_true", help="FIFO instead of CLOCK")
    options = parser.parse_args()
    if options.build_once:
        build_once(*options.build_once)
        return
    if options.library:
        library(min(options.operations, 20_000))
        return
    with tempfile.TemporaryDirectory(prefix="vmdbg-bench-") as folder:
        cache = options.cache or str(Path(folder) / "cache")
        reference = Reference(Path(folder))
        if not options.no_builds:
            building(cache)
        if options.builds:
            return
        if reference.compiler is None:
            print("\nNo C compiler (cc, gcc, clang): vmdbg alone is measured.")
        on_one_processor()
        print(f"\n{HEADING}")
        n = options.operations
        for workload in workloads(n):
            bound = workload._replace(fifo=int(options.fifo))
            for kind in (Simulator, Recorded) if options.recorded is None else (Recorded,):
                compare(bound, reference, cache, options.warm_up, options.passes, kind)
        interpreted(min(n, 200_000))
        library(min(n, 20_000))


if __name__ == "__main__":
    main()
