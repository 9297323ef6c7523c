"""poke, load hex: physical memory, written behind the kernel's back."""

from __future__ import annotations

from vmdbg.debugger.hex_dumps import read_dump
from vmdbg.errors import UserError
from vmdbg.shell.command import ACTING, ALONE, NO_REPEAT, Argument, command
from vmdbg.shell.commands.accesses import changed, finished_lines
from vmdbg.shell.commands.scripts import header
from vmdbg.shell.kinds import FILE, NUMBER
from vmdbg.state.events import POKE
from vmdbg.units import format_size, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.debugger.hex_dumps import Piece
    from vmdbg.debugger.time.types import Action
    from vmdbg.machine.machine import Machine
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
SHOWN = 8  # values that have a line each


@command(
    "poke",
    group="acting",
    needs=("act",),
    effect=ACTING,
    arguments=[
        Argument("address", NUMBER, help="physical address"),
        Argument("values", NUMBER, many=True, help="value to write, or several that follow one another"),
    ],
    forms=tuple(WIDTHS),
    summary="Write physical memory behind the kernel's back.",
    help="""
Entries of a table, or any bytes: each value is as wide as an entry, or as /u8, /u16, /u32 and /u64 say.
Neither the kernel nor the TLB is told: what they believe may no longer be so, which "check" and "tlb check"
then say.""",
    examples=["poke 0x106008 0x108027", "poke/u8 0x108000 0x11 0x12 0x13"],
)
def poke_command(session: Session, args: Args) -> object:
    machine, show = session.machine, session.notation
    width = next((WIDTHS[form] for form in WIDTHS if form in args.flags), machine.format.entry_bytes)
    bits, k = 8 * width, machine.k
    for value in args.values:
        if not -(1 << (bits - 1)) <= value < 1 << bits:
            raise UserError(f"Value {value:#x} does not fit in {width} bytes.")
    places = [args.address + width * place for place in range(len(args.values))]
    for address in places:
        if k.ram_offset(machine.m, address, width) < 0:
            raise UserError(f"Cannot access memory at address {address:#x}")
    new = [value & ((1 << bits) - 1) for value in args.values]
    old = [k.load(machine.m, address, width) & ((1 << bits) - 1) for address in places]

    def act(changing: Machine) -> None:
        for address, before, value in zip(places, old, new, strict=True):
            changing.k.store(changing.m, address, width, s64(value) if width == 8 else value)
            changing.k.emit(changing.m, POKE, address, s64(before), s64(value))
        for cpu in range(changing.config["machine.cpus"]):
            changing.k.tlb_suspect(changing.m, cpu, -1, 0)

    more = f", .. ({len(new)} values)" if new[1:] else ""
    _, action = session.timeline.act(f"poke {show.pa(args.address)}, {args.values[0]:#x}{more}", act)
    return poke_lines(session, action, list(zip(places, old, new, strict=True)), 2 * width)


def poke_lines(
    session: Session, action: Action, written: list[tuple[int, int, int]], digits: int
) -> Iterator[str]:
    """What was written: a few values one by one, more of them as a range."""
    show = session.notation.pa
    yield from (str(line) for line in finished_lines(action))
    for address, old, new in written if len(written) <= SHOWN else []:
        yield f"{show(address)}: 0x{old:0{digits}x} -> 0x{new:0{digits}x}"
    if len(written) > SHOWN:
        yield f"{show(written[0][0])}..{show(written[-1][0] + digits // 2 - 1)}: {len(written)} values"
    words = f"{len(written)} word{'s' if written[1:] else ''}"
    yield f"Changed: {words} of memory.  Time {session.timeline.position}."


@command(
    "load hex",
    group="acting",
    needs=("act",),
    effect=ACTING,
    arguments=[
        Argument("file", FILE, optional=True, help="file with the dump; without it the lines that follow"),
        Argument(
            "address", NUMBER, optional=True, help="physical address of bytes that have none; 0 if left out"
        ),
    ],
    usage=("load hex FILE [ADDRESS]", "load hex"),
    summary="Load physical memory from a dump in hex, as it is printed.",
    help="""
A line is an address and bytes: as hexdump -C, od -A x -t x1, xxd, "x" of a debugger and QEMU's "xp" print
them, or "page 12: 1b 1d ..." with the number of a page of the machine's.  Numbers with 0x are little-endian,
bytes without are in the order of memory; bytes without an address follow those before.  Without a file the
lines that follow are taken, up to one of just "end".  All of it is one operation; neither the kernel nor the
TLB is told.""",
    block=ALONE,
    repeat=NO_REPEAT,
)
def load_hex_command(session: Session, args: Args) -> object:
    size = session.machine.format.page_size
    if args.file is None:
        header(session, args, "Type or paste the lines of the dump.")
        bodies = args.body or session.interpreter.read_bodies("load hex")
        lines = [statement.text for statement in bodies[0]] if bodies is not None else []
        pieces = read_dump(lines, "", args.address or 0, size)
    else:
        path = session.permissions.path(args.file)
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                pieces = read_dump(file, args.file, args.address or 0, size)
        except OSError as error:
            raise UserError(f"{args.file}: {error.strerror}.") from None
        lines = []
    return loaded(session, f"load hex {args.file or ''}".strip(), pieces, lines)


def loaded(session: Session, name: str, pieces: list[Piece], typed: list[str]) -> Iterator[str]:
    """Write the pieces of a dump as one operation; what was written.  `typed`: its lines without a file."""
    scope, show = session.scope, session.notation.pa
    if not pieces:
        raise UserError("The dump is empty: nothing was loaded.")

    def write() -> None:
        for piece in pieces:
            scope.write_physical(piece.address, bytes(piece.data))

    _, action = session.timeline.act(name, lambda machine: write())
    if typed:
        action.command = "\n".join([name, *typed, "end"])  # as it can be typed again
    yield from (str(line) for line in finished_lines(action))
    for piece in pieces if len(pieces) <= SHOWN else []:
        yield f"{show(piece.address)}..{show(piece.end - 1)}: {format_size(len(piece.data))}"
    if len(pieces) > SHOWN:
        total = format_size(sum(len(piece.data) for piece in pieces))
        yield f"{len(pieces)} pieces from {show(pieces[0].address)} on: {total}"
    yield changed(session, action)
