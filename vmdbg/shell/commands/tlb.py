"""tlb, tlb lookup, check, set, flush, resize: what the translation caches hold, and whether it is right."""

from __future__ import annotations

from vmdbg.debugger.accesses import flush, flush_page, put_translation
from vmdbg.errors import UserError
from vmdbg.formats.contract import RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.hardware.tlb import WORD_DIRTY, WORD_GLOBAL, WORD_PFN, WORD_RIGHTS
from vmdbg.inspect.context import check_asid
from vmdbg.inspect.notation import rights_text
from vmdbg.inspect.tlb import cached_entries, geometry, look_up, probe_data
from vmdbg.inspect.walk import ACCESSES
from vmdbg.machine.config import parse_geometry
from vmdbg.machine.tlb_arrays import resize_array
from vmdbg.shell.command import ACTING, PURE, Argument, Option, command
from vmdbg.shell.commands.accesses import changed, finished_lines
from vmdbg.shell.context_options import IN_ASID, ON_CPU, PID, context_of
from vmdbg.shell.kinds import ACCESS, ADDRESS, NUMBER, SIZE, WORD
from vmdbg.units import format_size
from vmdbg.views.document import Document
from vmdbg.views.result import Column
from vmdbg.views.tlb import check_lines, probe_lines, stale_words, tlb_columns, tlb_row, tlb_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

FILTERS = [
    Option("-level", NUMBER, help="of that level, 1 or 2"),
    ON_CPU,
    IN_ASID,
    Option("-walk", help="of the page-walk caches instead"),
]


@command(
    "tlb",
    aliases=("info tlb",),
    group="looking",
    needs=("tlb",),
    effect=PURE,
    options=FILTERS,
    forms=("json", "csv"),
    summary="Show the entries of the TLB.",
    help="""
Way 0 of a set is the most recently used, with "set tlb.replacement fifo" the newest.  "vpn" and "pfn"
count base pages for any page size.  "check" holds each entry against the tables: ok; stale-frame,
stale-right, stale-dirty where they say something else; dead-page where they map nothing; wrong-asid where
no process has this address space any more.

Where the first level is split, L1i serves fetches and L1d reads and writes.  With -walk, entries of the
page-walk caches ("set tlb.walk_cache PML4:4 PDPT:4 PD:32"): "level" is that of the table entry that is
kept, "size" the range that it translates, "pfn" the table that it leads to.

An entry serves the address space whose number (asid) it carries, or all if it is global.  Some texts say
that using another one's entry traps.  It does not: an entry of another address space is a miss, and the
walk decides, which may well end in a fault.  Without numbers ("set tlb.asids off") each switch of
processes flushes all entries but the global ones; "info stats" shows what that costs.""",
    examples=["tlb", "tlb -level 1", "tlb -walk", "tlb/json"],
)
def tlb_command(session: Session, args: Args) -> object:
    asked = (args.level, args.cpu, args.asid)
    empty = "The TLB is empty." if asked == (None, None, None) else "No entry of the TLB is like that."
    if args.walk:
        empty = "The page-walk caches are empty, or there are none."
    return tlb_table(session.notation, cached_entries(session.machine, *asked, args.walk), empty)


@command(
    "tlb lookup",
    group="looking",
    needs=("tlb",),
    effect=PURE,
    arguments=[
        Argument("address", ADDRESS, help="virtual address"),
        Argument("access", ACCESS, optional=True, help="r, w or x: of a split level, the array for that"),
    ],
    options=[PID, ON_CPU, IN_ASID],
    forms=("json", "csv"),
    summary="Say where the TLB would look for an address, and what it finds.",
    help="""
Set and tag of each array that is asked, up to the level that has it.  Without an access both arrays of a
split first level are asked, and one that has it answers alone.  Where the TLB misses, the page-walk caches
are asked, the deepest level first.  See also "translate".""",
    examples=[
        "tlb lookup 0x401234",
        "tlb lookup 0x5000",
        "tlb lookup 0x401234 x",
        "tlb lookup/json 0x401234",
    ],
)
def tlb_lookup(session: Session, args: Args) -> object:
    probes = look_up(
        session.machine,
        context_of(session, args),
        args.address,
        ACCESSES[args.access] if args.access else None,
    )
    columns = [
        Column(key) for key in ("array", "set", "sets", "tag", "page_size", "asid", "way", "ways", "hit")
    ]
    return Document(
        lambda: probe_data(args.address, probes),
        lambda: probe_lines(session.notation, probes) if probes else ["This machine has no TLB."],
        columns,
        lambda: [list(probe.values()) for probe in probe_data(args.address, probes)["probes"]],
        ("va", "tag"),
    )


@command(
    "tlb check",
    group="looking",
    needs=("tlb",),
    effect=PURE,
    options=FILTERS,
    forms=("json", "csv"),
    summary="Hold every entry of the TLB against the tables.",
    help="""
Each entry that disagrees, of the page-walk caches too, is shown with the reason; see "help tlb" for the
words.""",
    examples=["tlb check", "tlb check/json"],
)
def tlb_check(session: Session, args: Args) -> object:
    entries = list(cached_entries(session.machine, args.level, args.cpu, args.asid, args.walk))
    if not args.walk and args.level is None:
        entries += cached_entries(session.machine, None, args.cpu, args.asid, walk=True)
    stale = [found for found in entries if found.check != "ok"]
    columns = [column for column in tlb_columns(session.notation) if column.exported]

    def cells() -> list[list[object]]:
        kept = [index for index, column in enumerate(tlb_columns(session.notation)) if column.exported]
        return [[tlb_row(found)[index] for index in kept] for found in stale]

    return Document(
        lambda: {
            "entries": len(entries),
            "stale": len(stale),
            "found": list(tlb_table(session.notation, stale, "").data()),
        },
        lambda: check_lines(session.notation, entries),
        columns,
        cells,
        ("vpn", "pfn"),
        lambda: stale_words(session.notation, stale[0]) if stale else "",
    )


@command(
    "tlb set",
    group="acting",
    needs=("act", "tlb"),
    effect=ACTING,
    arguments=[
        Argument("page", NUMBER, help="virtual page number, in pages of its size; with -set the tag"),
        Argument("frame", NUMBER, help="frame number, in base pages"),
        Argument(
            "rights",
            WORD,
            optional=True,
            default="rwxu",
            help="letters of rwx, then u or k; rwxu if left out",
        ),
    ],
    options=[
        Option("-array", WORD, help="into that array, such as L1d; else into the first"),
        Option("-set", NUMBER, help="into that set; PAGE is the tag then"),
        Option("-size", SIZE, help="a page of that size"),
        Option("-dirty", help="the entry is dirty: a write needs no walk"),
        Option("-global", help="for every address space"),
        IN_ASID,
    ],
    usage="tlb set [-array ARRAY] [-set N] [-size SIZE] [-dirty] [-global] [-asid N] PAGE FRAME [RIGHTS]",
    summary="Put an entry into the TLB, whatever the tables say.",
    help="""
Such as the table of an exam: "set tlb.l1 4x4" makes four sets of four ways, and "tlb set -set 3 0x0d 0x2d"
gives set 3 the tag 0x0d and the frame 0x2d.  The last entry of a set comes to way 0, where the policy has an
order; a full set loses one.  "tlb lookup" says where an address looks, "translate" where it goes.""",
    examples=["tlb set 0x401 0x2d", "tlb set -array L1d -set 3 0x0d 0x2d rw-u"],
)
def tlb_set_command(session: Session, args: Args) -> object:
    machine, show = session.machine, session.notation
    form, (index, name, sets) = machine.format, find_array(session, args.array)
    size = args.size or form.page_size
    try:
        shift = form.page_shifts[form.size_index(size)]
    except ValueError:
        raise UserError(f"{form.name} has no pages of {size:#x} bytes.") from None
    page = args.page if args.set is None else args.page * sets + args.set
    if args.set is not None and not 0 <= args.set < sets:
        raise UserError(f"{name} has sets 0..{sets - 1}, not {args.set}.")
    if not 0 <= page < 1 << form.va_bits - shift:
        raise UserError(f"Page {page:#x} does not fit in {form.va_bits - shift} bits.")
    if not 0 <= args.frame < form.frames:
        raise UserError(f"Frame {args.frame:#x} is none of the {form.frames:#x} that an entry can name.")
    asid = None if args.asid is None else check_asid(args.asid)
    va = form.signed(page << shift)
    word = args.frame << WORD_PFN | read_rights(args.rights)
    word |= (WORD_DIRTY if args.dirty else 0) | (WORD_GLOBAL if args.__dict__["global"] else 0)
    space = 0 if word & WORD_GLOBAL else asid
    text = f"tlb set vpn {page:#x}, pfn {args.frame:#x}"
    (at, way), action = session.timeline.act(
        text, lambda machine: put_translation(machine, index, va, shift, word, space)
    )
    where = f"{name} set {at} way {way}: {show.va(va)} -> pfn {show.pfn(args.frame)}"
    said = f"{where}, {rights_text(word & WORD_RIGHTS)}, {format_size(size)}"
    return [*finished_lines(action), said, changed(session, action)]


def read_rights(text: str) -> int:
    """A nibble of rights from letters of rwx, then u or k.  UserError."""
    letters = {"r": RIGHT_R, "w": RIGHT_W, "x": RIGHT_X, "u": RIGHT_U, "k": 0, "-": 0}
    if set(text) - set(letters):
        raise UserError(f'Invalid rights "{text}"; expected letters of rwx, then u or k.')
    return sum(letters[letter] for letter in set(text))


def find_array(session: Session, name: str | None) -> tuple[int, str, int]:
    """The number, name and sets of an array of the TLB, the first without a name.  UserError."""
    rows = geometry(session.machine)
    known = ", ".join(row[0] for row in rows)
    for index, row in enumerate(rows):
        if name is None or row[0].lower() == name.lower():
            return index, row[0], row[1]
    if not known:
        raise UserError(
            "This machine has no TLB.", '"set tlb.l1 4x4" gives it one of four sets of four ways.'
        )
    raise UserError(f'No TLB array "{name}": this machine has {known}.')


@command(
    "tlb flush",
    group="acting",
    needs=("act", "tlb"),
    effect=ACTING,
    arguments=[
        Argument("what", WORD, optional=True, help="virtual address, asid, all or global"),
        Argument("number", NUMBER, optional=True, help="address-space number"),
    ],
    usage="tlb flush [ADDRESS|asid N|all|global]",
    summary="Drop entries of the current CPU's TLB.",
    help="""
Without an argument, the entries of the present address space: global ones stay, as when the root register
is loaded.  ADDRESS: what is held for that page.  asid N: the entries of that space.  all: every entry,
global ones too.  global: only these.  Page-walk caches lose what they hold for the address space, whichever
of its pages it is.""",
    examples=["tlb flush", "tlb flush 0x401000", "tlb flush all"],
)
def tlb_flush_command(session: Session, args: Args) -> object:
    timeline, what, number, space = session.timeline, args.what, args.number, None
    if (what == "asid") != (number is not None):
        raise UserError("Argument required (address-space number)." if number is None else "Junk at end.")
    if number is not None:
        space = check_asid(number)
    if what in (None, "asid", "all", "global"):
        name = " ".join(["tlb flush", what or "", "" if number is None else str(number)]).strip()
        _, action = timeline.act(name, lambda machine: flush(machine, space, what == "all", what == "global"))
    else:
        va = session.address(what)
        name = f"tlb flush {session.notation.va(va)}"
        _, action = timeline.act(name, lambda machine: flush_page(machine, va))
    return [*finished_lines(action), changed(session, action)]


@command(
    "tlb resize",
    group="acting",
    needs=("act", "tlb"),
    effect=ACTING,
    arguments=[
        Argument("array", WORD, help="array, such as L1d"),
        Argument("geometry", WORD, help="sets and ways"),
    ],
    usage="tlb resize ARRAY SETSxWAYS",
    summary="Give an array of the TLB another number of sets and ways.",
    help="""
The array of every CPU loses its entries; the others keep theirs, but an inclusive second level takes the
first along.  "set tlb.l1d 8x2" and the like say what the next machine is made of.""",
    examples=["tlb resize L1d 8x2", "tlb resize L2 1x32"],
)
def tlb_resize(session: Session, args: Args) -> object:
    timeline = session.timeline
    index, _, _ = find_array(session, args.array)
    name, old_sets, old_ways = geometry(timeline.machine)[index][:3]
    sets, ways = parse_geometry(name, args.geometry)
    if not sets:
        raise UserError(f"{name} cannot be turned off while the machine runs.")
    text = f"tlb resize {name} {sets}x{ways}"
    _, action = timeline.act(text, lambda machine: resize_array(machine, index, sets, ways))
    entries = f"{sets * ways} entr{'y' if sets * ways == 1 else 'ies'}"
    said = f"{name} has {entries}, {sets}x{ways}; it had {old_sets * old_ways}, {old_sets}x{old_ways}."
    return [*finished_lines(action), said, changed(session, action)]
