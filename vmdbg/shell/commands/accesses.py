"""fault, read, write, fetch, swapout, swapin: accesses and changes, each an operation with a time."""

from __future__ import annotations

from vmdbg.debugger.access_story import signal_of
from vmdbg.debugger.accesses import (
    access,
    swap_in,
    swap_out,
    swap_out_pages,
    swap_out_process,
)
from vmdbg.debugger.bare_accesses import bare_access
from vmdbg.errors import UserError
from vmdbg.inspect.context import KERNEL, check_process, find_context, machine_context
from vmdbg.inspect.event_costs import how_served
from vmdbg.inspect.event_words import EventWords
from vmdbg.inspect.translate import translate
from vmdbg.inspect.walk import ACCESS_WORDS, ACCESSES
from vmdbg.shell.command import ACTING, Argument, Option, command
from vmdbg.shell.context_options import ALL_MODES, MODE_OF, caller_of
from vmdbg.shell.kinds import ACCESS, ADDRESS, NUMBER, PROCESS, choice
from vmdbg.units import WORD_MASK, s64
from vmdbg.views.accesses import (
    access_data,
    access_story,
    fault_line,
    kill_lines,
    moved_lines,
)
from vmdbg.views.changed import changed_line
from vmdbg.views.document import Document
from vmdbg.views.event_table import EventTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.debugger.accesses import Accessed
    from vmdbg.debugger.time.types import Action
    from vmdbg.inspect.walk import Outcome
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session
    from vmdbg.views.result import Line

VA = Argument("address", ADDRESS, help="virtual address")
WIDTHS = (1, 2, 4, 8)
WIDTH = Argument("width", NUMBER, optional=True, default=1, help="bytes: 1, 2, 4 or 8")
MODE_HELP = """
With -k the kernel itself makes it, in kernel mode, as in a system call of the process.  It goes through the
TLB.  A fault in a region of the process is served; after any other one, or where kernel mode may not touch
user pages (SMAP, SUM, PAN), the access is given up and the process goes on: EFAULT.

Without a kernel it is an access of the CPU, which ends in a fault if the MMU does not translate the address:
the registers say so, and nobody serves it.  So it is with -m: machine mode (RISC-V) makes it, in the mode
that mstatus.MPRV and MPP say, or of a physical address; a fault is told in mcause, and no kernel sees it."""
ADDRESSES = ("va", "pa", "address", "entry", "old", "new", "key", "word")


def finished_lines(action: Action) -> Iterator[Line]:
    """An acting command finishes the operation in which the machine stood, and says so; as it says that
    it changed the past."""
    if action.finished:
        yield f"Finished operation {action.time - 1} first."
    if action.branch:
        yield f"Branch {action.branch} begins at {action.time}:0."


def changed(session: Session, action: Action) -> str:
    """`Changed: ...  Time 4:0.`"""
    return changed_line(session.timeline.machine, action, session.timeline.position)


def perform(
    session: Session,
    name: str,
    va: int,
    how: str,
    width: int = 1,
    value: int = 0,
    dry: bool = False,
    keep: bool = False,
    caller: str = "",
) -> Any:
    """Perform an access as the current process, or only predict it; it asks before it kills.

    `caller`: `k` for the kernel itself, `m` for machine mode, `u` for user mode; empty: as the CPU is.  With
    `keep` a write writes what is there.
    The access, its action, and the translations of the address before and after; of one that is refused,
    before is that of the byte that it failed at.
    """
    timeline, kind, mode = session.timeline, "rwx".index(how), MODE_OF.get(caller)
    bare = caller == "m" or not session.machine.config["machine.kernel"]
    if not bare:
        timeline.require_process()

    def outcome(at: int) -> Outcome:
        machine = session.machine
        context = machine_context(machine, kind) if caller == "m" else find_context(machine, mode=mode)
        return translate(machine, context, at, kind)

    def function(machine: Any) -> tuple[Accessed, Any]:
        if bare:
            done = bare_access(machine, va, kind, width, value, mode, caller == "m")
        else:
            done = access(machine, va, kind, width, value, mode == KERNEL)
        return done, None if done.refused else outcome(va)

    before = outcome(va)
    (done, after), action = timeline.predict(name, function)
    if done.refused:
        before = outcome(done.at & WORD_MASK)
    if keep and how == "w":
        value = s64(done.value)
        (done, after), action = timeline.predict(name, function)
    if dry:
        return done, action, before, after
    if done.killed:
        signal = signal_of(action.events)
        by = f" by {signal}" if signal else ", because memory is full"
        if not session.query(f"Process {done.pid} will be killed{by}.  Go on? "):
            raise UserError("Not confirmed.")
    (done, after), action = timeline.act(name, function)
    return done, action, before, after


@command(
    "fault",
    group="acting",
    needs=("act",),
    effect=ACTING,
    arguments=[
        VA,
        Argument("access", ACCESS, optional=True, default="r", help="r read (the default), w write, x fetch"),
    ],
    options=[Option("-n", help="only predict what would happen"), *ALL_MODES],
    usage="fault[/json|/csv] [-n] [-u] [-k] [-m] ADDRESS [r|w|x]",
    forms=("json", "csv"),
    summary="Access an address as the current process does, and tell the story.",
    help="""
The access is performed: TLB, walk, trap, what the kernel does, and the access again, each with its cost.
If it would kill the process, you are asked first.  With -n nothing changes: it is only said what would
happen.  "translate" says where the address goes, without an access.
"""
    + MODE_HELP,
    examples=[
        "fault 0x406000 r",
        "fault -n 0x401234 w",
        "fault -k 0xffff888000001000",
        "fault/json 0x406000",
    ],
)
def fault_command(session: Session, args: Args) -> object:
    machine = session.machine
    name = f"fault {option_of(args)}{session.notation.va(args.address)} {args.access}"
    done, action, before, after = perform(
        session, name, args.address, args.access, dry=args.n, keep=True, caller=caller_of(args)
    )
    return access_document(
        session,
        lambda: access_data(machine, action.events, done, after, args.address, args.access),
        lambda: fault_lines(session, args.n, done, action, before, after),
        action,
        args.n,
    )


def fault_lines(
    session: Session, dry: bool, done: Accessed, action: Action, before: Any, after: Any
) -> Iterator[Line]:
    """The text of `fault`."""
    machine, rows = session.machine, action.events
    yield from finished_lines(action)
    if done.fault is not None:
        if dry:
            yield "Predicted, nothing done:"
        yield from access_story(machine, rows, None)
        yield fault_line(machine, done, before.access)
        if not dry:
            yield changed(session, action)
        return
    if dry and done.refused:
        why = signal_of(rows) or "out of memory"
        handler = "a handler" if done.handled else "no handler"
        end = "the access fails" if done.failed else f"{why}; process {done.pid} has {handler}"
        yield f"Predicted, nothing done: {end}."
        yield from kill_lines(machine, rows, done, before)
        return
    if dry:
        cycles = EventWords(machine).total(rows)
        yield f"Predicted, nothing done: {how_served(rows)}, {cycles} cycles."
    yield from access_story(machine, rows, after)
    if done.refused:
        yield from kill_lines(machine, rows, done, before)
        yield changed(session, action)


@command(
    "read",
    group="acting",
    needs=("act",),
    effect=ACTING,
    arguments=[VA, WIDTH],
    options=ALL_MODES,
    forms=("json", "csv"),
    summary="Read memory as the current process does.",
    help='The access is performed, faults and all; "x" looks at memory without one.' + MODE_HELP,
    examples=["read 0x406000", "read 0x406000 8", "read -k 0xffff888000001000", "read/json 0x406000"],
)
def read_command(session: Session, args: Args) -> object:
    return accessed(session, args, "r")


@command(
    "write",
    group="acting",
    needs=("act",),
    effect=ACTING,
    arguments=[VA, Argument("value", NUMBER, help="value to write"), WIDTH],
    options=ALL_MODES,
    forms=("json", "csv"),
    summary="Write memory as the current process does.",
    help='The access is performed, faults and all; "set var {char}ADDRESS = VALUE" stores without one.'
    + MODE_HELP,
    examples=["write 0x406000 0x2a", "write 0x406000 1 8", "write -k 0x406000 1", "write/json 0x406000 1"],
)
def write_command(session: Session, args: Args) -> object:
    check_width(args.width)
    bits = 8 * args.width
    if not -(1 << (bits - 1)) <= args.value < 1 << bits:
        raise UserError(f"Value {args.value:#x} does not fit in {args.width} bytes.")
    return accessed(session, args, "w", args.value)


@command(
    "fetch",
    group="acting",
    needs=("act",),
    effect=ACTING,
    arguments=[VA, WIDTH],
    options=ALL_MODES,
    forms=("json", "csv"),
    summary="Fetch an instruction as the current process does.",
    help="The access is performed, faults and all." + MODE_HELP,
    examples=["fetch 0x401000", "fetch 0x401000 4", "fetch/json 0x401000"],
)
def fetch_command(session: Session, args: Args) -> object:
    return accessed(session, args, "x")


def check_width(width: int) -> None:
    """UserError if an access cannot have so many bytes."""
    if width not in WIDTHS:
        raise UserError(f"Width {width} is none of 1, 2, 4, 8.")


def option_of(args: Args) -> str:
    """How the name of an action says that its access is the kernel's, or machine mode's."""
    return "-k " if args.k else "-m " if args.m else ""


def accessed(session: Session, args: Args, how: str, value: int = 0) -> object:
    """Perform a read, write or fetch; what it read or wrote, and what changed."""
    va, width = args.address, args.width
    check_width(width)
    name = f"{ACCESS_WORDS[ACCESSES[how]]} {option_of(args)}{session.notation.va(va)}" + (
        f", {value:#x}" if how == "w" else ""
    )
    done, action, before, after = perform(session, name, va, how, width, s64(value), caller=caller_of(args))
    return access_document(
        session,
        lambda: access_data(session.machine, action.events, done, after, va, how),
        lambda: accessed_lines(session, done, action, before, va, how, width, value),
        action,
    )


def access_document(
    session: Session, data: Any, lines: Any, action: Action, predicted: bool = False
) -> object:
    """An access as text, as an object with its events, and as the rows of these."""
    table = EventTable(session.machine, action.events)
    return Document(
        lambda: {**data(), "predicted": predicted, "time": str(session.timeline.position)},
        lines,
        lambda: table.table()[0],
        lambda: table.table()[1],
        ADDRESSES,
    )


def accessed_lines(
    session: Session, done: Accessed, action: Action, before: Any, va: int, how: str, width: int, value: int
) -> Iterator[Line]:
    """The text of `read`, `write` and `fetch`."""
    show, machine = session.notation.va, session.machine
    yield from finished_lines(action)
    if done.fault is not None:
        yield fault_line(machine, done, before.access)
    elif done.refused:
        yield from kill_lines(machine, action.events, done, before)
    else:
        digits, mask = 2 * width, (1 << (8 * width)) - 1
        shown = f"0x{done.value & mask:0{digits}x}"
        if how == "w":
            shown += f" -> 0x{value & mask:0{digits}x}"
        cost = EventWords(machine).total(action.events)
        yield f"{show(va)}: {shown}  ({how_served(action.events)}, {cost} cycles)"
    yield changed(session, action)


@command(
    "swapout",
    group="acting",
    needs=("act", "kernel"),
    effect=ACTING,
    arguments=[
        Argument("address", ADDRESS, optional=True, help="virtual address of the page, or a number of pages"),
        Argument("pages", choice("pages", label="pages"), optional=True),
    ],
    options=[Option("-pid", PROCESS, help="of that process; without an address all its pages")],
    usage=("swapout ADDRESS", "swapout -pid PID [ADDRESS]", "swapout N pages"),
    summary="Make pages leave memory for the swap area.",
    help="""
One page by an address in it, all pages of a process that can leave, or N pages as the policy chooses.  A
dirty page is written to a slot; a clean one whose slot is still valid is dropped.  The entry then holds
the slot, the TLB entries are gone, and the next touch is a major fault.  A page that was never written is
dropped, too, its entry is empty then ("help set kernel.zero_drop"), and the next touch is a minor fault.""",
    examples=["swapout 0x406000", "swapout 2 pages", "swapout -pid 1"],
)
def swapout_command(session: Session, args: Args) -> object:
    timeline, show = session.timeline, session.notation.va
    rest: list[str] = []
    if args.pages:
        count = args.address
        if count is None or not 0 < count < 1 << 32:
            raise UserError("Expected a number of pages, from 1.")
        left, action = timeline.act(f"swapout {count} pages", lambda machine: swap_out_pages(machine, count))
        if left < count:
            rest.append(f"{left} of {count} pages left memory; no other can.")
    elif args.address is None:
        if args.pid is None:
            raise UserError("Argument required (virtual address of the page, or a number of pages).")
        check_alive(session, args.pid)
        _, action = timeline.act(
            f"swapout -pid {args.pid}", lambda machine: swap_out_process(machine, args.pid)
        )
    else:
        pid = check_alive(session, args.pid) if args.pid is not None else timeline.require_process()
        name = f"swapout {show(args.address)}" + (f" -pid {pid}" if args.pid is not None else "")
        _, action = timeline.act(name, lambda machine: swap_out(machine, pid, args.address))
    return [
        *finished_lines(action),
        *moved_lines(timeline.machine, action.events),
        *rest,
        changed(session, action),
    ]


def check_alive(session: Session, pid: int) -> int:
    """`pid`; UserError if there is no such process."""
    return check_process(session.machine, pid)


@command(
    "swapin",
    group="acting",
    needs=("act", "kernel"),
    effect=ACTING,
    arguments=[VA],
    options=[Option("-pid", PROCESS, help="of that process")],
    summary="Bring a page back from the swap area.",
    help="As a fault on it would, but without an access: no TLB entry, no A bit.",
    examples=["swapin 0x407000"],
)
def swapin_command(session: Session, args: Args) -> object:
    timeline = session.timeline
    pid = check_alive(session, args.pid) if args.pid is not None else timeline.require_process()
    name = f"swapin {session.notation.va(args.address)}"
    _, action = timeline.act(name, lambda machine: swap_in(machine, pid, args.address))
    return [
        *finished_lines(action),
        *moved_lines(timeline.machine, action.events),
        changed(session, action),
    ]
