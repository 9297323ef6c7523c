"""compare, compare translation: a program on machines that differ in a setting, or in who translates."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.programs.traces.feed import ReplayedProgram
from vmdbg.shell.command import SHELL, Argument, Option, command
from vmdbg.shell.commands.sweep import RESIDENT, config_of, measured, words_of
from vmdbg.shell.kinds import COMPARE, FILE, NUMBER
from vmdbg.sweep.plan import Axis, find_setting, parse_value, points
from vmdbg.sweep.translation import WAYS, ways_to_translate
from vmdbg.views.compare import compare_table, translation_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

ONE_BY_ONE = Option(
    "-jobs", NUMBER, help="so many processes at a time; without it, one machine after the other"
)


def program_of(session: Session, name: str) -> str:
    """The file of a program or trace: the one that was named, else that of the session.  UserError."""
    if name:
        return str(session.permissions.path(name))
    machine = session.machine
    program = machine.program
    if isinstance(program, ReplayedProgram):
        if len(program.feeds) == 1 and program.feeds[0].parser.trace.regular:
            return str(program.feeds[0].parser.trace.path)
        raise UserError("A pipe, or several traces: name a file.")
    if not machine.config["machine.program"]:
        raise UserError("Argument required (a program or trace), for none is loaded.")
    return str(machine.config["machine.program"])


def jobs_of(args: Args) -> int:
    """How many processes at a time; 1 if nothing is said.  UserError."""
    if args.jobs is not None and args.jobs < 1:
        raise UserError("-jobs: expected a number from 1.")
    return args.jobs or 1


@command(
    "compare",
    group="files",
    needs=("run",),
    effect=SHELL,
    arguments=[Argument("what", COMPARE, optional=True)],
    options=[RESIDENT, ONE_BY_ONE],
    usage="compare[/json|/csv] [-resident] [-jobs N] SETTING VALUE VALUE [FILE]",
    forms=("json", "csv"),
    summary="Run a program or trace on two machines that differ in a setting, side by side.",
    help="""
A sweep of two: the session's machine with either value of the setting, the end of whose name will do; a
value with blanks stands in quotes.  FILE is a program or a trace, without it the one that is loaded, from its
begin.
"difference" and "times" are of the second machine against the first.

L1 and TLB misses are of the first try of each access, MPKI those per 1000 instructions.  "resident" and
"tables" are what a trace has at its last access, in pages and in page tables: so "compare trace.page 4K 2M
FILE" shows what larger pages cost beside what they save.""",
    examples=["compare kernel.policy fifo lru", "compare tlb.l2 off 128x12"],
)
def compare_command(session: Session, args: Args) -> object:
    session.permissions.require_open("compare")
    words = words_of(args.what or "")
    if not 3 <= len(words) <= 4:
        raise UserError("Expected a setting, two values, and maybe a program or trace.")
    setting = find_setting(words[0])
    values = [parse_value(setting, word) for word in words[1:3]]
    if values[0] == values[1]:
        raise UserError(f"{setting.name}: expected two values, not {setting.text(values[0])} twice.")
    program = program_of(session, words[3] if len(words) > 3 else "")
    machines = points(config_of(session, args), [Axis(setting, values)], program)
    found = measured(session, machines, program, jobs_of(args))
    return compare_table(setting, values, found, [machine.config for machine in machines])


@command(
    "compare translation",
    group="files",
    needs=("run",),
    effect=SHELL,
    arguments=[
        Argument("file", FILE, optional=True, help="program or trace; without it the one that is loaded")
    ],
    options=[RESIDENT, ONE_BY_ONE],
    forms=("json", "csv"),
    summary="What an access costs, translated by a kernel or a walker, with or without TLB.",
    help="""
One program on four machines: on each access the kernel is entered and reads the tables; a walker of the CPU
reads them; and both with the session's TLB, so that they do it for misses alone.  "translation" are the
cycles that it takes, by the settings "cost.*"; "cycles" has the access itself with it.  Page faults, the same
on all of them, are left out, but an access that is repeated after one is translated twice.""",
    examples=["compare translation"],
)
def compare_translation(session: Session, args: Args) -> object:
    session.permissions.require_open("compare translation")
    program = program_of(session, args.file or "")
    config = config_of(session, args)
    machines = ways_to_translate(config, program)
    found = measured(session, machines, program, jobs_of(args))
    return translation_table(WAYS, found, config["cost.memory"])
