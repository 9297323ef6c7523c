"""branch, info branches: the histories that began with a change of the past."""

from __future__ import annotations

from vmdbg.shell.command import ACTING, NO_REPEAT, PURE, Argument, command
from vmdbg.shell.kinds import NUMBER
from vmdbg.shell.stop_report import show_location
from vmdbg.views import result
from vmdbg.views.result import Column, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session


@command(
    "branch",
    group="time",
    needs=("run",),
    effect=ACTING,
    arguments=[Argument("number", NUMBER, help="number of the branch")],
    summary="Go to another branch of history, at its end.",
    help="""
A command that changes the machine in the past starts a branch: another history from that time on.  What
came after it the first time stays as it was; "info branches" lists both.  "diff branch:1 branch:2" says
how they differ.""",
    examples=["branch 1"],
    repeat=NO_REPEAT,
)
def branch_command(session: Session, args: Args) -> object:
    session.timeline.switch(args.number)
    show_location(session)
    return None


@command(
    "info branches",
    group="status",
    needs=("run",),
    effect=PURE,
    forms=("json", "csv"),
    summary="The branches of history, where each began, and with what.",
    help="The newest sixteen are kept, the one that the machine is on always.",
    examples=["info branches"],
)
def info_branches(session: Session, args: Args) -> object:
    timeline = session.timeline
    current = timeline.branches.current
    rows = []
    for number, branch in sorted(timeline.branches.by_number.items()):
        history = timeline if branch is current else branch
        own = history.actions[branch.inherited :]
        rows.append([
            branch is current,
            number,
            branch.parent or None,
            f"{branch.time}:0",
            f"{history.end}:0",
            len(own),
            own[0].name if own else None,
        ])  # fmt: skip
    columns = [
        Column("current", "", format=lambda here: "*" if here else ""),
        Column("branch", kind=result.NUMBER),
        Column("of", kind=result.NUMBER),
        Column("begin"),
        Column("end"),
        Column("changes", kind=result.NUMBER),
        Column("first"),
    ]
    return Table(columns, rows)
