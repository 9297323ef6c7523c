"""list, info line: the text of the program."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import CONTINUE, PURE, Argument, command
from vmdbg.shell.kinds import REST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.session import Session
    from vmdbg.shell.command import Args

STATE = "list"  # key of the session's extras: file, first and last line that were shown


def source(session: Session) -> tuple[str, list[str]]:
    """Name and lines of the program.  UserError if it has no text."""
    program = session.target.machine.program
    if program is None or not program.source_lines:
        raise UserError('No symbol table is loaded.  Use the "file" command.')
    return program.file, program.source_lines


@command(
    "list",
    aliases=("l",),
    group="files",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("where", REST, optional=True)],
    usage="list [LINE|FIRST,LAST|-]",
    summary="List lines of the program.",
    help="""
Without an argument, lines around the operation at which the machine stands, then those after the lines that
were listed last; "list -" lists those before them.  With LINE, lines around it.""",
    examples=["list", "list 26", "list 1,5"],
    repeat=CONTINUE,
)
def list_command(session: Session, args: Args) -> object:
    file, lines = source(session)
    size = session.settings.number("listsize") or 10
    known = session.extras.get(STATE)
    where = (args.where or "").strip()
    if known is None or known[0] != file or (not where and known[3] != str(session.timeline.position)):
        place = session.timeline.place
        known = None
        here = place.line if place is not None else 1
    if where == "-":
        last = known[1] - 1 if known else here - 1
        first = max(1, last - size + 1)
    elif "," in where:
        low, _, high = where.partition(",")
        first = session.integer(low) if low.strip() else max(1, session.integer(high) - size + 1)
        last = session.integer(high) if high.strip() else first + size - 1
    elif where:
        first = max(1, session.integer(where.rpartition(":")[2]) - size // 2)
        last = first + size - 1
    else:
        first = known[2] + 1 if known else max(1, here - size // 2)
        last = first + size - 1
    if first > len(lines) or last < 1:
        name = file.rpartition("/")[2]
        raise UserError(f"Line number {max(first, 1)} out of range; {name} has {len(lines)} lines.")
    last = min(last, len(lines))
    session.extras[STATE] = (file, first, last, str(session.timeline.position))
    return "\n".join(f"{number}\t{lines[number - 1]}".rstrip() for number in range(max(1, first), last + 1))


@command(
    "info line",
    group="status",
    needs=("run",),
    effect=PURE,
    arguments=[Argument("where", REST, optional=True)],
    usage="info line [LINE]",
    summary="The operations of a line of the program.",
    help="Without an argument, the line at which the machine stands.",
    examples=["info line 26"],
)
def info_line(session: Session, args: Args) -> object:
    from vmdbg.debugger.breaking import rows_of_line
    from vmdbg.debugger.place import operation_text

    machine = session.target.machine
    file, _ = source(session)
    place = session.timeline.place
    if not args.where and place is None:
        raise UserError("The program is not being run.")
    line = session.integer(args.where.rpartition(":")[2]) if args.where else place.line
    name = file.rpartition("/")[2]
    rows = rows_of_line(machine.m, line)
    if not rows:
        return f'Line {line} of "{name}" has no operation.'
    texts = ", ".join(operation_text(machine, row) for row in rows[:4]) + (", ..." if len(rows) > 4 else "")
    return f'Line {line} of "{name}": {texts}'
