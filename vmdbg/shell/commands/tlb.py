"""tlb, tlb lookup, check, resize: what the translation lookaside buffers hold, and whether it is right."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.inspect.tlb import cached_entries, geometry, look_up, probe_data
from vmdbg.inspect.walk import ACCESSES
from vmdbg.machine.config import parse_geometry
from vmdbg.machine.tlb_arrays import resize_array
from vmdbg.shell.command import ACTING, PURE, Argument, Option, command
from vmdbg.shell.commands.accesses import changed, finished_lines
from vmdbg.shell.context_options import IN_ASID, ON_CPU, PID, context_of
from vmdbg.shell.kinds import ACCESS, ADDRESS, NUMBER, WORD
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
    rows = geometry(timeline.machine)
    names = {name.lower(): index for index, (name, *_) in enumerate(rows)}
    index = names.get(args.array.lower())
    if index is None:
        known = ", ".join(name for name, *_ in rows)
        raise UserError(
            f'No TLB array "{args.array}": ' + (f"this machine has {known}." if known else "no TLB.")
        )
    name, old_sets, old_ways = rows[index][:3]
    sets, ways = parse_geometry(name, args.geometry)
    if not sets:
        raise UserError(f"{name} cannot be turned off while the machine runs.")
    text = f"tlb resize {name} {sets}x{ways}"
    _, action = timeline.act(text, lambda machine: resize_array(machine, index, sets, ways))
    entries = f"{sets * ways} entr{'y' if sets * ways == 1 else 'ies'}"
    said = f"{name} has {entries}, {sets}x{ways}; it had {old_sets * old_ways}, {old_sets}x{old_ways}."
    return [*finished_lines(action), said, changed(session, action)]
