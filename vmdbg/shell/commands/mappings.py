"""mmap, munmap, mprotect, brk: changing an address space from outside."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.formats.contract import RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.kernel.calls import regions
from vmdbg.kernel.calls.objects import Wanted
from vmdbg.kernel.calls.syscalls import Mapping, map_region
from vmdbg.programs.mappings import read_file
from vmdbg.shell.command import ACTING, Argument, Option, command
from vmdbg.shell.commands.accesses import VA, changed, check_alive, finished_lines
from vmdbg.shell.kinds import FILE, NUMBER, PROCESS, SIZE, WORD
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from vmdbg.machine.machine import Machine
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

PID = Option("-pid", PROCESS, help="of that process instead of the one on the CPU")
LENGTH = Argument("size", SIZE, help="bytes, rounded up to pages")
RIGHTS = Argument("rights", WORD, help="letters of rwx, or none")


def parse_rights(text: str) -> int:
    """A rights nibble from letters of `rwx-`; user pages."""
    letters = {"r": RIGHT_R, "w": RIGHT_W, "x": RIGHT_X, "-": 0, "u": 0}
    if text != "none" and (not text or set(text) - set(letters)):
        raise UserError(f'Invalid rights "{text}"; expected letters of rwx, or none.')
    return RIGHT_U | (sum(letters[letter] for letter in set(text)) if text != "none" else 0)


def call(session: Session, args: Args, name: str, function: Callable[[Machine, int], Any]) -> Iterator[str]:
    """Do what a system call of a process would do; what changed."""
    timeline = session.timeline
    pid = check_alive(session, args.pid) if args.pid is not None else timeline.require_process()

    def act(machine: Machine) -> Any:
        machine.make_room_for_system_call(pid)
        return function(machine, pid)

    _, action = timeline.act(name, act)
    yield from (str(line) for line in finished_lines(action))
    yield changed(session, action)


@command(
    "mmap",
    group="acting",
    needs=("act", "kernel"),
    effect=ACTING,
    arguments=[VA, LENGTH, RIGHTS],
    options=[
        PID,
        Option("-file", FILE, help="map that file: its content as of now; the host's is never written"),
        Option("-offset", SIZE, default=0, help="from that byte of the file or shared memory on"),
        Option("-shared", help="what is written is seen by all who map it, children too"),
        Option("-name", WORD, help="the shared memory of that name, for any process"),
        Option("-fixed", help="in place of what is mapped there"),
        Option("-page", SIZE, help="page size, instead of a base page"),
        Option("-populate", help="give it its frames now"),
    ],
    usage="mmap [-pid PID] [-file FILE | -name NAME] [-offset N] [-shared] [-fixed] [-page SIZE] [-populate] "
    "ADDRESS SIZE RIGHTS",
    summary="Map a region: memory of its own, shared memory or a file.",
    help="""
As the system call of that name with a fixed address does it: memory is given at the first touch.  A page
of a file that is written is copied first, unless the region is shared; beyond the end of the file in its
last page are zeros, pages beyond it are SIGBUS.  Without rights (none) the region is a guard.""",
    examples=["mmap 0x500000 64K rw", "mmap -page 2M 0x7e0000000000 2M rw", "mmap -name box 0x600000 8K rw"],
)
def mmap_command(session: Session, args: Args) -> object:
    mapping = Mapping(
        s64(args.address), args.size, parse_rights(args.rights), args.page or 0, args.populate, args.fixed
    )
    mapping.offset, mapping.share = args.offset, args.shared or args.name is not None
    mapping.object = wanted_object(session, args)
    name = f"mmap {session.notation.va(args.address)}, {args.size:#x}, {args.rights}"
    if mapping.object is not None:
        name += f" of {args.file or args.name or 'shared memory'}"

    def act(machine: Machine, pid: int) -> None:
        map_region(machine.k, machine.format, pid, mapping)

    return call(session, args, name, act)


def wanted_object(session: Session, args: Args) -> Wanted | None:
    """What `mmap` is to map besides zeros: a file, read here and now, or shared memory.  UserError."""
    if args.file is not None and args.name is not None:
        raise UserError('"-file" and "-name" exclude one another.')
    if args.file is not None:
        path = session.permissions.path(args.file)
        try:
            return Wanted(path.rpartition("/")[2], 0, read_file(path))
        except (OSError, ValueError) as error:
            raise UserError(f"{args.file}: {getattr(error, 'strerror', None) or error}.") from None
    if args.name is not None or args.shared:
        return Wanted(args.name or "", args.offset + args.size)
    if args.offset:
        raise UserError('"-offset" needs "-file" or "-name".')
    return None


@command(
    "munmap",
    group="acting",
    needs=("act", "kernel"),
    effect=ACTING,
    arguments=[VA, LENGTH],
    options=[PID],
    summary="Unmap a range of addresses.",
    help="Its pages and slots go back, regions are cut at its borders, no TLB translates it any more.",
    examples=["munmap 0x402000 4K"],
)
def munmap_command(session: Session, args: Args) -> object:
    def act(machine: Machine, pid: int) -> None:
        regions.unmap(machine.k, machine.format, pid, s64(args.address), args.size)

    return call(session, args, f"munmap {session.notation.va(args.address)}, {args.size:#x}", act)


@command(
    "mprotect",
    group="acting",
    needs=("act", "kernel"),
    effect=ACTING,
    arguments=[VA, LENGTH, RIGHTS],
    options=[PID],
    summary="Change the rights of a range of addresses.",
    help="In its regions and in the entries of its pages.  All of the range has to be in regions.",
    examples=["mprotect 0x404000 4K r"],
)
def mprotect_command(session: Session, args: Args) -> object:
    rights = parse_rights(args.rights)

    def act(machine: Machine, pid: int) -> None:
        regions.protect(machine.k, machine.format, pid, s64(args.address), args.size, rights)

    show = session.notation.va
    return call(session, args, f"mprotect {show(args.address)}, {args.size:#x}, {args.rights}", act)


@command(
    "brk",
    group="acting",
    needs=("act", "kernel"),
    effect=ACTING,
    arguments=[Argument("end", NUMBER, help="address at which the heap is to end")],
    options=[PID],
    summary="Move the end of the heap.",
    help="The heap grows without memory being given, or shrinks and gives its pages back.",
    examples=["brk 0x418000"],
)
def brk_command(session: Session, args: Args) -> object:
    def act(machine: Machine, pid: int) -> None:
        regions.set_break(machine.k, machine.format, pid, args.end)

    return call(session, args, f"brk {session.notation.va(args.end)}", act)
