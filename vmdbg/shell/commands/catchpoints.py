"""catch, tcatch: stops at events."""

from __future__ import annotations

from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.stops.stops import CATCHPOINT, DELETE
from vmdbg.errors import UserError
from vmdbg.inspect.signals import SIGNAL_NAMES
from vmdbg.shell.command import NO_REPEAT, SHELL, Argument, command
from vmdbg.shell.commands.stops import CONDITION_HELP, declared, options_of, split_condition
from vmdbg.shell.kinds import CATCH, near_hint
from vmdbg.state.events import BY_NAME, EVENTS, FAMILIES
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session
    from vmdbg.state.events import Event

CATCH_HELP = """
The program stops at the event itself: the machine is then as it was at that instant, inside the
operation.  "info events" lists the kinds of events.  "fault" is every fault that the kernel serves,
"syscall" every system call, "cow", "swapin" and "swapout" are what they say.

ARG is the event's first argument, such as the virtual address or the number of the frame or slot: that
value, or with LOW..HIGH one from LOW up to, and without, HIGH.  A virtual address stands for its page.  Of
"signal", the name of the signal.  Stops never change the machine."""


def kinds_of(session: Session, word: str) -> list[Event]:
    """The kinds of events that a word names: one, by an abbreviation too, or a group."""
    names = [event.name for event in EVENTS]
    if word in FAMILIES and word not in names:
        return [BY_NAME[name] for name in FAMILIES[word]]
    found = [word] if word in names else [name for name in (*names, *FAMILIES) if name.startswith(word)]
    if len(found) > 1:
        raise UserError(f'Ambiguous event "{word}": {", ".join(found)}.')
    if not found:
        hint = near_hint(word, [*names, *FAMILIES]) or '"info events" lists the kinds of events.'
        raise UserError(f'Undefined catch command: "{word}".  Try "help catch".', hint)
    return [BY_NAME[name] for name in FAMILIES.get(found[0], found)]


def argument_range(session: Session, event: Event, text: str) -> tuple[int, int, str]:
    """Lowest and highest first argument that `text` asks for, and how that reads."""
    if event.name == "signal":
        numbers = {name: number for number, (name, _) in SIGNAL_NAMES.items()}
        if text.isidentifier() and text not in numbers:
            raise UserError(f"Unknown signal name '{text}'.")
        number = numbers.get(text) or session.integer(text)
        return number, number, text
    if not event.arguments:
        raise UserError(f'The event "{event.name}" has no arguments.')
    paged, show = event.arguments[0] == "va", session.notation
    first, dots, last = text.partition("..")
    low = session.address(first) if paged else session.integer(first)
    if dots:
        high = (session.address(last) if paged else session.integer(last)) - 1
        if high < low:
            raise UserError("inverted range")
    elif paged:
        size = session.machine.format.page_size
        low &= -size
        high = low + size - 1
    else:
        return s64(low), s64(low), hex(low) if event.arguments[0] in ("pa", "address") else str(low)
    if paged:
        return s64(low), s64(high), f"{show.va(low)}..{show.va(high + 1)}"
    return s64(low), s64(high), f"{low:#x}..{high + 1:#x}"


def make_catch(session: Session, args: Args, disposition: str) -> str:
    """Declare a catchpoint; what is said of it."""
    text, condition = split_condition(args.event or "")
    text, pid, cpu = options_of(session, text)
    word, _, argument = text.partition(" ")
    if not word:
        raise UserError("Argument required (kind of event to stop at).", 'Try "info events".')
    events = kinds_of(session, word)
    patterns: list[Pattern] = []
    what = word if len(events) > 1 else events[0].name
    shown = ""
    for event in events:
        if argument:
            low, high, shown = argument_range(session, event, argument.strip())
            patterns.append(Pattern(event.kind, pid, cpu, low, high))
        else:
            patterns.append(Pattern(event.kind, pid, cpu))
    what += f" {shown}" if shown else ""
    stop = session.stops.add(CATCHPOINT, what, patterns, disposition)
    options = (f" -pid {pid}" if pid >= 0 else "") + (f" -cpu {cpu}" if cpu >= 0 else "")
    command = "tcatch" if disposition == DELETE else "catch"
    spelling = f"{command} {what.split()[0]}{' ' + argument.strip() if argument else ''}{options}"
    return declared(session, stop, condition, f"{stop.label} ({what})", spelling)


@command(
    "catch",
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("event", CATCH, optional=True)],
    usage="catch KIND [ARG|LOW..HIGH] [-pid PID] [-cpu CPU] [if EXPR]",
    summary="Stop the program at every event of a kind.",
    help=CATCH_HELP + CONDITION_HELP,
    examples=[
        "catch fault",
        "catch tlb-miss 0x406000",
        "catch tlb-miss -pid 1",
        "catch swap-out if $_slot == 2",
    ],
    repeat=NO_REPEAT,
)
def catch_command(session: Session, args: Args) -> object:
    return make_catch(session, args, "keep")


@command(
    "tcatch",
    group="breakpoints",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("event", CATCH, optional=True)],
    usage="tcatch KIND [ARG|LOW..HIGH] [-pid PID] [-cpu CPU] [if EXPR]",
    summary="Stop the program once at an event of a kind.",
    help='As "catch", but the catchpoint is deleted when the program stops at it.',
    examples=["tcatch fault-major"],
    repeat=NO_REPEAT,
)
def tcatch_command(session: Session, args: Args) -> object:
    return make_catch(session, args, "del")
