"""trace info, curve, reuse, workingset, convert, formats: traces as files, and what is measured of them."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.programs.traces.catalog import BY_NAME, FORMATS, find_format, named, open_trace
from vmdbg.programs.traces.convert import convert
from vmdbg.programs.traces.locality import powers_of_two
from vmdbg.programs.traces.measure import distances, working_set
from vmdbg.programs.traces.stream import STDIN
from vmdbg.programs.traces.summary import summary
from vmdbg.shell.command import NO_REPEAT, PURE, SHELL, Argument, Option, command, prefix
from vmdbg.shell.commands.replay import FORMAT, SKIP_BAD, check_stdin
from vmdbg.shell.kinds import FILE, SIZE, Kind, choice
from vmdbg.shell.kinds import NUMBER as COUNT
from vmdbg.units import decimal
from vmdbg.views.document import Document
from vmdbg.views.locality import ROWS, curve_document, reuse_document, working_set_document
from vmdbg.views.result import NUMBER, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.programs.traces.locality import Distances
    from vmdbg.programs.traces.parser import Parser
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

TRACE = prefix("trace", group="files", summary="Traces of memory accesses: what is in them, other formats.")
PAGE_BITS = 12  # without a machine
MOST_PAGE_BITS = 40
WINDOW = 10_000  # accesses of a working set, if nobody says how many


def opened(session: Session, args: Args, file: str) -> Parser:
    """The trace that a command names."""
    check_stdin(session, [file])
    path = file if file == STDIN else session.permissions.path(file)
    return open_trace(path, args.format or "", page_bits=page_bits(session), skip_bad=args.skip_bad)


def page_bits(session: Session) -> int:
    """Bits of the offset in a page of the session's machine."""
    return session.machine.format.grain.bit_length() - 1 if session.target is not None else PAGE_BITS


@command(
    "trace info",
    group="files",
    effect=PURE,
    arguments=[Argument("file", FILE, help='trace; "-" is standard input')],
    options=[FORMAT, SKIP_BAD],
    forms=("json", "csv"),
    summary="What is in a trace: format, accesses, addresses, pages.",
    help="""
The trace is read to its end; the machine stays as it is.  A modify is a load and a store in one record.
Pages are of the machine's size.  All addresses count, those of the kernel too.""",
)
def trace_info(session: Session, args: Args) -> object:
    parser = opened(session, args, args.file)
    try:
        facts = summary(parser, page_bits(session))
    finally:
        parser.trace.close()
    shown = {
        key: f"{value:#x}" if key in ("first", "last") and value is not None else value
        for key, value in facts.items()
        if value or key not in ("modifies", "malformed")
    }
    table = Table([Column("what"), Column("value", kind=NUMBER)], list(shown.items()))
    return Document(
        lambda: facts,
        table.lines,
        [Column(key) for key in facts],
        lambda: [list(facts.values())],
        addresses=("first", "last"),
    )


# -- what is measured


def parse_frames(session: Session, text: str) -> list[int]:
    """`16,64,256`: numbers of frames."""
    sizes = [decimal(word) for word in text.split(",") if word]
    found = sorted({size for size in sizes if size})
    if not found or None in sizes or 0 in sizes:
        raise UserError("-frames: expected a number of frames, or several with commas between them.")
    return found


def parse_rate(session: Session, text: str) -> float:
    """`0.01`, `1%` or `1/100`: a part of all pages."""
    above, slash, below = text.removesuffix("%").partition("/")
    try:
        rate = float(above) / (float(below) if slash else 1) / (100 if text.endswith("%") else 1)
    except (ValueError, ZeroDivisionError):
        rate = 0.0
    if not 0 < rate <= 1:
        raise UserError(f'-sample: expected a part of the pages, such as 0.01 or 1%, not "{text}".')
    return rate


FRAMES = Option(
    "-frames",
    Kind("numbers of frames", parse_frames, label="N,...", commas=True),
    help="so many frames; without it, powers of two up to the number of pages",
)
SAMPLE = Option(
    "-sample",
    Kind("rate", parse_rate, label="RATE"),
    help="estimate from that part of the pages, such as 0.01 or 1%",
)
PAGE = Option("-page", SIZE, help="pages of that size; without it, of the machine's")


def bits_of(session: Session, size: int | None) -> int:
    """Bits of the offset in a page of a size, or of the machine's.  UserError for no power of two."""
    if size is None:
        return page_bits(session)
    if size < 1 or size & (size - 1) or size >> MOST_PAGE_BITS > 1:
        raise UserError("-page: expected a power of two, such as 4K or 2M.")
    return size.bit_length() - 1


def measured(session: Session, args: Args) -> tuple[Distances, int, str]:
    """The stack distances of the trace of a command, the size of a page, and the name of the trace."""
    bits = bits_of(session, args.page)
    parser = opened(session, args, args.file)
    try:
        found = distances(parser, bits, args.sample or 1.0)
    finally:
        parser.trace.close()
    if not found.accesses:
        raise UserError(f"{parser.trace.shown}: there is no access in it.")
    if not found.sampled_pages:
        raise UserError("No page is in that sample.", "Use a larger -sample.")
    return found, 1 << bits, parser.trace.shown


@command(
    "trace curve",
    group="files",
    effect=PURE,
    arguments=[Argument("file", FILE, help='trace; "-" is standard input')],
    options=[FRAMES, SAMPLE, PAGE, FORMAT, SKIP_BAD],
    forms=("json", "csv"),
    plots=True,
    summary="The miss-ratio curve: what LRU misses with each number of frames.",
    help="""
One pass finds the misses for all numbers of frames at once (Mattson's stack algorithm), the same as a replay
with "kernel.policy" lru for each.  The first access of a page is a miss.  A fully associative TLB of so many
entries with LRU misses the same.

With -sample only that part of the pages, which a hash chooses, is looked at (SHARDS): faster and smaller on
long traces, and an estimate, which says how far off it may be.  "plot trace curve" draws it.""",
)
def trace_curve(session: Session, args: Args) -> object:
    found, page_size, name = measured(session, args)
    least = 1 if found.rate == 1 else 1 / found.rate  # what is smaller cannot be told from a sample
    sizes = args.frames or [size for size in powers_of_two(found.pages) if size >= least]
    return curve_document(name, page_size, found, sizes)


@command(
    "trace reuse",
    group="files",
    effect=PURE,
    arguments=[Argument("file", FILE, help='trace; "-" is standard input')],
    options=[SAMPLE, PAGE, FORMAT, SKIP_BAD],
    forms=("json", "csv"),
    plots=True,
    summary="The reuse histogram: how many other pages come between two accesses of a page.",
    help="""
The stack distance of an access is the number of different pages since the last access of its page, itself
among them: 1 is the page of the access before.  Accesses are counted by distance in powers of two; "first"
are the first ones of each page, which have none.  "up to here" is what LRU hits with as many frames.  -sample
as for "trace curve".""",
)
def trace_reuse(session: Session, args: Args) -> object:
    found, page_size, name = measured(session, args)
    return reuse_document(name, page_size, found)


@command(
    "trace workingset",
    group="files",
    effect=PURE,
    arguments=[Argument("file", FILE, help='trace; "-" is standard input')],
    options=[
        Option("-window", COUNT, help=f"accesses of the window; without it, {WINDOW}"),
        Option("-every", COUNT, help="a row for each so many accesses"),
        PAGE,
        FORMAT,
        SKIP_BAD,
    ],
    forms=("json", "csv"),
    plots=True,
    summary="The working set over time: the pages of the last accesses.",
    help="""
The working set W(t, w) are the pages that the last w accesses had (Denning).  A row is an interval of the
trace:  the access that it begins at, the mean, least and greatest number of pages in the working set, and the
misses, which are accesses to pages outside.  Without -every the text has about 30 rows, /json, /csv and
"plot" some hundred.""",
)
def trace_workingset(session: Session, args: Args) -> object:
    window = WINDOW if args.window is None else args.window
    for name, number in (("-window", window), ("-every", args.every)):
        if number is not None and number < 1:
            raise UserError(f"{name}: expected a number from 1.")
    bits = bits_of(session, args.page)
    parser = opened(session, args, args.file)
    try:
        found = working_set(parser, bits, window, args.every or 0)
    finally:
        parser.trace.close()
    if not found.intervals:
        raise UserError(f"{parser.trace.shown}: there is no access in it.")
    rows = 0 if args.every else ROWS
    return working_set_document(parser.trace.shown, 1 << bits, found, rows)


# -- other formats


@command(
    "trace convert",
    group="files",
    effect=SHELL,
    arguments=[
        Argument("source", FILE, help='trace; "-" is standard input'),
        Argument("target", FILE, help="file to write; compressed if it ends in .xz, .gz or .zst"),
    ],
    options=[
        Option("-to", choice(*BY_NAME, label="NAME"), help="the format to write; else the file's name tells"),
        FORMAT,
        SKIP_BAD,
    ],
    usage="trace convert [-to NAME] [-format NAME] [-skip-bad] FROM TO",
    summary="Write a trace in another format.",
    help="""
What the other format has no place for is lost: kinds of access where it has only addresses, sizes always
(each access counts as one byte).  The file takes the place of an old one at once, when it is whole.""",
    repeat=NO_REPEAT,
)
def trace_convert(session: Session, args: Args) -> object:
    if args.target == STDIN:
        raise UserError("A trace is written to a file, not to standard output: give its name.")
    form = find_format(args.to) if args.to else named(args.target)
    if form is None:
        raise UserError("The name of the file does not say its format: give -to NAME.")
    parser = opened(session, args, args.source)
    try:
        path = session.permissions.writing(args.target)
        count = convert(parser, path, form, page_bits(session))
    finally:
        parser.trace.close()
    lost = f"; lost: {form.loses}" if form.loses else ""
    return f"Wrote {args.target}: {count} access{'' if count == 1 else 'es'}, {form.name}{lost}."


@command(
    "trace formats",
    group="files",
    effect=PURE,
    forms=("json", "csv"),
    summary="The formats of traces that can be read and written.",
    help="""
"-format NAME" forces one; else the content of a file tells, or the end of its name.  Each may be compressed
with gzip, xz or zstd.""",
    examples=["trace formats"],
)
def trace_formats(session: Session, args: Args) -> object:
    columns = [Column("name"), Column("what"), Column("record", shown=False), Column("source", shown=False)]
    return Table(columns, [(form.name, form.summary, form.sample, form.source) for form in FORMATS])
