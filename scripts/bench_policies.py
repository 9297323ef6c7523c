"""Measure page replacement: the whole machine of vmdbg's against libCacheSim, which has the policies alone.

Both get the same page numbers by turns, on one processor, and must have the same faults.  vmdbg looks up its
TLB, walks, serves faults, keeps swap and counts events; libCacheSim has a hash table and the policy's lists.
Reading a trace is not measured in vmdbg, and is in libCacheSim, which maps the file: 24 bytes a request.
libCacheSim runs twice: as it comes, with a hash table of 2^24 places, and with four places for each frame.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), os.environ.get("VMDBG_TREE", str(ROOT))]

from bench import EXIT, on_one_processor  # noqa: E402
from yardstick import MISSING, Yardstick, installed, write_oracle  # noqa: E402

PAGE = 4096
POLICIES = ("fifo", "lru", "clock")
SIZES = (16, 64, 256)


class Requests(NamedTuple):
    """Page numbers, and the numbers of frames to run them with."""

    name: str
    pages: array[int]
    sizes: tuple[int, ...]


def trace(name: str) -> Requests:
    """The pages of a trace of tests/data."""
    from vmdbg.programs import read_program
    from vmdbg.state.tables import OP, OP_VA

    program = read_program(str(ROOT / "tests" / "data" / f"{name}.lackey.xz"), va_bits=48, page_size=PAGE)
    rows = program.processes[0].rows
    return Requests(name, array("q", [va // PAGE for va in rows[OP_VA::OP][:-1]]), SIZES)


def hostile(count: int) -> Requests:
    """Uniform over a million pages with 65536 frames: fifteen of sixteen requests are faults."""
    draw = random.Random(20240601)
    return Requests("uniform", array("q", [draw.randrange(1_000_000) for _ in range(count)]), (65536,))


class Simulated:
    """A machine of vmdbg's that makes the requests."""

    def __init__(self, policy: str, frames: int, pages: Sequence[int]) -> None:
        from vmdbg.inspect.policy import trace_config
        from vmdbg.machine.machine import Machine
        from vmdbg.programs.program import ProcessSpec, Program, RegionSpec

        different = len(set(pages))
        config = trace_config(policy, frames)
        needed = {
            "machine.ram": (frames + different // 256 + 4096) * PAGE,
            "machine.swap.size": (different + 1) * PAGE,
        }
        self.machine = Machine(config.with_({name: max(size, config[name]) for name, size in needed.items()}))
        rows = array("q", bytes(32 * len(pages)))
        rows[1::4] = array("q", [page * PAGE for page in pages])
        rows.extend((EXIT, 0, 0, 0))
        region = RegionSpec("trace", 0, 1 << 47, 15)
        self.machine.load(Program("requests", "", [], [ProcessSpec("requests", None, -1, [region], rows)]))
        self.machine.compile()
        self.start = self.machine.snapshot()

    def faults(self, requests: int) -> int:
        """Run all of it."""
        self.machine.run(requests, True)
        counts = self.machine.counts()
        return counts.get("fault-minor", 0) + counts.get("fault-major", 0)


def seconds(action: Any) -> tuple[float, int]:
    """CPU seconds of an action, and its result."""
    start = time.process_time()
    found = action()
    return time.process_time() - start, found


def compare(requests: Requests, policy: str, frames: int, path: Path, turns: int) -> None:
    """Print a row."""
    count = len(requests.pages)
    times: dict[str, list[float]] = {"vmdbg": [], "as it comes": [], "small table": []}
    simulated = Simulated(policy, frames, requests.pages)
    for _ in range(turns):
        simulated.machine.restore(simulated.start)
        took, faults = seconds(lambda: simulated.faults(count))
        times["vmdbg"].append(took)
        for name in ("as it comes", "small table"):
            yardstick = Yardstick(policy, frames, path, name == "as it comes")
            took, other = seconds(lambda yardstick=yardstick: yardstick.faults(count))
            times[name].append(took)
            if faults != other:
                raise SystemExit(f"bench: {requests.name}, {policy}, {frames}: {faults} faults, and {other}")
    row = f"{requests.name:10}{policy:8}{frames:8}{faults / count:9.2%}"
    for name, took in times.items():
        row += f"{count / statistics.median(took) / 1e6:{9 if name == 'vmdbg' else 13}.1f}"
        if name != "vmdbg":
            row += f"{statistics.median(b / a for a, b in zip(times['vmdbg'], took, strict=True)):8.2f}"
    print(row, flush=True)


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=11, help="runs of each, by turns")
    parser.add_argument("--requests", type=int, default=2_000_000, help="of the hostile trace")
    parser.add_argument("--only", help="one trace: ls, sqlite or uniform")
    options = parser.parse_args()
    if not installed():
        raise SystemExit(f"bench: {MISSING}")
    makers = {
        "ls": lambda: trace("ls"),
        "sqlite": lambda: trace("sqlite"),
        "uniform": lambda: hostile(options.requests),
    }
    on_one_processor()
    head = f"{'M requests/s':10}{'':6}{'frames':>10}{'faults':>9}{'vmdbg':>9}"
    print(f"{head}{'as it comes':>13}{'ratio':>8}{'small table':>13}{'ratio':>8}")
    with tempfile.TemporaryDirectory(prefix="vmdbg-bench-") as folder:
        for name, make in makers.items():
            if options.only in (None, name):
                requests, path = make(), Path(folder) / f"{name}.oracleGeneral"
                write_oracle(requests.pages, path)
                for policy in POLICIES:
                    for frames in requests.sizes:
                        compare(requests, policy, frames, path, options.turns)


if __name__ == "__main__":
    main()
