"""check, info machine, registers, stats, faults, frames, regions, swap: what there is, and if it is right."""

from __future__ import annotations

from itertools import pairwise

from vmdbg.debugger.time.counts_over_time import counts_over_time
from vmdbg.errors import UserError
from vmdbg.inspect.context import check_process
from vmdbg.inspect.counts import faults_between
from vmdbg.inspect.frame_cells import first_pfn, frame_cells, hand_of
from vmdbg.inspect.machine import describe, frame_runs, frame_summary, registers
from vmdbg.inspect.machine import facts as machine_facts
from vmdbg.inspect.processes import all_regions, counters, faults, rates, slot_summary, slots_of, violations
from vmdbg.shell.command import PURE, Argument, Option, command
from vmdbg.shell.context_options import ON_CPU, PID
from vmdbg.shell.kinds import CPU, NUMBER, PROCESS, WORD, choice
from vmdbg.views.document import Document
from vmdbg.views.frame_cells import cells_text
from vmdbg.views.result import WIDTH, Column, Table
from vmdbg.views.status import (
    faults_over_time,
    faults_table,
    frames_table,
    machine_lines,
    regions_table,
    registers_table,
    slots_table,
    stats_table,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session
    from vmdbg.views.result import Line

INTERVALS = 64  # of a picture, at least half as many
MOST_ROWS = 100_000  # of faults over time


@command(
    "info machine",
    group="status",
    needs=("translate",),
    effect=PURE,
    forms=("json", "csv"),
    summary="What the machine is made of and what it holds.",
    help="""
"digest" is a hash of the whole state of the machine: two machines in the same state have the same one,
whatever happened before.  Breakpoints, logs and the prompt are no part of it.""",
    examples=["info machine", "info machine/json"],
)
def info_machine(session: Session, args: Args) -> object:
    facts = machine_facts(session.machine)  # of which all forms are made

    def flat() -> dict[str, object]:
        return {key: value for key, value in facts.items() if not isinstance(value, (dict, list))}

    return Document(
        lambda: facts,
        lambda: machine_lines(facts, describe(session.machine.config, session.machine)),
        lambda: [Column(key) for key in flat()],
        lambda: [list(flat().values())],
    )


@command(
    "info registers",
    aliases=("info r", "info all-registers"),
    group="status",
    needs=("translate",),
    effect=PURE,
    arguments=[Argument("names", WORD, optional=True, many=True, help="registers; all without")],
    options=[ON_CPU],
    forms=("json", "csv"),
    summary="The registers of the CPU that translation uses.",
    help='Each is $NAME in expressions, and its fields $NAME.FIELD: "print $cr3", "print $cr0.wp = 0".',
    examples=["info registers", "info registers cr3", "info registers/json"],
)
def info_registers(session: Session, args: Args) -> object:
    rows = registers(session.machine, args.cpu, [name.removeprefix("$") for name in args.names or ()])
    return registers_table(rows, several=len({row["cpu"] for row in rows}) > 1)


@command(
    "info stats",
    group="status",
    needs=("translate",),
    effect=PURE,
    options=[
        Option("-pid", PROCESS, help="of that process alone, which may have ended"),
        Option("-cpu", CPU, help="on that CPU alone"),
    ],
    forms=("json", "csv"),
    summary="How often each kind of event happened.",
    help='On all CPUs and in all processes.  Kinds that never happened are left out; see "info events".',
    examples=["info stats", "info stats -pid 1", "info stats -cpu 0", "info stats/json"],
)
def info_stats(session: Session, args: Args) -> object:
    machine = session.machine
    found = counters(machine, args.pid, args.cpu)
    return stats_table(found, lambda: rates(machine, args.pid, args.cpu))


@command(
    "info faults",
    group="status",
    needs=("kernel",),
    effect=PURE,
    options=[PID, Option("-every", NUMBER, help="over time: a row for each so many operations")],
    forms=("json", "csv"),
    plots=True,
    summary="How many faults of each kind each process had, and what they cost.",
    help="""
Processes that ended are counted too.  "signal" are those that the kernel did not serve.  "events FROM..TO
KIND" shows them one by one, "catch KIND" stops at them.  With -every page faults and evictions are counted by
stretches of the run, which is run again for that; "plot faults" draws them.""",
    examples=["info faults", "info faults -pid 1", "info faults -every 4", "info faults/json"],
)
def info_faults(session: Session, args: Args) -> object:
    machine = session.machine
    pid = None if args.pid is None else check_process(machine, args.pid, ended=True)
    if args.every is None:
        return faults_table(
            faults(machine, pid), lambda: faults_over_time(*over_time(session, None, pid)).plot()
        )
    if args.every < 1:
        raise UserError("-every: expected a number from 1.")
    return faults_over_time(*over_time(session, args.every, pid))


def over_time(session: Session, every: int | None, pid: int | None) -> tuple[list[dict[str, Any]], int]:
    """Page faults and evictions of the record in stretches of `every` operations (None: some dozens of
    them)."""
    timeline = session.timeline
    length = session.machine.operations - timeline.begin
    every = every or 1 << max(0, (length // INTERVALS).bit_length())
    if length > MOST_ROWS * every:
        raise UserError(f"-every {every}: more than {MOST_ROWS} rows.")
    found = counts_over_time(timeline, every, pid)
    rows = [
        {"time": time, "operations": after - time, **faults_between(before, counts)}
        for (time, before), (after, counts) in pairwise(found)
    ]
    return rows, every


@command(
    "info frames",
    aliases=("info f",),
    group="status",
    needs=("kernel",),
    effect=PURE,
    options=[Option("-cells", help="drawn: a letter for each frame")],
    forms=("json", "csv"),
    summary="What each frame of memory holds.",
    help="""
Frames in a row that differ in nothing else are one line; free ones are left out.  See "rmap".  With -cells
each frame is a letter, "*" stands for rows that are as the row before, and ">" is the policy's hand.""",
    examples=["info frames", "info frames -cells", "info frames/json"],
)
def info_frames(session: Session, args: Args) -> object:
    machine, show = session.machine, session.notation

    def drawn() -> Iterator[Line]:
        return cells_text(show, first_pfn(machine), frame_cells(machine), hand_of(machine), WIDTH)

    table = frames_table(show, frame_runs(machine), lambda: [frame_summary(machine)])
    table.drawn = drawn if args.cells else None
    return table


@command(
    "info regions",
    group="status",
    needs=("kernel",),
    effect=PURE,
    options=[PID],
    forms=("json", "csv"),
    summary="The regions of all processes.",
    help='Of one process: -pid, or "map".',
    examples=["info regions", "info regions/json"],
)
def info_regions(session: Session, args: Args) -> object:
    return regions_table(session.notation, all_regions(session.machine, args.pid))


@command(
    "swap",
    aliases=("info swap",),
    group="looking",
    needs=("kernel",),
    effect=PURE,
    options=[PID],
    forms=("json", "csv"),
    summary="Show the slots of the swap area and whose pages they hold.",
    help="""
"refs" counts the entries that keep the slot, and a frame that has the same content still in memory: that
frame can be dropped without a write while it is clean.""",
    examples=["swap", "swap/json"],
)
def swap_command(session: Session, args: Args) -> object:
    machine = session.machine
    return slots_table(session.notation, slots_of(machine, args.pid), lambda: [slot_summary(machine)])


@command(
    "check",
    group="looking",
    needs=("kernel",),
    effect=PURE,
    arguments=[
        Argument("what", choice("machine", "tlb"), optional=True, default="machine", help="machine or tlb")
    ],
    forms=("json", "csv"),
    summary="Check that the machine is consistent.",
    help="""
Frames and the entries that map them, the reverse map, slots, counts, lists, page tables, TLBs: each is
compared with the others, and what disagrees is listed.  In the middle of an operation that names what is
in transit.  "check tlb" lists TLB entries that disagree with the tables, those too that their CPU owes to
drop ("help set machine.shootdown").""",
    examples=["check", "check tlb", "check/json"],
)
def check_command(session: Session, args: Args) -> object:
    found = violations(session.machine, tlb_only=args.what == "tlb")
    return Table(
        [Column("rule"), Column("message", "what is wrong", wraps=True)],
        found,
        empty="Consistent: nothing disagrees.",
    )
