"""target qemu, target remote: a guest that is looked at while it stands still, and how it goes on."""

from __future__ import annotations

from vmdbg.dumps.connection import is_port
from vmdbg.dumps.machine import DumpMachine
from vmdbg.dumps.opening import machine_of
from vmdbg.dumps.qmp_guest import QmpGuest
from vmdbg.dumps.stub_guest import StubGuest
from vmdbg.errors import UserError
from vmdbg.formats import NAMES
from vmdbg.inspect.dump_diff import read_tables
from vmdbg.inspect.target import Target
from vmdbg.shell.boot import replace_target
from vmdbg.shell.command import NO_REPEAT, SHELL, Argument, Option, command
from vmdbg.shell.commands.target import described, quoted
from vmdbg.shell.kinds import FILE, NUMBER, PHYSICAL, choice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.dumps.guest import Guest
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

SECONDS = 2  # for an answer
MOST_SECONDS = 1 << 20
CAPABILITIES = frozenset({"addresses", "translate", "resume"})


class Chosen:
    """What the user said of the guest's page tables, against its registers: it holds at every stop."""

    def __init__(self, format: str, root: int | None) -> None:
        self.format, self.root = format, root


OPTIONS = [
    Option("-format", choice(*NAMES, label="FORMAT"), help="format of the page tables"),
    Option("-root", PHYSICAL, help="physical address of the root table"),
    Option("-timeout", NUMBER, help="seconds in which QEMU has to answer; 2 without"),
]


@command(
    "target qemu",
    group="files",
    effect=SHELL,
    arguments=[Argument("socket", FILE, help="socket of QMP, or HOST:PORT")],
    options=OPTIONS,
    summary="Look at a guest of QEMU while it stands still.",
    help="""
QEMU listens with "-qmp unix:SOCKET,server=on,wait=off" or "-qmp tcp:HOST:PORT,server=on,wait=off"; it serves
one client at a time.  A guest that runs is stopped, and goes on when it is no longer looked at.  Its
registers say format and root of the page tables; its memory is read where it is looked at, and kept while it
stands still.  Nothing of it is written.

All commands that look work as on a dump; "continue" lets the guest run until Ctrl-C, "diff" says what has
changed then.  Another "target" or "machine NAME" leaves it.  "target remote" does the same by QEMU's gdb
stub.""",
    repeat=NO_REPEAT,
)
def target_qemu(session: Session, args: Args) -> object:
    return look(session, args, "target qemu", QmpGuest)


@command(
    "target remote",
    group="files",
    effect=SHELL,
    arguments=[Argument("socket", FILE, help="socket of a gdb stub, or HOST:PORT")],
    options=OPTIONS,
    summary="Look at a guest by the gdb stub of its QEMU.",
    help="""
QEMU listens with "-s" ("target remote :1234"), "-gdb tcp::PORT" or "-gdb unix:SOCKET,server=on,wait=off"; a
stub serves one client at a time, and stops the guest for it.  Physical memory is read, whatever the guest's
tables say.  What "target qemu" can do works here too.

Who works with a gdb on the same stub already, gives that gdb a command "vm" instead: "vmdbg --gdb-plugin"
names the file that it sources.""",
    repeat=NO_REPEAT,
)
def target_remote(session: Session, args: Args) -> object:
    return look(session, args, "target remote", StubGuest)


def look(session: Session, args: Args, name: str, kind: type[QmpGuest | StubGuest]) -> object:
    """Connect to a guest, unless it is looked at already, and say what it is."""
    if args.timeout is not None and not 0 < args.timeout < MOST_SECONDS:
        raise UserError(f"-timeout: expected 1 to {MOST_SECONDS - 1} seconds.")
    session.permissions.require_open("A connection")
    old = session.opened
    guest = None if old is None else old.guest
    if not isinstance(guest, kind) or guest.link.lost or guest.link.where != args.socket:
        guest = kind(args.socket, args.timeout or SECONDS)
        session.at_exit.append(guest.leave)
    guest.halt()
    guest.link.timeout = args.timeout or SECONDS
    try:
        show(session, guest, Chosen(args.format or "", args.root))
    except BaseException:
        if old is None or guest is not old.guest:
            guest.leave()
        raise
    assert session.target is not None
    session.target.command = spelled(name, args)
    return described(session)


def spelled(name: str, args: Args) -> str:
    """The command again, with the whole name of the socket, as it may be typed anywhere."""
    parts = [name, args.socket if is_port(args.socket) else quoted(args.socket)]
    for option in ("format", "root", "timeout"):
        value = getattr(args, option)
        if value is not None:
            parts.append(f"-{option} {value:#x}" if isinstance(value, int) else f"-{option} {value}")
    return " ".join(parts)


def show(session: Session, guest: Guest, chosen: Chosen) -> None:
    """Let the session look at a guest as it is now.  UserError."""
    old = session.opened
    machine = machine_of(guest.image(), [], chosen.format, chosen.root)
    target = Target(machine, "guest", CAPABILITIES, guest.link.where)
    target.guest = guest
    if old is not None and old.guest is guest:
        target.command, machine.symbols = old.command, old.machine.symbols
    replace_target(session, target)
    session.kept[Chosen] = chosen


def go_on(session: Session, count: str | None) -> object:
    """Let the guest run until it stops, Ctrl-C, or for some seconds; what it is then."""
    target = session.target
    assert target is not None
    guest, before = target.guest, target.machine
    assert guest is not None
    assert isinstance(before, DumpMachine)
    seconds = None if count is None else session.integer(count)
    if seconds is not None and not 0 <= seconds < MOST_SECONDS:
        raise UserError("Expected a number of seconds.")
    read_tables(before)  # "diff" will compare them
    guest.resume()
    if before.image.memory is not None:
        before.image.memory.frozen = True
    try:
        wait(session, guest, seconds)
    finally:
        if not guest.link.lost:
            guest.halt()
            show(session, guest, session.kept[Chosen])
            session.target.earlier = before  # type: ignore[union-attr]
    return described(session)


def wait(session: Session, guest: Guest, seconds: Any) -> None:
    """Until the guest stops by itself, for some seconds, or until Ctrl-C, which is no error."""
    try:
        event = guest.wait(seconds)
    except KeyboardInterrupt:
        event = "Ctrl-C"
    if event:
        session.output.line(f"The guest stopped ({event}).")
