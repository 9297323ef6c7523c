"""find, findp: a sequence of bytes in memory."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.expressions.c_types import VOID, pointer_to
from vmdbg.expressions.values import make
from vmdbg.shell.command import PURE, Argument, command
from vmdbg.shell.kinds import REST_EXPRESSION
from vmdbg.units import WORD_MASK
from vmdbg.views.scalars import format_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
PIECE = 1 << 16  # bytes that are read at once
NO_EXPRESSION = "Argument required (expression to compute)."


class Search:
    """What `find` is asked: `pattern` from `start` on in `length` bytes, `most` times (None: all)."""

    __slots__ = ("length", "most", "pattern", "start")

    def __init__(self, start: int, length: int, pattern: bytes, most: int | None) -> None:
        self.start, self.length, self.pattern, self.most = start, length, pattern, most


def split_options(text: str) -> tuple[str, int | None, str]:
    """`/2h REST`: the size letter or nothing, the count or None, what follows.  GDB's errors."""
    if not text.startswith("/"):
        return "", None, text
    word, _, rest = text[1:].partition(" ")
    size, digits = "", ""
    for char in word:
        if char in SIZES:
            size = char
        elif char in "0123456789":
            digits += char
        else:
            raise UserError("Invalid size granularity.")
    return size, int(digits) if digits else None, rest.strip()


def parse_search(session: Session, text: str) -> Search | None:
    """`[/SIZE][/N] START, END|+LENGTH, VALUE...`; None for an empty range, of which it is said."""
    if not text:
        raise UserError("Missing search parameters.")
    size, most, rest = split_options(text)
    evaluator = session.evaluator
    if not rest:
        raise UserError(NO_EXPRESSION)
    node, rest = evaluator.parse_prefix(rest, comma=True)
    start = evaluator.run(node).as_address()
    rest = rest.removeprefix(",").strip()
    if not rest:
        raise UserError(NO_EXPRESSION)
    relative = rest.startswith("+")
    node, rest = evaluator.parse_prefix(rest.removeprefix("+"), comma=True)
    end = evaluator.run(node).as_address()
    if relative and not end:
        session.output.line("Empty search range.")
        return None
    if not relative and end < start:
        raise UserError("Invalid search space, end precedes start.")
    length = end if relative else end - start + 1
    if start + length - 1 > WORD_MASK:
        raise UserError("Search space too large.")
    pattern = b""
    for value in map(evaluator.run, evaluator.parse_list(rest.removeprefix(","))):
        if size:
            pattern += (value.as_integer() & WORD_MASK).to_bytes(8, "little")[: SIZES[size]]
        else:
            pattern += value.as_bytes()
    if not pattern:
        raise UserError("Missing search pattern.")
    if length < len(pattern):
        raise UserError("Search space too small to contain pattern.")
    return Search(start, length, pattern, most)


def pieces(read: Callable[[int, int], bytes], start: int, length: int) -> Iterator[bytes]:
    """The bytes that can be read from `start` on without a gap, in pieces."""
    address, end, size = start, start + length, PIECE
    while address < end and size:
        try:
            data = read(address, min(size, end - address))
        except UserError:
            size = min(size, end - address) // 2
            continue
        address += len(data)
        yield data


def occurrences(search: Search, data: Iterator[bytes], reached: list[int]) -> Iterator[int]:
    """Where the pattern begins; `reached[0]` becomes the address behind what was read."""
    kept, base = b"", search.start
    for piece in data:
        reached[0] += len(piece)
        kept += piece
        found = kept.find(search.pattern)
        while found >= 0:
            yield base + found
            found = kept.find(search.pattern, found + 1)
        overlap = min(len(kept), len(search.pattern) - 1)
        base += len(kept) - overlap
        kept = kept[len(kept) - overlap :]


def find_lines(session: Session, text: str, physical: bool) -> Iterator[str]:
    """The places, one a line, and how many there were; `$_` and `$numfound` follow them."""
    scope = session.scope
    search = parse_search(session, text)
    named = scope.symbolize if session.settings.flag("print symbol") and not physical else None
    count, last = 0, 0
    if search is not None and search.most != 0:
        reached = [search.start]
        read = scope.read_physical if physical else scope.read_memory
        stopped = False
        for address in occurrences(search, pieces(read, search.start, search.length), reached):
            count, last = count + 1, address
            yield format_place(address, named)
            stopped = count == search.most
            if stopped:
                break
        left = search.start + search.length - reached[0]
        if left and not stopped:
            session.output.warning(
                f"Unable to access {left} bytes of target memory at {reached[0]:#x}, halting search."
            )
    session.set_variable("numfound", count)
    if count:
        session.variables.set("_", make(pointer_to(VOID), last))
    yield f"{count} pattern{'' if count == 1 else 's'} found." if count else "Pattern not found."


FIND_HELP = """
START is an address; the range ends with the byte at END, or is LENGTH bytes long.  The values are searched
for as one sequence of bytes, each as long as its type, so that 'a' is one byte, 97 are four, and "text" has
the zero byte that ends it; with a size letter (b, h, w, g: 1, 2, 4, 8 bytes) each is so long.  N is the most
that are shown.  What cannot be read ends the search, and is said; unlike GDB, what lies before is searched.
Afterwards $_ is the last place and $numfound their number."""


@command(
    "find",
    group="data",
    effect=PURE,
    arguments=[Argument("what", REST_EXPRESSION, optional=True)],
    usage="find[/SIZE][N] START, END|+LENGTH, VALUE[, VALUE]...",
    summary="Search memory for a sequence of bytes.",
    help=FIND_HELP + '\nAddresses are virtual, in the current process; "findp" takes physical ones.',
    examples=["find 0x406000, +0x1000, 'x'"],
)
def find_command(session: Session, args: Args) -> object:
    return find_lines(session, args.what or "", physical=False)


@command(
    "findp",
    group="data",
    effect=PURE,
    arguments=[Argument("what", REST_EXPRESSION, optional=True)],
    usage="findp[/SIZE][N] START, END|+LENGTH, VALUE[, VALUE]...",
    summary="Search physical memory for a sequence of bytes.",
    help=FIND_HELP,
    examples=["findp/g 0x100000, +0x10000, $pte(0x401000)"],
)
def findp_command(session: Session, args: Args) -> object:
    return find_lines(session, args.what or "", physical=True)
