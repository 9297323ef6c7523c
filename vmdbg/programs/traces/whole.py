"""A trace in a file as a program of one process."""

from __future__ import annotations

import weakref

from vmdbg.errors import UserError
from vmdbg.machine.trace_pages import TracePages
from vmdbg.programs.addresses import Space
from vmdbg.programs.program import ProcessSpec, Program
from vmdbg.programs.traces import contents
from vmdbg.programs.traces.catalog import READABLE, open_trace, trace_name
from vmdbg.programs.traces.contents import NO_LIMIT, contents_of
from vmdbg.programs.traces.feed import MAX_NAME, FedProgram, RowsFeed, TraceFeed
from vmdbg.programs.traces.regions import regions_of
from vmdbg.programs.traces.stream import identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.programs.program import RegionSpec
    from vmdbg.programs.traces.contents import Contents, Known
    from vmdbg.programs.traces.parser import Parser

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
    fed: bool = False,
) -> Program:
    """The trace in a file as a program with one process, named after the file.

    Its regions cover the pages that it touches, or halves of the address space if these form too many runs;
    `pages` says how they are mapped (None: in base pages).  `resident`: every page touched, and no other, is
    in memory from the start.  `straddle`: rows of accesses that go on in the next page say so.  Accesses of
    addresses from `user_end` on are left out, and the program's remarks say how many.  `format` empty: by its
    content.

    The program has all rows, and time goes back as in any program.  `fed`: it has a feed for one machine,
    which gives the rows that stay in memory for other machines too, or those of a LONG trace as they are
    read; then its regions are all addresses if the pages need not be known.
    UserError if the file cannot be read; InputError names the line or the offset of what is no record.
    """
    space = Space(va_bits, page_size, user_end)
    pages = pages or TracePages(page_size)
    bits = page_size.bit_length() - 1
    parser = open_trace(path, format, space=space, page_bits=bits, straddle=straddle)
    try:
        how = va_bits, page_size, resident, user_end, format, pages.size, pages.threshold, straddle
        key = (path, *identity(parser.trace.status), *how)
        if not fed and key in _programs:
            parser.trace.close()
            return _programs[key]
        most = contents.LONG if fed and parser.trace.regular else NO_LIMIT
        found = contents_of(parser, resident, most)
        regions = regions_of(found.pages, space, resident, pages)
        if fed:
            return fed_program(path, parser, found, regions)
        program = _programs[key] = whole_program(path, parser, found, regions)
        return program
    except BaseException as error:
        parser.trace.close()
        if isinstance(error, UserError):
            error.hint = error.hint or READABLE
        raise


def whole_program(path: str, parser: Parser, found: Contents, regions: list[RegionSpec]) -> Program:
    """The program that has all rows; closes the parser's trace."""
    parser.trace.close()
    assert found.rows is not None, "all of them were asked for"
    name = trace_name(path)
    spec = ProcessSpec(name[:MAX_NAME], None, -1, regions, found.rows, (1, found.records))
    return Program(name, path, [], [spec], remarks=left_out_remark(found.left_out))


def fed_program(path: str, parser: Parser, found: Contents, regions: list[RegionSpec]) -> FedProgram:
    """The program whose rows come from memory, or else from the parser, whose trace is closed if not."""
    feed: RowsFeed | TraceFeed
    if found.rows is not None:
        parser.trace.close()
        feed = RowsFeed(path, found)
    else:
        parser.go(parser.head.offset, parser.head.records)
        feed = TraceFeed(parser, kept=0, total=found.accesses)
    return FedProgram(path, feed, regions, found.accesses, left_out_remark(found.left_out))


def left_out_remark(count: int) -> list[str]:
    """What to say of accesses that were left out."""
    if not count:
        return []
    subject = "1 access" if count == 1 else f"{count} accesses"
    return [f"{subject} of kernel or vsyscall addresses left out."]
