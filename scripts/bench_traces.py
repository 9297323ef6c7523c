"""Measure traces: how fast each format is read, a stream from a pipe, and a sweep on two processors.

Formats: reading alone, compiled, of one trace's accesses written in each; seconds of CPU, best of three.
Stream: `replay -` of lackey lines that a process writes; its CPU, and the most memory that it had.
Sweep: the same points in one process and in two, by turns; seconds of a clock, beside two loops that only
count, which say what the second processor is worth now.
"""

from __future__ import annotations

import argparse
import lzma
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [os.environ.get("VMDBG_TREE", str(ROOT))]

LACKEY = ROOT / "tests" / "data" / "ls.lackey.xz"
VMDBG = [sys.executable, "-m", "vmdbg", "-nx", "-batch"]
SWEEP = "policy=fifo,lru,clock,random frames=16,64,256 tlb.l1=4x4,16x4"
POINTS = 24
LOOP = "n = 0\nwhile n < 20_000_000: n += 1"


def formats(folder: Path, times: int) -> None:
    """Print a row for each format that can be written."""
    from vmdbg.errors import UserError
    from vmdbg.programs.traces.catalog import FORMATS, open_trace
    from vmdbg.programs.traces.convert import convert

    text = folder / "all.lackey"
    text.write_bytes(lzma.decompress(LACKEY.read_bytes()) * times)
    print(f"{'reading':20}{'M accesses/s':>14}{'MB/s':>8}{'bytes each':>12}")
    for form in FORMATS:
        path = folder / f"trace.{form.name}"
        if form.write is None:
            continue
        parser = open_trace(str(text))
        try:
            convert(parser, str(path), form, 12)
        except UserError as error:
            print(f"{form.name:20}{error}")
            continue
        finally:
            parser.trace.close()
        best, count = 1e9, 0
        for _ in range(3):
            start, count = time.process_time(), 0
            parser = open_trace(str(path), form.name)
            while rows := parser.chunk():
                count += rows
            parser.trace.close()
            best = min(best, time.process_time() - start)
        size = path.stat().st_size
        print(
            f"{form.name:20}{count / best / 1e6:14.1f}{size / best / 1e6:8.0f}{size / count:12.1f}",
            flush=True,
        )
        path.unlink()


def peak_of(pid: int) -> int:
    """The most memory that a process has had since it began its program, in bytes (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:"))


def stream(accesses: int) -> None:
    """Print what `replay -` of so many accesses took."""
    text = lzma.decompress(LACKEY.read_bytes())
    lines = b"".join(line for line in text.splitlines(keepends=True) if line[:1] in b" I")
    many = lines.count(b"\n")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pipe = subprocess.PIPE
    with subprocess.Popen([*VMDBG, "-ex", "replay -"], stdin=pipe, stdout=pipe) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        left, peak = accesses, 0
        while left > 0:
            child.stdin.write(lines if left >= many else b"".join(lines.splitlines(keepends=True)[:left]))
            left -= many
            peak = peak_of(child.pid)
        child.stdin.close()
        said = child.stdout.read().decode()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    if f"accesses {accesses}" not in " ".join(said.split()):
        raise SystemExit(f"bench: not {accesses} accesses:\n{said}")
    speed = f"{seconds:.1f} s of CPU, {accesses / seconds / 1e6:.1f} M/s"
    print(f"{accesses} lines: {speed}; {peak >> 20} MiB at most")


def clock(*commands: list[str], **environment: str) -> float:
    """Seconds until all of these commands, started together, have ended."""
    start, quiet = time.perf_counter(), subprocess.DEVNULL
    known = {**os.environ, **environment}
    running = [subprocess.Popen(command, stdout=quiet, stderr=quiet, env=known) for command in commands]
    for child in running:
        if child.wait():
            raise SystemExit(f"bench: {child.args} ended with {child.returncode}")
    return time.perf_counter() - start


def sweep(folder: Path, times: int, turns: int) -> None:
    """Print the seconds of a sweep in one process and in two."""
    trace = folder / "sweep.lackey"
    trace.write_bytes(lzma.decompress(LACKEY.read_bytes()) * times)
    kept = str(folder / "cache")
    counting = [sys.executable, "-c", LOOP]
    print(f"{POINTS} points, {times} M accesses each: {'one':>8}{'two':>8}{'ratio':>8}{'two loops':>12}")
    for turn in range(turns + 1):
        one, two = (
            clock([*VMDBG, "-ex", f"sweep -jobs {jobs} {SWEEP} {trace}"], VMDBG_CACHE=kept) for jobs in (1, 2)
        )
        loops = 2 * clock(counting) / clock(counting, counting)
        if turn:  # the first one compiles
            print(f"{'':33}{one:8.1f}{two:8.1f}{one / two:8.2f}{loops:12.2f}", flush=True)


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("formats", "stream", "sweep"), help="one of the three")
    parser.add_argument("--accesses", type=int, default=200_000_000, help="of the stream")
    parser.add_argument(
        "--times",
        type=int,
        default=5,
        help="how often a trace is all of `ls`; that of the sweep, ten times as often",
    )
    parser.add_argument("--turns", type=int, default=3, help="of the sweep")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vmdbg-bench-") as name:
        if options.only in (None, "formats"):
            formats(Path(name), options.times)
        if options.only in (None, "stream"):
            stream(options.accesses)
        if options.only in (None, "sweep"):
            sweep(Path(name), 10 * options.times, options.turns)


if __name__ == "__main__":
    main()
