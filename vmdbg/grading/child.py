"""Runs a lab on one hand-in, in a process of its own: `python -P -m vmdbg.grading.child`.

The task is one object of JSON on stdin.  What comes of it goes line by line to a pipe that only the grader
reads, each line with the token of the task, so that nothing that a hand-in prints can take its place; and
what was found before the process is killed is not lost.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys

from vmdbg.errors import LimitReached, UserError
from vmdbg.shell.boot import open_first
from vmdbg.shell.condition_mistakes import Mistake, variables
from vmdbg.shell.expectations import Expectation, one_line, tally_of
from vmdbg.shell.isolated import Endings
from vmdbg.shell.limits import Bounds, set_limits
from vmdbg.shell.permissions import Permissions
from vmdbg.shell.report import report
from vmdbg.shell.startup import attach_machine_settings, make_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

    from vmdbg.shell.session import Session

    Tell = Callable[[str, dict[str, Any]], None]


def make(task: dict[str, Any]) -> Session:
    """A restricted session with the limits of the task."""
    session = make_session(permissions=Permissions(True), color="never")
    session.batch, session.output.silent = True, True
    bounds = session.state(Bounds)
    bounds.seconds, bounds.output, bounds.memory = task["seconds"], task["output"], task["memory"]
    attach_machine_settings(session)
    session.open_target = lambda: open_first(session, "", "")
    set_limits(session, task["own"])
    # What no signal handler can end, because one call of Python's takes so long, the system ends.
    seconds = round(task["whole"]) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # SIGXCPU, then SIGKILL
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return session


def run(task: dict[str, Any], tell: Tell) -> None:
    """Runs the lab, and tells each expectation as it is judged, then how it ended."""
    session = make(task)
    with open(task["lab"], encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read().split("\n")
    tally, given = tally_of(session), variables_given(lines)
    tally.looks_for_mistakes = task["blank"]
    tally.listener = lambda judged: tell(
        "check", {**judged.data(), "mistake": mistake_in(session, judged, task["name"], lines, given)}
    )
    trouble = ""
    try:
        session.interpreter.run_lines(task["name"], lines)
    except LimitReached as error:
        trouble = f"the lab: {error.what}"
    except SystemExit:
        pass
    except UserError as error:
        trouble = one_line(str(error).replace(": Error in sourced command file:\n", ": "))
    except Exception as error:  # noqa: BLE001 - the last door: the grader hears of it
        report(session, error)
        trouble = f"{type(error).__name__} in vmdbg"
    endings = [[ending.kind, one_line(ending.text)] for ending in session.state(Endings).all]
    tell("end", {"endings": endings, "trouble": trouble})
    for action in session.at_exit:  # compiled code goes into the cache, for the other hand-ins
        action()


def variables_given(lines: list[str]) -> set[str]:
    """The variables that a lab keeps or names anywhere but in expectations."""
    others = [line for line in lines if not line.lstrip().startswith("expect")]
    readings = "\n".join(line for line in others if "-isolated" in line)
    return variables("\n".join(others)) | set(re.findall(r"\w+", readings))


def mistake_in(session: Session, judged: Expectation, name: str, lines: list[str], given: set[str]) -> str:
    """What is wrong with an expectation whatever is handed in, as `lab.vmdbg:5:12: what`; nothing if nothing
    is known to be."""
    mistake = judged.mistake
    if mistake is None and tally_of(session).looks_for_mistakes:
        for variable in sorted(variables(judged.text) - given):
            if session.evaluate(f"${variable}").is_void:
                what = f"${variable} is neither kept (source -isolated -keep {variable}) nor set by the lab"
                mistake = Mistake(f"${variable}", what)
                break
    if mistake is None:
        return ""
    file, _, number = judged.where.rpartition(":")
    column = 0
    if file == name and 0 < int(number) <= len(lines):
        line = lines[int(number) - 1]
        start = max(0, line.find(judged.text))
        column = line.find(mistake.piece, start) + 1
    return f"{judged.where}:{f'{column}:' if column else ''} {one_line(mistake.what)}"


def main() -> int:
    """Reads the task and does it."""
    task = json.load(sys.stdin)
    pipe: IO[str] = os.fdopen(task["pipe"], "w", encoding="utf-8")

    def tell(kind: str, values: dict[str, Any]) -> None:
        pipe.write(json.dumps({"token": task["token"], "kind": kind, **values}) + "\n")
        pipe.flush()

    run(task, tell)
    return 0


if __name__ == "__main__":
    sys.exit(main())
