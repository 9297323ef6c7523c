"""Measure vmdbg: both engines against a C program of equal work, and what building the engine costs.

C and vmdbg run the same operations alternately in one run of this program, and must end with the same
number of events of every kind; speeds are medians, ratios are vmdbg's speed to C's.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), os.environ.get("VMDBG_TREE", str(ROOT))]

from workloads import GEOMETRY, PAGE, Workload, dictionary_model, hits, workloads  # noqa: E402

EXIT = 16  # an operation row that ends the program


# --- vmdbg -------------------------------------------------------------------------------------


class Simulator:
    """A machine of vmdbg's for a workload, and its engines."""

    def __init__(self, workload: Workload) -> None:
        self.buffers, self.view, self.bindings, self.functions = set_up(workload)
        self.rows = len(workload.accesses)

    def compiled(self, cache: str) -> Any:
        """The compiled run loop over this machine, as a function without arguments."""
        from vmdbg.state import tables

        build = dispatcher(self.bindings, cache)
        arrays = tables.arrays(self.buffers)
        return lambda: build(arrays)

    def interpreted(self) -> Any:
        """The same, interpreted."""
        return lambda: self.functions["run"](self.view)

    def run(self, engine: Any, count: int) -> float:
        """Seconds for the first `count` operations of the program."""
        from vmdbg.state import tables as t

        view = self.view
        view.process[t.PROCESS + t.PROCESS_PC] = 0
        view.control[t.CONTROL_LIMIT] = view.kernel[t.KERNEL_OPERATIONS] + count
        start = time.perf_counter()
        reason = engine()
        seconds = time.perf_counter() - start
        if reason:
            raise SystemExit(f"bench: vmdbg stopped for reason {reason}")
        return seconds

    def counts(self) -> dict[str, int]:
        """Events of process 1 by kind."""
        from vmdbg.state import events

        row = self.view.count[events.KINDS : 2 * events.KINDS]
        return {declared.name: row[declared.kind] for declared in events.EVENTS if row[declared.kind]}


DISPATCHERS: dict[str, Any] = {}


def dispatcher(bindings: dict[str, Any], cache: str) -> Any:
    """The compiled run loop for these bindings; one for all machines that are bound alike."""
    from vmdbg import hot, jit

    functions = hot.reachable(hot.link(bindings, twins=False), "run")
    key = jit.fingerprint(functions, bindings, {})
    if key not in DISPATCHERS:
        DISPATCHERS[key] = jit.Compiled(functions, "run", os.path.join(cache, key))
    return DISPATCHERS[key]


def set_up(
    workload: Workload,
) -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:  # Long: one list of columns
    """Tables, their view, bindings and linked functions of a machine with one process."""
    import vmdbg.kernel.scheduler  # noqa: F401  (its import declares the hot functions)
    from vmdbg import hot
    from vmdbg.formats.x86 import X86_64
    from vmdbg.kernel.policies import bindings as policy
    from vmdbg.state import tables as t

    frames, slots = workload.frames, workload.frames * 4
    l1, l2 = GEOMETRY[0] * GEOMETRY[1], GEOMETRY[2] * GEOMETRY[3]
    shape = collections.defaultdict(int, {
        "ram": frames * PAGE, "banks": 1, "cpus": 1, "arrays": 2, "tlb_rows": l1 + l2, "one": 1,
        "frames": frames, "rmaps": frames * 2, "regions": 64, "processes": 8, "slots": slots,
        "swap": slots * PAGE if workload.payload else 0, "ops": len(workload.accesses) + 2, "kinds": 64,
        "stops": 16, "log": 1024, "path": 8,
    })  # fmt: skip
    buffers = t.allocate(shape)
    v = t.views(buffers)
    v.bank[t.BANK_SIZE] = frames * PAGE
    for row in range(0, len(v.tlb), t.TLB):
        v.tlb[row] = -1
    for row, base, (sets, ways) in ((0, 0, GEOMETRY[:2]), (t.ARRAY, l1, GEOMETRY[2:])):
        for column, value in (
            (t.ARRAY_LEVEL, 2 if row else 1), (t.ARRAY_BASE, base * t.TLB), (t.ARRAY_MASK, sets - 1),
            (t.ARRAY_SPAN, ways * t.TLB), (t.ARRAY_FETCHES, 1), (t.ARRAY_DATA, 1), (t.ARRAY_SIZES, 7),
            (t.ARRAY_STRIDE, (l1 + l2) * t.TLB),
        ):  # fmt: skip
            v.array[row + column] = value
    k = v.kernel

    def pool(column: int, first: int, end: int) -> None:
        for frame in range(first, end):
            v.frame[frame * t.FRAME + t.FRAME_NEXT] = frame + 1 if frame + 1 < end else -1
            v.frame[frame * t.FRAME + t.FRAME_PREVIOUS] = -1
        k[column], k[column + 1] = first, end - first

    k[t.KERNEL_USER_FREE] = -1
    k[t.KERNEL_USER_FIRST] = frames - workload.user_frames if workload.user_frames else 256
    k[t.KERNEL_USER_POOL] = t.KERNEL_USER_FREE if workload.user_frames else t.KERNEL_FREE
    if workload.user_frames:
        pool(t.KERNEL_FREE, 256, frames - workload.user_frames)
    pool(k[t.KERNEL_USER_POOL], k[t.KERNEL_USER_FIRST], frames)
    k[t.KERNEL_USER_END], k[t.KERNEL_HAND] = frames, k[t.KERNEL_USER_FIRST]
    k[t.KERNEL_OLDEST] = k[t.KERNEL_NEWEST] = -1
    for table, width, column, free in (
        (v.rmap, t.RMAP, t.RMAP_NEXT, t.KERNEL_RMAP_FREE), (v.slot, t.SLOT, t.SLOT_NEXT, t.KERNEL_SLOT_FREE),
    ):  # fmt: skip
        rows = len(table) // width
        for row in range(1, rows - 1):
            table[row * width + column] = row + 1
        k[free], k[free + 1] = 1, rows - 1
    rights = X86_64.allowed([1 << 16, 0, 0, 0], 0)
    v.cpu[t.CPU_READ], v.cpu[t.CPU_WRITE], v.cpu[t.CPU_FETCH] = rights
    bindings = {
        **X86_64.bindings(), **policy("fifo" if workload.fifo else "clock"), "halt": halt,
        "PAYLOAD": workload.payload, "CPUS": 1, "ASIDS": 1, "FIRST_FETCH": 0, "FIRST_DATA": 0,
        "SECOND": t.ARRAY,
    }  # fmt: skip
    functions = hot.link(bindings)
    p = t.PROCESS
    v.process[p + t.PROCESS_ROOT] = functions["table_take"](v, 1, 0, 0)
    v.process[p + t.PROCESS_ASID] = v.process[p + t.PROCESS_REGION] = 1
    v.region[t.REGION + t.REGION_END], v.region[t.REGION + t.REGION_RIGHTS] = 1 << 47, 15
    functions["ready_put"](v, 1)
    rows_of_program = workload.rows()
    v.op[: len(rows_of_program)] = rows_of_program
    v.op[len(rows_of_program)] = EXIT
    return buffers, v, bindings, functions


def halt(m: object) -> None:
    """Nothing stops inside an operation here."""


def mark_hot() -> None:
    """Make `halt` fill its slot."""
    from vmdbg.hot import reads

    reads(fills=True)(halt)


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


class Measured(NamedTuple):
    """Seconds of each pass, and events of all passes."""

    vmdbg: list[float]
    c: list[float]
    counts: dict[str, int]


def measure(workload: Workload, reference: Reference, cache: str, warm_up: int, timed: int) -> Measured:
    """Run a workload on new machines, a pass in C and one in vmdbg by turns."""
    simulator = Simulator(workload)
    engine = simulator.compiled(cache)
    simulator.run(engine, 0)
    count = len(workload.accesses)
    process = reference.start(workload, warm_up, timed) if reference.compiler else None
    for _ in range(warm_up):
        simulator.run(engine, count)
    result = Measured([], [], {})
    for _ in range(timed):
        if process:
            result.c.append(one_pass(process))
        result.vmdbg.append(simulator.run(engine, count))
    result.counts.update(simulator.counts())
    if process:
        assert process.stdout
        counts = json.loads(process.stdout.readline())["counts"]
        process.communicate()
        if counts != result.counts:
            raise SystemExit(f"bench: {workload.name}: other events\n vmdbg {result.counts}\n C     {counts}")
    return result


HEADING = f"{'M accesses/s':24}{'vmdbg':>8}{'C':>8}{'ratio':>8}{'walks':>8}{'faults':>8}"


def compare(workload: Workload, reference: Reference, cache: str, warm_up: int, timed: int) -> float:
    """Measure a workload and print a row of the table; returns the ratio, 0 without C."""
    measured = measure(workload, reference, cache, warm_up, timed)
    count = len(workload.accesses)
    columns = f"{workload.name:24}{count / statistics.median(measured.vmdbg) / 1e6:8.1f}"
    ratio = 0.0
    if measured.c:
        ratio = statistics.median(c / v for c, v in zip(measured.c, measured.vmdbg, strict=True))
        columns += f"{count / statistics.median(measured.c) / 1e6:8.1f}{ratio:8.2f}"
    else:
        columns += f"{'-':>8}{'-':>8}"
    for kind in ("tlb-fill", "trap"):
        columns += f"{measured.counts.get(kind, 0) / count / (warm_up + timed):8.1%}"
    print(columns, flush=True)
    return ratio


# --- interpreted -------------------------------------------------------------------------------


def interpreted(count: int) -> None:
    """Print the speed of the interpreted engine beside that of a dictionary model."""
    workload = hits(count, 0)
    simulator = Simulator(workload)
    engine = simulator.interpreted()
    seconds: dict[str, list[float]] = {"vmdbg": [], "model": []}
    for _ in range(5):
        seconds["vmdbg"].append(simulator.run(engine, count))
        start = time.perf_counter()
        dictionary_model(workload.accesses)
        seconds["model"].append(time.perf_counter() - start)
    ours, model = (count / statistics.median(seconds[name]) / 1e6 for name in ("vmdbg", "model"))
    print(f"\nInterpreted, hits: {ours:.2f} M accesses/s; dictionary model {model:.2f}: {ours / model:.2f}")


# --- building ----------------------------------------------------------------------------------


def build_once(cache: str) -> None:
    """In a fresh process: build the compiled engine, say what it took as JSON."""
    start = time.perf_counter()
    import numba  # noqa: F401

    imported = time.perf_counter()
    simulator = Simulator(hits(64, 0))
    made = time.perf_counter()
    simulator.run(simulator.compiled(cache), 0)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 if sys.platform != "darwin" else 1 << 20
    )
    print(json.dumps({"import": imported - start, "build": done - made, "peak": peak}))


def building(cache: str) -> None:
    """Print what the first build and one from the cache cost, each in a fresh process."""
    for title in ("First compile", "From cache"):
        command = [sys.executable, __file__, "--build-once", cache]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        cost = json.loads(done.stdout)
        print(f"{title}: {cost['build']:.2f} s, peak {cost['peak']:.0f} MB", end="")
        print(f" (and {cost['import']:.2f} s to import numba)", flush=True)


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operations", type=int, default=1 << 20, help="accesses of each workload")
    parser.add_argument("--passes", type=int, default=15, help="timed passes of each, by turns")
    parser.add_argument("--warm-up", type=int, default=2, help="passes before them")
    parser.add_argument("--build-once", metavar="CACHE", help=argparse.SUPPRESS)
    parser.add_argument("--cache", help="keep the engine's code in this folder (default: an empty one)")
    parser.add_argument("--fifo", action="store_true", help="FIFO instead of CLOCK")
    options = parser.parse_args()
    mark_hot()
    if options.build_once:
        build_once(options.build_once)
        return
    with tempfile.TemporaryDirectory(prefix="vmdbg-bench-") as folder:
        cache = options.cache or str(Path(folder) / "cache")
        reference = Reference(Path(folder))
        building(cache)
        if reference.compiler is None:
            print("\nNo C compiler (cc, gcc, clang): vmdbg alone is measured.")
        print(f"\n{HEADING}")
        n = options.operations
        for workload in workloads(n):
            bound = workload._replace(fifo=int(options.fifo))
            compare(bound, reference, cache, options.warm_up, options.passes)
        interpreted(min(n, 200_000))


if __name__ == "__main__":
    main()
