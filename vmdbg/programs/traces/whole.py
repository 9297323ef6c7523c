"""A whole trace as a program: its rows stay in memory, and time goes back as in any program."""

from __future__ import annotations

import os
import weakref
from array import array
from collections import Counter

from vmdbg import progress
from vmdbg.errors import InputError, UserError
from vmdbg.formats.contract import ALL_RIGHTS
from vmdbg.kernel.access import CROSSES
from vmdbg.kernel.scheduler import OP_EXIT, OP_LINE, OP_WIDTH
from vmdbg.machine.trace_pages import TracePages
from vmdbg.programs.addresses import Space
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.programs.traces.catalog import READABLE, open_trace, trace_name
from vmdbg.programs.traces.scan import SCAN_STRADDLE
from vmdbg.programs.traces.stream import identity
from vmdbg.state.tables import OP
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmdbg.programs.traces.parser import Parser

    Known = tuple[object, ...]

MAX_RUNS = 256
MAX_RATIO = 1000  # bytes that a byte of a compressed trace may become
MAX_UNPACKED = 64 << 20  # bytes that any compressed trace may become
MAX_NAME = 16
GOES_ON = CROSSES << OP_WIDTH  # of a row
#: Traces that a machine still has, by what was read and for which machine: one that boots anew with other
#: settings does not read its trace again.
_programs: weakref.WeakValueDictionary[Known, Program] = weakref.WeakValueDictionary()


def read_trace(
    path: str,
    *,
    va_bits: int,
    page_size: int,
    resident: bool = False,
    user_end: int = 1 << 64,
    format: str = "",
    pages: TracePages | None = None,
    straddle: bool = False,
) -> Program:
    """The trace in a file as a program with one process, named after the file.

    Its regions cover the pages that it touches, or halves of the address space if these form too many runs;
    `pages` says how they are mapped (None: in base pages).  `resident`: every page touched, and no other, is
    in memory from the start.  `straddle`: rows of accesses that go on in the next page say so.  Accesses of
    addresses from `user_end` on are left out, and the program's remarks say how many.  `format` empty: by its
    content.
    UserError if the file cannot be read; InputError names the line or the offset of what is no record.
    """
    space = Space(va_bits, page_size, user_end)
    pages = pages or TracePages(page_size)
    bits = page_size.bit_length() - 1
    parser = open_trace(path, format, space=space, page_bits=bits, straddle=straddle)
    try:
        how = va_bits, page_size, resident, user_end, format, pages.size, pages.threshold, straddle
        key = (path, *identity(parser.trace.status), *how)
        if key in _programs:
            return _programs[key]
        rows: array[int] = array("q")
        touched = touched_pages(parser, bits, rows)
        last = parser.records
        if not rows:
            raise InputError("there is no access in it", parser.trace.shown)
    except UserError as error:
        error.hint = error.hint or READABLE
        raise
    finally:
        parser.trace.close()
    rows.extend((OP_EXIT | last << OP_LINE, 0, 0, 0))
    name = trace_name(path)
    regions = regions_of(touched, space, resident, pages)
    spec = ProcessSpec(name[:MAX_NAME], None, -1, regions, rows, (1, last))
    program = _programs[key] = Program(name, path, [], [spec], remarks=left_out_remark(parser.left_out))
    return program


def left_out_remark(count: int) -> list[str]:
    """What to say of accesses that were left out."""
    if not count:
        return []
    subject = "1 access" if count == 1 else f"{count} accesses"
    return [f"{subject} of kernel or vsyscall addresses left out."]


def touched_pages(parser: Parser, page_bits: int, rows: array[int] | None = None) -> set[int]:
    """The numbers of the pages that a trace touches, negative in the upper half; all its rows are put behind
    `rows`."""
    pages: set[int] = set()
    size = parser.trace.size
    most = max(MAX_UNPACKED, MAX_RATIO * size) if parser.trace.compressed else 1 << 62
    straddle = parser.m.scan[SCAN_STRADDLE]
    with progress.task(f"Reading {os.path.basename(parser.trace.path)}", "B", size) as task:
        while count := parser.chunk():
            chunk = parser.op[: OP * count]
            if rows is not None:
                rows.frombytes(chunk.cast("B"))
            pages.update([va >> page_bits for va in set(chunk[1::OP])])
            if straddle:
                pairs = zip(chunk[::OP].tolist(), chunk[1::OP].tolist(), strict=True)
                pages.update([(va >> page_bits) + 1 for word, va in pairs if word & GOES_ON])
            if parser.place > most:
                raise InputError(f"it unpacks to more than {format_size(most)}", parser.trace.shown)
            task.at(parser.trace.read_on_disk())
    return pages


def runs_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Runs of neighbouring numbers: the first, and one past the last."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number:
            runs[-1] = runs[-1][0], number + 1
        else:
            runs.append((number, number + 1))
    return runs


def regions_of(touched: set[int], space: Space, resident: bool, pages: TracePages) -> list[RegionSpec]:
    """Regions for all pages that a trace touches, one for each run of them.

    Those of larger pages, and those in which pages are promoted, begin and end with larger pages.
    """
    base, size = space.page_size, pages.size
    if resident and pages.threshold:
        return promoted_regions(touched, base, pages)
    runs = runs_of({page * base // size for page in touched})
    if len(runs) > MAX_RUNS and not resident:
        half = space.half // size
        last = runs[-1][1]
        runs = [(-half, 0)] if runs[0][0] < 0 else []
        runs += [(0, half)] if last > 0 else []
    page = size if size != base and not pages.threshold else 0
    return [trace_region(run, size, page, resident) for run in runs]


def promoted_regions(touched: set[int], base: int, pages: TracePages) -> list[RegionSpec]:
    """Regions of a trace whose pages are in memory from the start: in larger pages where so many base pages
    are touched that they would be promoted, else in base pages."""
    ratio = pages.size // base
    counts = Counter([page // ratio for page in touched])
    large = {number for number, count in counts.items() if count >= pages.threshold}
    small = {page for page in touched if page // ratio not in large}
    regions = [trace_region(run, pages.size, pages.size, True) for run in runs_of(large)]
    regions += [trace_region(run, base, 0, True) for run in runs_of(small)]
    return sorted(regions, key=lambda region: region.start)


def trace_region(run: tuple[int, int], unit: int, page: int, resident: bool) -> RegionSpec:
    """The region of a run of `unit` bytes each, in pages of `page` bytes (0: base pages)."""
    first, end = run
    return RegionSpec("trace", first * unit, (end - first) * unit, ALL_RIGHTS, page, populate=resident)
