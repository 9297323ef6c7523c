"""target dump, info target: memory of a real computer in place of a simulated machine."""

from __future__ import annotations

import os

from vmdbg.dumps.importing import imported
from vmdbg.dumps.machine import DumpMachine
from vmdbg.dumps.opening import machine_of, open_image, read_registers
from vmdbg.errors import UserError
from vmdbg.formats import NAMES
from vmdbg.inspect.dump import dump_facts
from vmdbg.inspect.roots import find_roots
from vmdbg.inspect.target import Target
from vmdbg.programs.symbols import read_symbols
from vmdbg.shell.boot import replace_target
from vmdbg.shell.command import NO_REPEAT, PURE, SHELL, Argument, Option, command, prefix
from vmdbg.shell.commands.linux_process import described_process
from vmdbg.shell.kinds import FILE, NUMBER, PHYSICAL, choice
from vmdbg.views.document import Document
from vmdbg.views.dump import dump_lines
from vmdbg.views.result import ADDRESS, Column, Table
from vmdbg.views.result import NUMBER as NUMERIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

TARGET = prefix("target", group="files", summary="Look at the memory of a real computer.")


@command(
    "target dump",
    group="files",
    effect=SHELL,
    arguments=[Argument("file", FILE, help="raw image, ELF core or LiME file")],
    options=[
        Option("-base", PHYSICAL, help="of a raw image: the physical address of its first byte; 0 without"),
        Option("-format", choice(*NAMES, label="FORMAT"), help="format of the page tables"),
        Option("-root", PHYSICAL, help="physical address of the root table"),
        Option("-regs", FILE, help="registers, pasted from a monitor"),
    ],
    summary="Look at a dump of a computer's physical memory.",
    help="""
FILE is a raw image (QEMU's "pmemsave", or the file of a memory backend), an ELF core ("dump-guest-memory
FILE"), or what LiME wrote; it is mapped, and read only where it is looked at.  Memory that it does not have
is a hole.  An ELF core of QEMU has the registers of each CPU, by which the format and the root of the page
tables are known; otherwise "-regs" names a file with the output of QEMU's "info registers", or of "r", "creg"
and "sreg" of Bochs; or "-format" and "-root" say it, against registers too.  "find root" looks for root
tables.

Then the commands that look work as on a simulated machine: "map", "translate", "walk", "why", "tables", "x",
"check rights", "check cpu".  Nothing can be changed.  "symbol-file" gives addresses names; "machine NAME"
returns to a simulated machine.""",
    repeat=NO_REPEAT,
)
def target_dump(session: Session, args: Args) -> object:
    permissions = session.permissions
    image = open_image(permissions.path(args.file), args.base)
    registers = read_registers(permissions.path(args.regs)) if args.regs else []
    machine = machine_of(image, registers, args.format or "", args.root)
    target = Target(machine, "dump", frozenset({"addresses", "translate"}), image.path)
    target.command = spelled(args)
    replace_target(session, target)
    for line in image.remarks:
        session.output.warning(line)
    return described(session)


def described(session: Session, banks: bool = False) -> Document:
    """What is looked at now, in some lines; with `banks` each piece of memory."""
    facts, show = dump_facts(session.machine), session.notation
    return Document(
        lambda: facts,
        lambda: dump_lines(show, facts, banks),
        [Column(key) for key in ("base", "end", "size")],
        lambda: [list(bank.values()) for bank in facts["banks"]],
        ("base", "end", "root"),
    )


def spelled(args: Args) -> str:
    """The command again, with whole names of files, as it may be typed anywhere."""
    parts = ["target dump", quoted(args.file)]
    for option in ("base", "format", "root", "regs"):
        value = getattr(args, option)
        if value is not None:
            text = f"{value:#x}" if isinstance(value, int) else quoted(value) if option == "regs" else value
            parts.append(f"-{option} {text}")
    return " ".join(parts)


def quoted(name: str) -> str:
    """A file's whole name, in quotes."""
    return '"' + os.path.abspath(os.path.expanduser(name)).replace("\\", "\\\\").replace('"', '\\"') + '"'


@command(
    "symbol-file",
    group="files",
    needs=("translate",),
    effect=SHELL,
    arguments=[Argument("file", FILE, optional=True, help="ELF file")],
    options=[Option("-o", NUMBER, help="bytes by which the file was moved when it was loaded")],
    summary="Read the names of addresses from an ELF file.",
    help="""
Then names stand for their addresses in expressions ("walk &idt", "x/s banner"), and "map", "x", "info symbol"
show them.  Nothing else of the file is used.  Without FILE, names are forgotten.""",
    repeat=NO_REPEAT,
)
def symbol_file(session: Session, args: Args) -> object:
    machine = session.machine
    if args.file is None:
        machine.symbols = None
        return "No symbol file now."
    machine.symbols = read_symbols(session.permissions.path(args.file), args.o or 0)
    return f"{len(machine.symbols.by_name)} symbols from {args.file}."


@command(
    "find root",
    group="looking",
    needs=("translate",),
    effect=PURE,
    forms=("json", "csv"),
    summary="Look for root tables in physical memory.",
    help="""
Each page of memory whose entries, read as a root table of the machine's format, point to tables in memory and
those to pages; the likeliest first, with what speaks for it: registers, that it maps what a CPU executes,
that it maps itself, that it shares tables with others, as all processes share the kernel's.  Any bytes may
look like a table: try one with "-root PA" of "map", "tables" or "walk", and then "target dump FILE -root
PA".""",
    examples=["find root", "find root/json"],
)
def find_root(session: Session, args: Args) -> object:
    columns = [
        Column("root", kind=ADDRESS, format=session.notation.pa),
        Column("tables", kind=NUMERIC),
        Column("pages", kind=NUMERIC),
        Column("reasons", "speaks for it", format=lambda reasons: "; ".join(reasons) or "-", wraps=True),
    ]
    return Table(columns, find_roots(session.machine), empty="No page of memory looks like a root table.")


@command(
    "info target",
    aliases=("info files",),
    group="status",
    effect=PURE,
    forms=("json", "csv"),
    summary="What is looked at: a simulated machine, or a dump and where its memory lies.",
    help='Of a dump, each piece of memory that it has.  Of a simulated machine "info machine" says more.',
    examples=["info target", "info target/json"],
)
def info_target(session: Session, args: Args) -> object:
    if session.target is not None and session.target.process is not None:
        return described_process(session.target.process)
    return described(session, banks=True)


@command(
    "import",
    group="files",
    needs=("translate",),
    effect=SHELL,
    summary="Make a simulated machine of the dump or guest that is looked at.",
    help="""
Its memory, page tables and registers are copied into a machine without a kernel ("show machine.kernel"):
there entries can be changed ("set $pte", "poke"), accesses performed ("read", "write", "fetch"), and undone;
"goto" and the other commands of time work.  The commands that look say the same as before.  The dump or guest
stays as it is; a guest goes on if it ran.""",
    repeat=NO_REPEAT,
)
def import_command(session: Session, args: Args) -> object:
    real = session.machine
    if not isinstance(real, DumpMachine):
        raise UserError("This machine is simulated already.", '"import" is for dumps and guests.')
    replace_target(session, Target(imported(real), origin="bare"))
    return described(session)
