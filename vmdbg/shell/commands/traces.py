"""trace info, trace convert, trace formats: traces as files."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.programs.traces.catalog import BY_NAME, FORMATS, find_format, named, open_trace
from vmdbg.programs.traces.convert import convert
from vmdbg.programs.traces.stream import STDIN
from vmdbg.programs.traces.summary import summary
from vmdbg.shell.command import NO_REPEAT, PURE, SHELL, Argument, Option, command, prefix
from vmdbg.shell.commands.replay import FORMAT, SKIP_BAD, check_stdin
from vmdbg.shell.kinds import FILE, choice
from vmdbg.views.document import Document
from vmdbg.views.result import NUMBER, Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.programs.traces.parser import Parser
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

TRACE = prefix("trace", group="files", summary="Traces of memory accesses: what is in them, other formats.")
PAGE_BITS = 12  # without a machine


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
