"""diff: what two states of the machine differ in."""

from __future__ import annotations

import os

from vmdbg.debugger.time.questions import visit, visit_branch
from vmdbg.dumps.machine import DumpMachine
from vmdbg.dumps.opening import machine_of, open_image
from vmdbg.errors import UserError
from vmdbg.inspect.context import check_root
from vmdbg.inspect.diff_facts import State, has_process
from vmdbg.inspect.dump_diff import dump_changes
from vmdbg.machine.file import load_machine
from vmdbg.shell.boot import approve
from vmdbg.shell.command import PURE, Argument, command
from vmdbg.shell.kinds import REST
from vmdbg.shell.times import position_of
from vmdbg.views.diff import difference_table
from vmdbg.views.result import Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.inspect.target import Target
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

SORTS = {
    "branch": "branch", "process": "process", "pid": "process", "root": "root", "file": "file",
    "time": "time",
}  # fmt: skip


class Side:
    """One of the two: a state by its time, branch or file, and which process or tree of it (None: all)."""

    def __init__(self, session: Session, word: str) -> None:
        self.session = session
        sort, colon, name = word.partition(":")
        self.sort = SORTS.get(sort, "") if colon else ""
        self.name = name if self.sort else word
        if not self.sort:
            self.sort = "time" if is_time(session, word) else "file"
        self.time = ""
        if self.sort in ("branch", "process", "root"):
            self.name, _, self.time = self.name.partition("@")
        number = session.integer(self.name) if self.sort in ("process", "root") else None
        self.pid = number if self.sort == "process" else None
        self.root = number if self.sort == "root" else None

    def state(self, other: Side) -> State:
        """The state, of the process or tree that it names, or else the other side.

        The machine stays where it is.  UserError if there is no such state, process or root.
        """
        named = self if self.pid is not None or self.root is not None else other

        def look(machine: Any) -> State:
            if named.pid is not None:
                if not has_process(machine, named.pid):
                    raise UserError(f"No process {named.pid} in one of the two.")
            if named.root is not None:
                check_root(machine, named.root)
            return State(machine, named.pid, named.root)

        timeline = self.session.timeline
        if self.sort == "file":
            policy = self.session.permissions
            allow = lambda config: approve(policy, config.values)  # noqa: E731
            return look(load_machine(policy.path(self.name), allow))
        position = None if self.sort in ("process", "root") and not self.time else self.position()
        if self.sort == "branch":
            return visit_branch(timeline, self.session.integer(self.name), position, look)  # type: ignore[no-any-return]
        if position is None:
            return look(timeline.machine)
        if position[0] > timeline.end:
            raise UserError(f"The record goes from {timeline.begin}:0 to {timeline.end}:0.")
        return visit(timeline, *position, look)  # type: ignore[no-any-return]

    def position(self) -> tuple[int, int] | None:
        """The time that was asked for; None: the end of a branch."""
        if self.sort == "branch":
            return position_of(self.session, self.time) if self.time else None
        return position_of(self.session, self.time or self.name)


def is_time(session: Session, word: str) -> bool:
    """Is it a time, or at least not the name of a file?"""
    try:
        position_of(session, word)
    except UserError:
        return not os.path.isfile(session.permissions.path(word))
    return True


def sides(session: Session, text: str) -> list[Side]:
    """The one or two sides of a command line; `process 1` is `process:1`."""
    words: list[str] = []
    for word in text.split():
        if words and words[-1] in SORTS:
            words[-1] += ":" + word
        else:
            words.append(word)
    if not 0 < len(words) <= 2:
        raise UserError("Argument required (what to compare)." if not words else "Expected two to compare.")
    return [Side(session, word) for word in words]


@command(
    "diff",
    group="time",
    needs=("translate",),
    effect=PURE,
    arguments=[Argument("what", REST, optional=True)],
    usage=("diff[/json|/csv] A [B]", "diff[/json|/csv] [FILE]"),
    forms=("json", "csv"),
    summary="What two states differ in: of times, branches, processes, saved machines.",
    help="""
A and B are each one of: a time as for "goto" (12, 12:4, begin, end, -1, a bookmark); branch:N, a branch of
history at its end (branch:N@TIME: at that time); process:N, what one process has (process:N@TIME); root:PA,
the tree of tables below that root (root:PA@TIME); the name of a file of "save machine".  Without B, the
present.  Two processes or trees are compared page by page, with what is in the pages; one of them and a state
are that one now and then.

Compared are entries by what they say, frames and who maps them, slots, regions, TLB entries, registers,
counts of processes, and every byte of memory; what follows one another is one row, a dash is where there is
none.  "inside" are tables of the machine of which no other row tells.  There is no difference exactly if the
digests of "info machine" are equal.  The machine stays where it is.

Of a guest ("target qemu"), without A: its registers, and what its page tables map, at the last stop and now.
Of a dump, FILE is another one, from before.""",
    examples=["diff begin", "diff begin end", "diff process:1 begin"],
)
def diff_command(session: Session, args: Args) -> object:
    target = session.target
    if target is not None and "run" not in target.capabilities:
        return dump_difference(session, target, (args.what or "").strip())
    found = sides(session, args.what or "")
    if len(found) == 1:
        found.append(Side(session, f"time:{session.timeline.position}"))
    return difference_table(found[0].state(found[1]), found[1].state(found[0]))


def dump_difference(session: Session, target: Target, name: str) -> object:
    """What a guest has changed since its last stop, or what a dump and another one differ in."""
    after = target.machine
    assert isinstance(after, DumpMachine)
    before = target.earlier
    if name:
        before = machine_of(open_image(session.permissions.path(name)), [])
    elif target.guest is None:
        raise UserError("Argument required (another dump to compare with).")
    if before is None:
        raise UserError('The guest has not run since it is looked at: "continue" lets it run.')
    columns = [Column("sort"), Column("what"), Column("before"), Column("after")]
    return Table(columns, dump_changes(before, after), empty="No difference.")
