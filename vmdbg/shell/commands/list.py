"""list, info line, info symbol, info source: the text of the program, and its names."""

from __future__ import annotations

import os

from vmdbg.debugger.stops.breakpoints import rows_accessing, rows_of_line
from vmdbg.debugger.time.location import operation_text
from vmdbg.errors import UserError
from vmdbg.inspect.address_space import spaces
from vmdbg.inspect.context import current_pid
from vmdbg.kernel.scheduler import OP_LINE
from vmdbg.shell.command import CONTINUE, PURE, Argument, command
from vmdbg.shell.kinds import LOCATION, REST_EXPRESSION
from vmdbg.state.tables import OP
from vmdbg.units import s64
from vmdbg.views.document import Document
from vmdbg.views.result import NUMBER, Column, Lines, Record
from vmdbg.views.source import source_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

SIGNS = ("-", "+")
SHOWN = 4  # operations that `info line` writes out


class Listed:
    """The lines that were listed last, `first` to `last`, and when: the machine's position as text."""

    def __init__(self, file: str = "", first: int = 0, last: int = 0, position: str = "") -> None:
        self.file, self.first, self.last, self.position = file, first, last, position


def source(session: Session) -> Any:
    """The program, which has a text.  UserError if it has none."""
    program = session.machine.program
    if program is None or not program.source_lines:
        raise UserError('No symbol table is loaded.  Use the "file" command.')
    return program


def base_name(program: Any) -> str:
    """The name of its file, without folders."""
    return str(program.file).rpartition("/")[2]


def line_at(session: Session, program: Any, text: str, here: int) -> int:
    """The line that a location names: N, +N and -N from `here`, FILE:N, or a name of the program."""
    text = text.strip()
    if text.startswith("*"):
        va = session.address(text[1:])
        found = lines_of_address(session, va)
        if not found:
            raise UserError(f"No source file for address {session.notation.va(va)}.")
        return found[0]
    if text in program.declared_at:
        return int(program.declared_at[text])
    file, colon, rest = text.rpartition(":")
    if colon and not f"/{program.file}".endswith(f"/{file}"):
        raise UserError(f"No source file named {file}.")
    if rest[:1] in SIGNS and not colon:
        offset = session.integer(rest[1:]) if rest[1:].strip() else 0
        return here + (offset if rest[0] == "+" else -offset)
    return line_at(session, program, rest, here) if colon else session.integer(rest)


def lines_of_address(session: Session, va: int) -> list[int]:
    """The lines whose operations access the byte at an address."""
    m = session.machine.m
    return sorted({m.op[row * OP] >> OP_LINE for row in rows_accessing(m, s64(va))} - {0})


def region_at(session: Session, va: int) -> str:
    """The kind of the current process's region that holds an address; nothing if there is none."""
    pid = current_pid(session.machine)
    held = spaces(session.machine, pid) if pid else ()
    return next((space.kind for space in held if space.start <= s64(va) < space.end), "")


def chosen_lines(session: Session, program: Any, where: str) -> tuple[int, int]:
    """First and last line that `list WHERE` shows; they may lie outside of the program.  UserError."""
    size = session.settings.number("listsize") or 10
    known = session.state(Listed)
    location = session.timeline.location
    here = location.line if location is not None and location.line else 1
    if known.file != program.file or (not where and known.position != str(session.timeline.position)):
        before, after = here, max(1, here - size // 2)
    else:
        before, after = known.first, known.last + 1
    if where == "-":
        if before <= 1:
            raise UserError(f"Already at the start of {base_name(program)}.")
        return max(1, before - size), before - 1
    if where in ("", "+"):
        return after, after + size - 1
    low, comma, high = where.partition(",")
    if not comma:
        first = max(1, line_at(session, program, low, after) - size // 2)
        return first, first + size - 1
    if not low.strip():
        last = line_at(session, program, high, after)
        return max(1, last - size + 1), last
    first = line_at(session, program, low, after)
    last = line_at(session, program, high, first) if high.strip() else first + size - 1
    if last < first:
        raise UserError("inverted range")
    return first, last


@command(
    "list",
    aliases=("l",),
    group="files",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("where", LOCATION, optional=True)],
    usage="list [LINE|LABEL|SYMBOL|FILE:LINE|*ADDRESS|FIRST,LAST|FIRST,|,LAST|+|-]",
    summary="List lines of the program.",
    help="""
Without an argument, lines around the operation at which the machine stands, then those after the lines that
were listed last; "list -" lists those before them.  With LINE, or the name of a label or symbol, lines around
it; with *ADDRESS, around the first line that accesses that byte; with FIRST,LAST these; "FIRST," begins and
",LAST" ends there.  +N and -N count from the lines that were
listed last, after a comma from FIRST.  "set listsize" says how many lines.""",
    examples=["list", "list 26", "list 1,5", "list ,9"],
    repeat=CONTINUE,
)
def list_command(session: Session, args: Args) -> object:
    program = source(session)
    lines = program.source_lines
    first, last = chosen_lines(session, program, (args.where or "").strip())
    if first > len(lines) or last < 1:
        raise UserError(
            f"Line number {max(first, 1)} out of range; {base_name(program)} has {len(lines)} lines."
        )
    first, last = max(1, first), min(last, len(lines))
    session.kept[Listed] = Listed(program.file, first, last, str(session.timeline.position))
    where = (args.where or "").strip()
    said = []
    if where.startswith("*"):
        va = session.address(where.partition(",")[0][1:])
        line = line_at(session, program, where.partition(",")[0], 1)
        said = [f"{session.notation.va(va)} is accessed by {base_name(program)}:{line}."]
    coloured = session.settings.flag("style sources")
    shown = (source_line(number, lines[number - 1], coloured) for number in range(first, last + 1))
    return Lines([*said, *shown])


@command(
    "info line",
    group="status",
    needs=("run",),
    effect=PURE,
    forms=("json",),
    arguments=[Argument("where", LOCATION, optional=True)],
    usage="info line[/json] [LINE|LABEL|SYMBOL|FILE:LINE|*ADDRESS]",
    summary="The operations of a line of the program.",
    help="Without an argument, the line at which the machine stands; with *ADDRESS, those that access it.",
    examples=["info line 26", "info line/j 26"],
)
def info_line(session: Session, args: Args) -> object:
    program = source(session)
    location = session.timeline.location
    where, name = (args.where or "").strip(), base_name(program)
    if where.startswith("*"):
        return lines_of(session, program, session.address(where[1:]))
    if where:
        line = line_at(session, program, where, location.line if location is not None else 1)
    elif location is not None:
        line = location.line
    else:
        raise UserError("The program is not being run.")
    if not 1 <= line <= len(program.source_lines):
        raise UserError(f'Line number {line} is out of range for "{name}".')
    data = line_data(session, program, line)
    return Record(data, lambda: [line_text(data)])


def line_data(session: Session, program: Any, line: int) -> dict[str, Any]:
    """A line of the program and its operations."""
    machine = session.machine
    texts = [operation_text(machine, row) for row in rows_of_line(machine.m, line)]
    return {
        "file": base_name(program),
        "line": line,
        "source": program.source_lines[line - 1],
        "operations": texts,
    }


def line_text(data: dict[str, Any]) -> str:
    """`Line 26 of "demo.vmp": read 0x406000`."""
    texts = data["operations"]
    if not texts:
        return f'Line {data["line"]} of "{data["file"]}" has no operation.'
    shown = ", ".join(texts[:SHOWN] + ["..."][: len(texts) > SHOWN])
    return f'Line {data["line"]} of "{data["file"]}": {shown}'


def lines_of(session: Session, program: Any, va: int) -> object:
    """The lines that access an address, as `info line` tells each."""
    rows = [line_data(session, program, line) for line in lines_of_address(session, va)]
    if not rows:
        symbol = session.scope.symbolize(va)
        named = f" <{symbol}>" if symbol else ""
        said = f"No line number information available for address {va:#x}{named}"
    return Document(
        lambda: rows,
        lambda: [line_text(row) for row in rows] if rows else [said],
        [Column("file"), Column("line", kind=NUMBER), Column("source"), Column("operations")],
        lambda: [list(row.values()) for row in rows],
    )


@command(
    "info address",
    group="status",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("symbol", REST_EXPRESSION, optional=True)],
    usage="info address SYMBOL",
    summary="Describe where symbol SYM is stored.",
    help='The reverse of "info symbol".',
    examples=["info address heap"],
)
def info_address(session: Session, args: Args) -> object:
    if not args.symbol:
        raise UserError("Argument required.")
    va = session.scope.symbol(args.symbol)
    if va is None:
        raise UserError(f'No symbol "{args.symbol}" in current context.')
    said = f'Symbol "{args.symbol}" is at {va:#x}'
    kind = region_at(session, va)
    return f"{said} in region {kind}." if kind else f"{said}, in no region."


@command(
    "info symbol",
    group="status",
    needs=("translate",),
    effect=PURE,
    arguments=[Argument("address", REST_EXPRESSION, optional=True)],
    usage="info symbol ADDRESS",
    summary="The name of the program at or before an address, in the region of the address.",
    examples=["info symbol 0x404010"],
)
def info_symbol(session: Session, args: Args) -> object:
    if not args.address:
        raise UserError("Argument required (address).")
    va = session.address(args.address)
    name, _, offset = session.scope.symbolize(va).partition("+")
    if not name:
        return f"No symbol matches {args.address}."
    kind = region_at(session, va)
    return f"{name}{f' + {offset}' if offset else ''} in {f'region {kind}' if kind else 'no region'}"


@command(
    "info source",
    group="status",
    needs=("run",),
    effect=PURE,
    forms=("json",),
    summary="The file of the program, its processes and names.",
    examples=["info source"],
)
def info_source(session: Session, args: Args) -> object:
    program = session.machine.program
    if program is None or not program.source_lines:
        return "No current source file."
    labels = [label for spec in program.processes for label in spec.labels]
    data = {
        "file": base_name(program),
        "path": os.path.abspath(program.file),
        "lines": len(program.source_lines),
        "processes": [
            {"name": spec.name, "first_line": spec.lines[0], "last_line": spec.lines[1]}
            for spec in program.processes
        ],
        "symbols": len(program.symbols),
        "labels": labels,
    }

    def told() -> list[str]:
        processes = [f"{spec.name} (lines {spec.lines[0]} to {spec.lines[1]})" for spec in program.processes]
        return [
            f"Current source file is {data['file']}",
            f"Located in {data['path']}",
            f"Contains {data['lines']} lines.",
            *([f"Processes: {', '.join(processes)}."] if processes else []),
            f"Symbols: {data['symbols']}; labels: {', '.join(labels) or 'none'}.",
        ]

    return Record(data, told)
