"""policy load, policy table, policy compare, info replacements, why victim: what policies do and did."""

from __future__ import annotations

import os
from collections import deque

from vmdbg.debugger.stops.patterns import Pattern
from vmdbg.debugger.time.questions import find_back, visit
from vmdbg.debugger.time.references import stretch
from vmdbg.debugger.time.search import scan
from vmdbg.errors import UserError
from vmdbg.inspect.policy import compare, count_references, looks_at_bits, policy_file, steps
from vmdbg.inspect.victim import candidates
from vmdbg.kernel.policies import bindings, facts_of
from vmdbg.machine.boot import format_of
from vmdbg.machine.config import load_config
from vmdbg.programs import read_program
from vmdbg.shell.boot import boot_changed
from vmdbg.shell.command import NO_REPEAT, PURE, SHELL, Argument, command, prefix
from vmdbg.shell.kinds import FILE
from vmdbg.shell.policy_question import QUESTION, Question, no_page
from vmdbg.shell.times import operations_of
from vmdbg.state import events
from vmdbg.views.policy import (
    Choice,
    loaded_policy,
    policy_table,
    replacements_table,
    stretch_table,
    victim_document,
)
from vmdbg.views.policy_compare import compare_table
from vmdbg.views.result import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.debugger.time.event_log import LoggedEvent
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.inspect.policy import PolicyFile
    from vmdbg.programs.program import Program
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

YARDSTICKS = ("fifo", "lru", "opt")
MOST_DRAWN = 1000  # references of a table
MOST_BACK = 100_000  # operations that are looked at for the last use of a page

POLICY = prefix(
    "policy", group="looking", summary="What page-replacement policies do with a reference string."
)


@command(
    "policy load",
    group="files",
    needs=("run", "kernel"),
    effect=SHELL,
    arguments=[Argument("file", FILE, optional=True, help="Python file with a page-replacement policy")],
    forms=("json", "csv"),
    summary="Use the page-replacement policy in a file, or the file's new text.",
    help="""
The file is read, held to the rules for policies, and becomes the setting "kernel.policy" of the machine: at
once if nothing has happened since it was booted, else at the next "run".  Edit the file and load it again to
try a change; without FILE the policy file that the machine has is read again.  A mistake is told with its
line, and then the machine keeps the policy that it has.  Both engines run it.

docs/policies.md says what is in such a file, and which functions it may call.""",
    examples=["policy load mru.py"],
    repeat=NO_REPEAT,
)
def policy_load_command(session: Session, args: Args) -> object:
    session.permissions.require_open("policy load")
    held = loaded_of(session)
    if args.file is not None:
        path = os.path.abspath(session.permissions.path(args.file))
    elif held is not None:
        path = held.path
    else:
        raise UserError("Argument required (a .py file with a policy).")
    if not path.endswith(".py"):
        raise UserError(f"{args.file}: expected a .py file with a policy.")
    again = held is not None and held.path == path
    if held is not None and again and held.source == source_of(path):
        return loaded_policy(held, True, "unchanged")
    at_once = boot_changed(session, {"kernel.policy": path})
    found = loaded_of(session)
    assert found is not None
    return loaded_policy(found, again, "now" if at_once else "run")


def loaded_of(session: Session) -> PolicyFile | None:
    """The policy file of the machine that waits for `run`, or else of the present one."""
    target = session.next_target or session.target
    return None if target is None else policy_file(target.machine)


def source_of(path: str) -> bytes:
    """What a file holds now.  UserError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None


@command(
    "policy table",
    group="looking",
    effect=PURE,
    arguments=[Argument("question", QUESTION, help="a policy, -frames N, and pages")],
    usage=("policy table[/json|/csv|/v] POLICY -frames N PAGE...", "policy table[/json|/csv|/v] FROM..TO"),
    forms=("json", "csv", "v"),
    summary="Draw what a policy does with a reference string, as textbooks do.",
    help="""
Rows are frames, columns are references; F marks a fault.  For a policy that looks at accessed bits a star
marks a page whose bit is set after the step; if it has a hand, "hand" is the frame at which that stands
then.  With /v the rows "out", the pages that left, and "hit" are drawn, too.  A page is a number, decimal or
hex with 0x, or a letter.

A small machine is booted for it, with so many frames for pages, and the reads are executed: page tables,
faults, swap, all of it.  The machine of the session takes no part.  FIFO, LRU and OPT are counted as
yardsticks.

FROM..TO are operations of the record, both included: then it is the run of the session's machine that is
drawn, with its own policy, its pages by their numbers (a frame that several pages share goes by one of them),
and the frames of pages that these operations access, bring in or throw out.  A page that an operation
accesses is one reference.  With /v the row "time" says where
to "goto".""",
    examples=[
        "policy table clock -frames 3 7 0 1 2 0 3 0 4 2 3 0 3 2 1 2 0 1 7 0 1",
        "policy table/v fifo -frames 4 1 2 3 4 1 2 5 1 2 3 4 5",
        "policy table 3..20",
    ],
)
def policy_table_command(session: Session, args: Args) -> object:
    low, _, high = args.question.partition("..")
    if low.strip() and high.strip() and "-frames" not in args.question:
        return table_of_stretch(session, args)
    question = Question(session, args.question)
    if len(question.policies) != 1 or len(question.sizes) != 1:
        raise UserError("Expected one policy, one number of frames, and pages.", '"policy compare".')
    if question.file:
        raise no_page(question.file)
    if len(question.pages) > MOST_DRAWN:
        raise UserError(f"{len(question.pages)} references: at most {MOST_DRAWN} are drawn.")
    policy, frames = question.policies[0], question.sizes[0]
    others = {
        name: count_references(name, frames, question.pages).faults for name in YARDSTICKS if name != policy
    }
    found = list(steps(policy, frames, question.pages))
    return policy_table(
        policy, found, question.texts, others, args.v, looks_at_bits(policy, bindings(policy))
    )


def table_of_stretch(session: Session, args: Args) -> object:
    """`policy table FROM..TO`.  UserError."""
    target = session.target
    if target is None:
        raise UserError("No machine.")
    target.check(frozenset(("run", "kernel")), '"policy table FROM..TO"')
    timeline = session.timeline
    first, last = operations_of(session, args.question, timeline.end - 1)
    last = min(last, max(timeline.begin, timeline.end) - 1)
    if last - first >= MOST_DRAWN:
        raise UserError(f"{last - first + 1} operations: at most {MOST_DRAWN} are drawn.")
    found = stretch(timeline, first, max(first, last + 1))
    if not found.steps:
        raise UserError(f"No page is accessed from {first} to {max(first, last)}.")
    policy = str(timeline.machine.config["kernel.policy"])
    bits = looks_at_bits(policy, timeline.machine.bindings)
    return stretch_table(policy, found, session.notation, args.v, bits)


@command(
    "policy compare",
    group="looking",
    effect=PURE,
    arguments=[Argument("question", QUESTION, help="policies, -frames N,..., and pages or a trace")],
    usage="policy compare[/json|/csv] POLICY... -frames N,... PAGE...|TRACE",
    forms=("json", "csv"),
    plots=True,
    summary="Count the faults of policies with several numbers of frames.",
    help="""
Each policy runs on a machine of its own, the references or the trace executed to the end; the machine of the
session takes no part.  TRACE is a file with a trace.  Said of a row: "more frames, more faults" where a
policy has more faults than with fewer frames, Belady's anomaly; "thrashing" where faults other than the first
of each page are more than half of the references.""",
    examples=[
        "policy compare fifo lru clock opt -frames 3,4,5 1 2 3 4 1 2 5 1 2 3 4 5",
        "policy compare/csv arc s3-fifo two-list -frames 2,3 1 2 3 1 2 4 1 2",
    ],
)
def policy_compare_command(session: Session, args: Args) -> object:
    question = Question(session, args.question)
    form = format_of(load_config("trace"))  # which runs what is compared
    last: deque[Program] = deque(maxlen=2)  # kept, so that the next machine need not read the trace again

    def read(fed: bool) -> Program:
        program = read_program(
            question.file,
            va_bits=form.va_bits,
            page_size=form.grain,
            approve=session.permissions.reading,
            user_end=form.user_end,
            fed=fed,
        )
        for line in program.remarks if not last else ():
            session.output.error(line)
        last.append(program)
        return program

    found = compare(question.policies, question.sizes, question.pages, read if question.file else None)
    return compare_table(found, question.policies, question.sizes)


@command(
    "why victim",
    group="time",
    needs=("run", "kernel"),
    effect=PURE,
    forms=("json", "csv"),
    summary="Say what the policy could choose from at the last eviction, and what it took.",
    help="""
Each page that could leave memory, as it was when the victim had been chosen: ">" marks the frame at which the
hand stands, A and D are the bits of its entry, "age" counts the operations since its last access by a program
in the last 100000 operations ("-": none).  "next use" counts the accesses of the program, 1 the one that is
served, until it accesses the page ("never": not among the next 100000; "-": nobody knows, for other processes
run or the program forks), which no kernel knows and OPT chooses by.  Go to an eviction of "info replacements"
and one event further to ask about it.

"steps" are the pages whose accessed bit the policy cleared on its way to the victim, in this order: a hand
that goes round, a second chance.  Of them A is shown as it is since then.""",
    examples=["why victim", "why victim/json"],
)
def why_victim(session: Session, args: Args) -> object:
    timeline = session.timeline
    row, place, by = find_back(timeline, [Pattern(events.EVICT)])
    if row is None:
        nothing: dict[str, Any] = {
            "time": None,
            "policy": None,
            "oracle": None,
            "rule": None,
            "cleared": [],
            "candidates": [],
        }
        return Record(nothing, ["No page has left memory."])
    machine = session.machine
    bits = machine.format.page_bits
    last: dict[int, int] = {}
    kinds = (events.READ, events.WRITE, events.FETCH)
    first = max(timeline.begin, row.operation - MOST_BACK)

    def note(event: LoggedEvent) -> None:
        last[event.a >> bits] = event.operation

    if row.operation > first:
        scan(timeline, [Pattern(kind) for kind in kinds], first, row.operation, take=note)
    pages = visit(timeline, row.operation, row.number if place is not None else 0, candidates)
    for page in pages:
        used = last.get(page["pfn"])
        page["age"] = None if used is None else row.operation - used
    taken = next((page["frame"] for page in pages if page["pfn"] == row.a), -1)
    policy = str(machine.config["kernel.policy"])
    facts = facts_of(policy)
    rule = facts.leaves if facts is not None else "as the policy in its file says"
    cleared: list[int] = []
    if place is None:
        policy, rule = "", f'command "{by}"'
    else:
        cleared = passed_by(timeline, row)
    choice = Choice(f"{row.operation}:{row.number}", policy, rule, taken, cleared)
    return victim_document(session.notation, choice, pages)


def passed_by(timeline: Timeline, evicted: LoggedEvent) -> list[int]:
    """The frames whose accessed bit the policy cleared, in this order, in the search that found a victim."""
    patterns = [Pattern(kind) for kind in (events.AGE, events.EVICT)]
    found: list[int] = []
    for row in scan(timeline, patterns, evicted.operation, evicted.operation + 1):
        if row.number >= evicted.number:
            break
        found = [*found, row.a] if row.kind == events.AGE else []
    return list(dict.fromkeys(found))


#: Events that tell what came into a frame, and what became of the page that left it: how, in a word.
CAME = {events.FRAME_ALLOC: (1, 2), events.SWAP_IN: (2, 3), events.FILE_READ: (2, 3)}
LEFT = {
    events.SWAP_OUT: "written",
    events.FILE_WRITE: "written",
    events.SWAP_DROP: "dropped",
    events.FILE_DROP: "dropped",
    events.ZERO_DROP: "dropped",
}


@command(
    "info replacements",
    group="status",
    needs=("run", "kernel"),
    effect=PURE,
    forms=("json", "csv"),
    summary="Each eviction of the record: frame, page that left, page that came in.",
    help="""
"pid" is the process that needed room, "page in" the page that got the frame next, whosever it is; "-" if
nobody has had it since, or a page table has.  "written": the content went to swap or to a file's copy;
"dropped": a copy was there already, or it was never written.  Each row is a time to go to ("goto 12:4").  It
is not stored: the past is run again.""",
    examples=["info replacements", "info replacements/json"],
)
def info_replacements(session: Session, args: Args) -> object:
    timeline = session.timeline
    now = timeline.machine.operations + bool(timeline.inside)
    patterns = [Pattern(kind) for kind in (events.EVICT, *CAME, *LEFT)]
    rows = scan(timeline, patterns, timeline.begin, now) if now > timeline.begin else []
    return replacements_table(session.notation, replacements(rows))


def replacements(rows: list[LoggedEvent]) -> Iterator[list[Any]]:
    """Evictions with what followed, in order of time."""
    found: list[list[Any]] = []
    last: dict[int, list[Any]] = {}
    for row in rows:
        arguments = (row.a, row.b, row.c)
        if row.kind == events.EVICT:
            time = f"{row.operation}:{row.number}"
            page_out = None if row.b == -1 else row.b
            last[row.a] = [time, row.pid, row.a, page_out, None, ""]
            found.append(last[row.a])
        elif row.kind in LEFT and row.b in last:
            last[row.b][5] = last[row.b][5] or LEFT[row.kind]
        elif row.kind in CAME:
            pfn, va = (arguments[place - 1] for place in CAME[row.kind])
            if pfn in last:
                last.pop(pfn)[4] = va
    yield from found
