"""Lessons: files of Markdown that are pages of the documentation, too.

A lesson is `# A. Title`, prose, transcripts for the page alone, and steps in comments, for the prompt alone:

    <!-- step
    machine: tutorial16
    do: Cut the address 0x0110.
    solution: split 0x0110
    check: translate 0x0110 => outcome == "translated"
    hint: "split ADDRESS" does it.
    -->

The prose before a step is its text.  A step with `machine` begins on that machine, freshly booted; each line
of the solution is a command.  Without `check` the step is done by a command that gives what the last line of
the solution gives; `check: typed: LINE` by a line that begins like this one; else by what `expect` judges.
"""

from __future__ import annotations

import os
import re
from functools import cache

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lessons")
STEP = re.compile(r"<!-- step\n(.*?)-->\n*", re.DOTALL)
BLOCK = re.compile(r"^```.*?^```$\n*", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
TYPED = "typed:"
INTRODUCTION = """\
# A tutorial: from one address to a full machine

{made}

Six lessons. `tutorial` at the prompt goes through them step by step: it says what to do, sees whether it was
done, gives hints, and goes on where one left. Here they are as sessions that can be typed.

"""


class Step:
    """One step: its text in paragraphs, what is to be done, and how that is seen."""

    def __init__(self, text: list[str], fields: dict[str, list[str]]) -> None:
        self.text = text
        self.machine = "".join(fields.get("machine", []))
        self.do, self.hint = " ".join(fields["do"]), " ".join(fields.get("hint", []))
        self.solution, self.check = fields["solution"], "".join(fields.get("check", []))

    @property
    def typed(self) -> str:
        """The line that the typed one has to begin like; empty if the check is another one."""
        return self.check.removeprefix(TYPED).strip() if self.check.startswith(TYPED) else ""


class Lesson:
    """A lesson: its letter, its title, its steps, and the source of its page."""

    def __init__(self, source: str) -> None:
        head, _, body = source.partition("\n")
        self.letter, _, self.title = head.removeprefix("# ").partition(". ")
        self.source, self.steps = source, list[Step]()
        pieces = STEP.split(body)
        for prose, fields in zip(pieces[::2], pieces[1::2], strict=False):
            self.steps.append(Step(paragraphs(prose), fields_of(fields)))

    @property
    def page(self) -> str:
        """The lesson as a chapter of a page: without its steps."""
        return "#" + STEP.sub("", self.source)


def fields_of(text: str) -> dict[str, list[str]]:
    """The `name: value` lines of a step."""
    found: dict[str, list[str]] = {}
    for line in text.strip().split("\n"):
        name, _, value = line.partition(": ")
        found.setdefault(name, []).append(value)
    return found


def paragraphs(prose: str) -> list[str]:
    """Paragraphs as plain text, without transcripts and markup."""
    plain = LINK.sub(r"\1", BLOCK.sub("", prose)).replace("`", '"')
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", plain) if part.strip()]


@cache
def lessons() -> tuple[Lesson, ...]:
    """All lessons in their order."""
    found = []
    for name in sorted(os.listdir(FOLDER)):
        if name.endswith(".md"):
            with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
                found.append(Lesson(file.read()))
    return tuple(found)


def page(made: str) -> str:
    """The page of the documentation; `made` says where it comes from."""
    return INTRODUCTION.format(made=made) + "\n".join(lesson.page for lesson in lessons())
