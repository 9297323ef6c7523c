"""Grades as text, CSV, JUnit's XML, and Gradescope's results.json."""

from __future__ import annotations

import csv
import io
import json
import os
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from vmdbg.errors import UserError
from vmdbg.files import write_whole
from vmdbg.grading.run import CRASHED, DENIED, ERROR, FINE, STOPPED, Grade, key_of
from vmdbg.units import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

COLUMNS = ["hand_in", "points", "most", "status", "seconds", "remark"]
SAID = {STOPPED: "stopped", DENIED: "refused", ERROR: "mistake", CRASHED: "not graded"}


def summary(grades: list[Grade], token: str) -> str:
    """The last line: how many hand-ins got how much, and the token."""
    stopped = [grade for grade in grades if grade.status == STOPPED]
    others = [grade for grade in grades if grade.status not in (STOPPED, CRASHED)]
    full = sum(grade.points == grade.most for grade in others)
    none = sum(not grade.points and bool(grade.most) for grade in others)
    parts = [f"{full} full, {len(others) - full - none} part, {none} none"]
    for count, what in (
        (len(stopped), "stopped at a limit"),
        (sum(grade.status == CRASHED for grade in grades), "not graded"),
    ):
        parts += [f"{count} {what}"] if count else []
    denied = sum(grade.status == DENIED for grade in grades)
    told = f"; {denied} tried what is not allowed" if denied else ""
    noun = "hand-in" if len(grades) == 1 else "hand-ins"
    return f"{len(grades)} {noun}: {', '.join(parts)}{told}  [{token}]"


def lines(grades: list[Grade], verbose: bool) -> Iterator[str]:
    """A line for each hand-in, and if `verbose` one for each of its checks."""
    points = [f"{grade.points}/{grade.most}" for grade in grades]
    width = max((len(text) for text in points), default=0)
    for text, grade in zip(points, grades, strict=True):
        said = f"  {SAID[grade.status]}: {grade.remark}" if grade.status != FINE else ""
        yield f"{text:{width}}  {visible(grade.name)}{visible(said)}"
        for check in grade.checks if verbose else ():
            word = "ok" if check["holds"] else "FAILED"
            yield f"{'':{width}}    {word:6}  {check['points']}/{check['most']}  {visible(title(check))}"
            for remark in remarks(check):
                yield f"{'':{width}}            {visible(remark)}"


def title(check: dict[str, Any]) -> str:
    """The name of a check and what was expected."""
    return ": ".join(part for part in (check["name"] or check["where"], check["text"]) if part)


def remarks(check: dict[str, Any]) -> list[str]:
    """What was there instead, and the hint."""
    found = [check["remark"]] if check["remark"] else []
    return [*found, f"hint: {check['hint']}"] if check["hint"] and not check["holds"] else found


def told_to_all(check: dict[str, Any]) -> list[str]:
    """What reports say that those who handed in may read: of a hidden check nothing."""
    return [] if check["hidden"] else [check["text"], *remarks(check)]


# -- CSV


def header(grades: Iterable[Grade]) -> list[str]:
    """The names of the checks, each once or as often as one hand-in has it."""
    return list(dict.fromkeys(name for grade in grades for name in numbered(grade)))


def numbered(grade: Grade) -> list[str]:
    """The names of a hand-in's checks; one that stands already, or heads another column, is `NAME (2)`."""
    found: list[str] = []
    for check in grade.checks:
        key = name = key_of(check)
        count = 1
        while name in found or name in COLUMNS:
            count += 1
            name = f"{key} ({count})"
        found.append(name)
    return found


def row(grade: Grade) -> dict[str, str]:
    """One hand-in as a row."""
    values = [grade.name, grade.points, grade.most, grade.status, f"{grade.seconds:.1f}", grade.remark]
    found = {key: visible(str(value)) for key, value in zip(COLUMNS, values, strict=True)}
    points = [str(check["points"]) for check in grade.checks]
    return found | dict(zip(numbered(grade), points, strict=True))


def csv_text(grades: list[Grade], old: str = "") -> str:
    """Grades as CSV; rows of other hand-ins in an older text stay, in their places."""
    rows = {grade.name: row(grade) for grade in grades}
    names = header(grades)
    kept = list(csv.DictReader(io.StringIO(old))) if old else []
    if kept:
        before = list(kept[0])
        if before[: len(COLUMNS)] != COLUMNS:
            raise UserError("--update: the CSV is not one of grades.")
        names = [*before[len(COLUMNS) :], *(name for name in names if name not in before)]
    order = [line["hand_in"] for line in kept]
    old_rows = {line["hand_in"]: line for line in kept}
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *names], restval="", lineterminator="\n")
    writer.writeheader()
    for name in dict.fromkeys([*order, *rows]):
        writer.writerow(rows.get(name) or old_rows[name])
    return text.getvalue()


# -- JUnit


def junit_text(grades: list[Grade], lab: str) -> str:
    """Grades as JUnit's XML: a suite for each hand-in, a case for each check."""
    out = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites name={attribute(lab)}>"]
    for grade in grades:
        failures = sum(not check["holds"] for check in grade.checks)
        errors = int(grade.status == CRASHED)
        out.append(
            f'  <testsuite name={attribute(grade.name)} tests="{len(grade.checks) + errors}" '
            f'failures="{failures}" errors="{errors}" time="{grade.seconds:.1f}">'
        )
        out += ["    <properties>", *properties(grade), "    </properties>"]
        for name, check in zip(numbered(grade), grade.checks, strict=True):
            case = f"    <testcase classname={attribute(grade.name)} name={attribute(name)}"
            worth = f"{check['points']}/{check['most']} points"
            if check["holds"]:
                out.append(f"{case}><system-out>{worth}</system-out></testcase>")
                continue
            told = "\n".join([worth, *told_to_all(check)])
            message = attribute("does not hold" if check["hidden"] else check["remark"] or "does not hold")
            out.append(f"{case}><failure message={message}>{element(told)}</failure></testcase>")
        if errors:
            out.append(
                f'    <testcase classname={attribute(grade.name)} name="graded">'
                f"<error message={attribute(grade.remark)}/></testcase>"
            )
        out.append("  </testsuite>")
    return "\n".join([*out, "</testsuites>", ""])


def properties(grade: Grade) -> Iterator[str]:
    """Points, status and remark of a hand-in."""
    values = {"points": grade.points, "most": grade.most, "status": grade.status, "remark": grade.remark}
    for name, value in values.items():
        yield f'      <property name="{name}" value={attribute(str(value))}/>'


def element(text: str) -> str:
    """Text between tags; what XML has no characters for is spelled."""
    return "\n".join(escape(visible(line)) for line in text.split("\n"))


def attribute(text: str) -> str:
    """Text in quotes."""
    return quoteattr(visible(text))


# -- Gradescope


def gradescope(grade: Grade) -> dict[str, Any]:
    """One hand-in as Gradescope's results.json."""
    tests = []
    for number, (name, check) in enumerate(zip(numbered(grade), grade.checks, strict=True), 1):
        test = {
            "name": name,
            "number": str(number),
            "score": check["points"],
            "max_score": check["most"],
            "status": "passed" if check["holds"] else "failed",
            "output": "\n".join(told_to_all(check)),
            "visibility": "hidden" if check["hidden"] else "visible",
        }
        if check["hidden"]:  # shown to nobody, but in what instructors export
            test["extra_data"] = {key: check[key] for key in ("text", "remark", "hint")}
        tests.append(test)
    output = "" if grade.status == FINE else f"{SAID[grade.status]}: {grade.remark}"
    return {
        "score": grade.points,
        "output": visible(output),
        "execution_time": round(grade.seconds, 1),
        "tests": tests,
    }


def write_json(grades: list[Grade], path: str) -> list[str]:
    """One hand-in: its results.json at `path`.  Several: a folder with one for each; the files written."""
    if len(grades) == 1 and not os.path.isdir(path):
        write(path, json.dumps(gradescope(grades[0]), indent=1) + "\n")
        return [path]
    names = [grade.name.lstrip("./").replace("/", "_") for grade in grades]
    if len(set(names)) < len(names):  # x/a and x_a
        names = [quote(grade.name, safe="") for grade in grades]
    files = []
    for grade, name in zip(grades, names, strict=True):
        file = os.path.join(path, f"{name}.json")
        write(file, json.dumps(gradescope(grade), indent=1) + "\n")
        files.append(file)
    return files


def write(path: str, text: str) -> None:
    """Writes a file whole: beside its place, then moved there."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    write_whole(path, text.encode("utf-8", "backslashreplace"))
