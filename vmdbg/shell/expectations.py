"""What `expect` does: run, look, compare, count, sum up."""

from __future__ import annotations

import json
import re

from vmdbg.errors import UserError
from vmdbg.regex import Pattern
from vmdbg.shell.report import report
from vmdbg.views.result import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.shell.session import Session

ARROW = " => "
CONDITION = re.compile(
    r"\s*(?P<field>[\w.\[\]-]*)\s*(?P<op>==|!=|<=|>=|=~|<|>)\s*(?P<value>.*\S)\s*", re.DOTALL
)
STEP = re.compile(r"\.?([\w-]+)|\[([0-9]{1,18})\]")
ORDER = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
LONGEST_REMARK = 200


class Expectation:
    """One expectation: whether it held, and if not what was there instead."""

    def __init__(self, text: str, where: str, points: int, holds: bool, remark: str = "") -> None:
        self.text, self.where, self.points, self.holds = text, where, points, holds
        self.remark = remark[:LONGEST_REMARK]


class Tally:
    """All expectations of a run."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.outcomes: list[Expectation] = []
        session.at_exit.append(self.finish)

    @property
    def tap(self) -> bool:
        """Whether the Test Anything Protocol is spoken."""
        return self._session.tap

    def add(self, outcome: Expectation) -> list[str]:
        """Counts one; the lines that tell of it."""
        self.outcomes.append(outcome)
        if not outcome.holds:
            self._session.exit_code = 1
        got = outcome.points if outcome.holds else 0
        if self.tap:
            word = "ok" if outcome.holds else "not ok"
            lines = [f"{word} {len(self.outcomes)} - {outcome.where}  {outcome.text}"]
            return [*lines, f"# {outcome.remark}"] if outcome.remark else lines
        word = "ok" if outcome.holds else "FAILED"
        lines = [f"{word:6}  {got}/{outcome.points}  {outcome.where}  {outcome.text}"]
        return [*lines, f"{'':13}{outcome.remark}"] if outcome.remark else lines

    def finish(self) -> None:
        """Writes the totals: the last line of the run."""
        got = sum(outcome.points for outcome in self.outcomes if outcome.holds)
        most = sum(outcome.points for outcome in self.outcomes)
        held = sum(outcome.holds for outcome in self.outcomes)
        total = f"{got}/{most} points, {held} of {len(self.outcomes)} hold"
        output = self._session.output
        if self.tap:
            output.line(f"# {total}")
            output.line(f"1..{len(self.outcomes)}")
        else:
            output.line(f"total   {total}")


def tally_of(session: Session) -> Tally:
    """The tally of a session, made by the first expectation."""
    return session.state(Tally, lambda: Tally(session))


def check(session: Session, text: str, points: int) -> Expectation:
    """Runs the expected command and compares.

    An error on the way counts as an expectation that does not hold.
    """
    where = line_of_script(session)
    try:
        return judge(session, text, where, points)
    except UserError as error:
        return Expectation(text, where, points, False, f"error: {one_line(str(error))}")
    except Exception as error:  # noqa: BLE001 - a bug of ours must not take the other points away
        report(session, error)
        return Expectation(text, where, points, False, f"error: {type(error).__name__}")


def judge(session: Session, text: str, where: str, points: int) -> Expectation:
    """Runs the expected command and compares.  UserError if that is not possible."""
    if ARROW not in text:
        value = session.evaluate(text)
        return Expectation(text, where, points, value.truth(), "" if value.truth() else "is 0")
    line, _, condition = text.rpartition(ARROW)
    parsed = CONDITION.fullmatch(condition)
    if parsed is None:
        raise UserError(f'Condition "{condition.strip()}" is not FIELD OP VALUE.')
    wanted = literal(session, parsed["value"])
    result = session.interpreter.result_of(line)
    if isinstance(result, Table):
        result.rows = list(result.rows)
    data = plain(result.data())
    found = look_up(data, parsed["field"])
    holds = compare(found, parsed["op"], wanted)
    return Expectation(text, where, points, holds, "" if holds else f"is {shown(found)}{story(result)}")


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


def look_up(data: Any, path: str) -> Any:
    """The value at a path in data.  UserError names what is there instead."""
    position = 0
    while position < len(path):
        step = STEP.match(path, position)
        if step is None:
            raise UserError(f'Field "{path}" makes no sense.')
        position = step.end()
        if step[2] is not None:
            if not isinstance(data, (list, tuple)) or int(step[2]) >= len(data):
                raise UserError(f'no object [{step[2]}] in "{path}"')
            data = data[int(step[2])]
        elif isinstance(data, dict):
            if step[1] not in data:
                raise UserError(f'no field "{step[1]}"; there are {", ".join(data)}')
            data = data[step[1]]
        elif isinstance(data, (list, tuple)) and step[1] == "count":
            data = len(data)
        else:
            raise UserError(f'no field "{step[1]}"')
    return data


def literal(session: Session, text: str) -> Any:
    """A string, true, false, null, or the value of an integer expression."""
    if text in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[text]
    if text.startswith(('"', "[", "{")):
        try:
            return json.loads(text)
        except ValueError:
            raise UserError(f"Value {text} cannot be read.") from None
    return session.integer(text)


def compare(found: Any, op: str, wanted: Any) -> bool:
    """Whether the condition holds; numbers are compared with numbers only."""
    if op == "==":
        return bool(found == wanted)
    if op == "!=":
        return bool(found != wanted)
    if op == "=~":
        return Pattern(str(wanted)).found_in(str(found))
    if not isinstance(found, (int, float)) or not isinstance(wanted, (int, float)):
        raise UserError(f"{shown(found)} {op} {shown(wanted)} cannot be compared")
    return bool(ORDER[op](found, wanted))


def shown(value: Any) -> str:
    """A value as JSON writes it; large numbers in hex too."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 9:
        return f"{value} ({value:#x})"
    return json.dumps(value)


def story(result: Any) -> str:
    """What the result says in a few words, or else in its first line, to stand behind the value."""
    brief = getattr(result, "brief", "")
    if brief:
        return f": {brief}"
    lines = []
    for line in result.lines():
        lines.append(line if isinstance(line, str) else "".join(text for _, text in line))
        if len(lines) == 2:
            break
    if isinstance(result, Table) and result.headers and result.drawn is None:
        lines = lines[1:]
    return f": {lines[0].strip()}" if lines and lines[0].strip() else ""


def one_line(text: str) -> str:
    """A message on one line."""
    return " ".join(text.split("\n"))
