"""tables, overhead, rmap, aliases, pte: page tables as a whole, and single entries."""

from __future__ import annotations

from functools import partial

from vmdbg.errors import UserError
from vmdbg.inspect.base_and_bounds import partitions, partitions_data
from vmdbg.inspect.overhead import flat, page_sizes
from vmdbg.inspect.page_tables import (
    aliases,
    all_mappers,
    entry_runs,
    overhead_data,
    table_costs,
    valid_entries,
)
from vmdbg.inspect.pte import described
from vmdbg.inspect.translate import walk
from vmdbg.shell.command import PURE, Argument, Option, command
from vmdbg.shell.context_options import ROOT, TABLES, context_of
from vmdbg.shell.kinds import ADDRESS, NUMBER, SIZE, WORD
from vmdbg.views.document import Document
from vmdbg.views.page_tables import (
    aliases_table,
    entry_table,
    flat_line,
    overhead_lines,
    partitions_table,
    rmap_table,
    sizes_lines,
    tree_columns,
    tree_lines,
    tree_rows,
    vmprint_lines,
)
from vmdbg.views.result import Column, Lines, Record
from vmdbg.views.translate import hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

FLAT_NUMBERS = 3


@command(
    "tables",
    group="looking",
    needs=("translate",),
    effect=PURE,
    options=TABLES,
    forms=("json", "csv", "xv6"),
    summary="Show the tree of page tables below one root.",
    help="""
One line for each entry in use, under the table that it is in; pages whose frames follow one another share
a line.  /xv6 prints what vmprint of the xv6 labs would: every valid entry, with the address it names.""",
    examples=["tables", "tables/xv6", "tables/json"],
)
def tables_command(session: Session, args: Args) -> object:
    context = context_of(session, args)
    form, show = session.machine.format, session.notation
    if args.xv6 and not args.form:
        return Lines(vmprint_lines(context.root, valid_entries(session.machine, context.root, context.cpu)))
    return Document(
        lambda: list(tree_rows(form, entry_runs(session.machine, context.root, context.cpu))),
        lambda: tree_lines(show, form, context.root, entry_runs(session.machine, context.root, context.cpu)),
        tree_columns(),
        lambda: (
            list(row.values())
            for row in tree_rows(form, entry_runs(session.machine, context.root, context.cpu))
        ),
        ("va", "entry_address", "entry", "table", "pa"),
    )


@command(
    "overhead",
    group="looking",
    needs=("translate",),
    effect=PURE,
    arguments=[Argument("numbers", SIZE, optional=True, many=True, help="with -flat: BITS PAGE ENTRY")],
    options=[
        *TABLES,
        Option("-flat", help="of a flat table for BITS of address, PAGE bytes, ENTRY bytes"),
        Option("-sizes", help="of a flat table of this machine, by page size"),
    ],
    forms=("json", "csv", "v"),
    usage=[
        "overhead [-pid PID] [-root PA] [-cpu CPU]",
        "overhead -flat BITS PAGE ENTRY",
        "overhead[/v] -sizes",
    ],
    summary="Say what page tables cost.",
    help="""
The tables of the process, level by level, against what it has in memory and against one flat table.  With
-flat, the flat table of any address space: 48 bits, pages of 4K and entries of 8 bytes take 512 GiB a
process (texts that say 256 GiB mean entries of 4 bytes).  With -sizes, what each page size would cost in
tables, and what is lost on average in the last page of a region; /v tabulates every power of two.  On a
machine with partitions: who has which, and what of it nobody can use.""",
    examples=["overhead", "overhead -flat 32 4K 4", "overhead -sizes", "overhead/json"],
)
def overhead_command(session: Session, args: Args) -> object:
    if args.flat:
        return flat_overhead(args)
    if args.sizes:
        return sizes_overhead(session, every=args.v)
    if args.numbers:
        raise UserError(
            '"overhead" takes numbers only with "-flat".', "Usage: overhead -flat BITS PAGE ENTRY"
        )
    if session.machine.format.bounded:
        return partitions_overhead(session)
    context = context_of(session, args)
    costs = table_costs(session.machine, context.root, context.pid is not None, context.cpu)
    data = partial(overhead_data, session.machine, context.pid, costs)
    return Document(
        data,
        lambda: overhead_lines(costs, data()),
        [Column(key) for key in ("level", "tables", "size", "used", "entries")],
        lambda: [list(level.values()) for level in data()["levels"]],
    )


def partitions_overhead(session: Session) -> object:
    """`overhead` where memory is cut into partitions."""
    rows = list(partitions(session.machine))
    table = partitions_table(session.notation, rows)
    return Document(
        lambda: partitions_data(rows),
        table.lines,
        table.columns,
        lambda: [list(row.values()) for row in rows],
        ("base",),
    )


def flat_overhead(args: Args) -> object:
    """`overhead -flat BITS PAGE ENTRY`."""
    if args.numbers is None or len(args.numbers) != FLAT_NUMBERS:
        raise UserError('"-flat" takes three numbers.', "Usage: overhead -flat BITS PAGE ENTRY")
    found = flat(*args.numbers)
    return Record(
        {
            "entries": 1 << found.entry_bits,
            "entry": found.entry,
            "size": found.size,
            "size_small": found.small,
        },
        [flat_line(found)],
    )


def sizes_overhead(session: Session, every: bool) -> object:
    """`overhead -sizes`, with `every` for each power of two."""
    unit, rows = page_sizes(session.machine.format, every)
    keys = ("page", "entries", "table", "share", "lost")
    return Document(
        lambda: {"unit": unit, "sizes": [{key: getattr(row, key) for key in keys} for row in rows]},
        lambda: sizes_lines(unit, rows),
        [Column(key) for key in keys],
        lambda: [[getattr(row, key) for key in keys] for row in rows],
    )


@command(
    "rmap",
    group="looking",
    needs=("translate",),
    effect=PURE,
    arguments=[Argument("pfn", NUMBER, optional=True, help="frame number; without it, all that are shared")],
    options=[ROOT],
    forms=("json", "csv"),
    summary="Show which entries map a frame, by the kernel's reverse map.",
    help="""
A frame that two processes share has two lines.  With -root, the entries of that tree of tables that map it,
whether the kernel knows them or not; without a kernel, and on a dump, those of the tree that the CPU uses.
"info aliases" searches the tables of all processes.""",
    examples=["rmap", "rmap $pfn(0x401000)", "rmap/json"],
)
def rmap_command(session: Session, args: Args) -> object:
    assert session.target is not None
    by_tables = args.root is not None or "kernel" not in session.target.capabilities
    context = context_of(session, args) if by_tables else None
    root = context.root if context is not None else None
    empty = "No frame is shared." if args.pfn is None else "No entry maps this frame."
    return rmap_table(session.notation, all_mappers(session.machine, args.pfn, root), empty)


@command(
    "info aliases",
    group="looking",
    needs=("translate",),
    effect=PURE,
    arguments=[Argument("address", ADDRESS, help="virtual address")],
    options=TABLES,
    forms=("json", "csv"),
    summary="Show every address of every process that leads to the same place in memory.",
    help="""
By the tables of all processes; with -root, by those of that tree alone: every address in it that leads to
where ADDRESS does.  See also "rmap".""",
    examples=["info aliases 0x401000", "info aliases/json 0x401000"],
)
def aliases_command(session: Session, args: Args) -> object:
    context = context_of(session, args)
    _, found = walk(session.machine, context, args.address)
    if found.fault is not None:
        raise UserError(f"{session.notation.va(found.va)} is not mapped: {found.fault.reason}{hint(found)}.")
    assert found.pa is not None
    root = context.root if context.pid is None else None
    return aliases_table(
        session.notation, aliases(session.machine, found.pa, root, context.cpu), "No process maps it."
    )


@command(
    "pte",
    group="looking",
    needs=("translate",),
    effect=PURE,
    arguments=[
        Argument("entry", NUMBER, help="the entry as a number"),
        Argument("level", WORD, optional=True),
    ],
    forms=("json", "csv"),
    summary="Take an entry apart, field by field.",
    help="""
ENTRY is any number, such as $pte(0x401000); LEVEL is the manual's or Linux's name of a level, the last one
if it is left out.  A large page's entry is one of its own level: "pte 0x80000000002000e7 PD".""",
    examples=["pte $pte(0x401000)", "pte 0 ", "pte/json 0"],
)
def pte_command(session: Session, args: Args) -> object:
    title, rows = described(session.machine, args.entry, args.level or "")
    return entry_table(rows, title)
