"""`vmdbg --grade LAB ...`: the command line, and the order of its work."""

from __future__ import annotations

import argparse
import os
import secrets
import sys

from vmdbg import progress
from vmdbg.errors import UserError
from vmdbg.grading.hand_ins import Lab
from vmdbg.grading.reports import csv_text, junit_text, lines, summary, write, write_json
from vmdbg.grading.run import CRASHED, Grade, Grader, Limits
from vmdbg.units import decimal, parse_size, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0}
MOST_SECONDS = 100_000


class Parser(argparse.ArgumentParser):
    """Says what is wrong in the words of vmdbg."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message, "Use `vmdbg --help' for a complete list of options.")


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """The options.  UserError if they make no sense."""
    parser = Parser(prog="vmdbg", add_help=False, allow_abbrev=False)
    parser.add_argument("--grade", "-grade", required=True)
    for name in ("--csv", "--json", "--junit"):
        parser.add_argument(name, name[1:], default="")
    parser.add_argument("-j", "--jobs", default="")
    parser.add_argument("--time", "-time", default="10s")
    parser.add_argument("--memory", "-memory", default="2G")
    parser.add_argument("--output", "-output", default="1M")
    for name in ("--update", "--verbose", "--quiet"):
        parser.add_argument(name, name[1:], name[1:3], action="store_true")
    parser.add_argument("hand_ins", nargs="*")
    found = parser.parse_args(arguments)
    if not found.hand_ins:
        raise UserError("Hand-ins expected: files or folders behind the lab.")
    return found


def duration(text: str) -> float:
    """`10s`, `2min`, `500ms`, or seconds without a unit."""
    unit = next((unit for unit in UNITS if text.endswith(unit)), "")
    whole, _, part = text.removesuffix(unit).strip().partition(".")
    number = decimal(whole + part) if whole else None
    seconds = number / 10 ** len(part) * UNITS.get(unit, 1.0) if number is not None else 0.0
    if not 0 < seconds <= MOST_SECONDS:
        raise UserError(f'--time "{text}": expected a time such as 10s or 2min.')
    return seconds


def jobs_of(text: str) -> int:
    """How many run at once: as many as there are processors, unless it is said."""
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    number = decimal(text)
    if not number or number > 1024:
        raise UserError(f'-j "{text}": expected a number from 1 on.')
    return number


def names_of(hand_ins: list[str]) -> list[str]:
    """The hand-ins, each once.  UserError for one that is not there."""
    for name in hand_ins:
        if not os.path.exists(name):
            raise UserError(f"{name}: No such file or directory.")
    return list(dict.fromkeys(hand_ins))


def main(arguments: Sequence[str]) -> int:
    """Grades; the exit status: 1 if something could not be graded."""
    progress.show_on(sys.stderr)
    try:
        return grade(options_of(arguments))
    except UserError as error:
        for line in str(error).split("\n"):
            sys.stderr.write(f"vmdbg: {visible(line)}\n")
        if error.hint:
            sys.stderr.write(error.hint + "\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"vmdbg: {error.filename}: {error.strerror}\n")
        return 1
    except KeyboardInterrupt:
        progress.clear()
        sys.stderr.write("Stopped: no file was written.\n")
        return 130


def grade(options: argparse.Namespace) -> int:
    """Runs the lab on an empty hand-in, then on all of them, then writes the reports."""
    names = names_of(options.hand_ins)
    limits = Limits(duration(options.time), parse_size(options.output), parse_size(options.memory))
    lab = Lab(options.grade, names)
    old = ""
    if options.update and options.csv and os.path.exists(options.csv):
        with open(options.csv, encoding="utf-8", newline="") as file:
            old = file.read()
    token = secrets.token_hex(4)
    grader = Grader(lab, limits, jobs_of(options.jobs), token)
    blank = grader.blank()
    tell_of_lab(lab, blank)
    grades = grader.grade_all(names, blank)
    if options.csv:
        write(options.csv, csv_text(grades, old))
    if options.junit:
        write(options.junit, junit_text(grades, lab.name))
    if options.json:
        write_json(grades, options.json)
    if not options.quiet:
        for line in lines(grades, options.verbose):
            sys.stdout.write(line + "\n")
    sys.stdout.write(summary(grades, token) + "\n")
    sys.stdout.flush()
    return int(any(grade.status == CRASHED for grade in grades))


def tell_of_lab(lab: Lab, blank: Grade) -> None:
    """What an empty hand-in shows about the lab.  UserError if it checks nothing, or if a check makes no
    sense, which would cost every hand-in its points."""
    mistakes = [check["mistake"] for check in blank.checks if check["mistake"]]
    if mistakes:
        sys.stderr.write("".join(f"vmdbg: {mistake}\n" for mistake in mistakes))
        raise UserError(f"{lab.name}: a check that no hand-in could meet: nothing is graded.")
    if not blank.checks:
        raise UserError(f"{lab.name}: nothing was checked. {blank.remark}".rstrip())
    if blank.status == CRASHED:
        sys.stderr.write(f"warning: with an empty hand-in: {visible(blank.remark)}\n")
    points = f"{blank.points} of {blank.most} points"
    sys.stderr.write(f"{lab.name}: {len(blank.checks)} checks; an empty hand-in gets {points}.\n")
