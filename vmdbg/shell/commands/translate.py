"""translate, walk, split, why: where an address goes, and by which rule."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.inspect.alias_walk import by_direct_map, by_slot, seen_by_software
from vmdbg.inspect.base_and_bounds import registers_of
from vmdbg.inspect.fault_codes import kind_of, reported_fault
from vmdbg.inspect.split import split
from vmdbg.inspect.translate import translate, walk, walk_data
from vmdbg.inspect.walk import ACCESSES, byte_at, linux_names, remark
from vmdbg.inspect.why import why
from vmdbg.shell.command import PURE, Argument, Option, command
from vmdbg.shell.commands.linux_process import process_translate
from vmdbg.shell.context_options import ALL_MODES, CONTEXT, TABLES, context_of
from vmdbg.shell.kinds import ACCESS, ADDRESS, NUMBER, SIZE
from vmdbg.views.alias_walk import alias_table
from vmdbg.views.document import Document
from vmdbg.views.result import Column
from vmdbg.views.split import split_lines
from vmdbg.views.translate import bounded_lines, brief_outcome, outcome_line, walk_boxes, walk_lines
from vmdbg.views.walk_drawing import drawing
from vmdbg.views.why import why_data, why_lines, why_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

VA = Argument("address", ADDRESS, help="virtual address")
HOW = Argument("access", ACCESS, optional=True, default="r", help="r read (the default), w write, x fetch")
STEP_KEYS = ("level", "index", "entry_address", "entry", "kind", "flags", "rights")
DRAWN_LEVELS = 2
ADDRESSES = ("va", "pa", "root", "entry_address", "entry", "new")


@command(
    "translate",
    aliases=("t",),
    group="looking",
    needs=("addresses",),
    effect=PURE,
    arguments=[VA, HOW],
    options=[*CONTEXT, *ALL_MODES],
    forms=("json", "csv"),
    summary="Say where an access to a virtual address goes now.",
    help="""
The TLB is asked first, as the CPU does; if it has no entry, the tables are walked, from where a page-walk
cache knows one.  "stale" says that the cached entry disagrees with the tables.  Nothing is changed: no A
or D bit, no TLB entry, no counter.  To see what the tables alone say, use "walk"; to perform the access,
use "fault".""",
    examples=["translate 0x401234", "translate 0x401234 w", "translate/json 0x5000"],
)
def translate_command(session: Session, args: Args) -> object:
    if session.target is not None and session.target.process is not None:
        return process_translate(session, session.target.process, args.address)
    found = translate(session.machine, context_of(session, args), args.address, ACCESSES[args.access])
    return Document(
        found.data,
        lambda: [outcome_line(session.notation, found)],
        lambda: [Column(key) for key in found.data()],
        lambda: [list({**found.data(), "fault": found.fault.kind if found.fault else None}.values())],
        ADDRESSES,
        lambda: brief_outcome(session.notation, found),
    )


@command(
    "walk",
    aliases=("wk",),
    group="looking",
    needs=("translate",),
    effect=PURE,
    arguments=[VA],
    options=[
        *TABLES,
        Option(
            "-alias", ADDRESS, help="beside what software reads in a map of physical memory from there on"
        ),
        Option(
            "-slot", NUMBER, help="beside what software reads by that root entry, which points to the root"
        ),
    ],
    forms=("json", "csv", "v", "l"),
    summary="Read the page tables for a virtual address, level by level.",
    help="""
Each line is one entry: the table, the index times the size of an entry, where that is, what is there,
the rights so far, and the flags that are set by the manual's names.  The TLB and the CPU's mode play
no role.  Walks of two levels are drawn too, and with /v all others.  /l uses Linux's names of the levels
and shows those that the format lacks as folded.

A kernel reads its tables by virtual addresses of their frames.  With -alias, the address at which its map
of physical memory begins (the direct map, the HHDM), or -slot, the index of a root entry that points to the
root table, each entry stands beside what software reads there: through the TLB and the tables, as the
kernel.  Where that is another place or another word, the kernel changes what the CPU does not look at.""",
    examples=[
        "walk 0x401234",
        "walk/json 0x401234",
        "walk 0x5000",
        "walk -alias 0xffff800000000000 0x401234",
    ],
)
def walk_command(session: Session, args: Args) -> object:
    context = context_of(session, args)
    walked, found = walk(session.machine, context, args.address)
    if args.alias is not None or args.slot is not None:
        if args.alias is not None and args.slot is not None:
            raise UserError('"-alias" and "-slot" exclude one another.')
        if args.v or args.l:
            raise UserError('"-alias" and "-slot" have no other form than JSON and CSV.')
        alias = (
            by_slot(session.machine.format, args.address, args.slot)
            if args.alias is None
            else by_direct_map(args.alias)
        )
        seen = list(seen_by_software(session.machine, context, walked, alias))
        return alias_table(session.notation, seen, found)
    return Document(
        lambda: walk_data(session.machine, walked, found),
        lambda: walk_text(session, args, walked, found),
        [Column(key) for key in STEP_KEYS],
        lambda: [
            [step[key] for key in STEP_KEYS] for step in walk_data(session.machine, walked, found)["steps"]
        ],
        ADDRESSES,
        walk=(session.machine, walked, found),
    )


def walk_text(session: Session, args: Args, walk: Any, found: Any) -> Iterator[Any]:
    """Drawing, table, outcome."""
    names = linux_names(session.machine.format) if args.l else ()
    if walk.steps and (args.v or len(session.machine.format.levels) == DRAWN_LEVELS):
        byte = byte_at(session.machine, found.pa) if found.pa is not None else 0
        counts = [1 << level.bits for level in session.machine.format.levels]
        yield from drawing(walk_boxes(session.notation, walk, found, counts, byte, names))
    if session.machine.format.bounded:
        yield from bounded_lines(session.notation, registers_of(session.machine, walk.root, walk.cpu), found)
        return
    yield from walk_lines(
        session.notation, walk, found, [remark(session.machine, step) for step in walk.steps], names
    )


@command(
    "split",
    group="looking",
    needs=("translate",),
    effect=PURE,
    arguments=[VA],
    options=[Option("-page", SIZE, help="for a page of that size")],
    forms=("json", "csv"),
    summary="Cut an address into indexes and offset.",
    help="""
Shows the bits of the address as the walk uses them: one index for each level of the tables, and the
offset in the page.  Nothing is read.""",
    examples=["split 0x401234", "split -page 2M 0x401234", "split/json 0x401234"],
)
def split_command(session: Session, args: Args) -> object:
    parts = split(session.machine.format, args.address, args.page or 0)
    rows = [*parts.indexes, ("offset", parts.offset_bits, parts.offset)]
    return Document(
        parts.data,
        lambda: split_lines(session.notation, parts),
        [Column(key) for key in ("level", "bits", "value")],
        lambda: rows,
        ADDRESSES,
    )


@command(
    "why",
    group="looking",
    needs=("translate",),
    effect=PURE,
    arguments=[VA, HOW],
    options=[*TABLES, *ALL_MODES, Option("-e", NUMBER, help="the code that a CPU reported of the access")],
    usage="why[/json|/csv] [-pid PID] [-root PA] [-cpu CPU] [-u] [-k] [-m] [-e CODE] ADDRESS [r|w|x]",
    forms=("json", "csv"),
    summary="Say which rule of the hardware allows or refuses an access.",
    help="""
The verdict; for each level the fields that decide; the rule with its section of the manual; the
smallest edit that would make the access possible; and for an empty entry the nearest one in use.

With -e, access and mode are those that the CPU's code of a page fault tells, as a line of a log has it; the
last line says whether the tables agree.  "code" explains each bit.""",
    examples=[
        "why 0x401234",
        "why 0x401234 w",
        "why 0x401234 x -k",
        "why -e 7 0x401234",
        "why/json 0x5000 w",
    ],
)
def why_command(session: Session, args: Args) -> object:
    machine, reported = session.machine, None
    if args.e is not None:
        reported = reported_fault(args.e, kind_of(machine.format.name))
        modes = {"k": args.k or reported.mode == 1, "u": args.u or reported.mode == 0}
        args.__dict__.update(modes, access=reported.access)
    verdict = why(machine, context_of(session, args), args.address, ACCESSES[args.access])
    verdict.reported = reported
    return Document(
        lambda: why_data(verdict),
        lambda: why_lines(session.notation, machine.format, verdict),
        [Column(key) for key in ("level", "entry", *verdict.fields, "rights")],
        lambda: why_rows(verdict),
        ADDRESSES,
    )
