"""watch, rwatch, awatch: stops where something changes or is touched."""

from __future__ import annotations

from vmdbg.debugger.stops.watchpoints import (
    ACCESSES,
    READS,
    WATCHPOINT,
    watch_entry,
    watch_frame,
    watch_memory,
    watch_slot,
    watch_virtual,
)
from vmdbg.errors import UserError
from vmdbg.expressions.nodes import InMemory
from vmdbg.inspect.context import check_address, find_context
from vmdbg.inspect.translate import walk
from vmdbg.shell.command import NO_REPEAT, SHELL, Argument, Option, command
from vmdbg.shell.commands.stops import CONDITION_HELP, declared, split_condition
from vmdbg.shell.kinds import LOCATION, NUMBER
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

OPTIONS = [
    Option("-phys", help="a physical address: through any alias, in any process"),
    Option("-width", NUMBER, default=1, help="that many bytes, 1 to 8"),
]
WIDEST = 8
WHERE = Argument("where", LOCATION, optional=True)
MEMORY_HELP = """
ADDRESS is virtual, of the current process, and followed from frame to frame; -phys ADDRESS is physical,
whatever process touches it by whatever address.  An expression for a value in memory, such as
*(int *)0x406000, stands for its bytes."""


def memory(session: Session, args: Args, sort: str) -> str:
    """A watchpoint on bytes of memory."""
    text, condition = split_condition(args.where or "")
    if not text:
        raise UserError("Argument required (expression to compute).")
    if not 1 <= args.width <= 8:
        raise UserError("Expected a width from 1 to 8.")
    show = session.notation
    command = {READS: "rwatch", ACCESSES: "awatch"}.get(sort, "watch")
    if args.phys:
        pa = session.integer(text.removeprefix("*"))
        stop = watch_memory(session.stops, sort, f"-phys {show.pa(pa)}", pa, args.width)
        width = f" -width {args.width}" if args.width > 1 else ""
        return declared(
            session, stop, condition, f"{stop.label}: {stop.what}", f"{command} -phys{width} {pa:#x}"
        )
    va, size = memory_of(session, text)
    size = args.width if args.width > 1 else size
    pid = session.timeline.require_process()
    what = show.va(va) if text.removeprefix("*")[:1].isdigit() else text
    stop = watch_virtual(session.stops, sort, what, (pid, s64(va)), size)
    spelling = f"{command} -width {size} {va:#x}" if size > 1 else f"{command} {va:#x}"
    return declared(session, stop, condition, f"{stop.label}: {stop.what}", spelling)


def memory_of(session: Session, text: str) -> tuple[int, int]:
    """The address and size of what an expression stands for in memory; of a plain address, one byte."""
    evaluator = session.evaluator
    plain = text[1:] if text.startswith("*0") else text
    node = evaluator.parse(plain)
    if not isinstance(node, InMemory):
        return session.address(plain), 1
    kind, address = node.locate(evaluator)
    if not 1 <= kind.size <= WIDEST:
        raise UserError(f"A watchpoint has 1 to {WIDEST} bytes, not {kind.size}.")
    return check_address(session.machine, address), kind.size


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
    usage=("watch [-phys] [-width N] ADDRESS|EXPR [if EXPR]", "watch -entry|-frame|-slot WHAT [if EXPR]"),
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
    if not (args.entry or args.frame or args.slot):
        return memory(session, args, WATCHPOINT)
    text, condition = split_condition(args.where or "")
    if not text:
        raise UserError("Argument required (expression to compute).")
    show = session.notation
    if args.entry:
        va = session.address(text)
        walked, _ = walk(session.machine, find_context(session.machine), va)
        if not walked.steps:
            raise UserError(f"{show.va(va)} has no entry.")
        step = walked.steps[-1]
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
    usage="rwatch [-phys] [-width N] ADDRESS|EXPR [if EXPR]",
    summary="Stop where memory is read.",
    help=MEMORY_HELP + CONDITION_HELP,
    examples=["rwatch 0x406000"],
    repeat=NO_REPEAT,
)
def rwatch_command(session: Session, args: Args) -> object:
    return memory(session, args, READS)


@command(
    "awatch",
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[WHERE],
    options=OPTIONS,
    usage="awatch [-phys] [-width N] ADDRESS|EXPR [if EXPR]",
    summary="Stop where memory is read or written.",
    help=MEMORY_HELP + CONDITION_HELP,
    examples=["awatch 0x406000"],
    repeat=NO_REPEAT,
)
def awatch_command(session: Session, args: Args) -> object:
    return memory(session, args, ACCESSES)
