"""watch, rwatch, awatch: stops where something changes or is touched."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import NO_REPEAT, SHELL, Argument, Option, command
from vmdbg.shell.commands.breakpoints import CONDITION_HELP, declared, split_condition
from vmdbg.shell.kinds import NUMBER, REST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.session import Session
    from vmdbg.shell.command import Args

OPTIONS = [
    Option("-phys", help="a physical address: through any alias, in any process"),
    Option("-width", NUMBER, default=1, help="that many bytes, 1 to 8"),
]
WHERE = Argument("where", REST, optional=True)
MEMORY_HELP = """
ADDRESS is virtual and stands for the byte in memory that it translates to now, whatever process touches it
later by whatever address; with -phys it is physical."""


def memory(session: Session, args: Args, sort: str) -> str:
    """A watchpoint on bytes of memory."""
    from vmdbg.debugger.watching import watch_memory

    text, condition = split_condition(args.where or "")
    if not text:
        raise UserError("Argument required (expression to compute).")
    if not 1 <= args.width <= 8:
        raise UserError("Expected a width from 1 to 8.")
    show, number = session.target.notation, session.integer(text.removeprefix("*"))
    if args.phys:
        pa, what = number, f"-phys {show.pa(number)}"
    else:
        va = session.address(text.removeprefix("*"))
        found = session.target.translate(va, "r")
        if found.pa is None:
            raise UserError(f"{show.va(va)} is in no frame now.", '"watch -entry" waits for one.')
        pa, what = found.pa, f"{show.va(va)} (at {show.pa(found.pa)})"
    stop = watch_memory(session.stops, sort, what, pa, args.width)
    command = {"read watchpoint": "rwatch", "acc watchpoint": "awatch"}.get(sort, "watch")
    width = f" -width {args.width}" if args.width > 1 else ""
    return declared(session, stop, condition, f"{stop.label}: {what}", f"{command} -phys{width} {pa:#x}")


@command(
    "watch",
    aliases=("wa",),
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[WHERE],
    options=[
        *OPTIONS,
        Option("-entry", help="the page-table entry of the address"),
        Option("-frame", help="a frame, by its number: given, freed, evicted"),
        Option("-slot", help="a slot of the swap area: written, read"),
    ],
    usage=("watch [-phys] [-width N] ADDRESS [if EXPR]", "watch -entry|-frame|-slot WHAT [if EXPR]"),
    summary="Stop where memory, an entry, a frame or a slot changes.",
    help=MEMORY_HELP
    + """
The program stops at the event that changes it, inside the operation; of memory and entries the old and new
value are shown.  -entry ADDRESS: the entry at which a walk of the address ends now.  -frame PFN: what the
kernel does with a frame.  -slot N: what is written to and read from a slot."""
    + CONDITION_HELP,
    examples=["watch 0x406000", "watch -entry 0x407000", "watch -slot 1"],
    repeat=NO_REPEAT,
)
def watch_command(session: Session, args: Args) -> object:
    from vmdbg.debugger.watching import WATCHPOINT, watch_entry, watch_frame, watch_slot

    if not (args.entry or args.frame or args.slot):
        return memory(session, args, WATCHPOINT)
    text, condition = split_condition(args.where or "")
    if not text:
        raise UserError("Argument required (expression to compute).")
    show = session.target.notation
    if args.entry:
        va = session.address(text)
        walk, _ = session.target.walk(va)
        if not walk.steps:
            raise UserError(f"{show.va(va)} has no entry.")
        step = walk.steps[-1]
        what = f"entry of {show.va(va)} ({step.name}, {show.pa(step.address)})"
        stop = watch_entry(session.stops, what, step.address)
    elif args.frame:
        pfn = session.integer(text)
        stop = watch_frame(session.stops, f"frame {show.pfn(pfn)}", pfn)
    else:
        slot = session.integer(text)
        stop = watch_slot(session.stops, f"slot {slot}", slot)
    option = "entry" if args.entry else "frame" if args.frame else "slot"
    return declared(session, stop, condition, f"{stop.label}: {stop.what}", f"watch -{option} {text}")


@command(
    "rwatch",
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[WHERE],
    options=OPTIONS,
    usage="rwatch [-phys] [-width N] ADDRESS [if EXPR]",
    summary="Stop where memory is read.",
    help=MEMORY_HELP + CONDITION_HELP,
    examples=["rwatch 0x406000"],
    repeat=NO_REPEAT,
)
def rwatch_command(session: Session, args: Args) -> object:
    from vmdbg.debugger.watching import READS

    return memory(session, args, READS)


@command(
    "awatch",
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[WHERE],
    options=OPTIONS,
    usage="awatch [-phys] [-width N] ADDRESS [if EXPR]",
    summary="Stop where memory is read or written.",
    help=MEMORY_HELP + CONDITION_HELP,
    examples=["awatch 0x406000"],
    repeat=NO_REPEAT,
)
def awatch_command(session: Session, args: Args) -> object:
    from vmdbg.debugger.watching import ACCESSES

    return memory(session, args, ACCESSES)
