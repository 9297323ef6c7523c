"""What `expect` does: run, look, compare, count, sum up."""

from __future__ import annotations

import json
import re

from vmdbg.debugger.output import line_text
from vmdbg.errors import UserError
from vmdbg.expressions.c_types import ARRAY
from vmdbg.shell.condition_mistakes import ARROW, Mistake, mistake_of
from vmdbg.shell.field_conditions import compare, judge, shown
from vmdbg.shell.report import report
from vmdbg.views.result import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vmdbg.shell.session import Session

OF_STRINGS = re.compile(
    r"""\s*(?P<left>\$\w+)\s*(?P<op>==|!=|=~)\s*(?P<string>"(?:[^"\\]|\\["\\/bfnrt])*")\s*"""
)
NAMED = re.compile(r"\$[A-Za-z_]\w*(?!\w*\()")
LONGEST_REMARK = 200


class Terms:
    """What an expectation is besides its condition: points, and for people a name and a hint.

    Of a hidden one those who handed in are told the points only.
    """

    def __init__(self, points: int = 1, name: str = "", hint: str = "", hidden: bool = False) -> None:
        self.points, self.name, self.hint, self.hidden = points, name, hint, hidden


class Expectation:
    """One expectation: whether it held, and if not what was there instead."""

    def __init__(self, text: str, where: str, terms: Terms, holds: bool, remark: str = "") -> None:
        self.text, self.where, self.terms, self.holds = text, where, terms, holds
        self.points, self.remark = terms.points, remark[:LONGEST_REMARK]
        self.mistake: Mistake | None = None  # of the one who wrote it, if that is asked for

    @property
    def title(self) -> str:
        """What stands in its line: the name, and unless it is hidden what was expected."""
        name, text = self.terms.name, "" if self.terms.hidden else self.text
        return ": ".join(part for part in (name, text) if part) or "hidden"

    @property
    def remarks(self) -> list[str]:
        """The lines below: what was there instead, and the hint; nothing of a hidden one."""
        if self.holds or self.terms.hidden:
            return []
        lines = [self.remark] if self.remark else []
        return [*lines, f"hint: {self.terms.hint}"] if self.terms.hint else lines

    def data(self) -> dict[str, Any]:
        """All of it, for a report."""
        return {
            "name": self.terms.name,
            "where": self.where,
            "text": self.text,
            "points": self.points if self.holds else 0,
            "most": self.points,
            "holds": self.holds,
            "remark": self.remark,
            "hint": self.terms.hint,
            "hidden": self.terms.hidden,
        }


class Tally:
    """All expectations of a run."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.outcomes: list[Expectation] = []
        self.listener: Callable[[Expectation], None] | None = None  # hears of each as it is judged
        self.looks_for_mistakes = False
        session.at_exit.append(self.finish)

    @property
    def tap(self) -> bool:
        """Whether the Test Anything Protocol is spoken."""
        return self._session.tap

    def add(self, outcome: Expectation) -> list[str]:
        """Counts one; the lines that tell of it."""
        self.outcomes.append(outcome)
        if self.listener is not None:
            self.listener(outcome)
        if not outcome.holds:
            self._session.exit_code = 1
        got = outcome.points if outcome.holds else 0
        if self.tap:
            word = "ok" if outcome.holds else "not ok"
            lines = [f"{word} {len(self.outcomes)} - {outcome.where}  {outcome.title}"]
            return [*lines, *(f"# {line}" for line in (f"{got}/{outcome.points} points", *outcome.remarks))]
        word = "ok" if outcome.holds else "FAILED"
        lines = [f"{word:6}  {got}/{outcome.points}  {outcome.where}  {outcome.title}"]
        return [*lines, *(f"{'':13}{line}" for line in outcome.remarks)]

    def finish(self) -> None:
        """Writes the totals: the last line of the run."""
        got = sum(outcome.points for outcome in self.outcomes if outcome.holds)
        most = sum(outcome.points for outcome in self.outcomes)
        held = sum(outcome.holds for outcome in self.outcomes)
        total = f"{got}/{most} points, {held} of {len(self.outcomes)} hold{self._session.mark}"
        output = self._session.output
        if self.tap:
            output.line(f"# {total}")
            output.line(f"1..{len(self.outcomes)}")
        else:
            output.line(f"total   {total}")


def tally_of(session: Session) -> Tally:
    """The tally of a session, made by the first expectation."""
    return session.state(Tally, lambda: Tally(session))


def check(session: Session, text: str, terms: Terms) -> Expectation:
    """Runs the expected command and compares.

    An error on the way counts as an expectation that does not hold.
    """
    where = line_of_script(session)
    data: list[Any] = []  # what the command gave
    failed = None
    try:
        holds, remark = compare_result(session, text, data.append)
    except UserError as error:
        failed, holds = error, False
        remark = f"error: {one_line(' '.join(part for part in (str(error), error.hint) if part))}"
    except Exception as error:  # noqa: BLE001 - a bug of ours must not take the other points away
        report(session, error)
        return Expectation(text, where, terms, False, f"error: {type(error).__name__}")
    found = Expectation(text, where, terms, holds, remark)
    if tally_of(session).looks_for_mistakes:
        found.mistake = mistake_of(session, text, data[0] if data else None, failed)
    return found


def compare_result(
    session: Session, text: str, look: Callable[[Any], None] = lambda data: None
) -> tuple[bool, str]:
    """Runs the expected command, hands what it gave to `look`, and compares; if it does not hold, what was
    there.  UserError if that is not possible."""
    if ARROW not in text:
        return judge_alone(session, text)
    line, _, condition = text.rpartition(ARROW)
    result = session.interpreter.result_of(line)
    if isinstance(result, Table):
        result.rows = list(result.rows)
    data = plain(result.data())
    look(data)
    judged = judge(session, data, condition)
    return judged.holds, "" if judged.holds else f"{judged.found}{story(result)}"


def judge_alone(session: Session, text: str) -> tuple[bool, str]:
    """Whether an expression holds; `$answer == "frame"` compares strings.  As `compare_result`."""
    compared = OF_STRINGS.fullmatch(text)
    if compared is not None:
        value = session.evaluate(compared["left"])
        if value.type.code == ARRAY:
            found = value.data.rstrip(b"\0").decode("utf-8", "replace")
            holds = compare(found, compared["op"], json.loads(compared["string"]))
            return holds, "" if holds else f"is {shown(found)}"
    try:
        truth = session.truth(text)
    except UserError:
        for name in NAMED.findall(text):
            if session.evaluate(name).is_void:
                raise UserError(f"{name} is not set") from None
        raise
    return truth, "" if truth else "is 0"


def line_of_script(session: Session) -> str:
    """`lab3.vmdbg:3`, of the script that runs; nothing for a line that was typed or given with -ex."""
    sources = [
        source for source in session.interpreter.sources if source.line_number and not source.interactive
    ]
    return f"{sources[-1].name}:{sources[-1].line_number}" if sources else "-"


def plain(data: Any) -> Any:
    """JSON data with its iterators read."""
    if isinstance(data, dict):
        return data
    return list(data) if hasattr(data, "__iter__") and not isinstance(data, str) else data


def story(result: Any) -> str:
    """What the result says in a few words, or else in its first line, to stand behind the value."""
    brief = getattr(result, "brief", "")
    if brief:
        return f": {brief}"
    lines = []
    for line in result.lines():
        lines.append(line_text(line))
        if len(lines) == 2:
            break
    if isinstance(result, Table) and result.headers and result.drawn is None:
        lines = lines[1:]
    return f": {lines[0].strip()}" if lines and lines[0].strip() else ""


def one_line(text: str) -> str:
    """A message on one line."""
    return " ".join(text.split("\n"))
