"""calc: the formulas of textbooks, with numbers of the user's; no machine takes part."""

from __future__ import annotations

from fractions import Fraction

from vmdbg.errors import UserError
from vmdbg.inspect.calc import access_time, levels, reach, tables
from vmdbg.shell.command import PURE, Argument, Option, command, prefix
from vmdbg.shell.kinds import NUMBER, SIZE, WORD, Kind
from vmdbg.units import decimal
from vmdbg.views.calc import access_record, levels_record, reach_document, table_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.inspect.calc import Reach
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
MOST_CHARACTERS = 24  # of a ratio or a time
RATIO_WANTED = "expected a ratio from 0 to 1, such as 0.98, 98% or 49/50"
TIME_WANTED = "expected a time such as 20ns, 0.1us or 8ms, or a number without a unit"

CALC = prefix("calc", group="looking", summary="The formulas of textbooks, step by step.")


def plain_number(text: str) -> Fraction | None:
    """A number from 0 on, in decimal with a point or not; None if the text is none."""
    whole, _, part = text.partition(".")
    digits = whole + part
    if len(text) > MOST_CHARACTERS or not digits.isascii() or not digits.isdecimal() or text.endswith("."):
        return None
    return Fraction(int(digits), 10 ** len(part))


def parse_ratio(session: Session, text: str) -> Fraction:
    """`0.98`, `98%`, `49/50`.  UserError for what is none, or not from 0 to 1."""
    above, slash, below = text.partition("/")
    found = plain_number(above.removesuffix("%") if not slash else above)
    divisor = plain_number(below) if slash else Fraction(100 if text.endswith("%") else 1)
    if found is None or not divisor or found > divisor:
        raise UserError(f'"{text}": {RATIO_WANTED}.')
    return found / divisor


class Duration:
    """A time: in nanoseconds if it had a unit, else just a number."""

    __slots__ = ("has_unit", "number", "text")

    def __init__(self, text: str) -> None:
        word = text.lower()
        unit = next((unit for unit in NANOSECONDS if word.endswith(unit)), "")
        found = plain_number(word.removesuffix(unit))
        if found is None:
            raise UserError(f'"{text}": {TIME_WANTED}.')
        self.text, self.has_unit, self.number = text, bool(unit), found * NANOSECONDS.get(unit, 1)


RATIO = Kind("ratio", parse_ratio, label="RATIO")
DURATION = Kind("time", lambda session, text: Duration(text), label="TIME")
SPACE = [
    Argument("bits", NUMBER, help="of an address"),
    Argument("page", SIZE, help="size of a page"),
    Argument("entry", SIZE, help="bytes of a page-table entry"),
]


@command(
    "calc levels",
    group="looking",
    effect=PURE,
    arguments=SPACE,
    usage="calc levels[/json|/csv] BITS PAGE ENTRY",
    forms=("json", "csv"),
    summary="How many levels of page tables an address space needs.",
    help="""
BITS of an address, less those of the offset in a PAGE, are shared out among the levels; a table takes one
page, so that each level has as many bits as number the ENTRY-sized entries of a page.  Where they do not come
out even, the root has fewer.  "split" cuts an address of the machine in this way.""",
    examples=["calc levels 48 4K 8", "calc levels 32 4K 4", "calc levels/json 64 16K 8"],
)
def calc_levels(session: Session, args: Args) -> object:
    return levels_record(levels(args.bits, args.page, args.entry))


@command(
    "calc reach",
    group="looking",
    effect=PURE,
    arguments=[Argument("words", WORD, many=True, help="entries and the size of their pages, by turns")],
    usage="calc reach[/json|/csv] ENTRIES PAGE [ENTRIES PAGE]...",
    forms=("json", "csv"),
    summary="How much memory the entries of a TLB cover.",
    help="""
ENTRIES is their number, or SETSxWAYS as in "info machine"; PAGE is the size of their pages.  Several arrays,
or page sizes, are added up.""",
    examples=["calc reach 64 4K", "calc reach 16x4 4K 128x12 4K 32 2M"],
)
def calc_reach(session: Session, args: Args) -> object:
    words = args.words or []
    if len(words) % 2:
        raise UserError("Argument required (the size of a page behind each number of entries).")
    return reach_document([reach_of(session, *words[at : at + 2]) for at in range(0, len(words), 2)])


def reach_of(session: Session, entries: str, page: str) -> Reach:
    """The reach of one array as it was typed."""
    sets, times, ways = entries.partition("x")
    size = SIZE.parse(session, page)
    if not times or sets == "0":  # a number, which may be hex
        return reach(0, session.integer(entries), size)
    counts = decimal(sets), decimal(ways)
    if not counts[0] or not counts[1]:
        raise UserError(f'"{entries}": expected a number of entries, or SETSxWAYS such as 16x4.')
    return reach(counts[0], counts[1], size)


@command(
    "calc eat",
    group="looking",
    effect=PURE,
    options=[
        Option("-memory", DURATION, help="what a memory access takes; needed"),
        Option("-hit", RATIO, help="hit ratio of the TLB; without it there is no TLB"),
        Option("-tlb", DURATION, help="what a look-up in the TLB takes; 0 without it"),
        Option("-levels", NUMBER, default=1, help="levels of page tables; 1 without it"),
        Option("-faults", RATIO, help="page faults of all accesses"),
        Option("-service", DURATION, help="what a fault takes, all in all"),
        Option("-goal", DURATION, help="the access time wanted: which hit ratio, or fault rate, gives that?"),
    ],
    usage=(
        "calc eat[/json|/csv] -memory TIME [-hit RATIO] [-tlb TIME] [-levels N]",
        "calc eat ... [-faults RATIO] [-service TIME] [-goal TIME]",
    ),
    forms=("json", "csv"),
    summary="Effective access time, from the hit ratio of a TLB and the rate of faults.",
    help="""
A hit takes the look-up and the access; a miss the look-up, a memory access for each level, and the access.  A
fault takes its service time, in which everything is: (1 - p) * access + p * service.  "-levels 0" leaves
translation out.  Times have a unit (ns, us, ms, s), all of them or none; ratios are 0.98, 98% or 49/50.

With -goal: the least hit ratio, or with -service the highest rate of faults, for that access time.

What a machine really spent: "info cost", and the last line of "sweep".""",
    examples=[
        "calc eat -hit 80% -tlb 20ns -memory 100ns",
        "calc eat -memory 200ns -levels 0 -faults 1/1000 -service 8ms",
        "calc eat -hit 0.98 -tlb 1 -memory 30 -levels 4",
    ],
)
def calc_eat(session: Session, args: Args) -> object:
    if args.memory is None:
        raise UserError("Argument required (-memory TIME).")
    if args.tlb is not None and args.hit is None:
        raise UserError("-tlb: expected a hit ratio too (-hit RATIO).")
    if args.faults is not None and args.service is None:
        raise UserError("-faults: expected what a fault takes, too (-service TIME).")
    if args.service is not None and args.faults is None and args.goal is None:
        raise UserError("-service: expected a rate of faults, too (-faults RATIO), or -goal TIME.")
    times = [time for time in (args.memory, args.tlb, args.service, args.goal) if time is not None]
    units = {time.has_unit for time in times if time.number}
    if len(units) > 1:
        said = ", ".join(time.text for time in times)
        raise UserError(f"Times with a unit and without: {said}.")
    tlb, service, goal = (
        None if time is None else time.number for time in (args.tlb, args.service, args.goal)
    )
    found = access_time(
        args.memory.number, args.levels, args.hit, tlb or Fraction(0), args.faults, service, goal
    )
    return access_record(found, "ns" if True in units else "")


@command(
    "calc table",
    group="looking",
    effect=PURE,
    arguments=SPACE,
    options=[
        Option("-mapped", SIZE, help="bytes that are mapped; one page without it"),
        Option("-ram", SIZE, help="memory: an inverted table has an entry for each frame of it"),
    ],
    usage="calc table[/json|/csv] BITS PAGE ENTRY [-mapped SIZE] [-ram SIZE]",
    forms=("json", "csv"),
    summary="What page tables take: flat, of several levels, inverted.",
    help="""
A flat table has an entry for each page of the address space.  Of several levels, as "calc levels" has them,
there are only the tables that something is mapped through: the fewest if the pages lie together from the
begin of a table on, the most if they lie as far apart as they can.  "overhead" says what the tables of a
process really take.""",
    examples=["calc table 32 4K 4", "calc table 48 4K 8 -mapped 1G -ram 16G", "calc table/json 16 256 2"],
)
def calc_table(session: Session, args: Args) -> object:
    mapped = args.page if args.mapped is None else args.mapped
    return table_document(tables(args.bits, args.page, args.entry, mapped, args.ram))
