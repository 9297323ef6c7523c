"""Measure `map/j` of a booted Linux against reading its tables once, and against gdb-pt-dump.

The guest is that of the tests: Debian's kernel under QEMU (TCG), KPTI on, and one process with small pages.
Everything is measured by turns; a figure is the median of its times, a ratio the median of the ratios of each
turn.  "cold" forgets all memory of the guest before, so that QEMU is asked for every frame anew, as
gdb-pt-dump asks it.  What is compared must cover the same addresses; rights that differ are printed
(gdb-pt-dump does not combine NX of the upper levels, which KPTI sets).

gdb-pt-dump is fetched from GitHub, and runs inside gdb; without either its rows are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [os.environ.get("VMDBG_TREE", str(ROOT)), str(ROOT)]
#: How the other tool is told from: `pt ARGUMENTS` lines on stdin, seconds for each on stdout.
IN_GDB = """
import sys, time, gdb
gdb.execute("set confirm off")
gdb.execute("target remote {socket}")
for line in sys.stdin:
    begin = time.perf_counter()
    gdb.execute("pt -o {out} " + line)
    print("seconds", time.perf_counter() - begin, flush=True)
"""
PT_DUMP = "https://github.com/martinradev/gdb-pt-dump"
#: `0xffff888000000000 :       0x1000000 | W:1 X:0 S:1 UC:0 WB:1`, between colours.
PT_LINE = re.compile(r"(0x[0-9a-f]+) +: +(0x[0-9a-f]+) \| W:([01]) X:([01]) S:([01])")
MERGED, FOLDED = "map/j -merge", "map/j -merge -fold"
Range = tuple[int, int, str]  # start, end, rights


class Ours:
    """A session of vmdbg on the guest."""

    def __init__(self) -> None:
        from vmdbg.shell.startup import make_session

        self.out = io.StringIO()
        self.session = make_session(self.out, sys.stderr)
        self.session.settings.set("confirm", False)
        self.session.interpreter.execute("target qemu qmp2")
        self.memory: Any = self.session.target.machine.image.memory

    def text(self, line: str) -> str:
        """What a command prints."""
        self.out.seek(0)
        self.out.truncate()
        self.session.interpreter.execute(line)
        self.session.output.flush()
        return self.out.getvalue()

    def timed(self, line: str, cold: bool) -> float:
        """Seconds of a command."""
        if cold:
            self.memory.forget()
        with open(os.devnull, "w", encoding="utf-8") as nowhere, self.session.output.redirect(nowhere):
            return seconds(lambda: self.session.interpreter.execute(line))

    def tables(self) -> list[int]:
        """Where the frames of all tables are."""
        from vmdbg.formats.contract import ENTRY_TABLE
        from vmdbg.hardware.page_tables import entries, once
        from vmdbg.inspect.context import find_context

        machine = self.session.target.machine
        root = find_context(machine).root
        found = entries(machine.k, machine.format, root, follow=once)
        return sorted({root, *(entry.target for entry in found if entry.kind == ENTRY_TABLE)})

    def read(self, tables: list[int]) -> float:
        """Seconds of reading frames once."""
        size = self.session.target.machine.format.page_size

        def read() -> None:
            for table in tables:
                at = self.memory.offset(table, size)
                bytes(self.memory.view[at : at + size])

        self.memory.forget()
        return seconds(read)


class PtDump:
    """gdb with gdb-pt-dump in it, on the guest."""

    def __init__(self, folder: Path) -> None:
        self.out = "pt.out"
        script = IN_GDB.format(socket="stub", out=self.out)
        Path("in_gdb.py").write_text(script, encoding="utf-8")
        self.process = subprocess.Popen(
            ["gdb", "-nx", "-q", "-batch", "-x", folder / "pt.py", "-x", "in_gdb.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def timed(self, arguments: str) -> float:
        """Seconds of `pt` with some arguments."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(arguments + "\n")
            self.process.stdin.flush()
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("seconds "):
                return float(line.split()[1])
        raise SystemExit(f"bench: gdb-pt-dump ended: {''.join(said[-3:])}")

    def ranges(self) -> list[Range]:
        """What it printed last."""
        found = []
        for start, size, w, x, s in PT_LINE.findall(Path(self.out).read_text(encoding="utf-8")):
            rights = "r" + "-w"[int(w)] + "-x"[int(x)] + "uk"[int(s)]
            found.append((int(start, 16), int(start, 16) + int(size, 16), rights))
        return found

    def end(self) -> None:
        """End gdb."""
        self.process.kill()
        self.process.communicate()


def seconds(run: Any) -> float:
    """What a function takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def joined(ranges: list[Range]) -> list[Range]:
    """Ranges by address; neighbours with the same rights are one."""
    found: list[Range] = []
    for start, end, rights in sorted(ranges):
        if found and found[-1][1] == start and found[-1][2] == rights:
            found[-1] = (found[-1][0], end, rights)
        else:
            found.append((start, end, rights))
    return found


def ranges_of(text: str) -> list[Range]:
    """The rows of `map/j`, in which those that are "the same as" others are unfolded."""
    found: list[Range] = []
    for row in json.loads(text):
        start, end, like = row["start"], row["start"] + row["size"], row.get("like")
        if like is None:
            found.append((start, end, row["rights"]))
            continue
        unit = row["page_size"]
        model = [part for part in found if part[1] > like and part[0] < like + unit]
        for base in range(start, end, unit):
            found += [
                (max(first, like) - like + base, min(past, like + unit) - like + base, rights)
                for first, past, rights in model
            ]
    return joined(found)


def fetched(folder: str) -> Path | None:
    """Where gdb-pt-dump is, fetched if need be; None, and a sentence, if it cannot be had."""
    path = Path(folder) if folder else ROOT / "build" / "gdb-pt-dump"
    if not shutil.which("gdb"):
        print("gdb is not installed: gdb-pt-dump is left out.")
        return None
    if not (path / "pt.py").exists() and subprocess.call(
        ["git", "clone", "-q", "--depth", "1", PT_DUMP, path], stderr=subprocess.DEVNULL
    ):
        print(f"{PT_DUMP} cannot be had, and is left out; --pt-dump FOLDER names a copy.")
        return None
    return path.resolve()


def measure(ours: Ours, other: PtDump | None, rounds: int) -> None:
    """Measure everything by turns and print it."""
    tables = ours.tables()
    rows: dict[str, Any] = {f"reading {len(tables)} tables once": lambda: ours.read(tables)}
    for line in (FOLDED, MERGED):
        rows[f"{line}, cold"] = lambda line=line: ours.timed(line, cold=True)
        rows[f"{line}, warm"] = lambda line=line: ours.timed(line, cold=False)
    if other is not None:
        for line in ("", "-force_traverse_all"):
            rows[f"gdb-pt-dump {line}".strip()] = lambda line=line: other.timed(line)
    check(ours, other)
    taken: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(rounds):
        for name, run in rows.items():
            taken[name].append(run())
    names = list(rows)
    print(f"{'':34}{'ms':>8}{'/ reading':>11}" + (f"{'pt /':>8}{'all /':>8}" if other else ""))
    for name in names:
        against = [names[0], *names[-2:]] if other else [names[0]]
        ratios = [
            statistics.median(a / b for a, b in zip(taken[base], taken[name], strict=True))
            for base in against
        ]
        more = "".join(f"{ratio:8.1f}" for ratio in ratios[1:])
        print(f"{name:34}{statistics.median(taken[name]) * 1000:8.1f}{1 / ratios[0]:11.2f}{more}")
    if other is not None:
        print(
            f'"pt /", "all /": how many times as long gdb-pt-dump takes, without and with {names[-1][12:]}.'
        )


def check(ours: Ours, other: PtDump | None) -> None:
    """Do all cover the same addresses with the same rights?"""
    texts = {line: ours.text(line) for line in (MERGED, FOLDED)}
    whole = ranges_of(texts[MERGED])
    for line, text in texts.items():
        print(f"{line}: {text.count(chr(10)):,} lines, {len(text) / 1e6:.1f} MB")
    if whole != ranges_of(texts[FOLDED]):
        raise SystemExit("bench: folded, map shows other addresses")
    if other is None:
        return
    for line in ("", "-force_traverse_all"):
        other.timed(line)
        found = other.ranges()
        print(f"gdb-pt-dump {line}: {len(found):,} lines", "of the same addresses" if line else "")
    theirs = joined(found)
    if [row[:2] for row in joined([(*row[:2], "") for row in found])] != [
        row[:2] for row in joined([(*row[:2], "") for row in whole])
    ]:
        raise SystemExit("bench: gdb-pt-dump shows other addresses")
    for start, end, rights in sorted(set(theirs) - set(whole)):
        print(f"gdb-pt-dump has other rights, {rights}, of {start:#x} .. {end:#x}")


def main() -> None:
    """Boot the guest and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="turns")
    parser.add_argument("--megabytes", type=int, default=256, help="that the process maps")
    parser.add_argument("--pt-dump", default="", metavar="FOLDER", help="a copy of gdb-pt-dump")
    parser.add_argument(
        "--profile", default="", metavar="COMMAND", help="where a command's time goes, instead"
    )
    options = parser.parse_args()
    from tests.models import linux_guest, qemu

    if not qemu.there():
        raise SystemExit(f"bench: {qemu.PROGRAM} is not installed; scripts/emulators installs it")
    kernels = ROOT / "build" / "linux-kernel"
    kernels.mkdir(parents=True, exist_ok=True)
    image = linux_guest.kernel(kernels)
    if image is None:
        raise SystemExit("bench: Debian's kernel cannot be fetched (apt-get download linux-image-amd64)")
    program = fetched(options.pt_dump) if not options.profile else None
    with tempfile.TemporaryDirectory(prefix="vmdbg-bench-") as folder, contextlib.chdir(folder):
        more = ["-gdb", "unix:stub,server=on,wait=off"]
        words = "pti=on transparent_hugepage=never"
        with linux_guest.boot(Path(folder), image, "qemu64", words, options.megabytes, more) as guest:
            linux_guest.wait(Path(folder))
            guest.ask("stop")
            ours = Ours()
            if options.profile:
                profile(ours, options.profile)
                return
            other = PtDump(program) if program else None
            try:
                measure(ours, other, options.rounds)
            finally:
                if other is not None:
                    other.end()


def profile(ours: Ours, line: str) -> None:
    """Print where the time of a command goes, asked of a guest of which nothing is known."""
    import cProfile

    ours.text(line)
    ours.memory.forget()
    with cProfile.Profile() as profiler:
        ours.timed(line, cold=True)
    import pstats

    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
