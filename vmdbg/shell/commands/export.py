"""export: the machine's memory as a dump, and what commands find out as pictures and pages."""

from __future__ import annotations

import os

from vmdbg.errors import UserError
from vmdbg.inspect.export import export
from vmdbg.shell.command import NO_REPEAT, SHELL, Argument, Option, command
from vmdbg.shell.kinds import FILE, TIME
from vmdbg.shell.player import Recorder, stretch
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


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


def write_file(session: Session, name: str, content: bytes) -> None:
    """Writes a file, which takes the place of an old one when it is whole.  UserError."""
    path = session.permissions.writing(name)
    temporary = f"{path}.new"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{name}: {error.strerror or error}.") from None


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
    write_file(session, args.file, content)
    return f"{len(recorder.moments)} moments written to {args.file}, {format_size(len(content))}."
