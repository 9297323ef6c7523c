"""sweep: a program on every combination of some settings of its machine."""

from __future__ import annotations

import os
import shlex

from vmdbg.errors import UserError
from vmdbg.shell.command import SHELL, Argument, Option, command
from vmdbg.shell.kinds import NUMBER, SWEEP, WORD, choice
from vmdbg.sweep.execute import run_sweep
from vmdbg.sweep.plan import points, read_axis
from vmdbg.views.plot_terminal import require, terminal_lines
from vmdbg.views.result import Lines
from vmdbg.views.sweep import MEASURES, sweep_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from vmdbg.machine.config import MachineConfig
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session
    from vmdbg.sweep.plan import Point

RESIDENT = Option("-resident", help="the pages of a trace are in memory from the start")


@command(
    "sweep",
    group="files",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("what", SWEEP, optional=True)],
    options=[
        RESIDENT,
        Option("-jobs", NUMBER, help="so many processes at a time; without it, one for each processor"),
        Option("-on", WORD, help="on the workers of the Dask scheduler at that address"),
        Option("-plot", help="draw it below the table"),
        Option("-measure", choice(*MEASURES, label="NAME"), help="what is drawn"),
    ],
    usage=(
        "sweep[/json|/csv] [-resident] [-jobs N] [-on tcp://HOST:PORT] [-plot] [-measure NAME] "
        "SETTING=VALUE,... [...] FILE"
    ),
    forms=("json", "csv"),
    plots=True,
    summary="Run a program or trace on every combination of some settings, and compare.",
    help="""
Each machine is the session's with other values of these settings ("info set machine" lists them; the end of
a name will do where it is the only one: policy=fifo,lru; "frames" is kernel.user_frames; what has blanks
stands in quotes).  All combinations are checked before the first is run.  They run in processes of their own,
on all processors, through joblib (pip install "vmdbg[sweep]"); with -on, on a cluster, through Dask, whose
workers see FILE under the same path (pip install "vmdbg[cluster]").  What is done is kept: the same sweep,
interrupted and started again, goes on.  The session's machine stays as it is.

L1 misses are of the first try of each access, L1 MPKI those per 1000 instructions.  Cycles are what
translation costs an access by the settings "cost.*": one look-up of the first level, and what its misses
cost, those of the second try after a fault too; below the table stands how those of the fastest machine come
about.  Memory is what a trace has at its last access.  /json and /csv have the whole configuration of each,
and more measures.

-plot draws a measure over the last setting whose values are numbers: page faults where they differ, else
cycles, else the one that -measure names, such as l1_misses.  "plot sweep ... > FILE.svg" draws it into a
file.""",
)
def sweep_command(session: Session, args: Args) -> object:
    session.permissions.require_open("sweep")
    *words, file = words_of(args.what or "") or [""]
    if not words:
        raise UserError("Argument required (SETTING=VALUE,... and a program or trace).")
    if args.plot:
        require()
    if args.jobs is not None and args.jobs < 1:
        raise UserError("-jobs: expected a number from 1.")
    program = session.permissions.path(file)
    axes = [read_axis(word) for word in words]
    machines = points(config_of(session, args), axes, program)
    found = measured(session, machines, program, args.jobs or 0, args.on or "")
    table = sweep_table(axes, machines, found, os.path.basename(program), args.measure or "")
    return [table, Lines(terminal_lines(table.plot()))] if args.plot and not args.form else table


def words_of(text: str) -> list[str]:
    """The words of a line; those with blanks stand in quotes.  UserError."""
    try:
        return shlex.split(text)
    except ValueError:
        raise UserError("A quote is not closed.") from None


def measured(
    session: Session, machines: Sequence[Point], program: str, jobs: int, cluster: str = ""
) -> list[dict[str, Any]]:
    """The measures of all machines.  UserError if the same went wrong on each, and nothing was counted."""
    found = run_sweep(machines, program, jobs, cluster, session.output.error)
    first = found[0]
    if list(first) == ["error"] and all(row == first for row in found):
        raise UserError(first["error"])
    return found


def config_of(session: Session, args: Args) -> MachineConfig:
    """The machine that the session has after the next "run", with what -resident says."""
    target = session.next_target or session.target
    assert target is not None
    config: MachineConfig = target.machine.config
    return config.with_({"trace.resident": True}) if args.resident else config
