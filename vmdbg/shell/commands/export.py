"""export: the machine's memory as a dump, and what commands find out as pictures and pages."""

from __future__ import annotations

from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.time.search import scan
from vmdbg.errors import UserError
from vmdbg.files import write_whole
from vmdbg.inspect.export import export
from vmdbg.inspect.frame_cells import first_pfn, frame_cells
from vmdbg.inspect.translate import walk
from vmdbg.shell.command import NO_REPEAT, SHELL, Argument, Option, command
from vmdbg.shell.context_options import PID, TABLES, context_of
from vmdbg.shell.kinds import ADDRESS, FILE, TIME
from vmdbg.shell.player import Recorder, stretch
from vmdbg.state.events import BY_NAME, EVENTS
from vmdbg.units import format_size
from vmdbg.views.drawing import FORMS, form_of
from vmdbg.views.frame_cells import LEGEND
from vmdbg.views.pictures import (
    frames_picture,
    map_picture,
    picture_of_walk,
    table_picture,
    time_picture,
)
from vmdbg.views.table_tree_picture import tables_picture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session
    from vmdbg.views.drawing import Drawing

PICTURE = Argument("file", FILE, help="file to write: .svg, .html, .pdf, .tex, .dot")
PICTURE_HELP = """
Greys that a copier leaves apart, and text that is 20 points high on a slide; the same bytes each time.  The
name of the file says the form: .svg, .html, .tex (TikZ, to be input in LaTeX), and .pdf, which needs
matplotlib: pip install "vmdbg[plot]"."""
GRAPH_HELP = PICTURE_HELP.replace(", .html", ", .html, .dot (for Graphviz)")
#: What the time line shows: events of a kind that a lecture speaks of.
ON_TIME_LINE = (
    *("tlb-miss", "tlb-stale", "fault-minor", "fault-major", "fault-file", "fault-cow", "signal"),
    *("evict", "swap-out", "swap-in", "switch", "fork", "exit"),
)


@command(
    "export",
    group="files",
    needs=("translate",),
    effect=SHELL,
    arguments=[Argument("file", FILE, help="file to write")],
    options=[Option("-image", help="memory byte by byte, from the first bank on; without, an ELF core")],
    summary="Write the physical memory of the machine as a dump.",
    help="""
An ELF core as QEMU's "dump-guest-memory" writes it, with the registers of each CPU in its notes, or with
-image a raw image.  "target dump FILE" reads both, and so do gdb, crash and others; page tables, roots and
control registers are those of this moment.  Zeros take no room on a disk that can have sparse files.""",
    repeat=NO_REPEAT,
)
def export_command(session: Session, args: Args) -> object:
    size = export(session.machine, session.permissions.writing(args.file), not args.image)
    return f"{'Raw image' if args.image else 'ELF core'} of {format_size(size)} written to {args.file}."


@command(
    "export player",
    group="files",
    needs=("run", "kernel"),
    effect=SHELL,
    arguments=[
        Argument("file", FILE, help="file to write, .html"),
        Argument("range", TIME, optional=True, help="FROM..TO, times; without it all of the record"),
    ],
    usage="export player FILE.html [FROM..TO]",
    summary="Write a page that plays the record, event by event.",
    help="""
One file for a browser, which asks nothing of the network: registers, the walk of the last address, the TLB,
page tables, frames, swap, the line of the program and the words of each event.  A slider, the arrow keys,
Home and End go through time, "Find" to the next fault, eviction or stale entry; what changed is marked.  The
address of the page has the time, FILE.html#12:4, and can be sent.  What it shows is what the commands say at
these times ("goto 12:4", "tlb").""",
    repeat=NO_REPEAT,
)
def export_player(session: Session, args: Args) -> object:
    if not args.file.lower().endswith((".html", ".htm")):
        raise UserError(f"{args.file}: expected a name that ends in .html.")
    recorder = Recorder(session, *stretch(session, args.range or ""))
    recorder.record()
    content = recorder.page().encode()
    write_whole(session.permissions.writing(args.file), content)
    return f"{len(recorder.moments)} moments written to {args.file}, {format_size(len(content))}."


def picture(session: Session, args: Args, draw: Callable[[], Drawing]) -> str:
    """Draws and writes; the name of the file is looked at first."""
    form = form_of(args.file)
    write_whole(session.permissions.writing(args.file), FORMS[form](draw()))
    return f"Wrote {args.file}."


def data_of(session: Session, line: str) -> Any:
    """What a command says as JSON."""
    found = session.interpreter.result_of(line).data()
    return found if isinstance(found, dict) else list(found)


def time_behind(session: Session) -> str:
    """`, time 12:4`, or nothing if the machine has no time."""
    assert session.target is not None
    return f", time {session.timeline.position}" if "run" in session.target.capabilities else ""


def of_machine(session: Session, what: str) -> str:
    """The title of a picture: `what`, the machine, the time if it has one."""
    return f"{what}: {session.machine.config.name}{time_behind(session)}"


@command(
    "export walk",
    group="files",
    needs=("translate",),
    effect=SHELL,
    arguments=[Argument("address", ADDRESS, help="virtual address"), PICTURE],
    options=TABLES,
    summary="Draw the walk of an address into a file.",
    help=GRAPH_HELP
    + """
The tables are side by side, the entries that are used in grey, with their flags below.""",
    examples=["export walk 0x401234 walk.svg"],
    repeat=NO_REPEAT,
)
def export_walk(session: Session, args: Args) -> object:
    machine = session.machine

    def draw() -> Drawing:
        walked, found = walk(machine, context_of(session, args), args.address)
        return picture_of_walk(machine, walked, found, time_behind(session))

    return picture(session, args, draw)


@command(
    "export map",
    group="files",
    needs=("translate", "kernel"),
    effect=SHELL,
    arguments=[PICTURE],
    options=[PID],
    summary="Draw an address space with its regions into a file.",
    help=PICTURE_HELP
    + """
Writable regions are darker; what is not mapped is dashed, and nothing is to scale.""",
    examples=["export map map.svg"],
    repeat=NO_REPEAT,
)
def export_map(session: Session, args: Args) -> object:
    def draw() -> Drawing:
        pid = context_of(session, args).pid
        regions = data_of(session, f"map -pid {pid}")
        return map_picture(of_machine(session, f"process {pid}"), session.notation, regions)

    return picture(session, args, draw)


@command(
    "export tlb",
    group="files",
    needs=("tlb",),
    effect=SHELL,
    arguments=[PICTURE],
    options=[Option("-level", TIME, help="of that level, 1 or 2")],
    summary="Draw the entries of the TLB into a file.",
    help=PICTURE_HELP
    + """
Entries that disagree with the tables are dark.""",
    examples=["export tlb tlb.svg"],
    repeat=NO_REPEAT,
)
def export_tlb(session: Session, args: Args) -> object:
    def draw() -> Drawing:
        table = session.interpreter.result_of("tlb" + (f" -level {args.level}" if args.level else ""))
        table = getattr(table, "parts", [table])[0]
        table.keep()
        rows = list(table.data())
        marked = {place: row["check"] for place, row in enumerate(rows) if row["check"] != "ok"}
        keys = ("level", "set", "way", "vpn", "pfn", "page_size", "asid", "rights", "flags")
        return table_picture(of_machine(session, "TLB"), table, keys, marked)

    return picture(session, args, draw)


@command(
    "export tables",
    group="files",
    needs=("translate",),
    effect=SHELL,
    arguments=[PICTURE],
    options=TABLES,
    summary="Draw the tree of page tables into a file.",
    help=GRAPH_HELP
    + """
A box is a table, a line of it an entry in use, in grey if it maps pages.""",
    examples=["export tables tables.svg"],
    repeat=NO_REPEAT,
)
def export_tables(session: Session, args: Args) -> object:
    def draw() -> Drawing:
        context = context_of(session, args)
        runs = data_of(session, f"tables -root {context.root:#x}")
        return tables_picture(of_machine(session, "page tables"), session.notation, context.root, runs)

    return picture(session, args, draw)


@command(
    "export frames",
    group="files",
    needs=("kernel",),
    effect=SHELL,
    arguments=[PICTURE],
    summary="Draw physical memory, a cell a frame, into a file.",
    help=PICTURE_HELP
    + """
The letters are those of "info frames -cells".""",
    examples=["export frames frames.svg"],
    repeat=NO_REPEAT,
)
def export_frames(session: Session, args: Args) -> object:
    machine = session.machine

    def draw() -> Drawing:
        title, legend = of_machine(session, "physical memory"), LEGEND.replace(". free", "empty: free")
        return frames_picture(title, session.notation, first_pfn(machine), frame_cells(machine), legend)

    return picture(session, args, draw)


@command(
    "export timeline",
    group="files",
    needs=("run", "kernel"),
    effect=SHELL,
    arguments=[
        PICTURE,
        Argument("range", TIME, optional=True, help="FROM..TO, times; without it all of the record"),
    ],
    usage="export timeline FILE [FROM..TO]",
    summary="Draw when misses, faults, evictions and switches happened, into a file.",
    help=PICTURE_HELP
    + """
A line is a kind of event with its number; a mark is an operation in which it happened.""",
    examples=["export timeline timeline.svg"],
    repeat=NO_REPEAT,
)
def export_timeline(session: Session, args: Args) -> object:
    def draw() -> Drawing:
        first, last = stretch(session, args.range or "")
        times: dict[str, list[int]] = {}
        for row in scan(
            session.timeline, [Pattern(BY_NAME[name].kind) for name in ON_TIME_LINE], first, last
        ):
            times.setdefault(EVENTS[row.kind].name, []).append(row.operation)
        rows = [(name, times[name]) for name in ON_TIME_LINE if name in times]
        return time_picture(of_machine(session, "events"), first, last, rows)

    return picture(session, args, draw)
