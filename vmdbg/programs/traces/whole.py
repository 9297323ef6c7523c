"""A whole trace as a program: its rows stay in memory, and time goes back as in any program."""

from __future__ import annotations

import os
import weakref
from array import array

from vmdbg import progress
from vmdbg.errors import InputError, UserError
from vmdbg.formats.contract import ALL_RIGHTS
from vmdbg.kernel.scheduler import OP_EXIT, OP_LINE
from vmdbg.programs.addresses import Space
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.programs.traces.catalog import READABLE, open_trace, trace_name
from vmdbg.programs.traces.stream import identity
from vmdbg.state.tables import OP
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.programs.traces.parser import Parser

    Known = tuple[object, ...]

MAX_RUNS = 256
MAX_RATIO = 1000  # bytes that a byte of a compressed trace may become
MAX_UNPACKED = 64 << 20  # bytes that any compressed trace may become
MAX_NAME = 16
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
) -> Program:
    """The trace in a file as a program with one process, named after the file.

    Its regions cover the pages that it touches, or halves of the address space if these form too many runs;
    `resident`: every page touched, and no other, is in memory from the start.  Accesses of addresses from
    `user_end` on are left out, and the program's remarks say how many.  `format` empty: by its content.
    UserError if the file cannot be read; InputError names the line or the offset of what is no record.
    """
    space = Space(va_bits, page_size, user_end)
    parser = open_trace(path, format, space=space, page_bits=page_size.bit_length() - 1)
    try:
        key = (path, *identity(parser.trace.status), va_bits, page_size, resident, user_end, format)
        if key in _programs:
            return _programs[key]
        rows, pages = read_rows(parser, page_size.bit_length() - 1)
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
    regions = regions_of(pages, space, resident)
    spec = ProcessSpec(name[:MAX_NAME], None, -1, regions, rows, (1, last))
    program = _programs[key] = Program(name, path, [], [spec], remarks=left_out_remark(parser.left_out))
    return program


def left_out_remark(count: int) -> list[str]:
    """What to say of accesses that were left out."""
    if not count:
        return []
    subject = "1 access" if count == 1 else f"{count} accesses"
    return [f"{subject} of kernel or vsyscall addresses left out."]


def read_rows(parser: Parser, page_bits: int) -> tuple[array[int], set[int]]:
    """All rows of a trace, and the numbers of the pages that they touch, negative in the upper half."""
    rows: array[int] = array("q")
    pages: set[int] = set()
    size = parser.trace.size
    most = max(MAX_UNPACKED, MAX_RATIO * size) if parser.trace.compressed else 1 << 62
    with progress.task(f"Reading {os.path.basename(parser.trace.path)}", "B", size) as task:
        while count := parser.chunk():
            chunk = parser.op[: OP * count]
            rows.frombytes(chunk.cast("B"))
            pages.update([va >> page_bits for va in set(chunk[1::OP])])
            if parser.place > most:
                raise InputError(f"it unpacks to more than {format_size(most)}", parser.trace.shown)
            task.at(parser.trace.read_on_disk())
    return rows, pages


def regions_of(touched: set[int], space: Space, resident: bool) -> list[RegionSpec]:
    """Regions for all pages that a trace touches, one for each run of them."""
    page = space.page_size
    pages = sorted(touched)
    runs: list[tuple[int, int]] = []
    for number in pages:
        if runs and runs[-1][1] == number:
            runs[-1] = runs[-1][0], number + 1
        else:
            runs.append((number, number + 1))
    if len(runs) > MAX_RUNS and not resident:
        half = space.half // page
        runs = [(-half, 0)] if pages[0] < 0 else []
        runs += [(0, half)] if pages[-1] >= 0 else []
    return [
        RegionSpec("trace", first * page, (end - first) * page, ALL_RIGHTS, populate=resident)
        for first, end in runs
    ]
