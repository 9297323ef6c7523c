"""Goes through lessons at the prompt: shows a step, looks at each typed line, and remembers the place."""

from __future__ import annotations

import json
import os
from textwrap import wrap

from vmdbg.errors import UserError
from vmdbg.exercises.lessons import Lesson, Step, lessons
from vmdbg.files import write_whole
from vmdbg.shell.command import PURE
from vmdbg.shell.expectations import compare_result, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.machine.machine import Machine
    from vmdbg.shell.registry import Node
    from vmdbg.shell.session import Session
    from vmdbg.views.result import Line

WIDTH = 80
FILE = "tutorial.json"
FIRST = "A"
TURNS = 3  # lines that do not do it, until a hint is offered
OTHERS = ("tutorial", "help", "apropos", "info", "show", "quit")


def state_file() -> str:
    """Where the place is kept: in the user's folder for states, `~/.local/state` if nothing else is said."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "vmdbg", FILE)


class Tutor:
    """The lesson that a session is in, and the step.  `active`: lines that are typed are looked at."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.lesson, self.number, self.done = 0, 0, set[str]()
        self.active, self.turns = False, 0
        self.machine: Machine | None = None  # the one that a lesson left in the session
        self._load()

    # -- the place

    @property
    def current(self) -> Lesson:
        """The lesson."""
        return lessons()[self.lesson]

    @property
    def step(self) -> Step:
        """The step."""
        return self.current.steps[self.number]

    def _load(self) -> None:
        """Reads the place; a file that makes no sense is none."""
        if self.session.permissions.restricted:
            return
        try:
            with open(state_file(), encoding="utf-8") as file:
                kept = json.load(file)
            letters = [lesson.letter for lesson in lessons()]
            self.lesson = letters.index(kept["lesson"])
            self.number = int(kept["step"]) if 0 <= int(kept["step"]) < len(self.current.steps) else 0
            self.done = {letter for letter in kept["done"] if letter in letters}
        except (OSError, ValueError, KeyError, TypeError):
            self.lesson = self.number = 0

    def _save(self) -> None:
        """Writes the place, whole or not at all."""
        if self.session.permissions.restricted:
            return
        path = state_file()
        kept = {"lesson": self.current.letter, "step": self.number, "done": sorted(self.done)}
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            write_whole(path, json.dumps(kept).encode(), durable=False)
        except (OSError, UserError) as error:
            self.session.output.warning(f"The place in the tutorial is not kept: {error}")

    # -- moving

    def go(self, lesson: int, number: int) -> None:
        """Goes to a step: the machine is as it is when the steps before it were done."""
        self.lesson, self.number, self.turns = lesson, number, 0
        self.active = True
        self.session.interpreter.watcher = self.watch
        self._prepare()
        self._save()
        self._show(boot=True)

    def enter(self, lesson: int, number: int) -> None:
        """Goes to a step from outside.  UserError if the user wants to keep the machine that is there."""
        session = self.session
        own = session.opened is not None and session.opened.machine is self.machine
        if (
            session.unsaved
            and not own
            and not session.query("A lesson takes the place of this machine.  Go on? ")
        ):
            raise UserError("Not confirmed.")
        self.go(lesson, number)

    def forward(self) -> None:
        """Goes on without doing the step."""
        self._need()
        if self.number + 1 < len(self.current.steps):
            self.go(self.lesson, self.number + 1)
        else:
            self._next()

    def back(self) -> None:
        """Goes to the step before, or to the end of the lesson before."""
        self._need()
        if self.number:
            self.go(self.lesson, self.number - 1)
        elif self.lesson:
            self.go(self.lesson - 1, len(lessons()[self.lesson - 1].steps) - 1)
        else:
            raise UserError("This is the first step.")

    def leave(self) -> None:
        """Ends it; the place is kept."""
        self._need()
        self.active, self.session.interpreter.watcher = False, None
        self.session.output.line('Left.  "tutorial" goes on here.')

    def hint(self) -> None:
        """Says how the step is done."""
        self._need()
        self.session.output.line(f"Hint: {self.step.hint or self.step.solution[-1]}")
        for line in self.step.solution if self.turns > TURNS else ():
            self.session.output.line(f"  {line}")
        self.turns = max(self.turns, TURNS) + 1

    def again(self) -> None:
        """Puts the machine back to where the step began."""
        self._need()
        self.go(self.lesson, self.number)

    def _need(self) -> None:
        """UserError outside the tutorial."""
        if not self.active:
            raise UserError(
                "You are in no lesson.", f'"tutorial" goes on where you left, "tutorial {FIRST}" begins.'
            )

    def _next(self) -> None:
        """The next step, or the end of the lesson."""
        output = self.session.output
        self.turns = 0
        if self.number + 1 < len(self.current.steps):
            self.number += 1
            if self.step.machine:
                self._run([f"machine {self.step.machine}"])
            self._save()
            self._show(boot=bool(self.step.machine))
            return
        self.done.add(self.current.letter)
        output.line(f"Lesson {self.current.letter} is done.")
        if self.lesson + 1 < len(lessons()):
            self.lesson, self.number = self.lesson + 1, 0
            following = self.current
            output.line(f'Next: {following.letter}. {following.title}.  "tutorial" goes on.')
        else:
            self.lesson = self.number = 0
            output.line("That was the last one.")
        self.active, self.session.interpreter.watcher = False, None
        self._save()

    # -- the machine

    def _prepare(self) -> None:
        """Boots the step's machine and does what the steps before it do."""
        steps = self.current.steps[: self.number + 1]
        first = max(place for place, step in enumerate(steps) if step.machine)
        self._run([f"machine {steps[first].machine}"])
        for step in steps[first:-1]:
            self._run(step.solution)

    def _run(self, lines: list[str]) -> None:
        """Executes lines without showing anything; a refusal may be what a step is about."""
        session = self.session
        kept, session.ask = session.ask, None
        try:
            for line in lines:
                with session.output.capture():
                    try:
                        session.execute(line)
                    except UserError:
                        continue
        finally:
            session.ask = kept
        self.machine = session.machine

    # -- showing

    def _show(self, boot: bool) -> None:
        """The text of the step, and what is to be done."""
        lesson, step, output = self.current, self.step, self.session.output
        head = f"{lesson.letter} {self.number + 1}/{len(lesson.steps)}"
        if not self.number:
            output.line([("title", f"{lesson.letter}. {lesson.title}")])
        if boot:
            output.line(f"The machine is {step.machine or self._machine()}.")
        for paragraph in step.text:
            output.lines(wrap(paragraph, WIDTH))
        output.lines(task_lines(head, step.do))

    def _machine(self) -> str:
        """The machine of the step."""
        return next(step.machine for step in self.current.steps[self.number :: -1] if step.machine)

    # -- looking at what was typed

    def watch(self, line: str, worked: bool) -> None:
        """A line was typed and executed: is the step done?"""
        try:
            node, rest = self.session.interpreter.find(line.strip())
        except UserError:
            return
        if node.path[:1] == ("tutorial",) or not self.active:
            return
        if self._does(node, rest, line, worked):
            self.session.output.line([("title", "Right.")])
            self._next()
            return
        if worked and not self.step.check and node.target is self._wanted().target:
            self.session.output.line("The right command, but that is not what was asked.")
        if node.path and node.path[0] not in OTHERS:
            self.turns += 1
            if self.turns == TURNS:
                self.session.output.line(
                    'Not yet.  "tutorial hint" helps, "tutorial again" begins the step anew.'
                )

    def _wanted(self) -> Node:
        """The command of the last line of the step's solution."""
        return self.session.interpreter.find(self.step.solution[-1])[0]

    def _does(self, node: Node, rest: str, line: str, worked: bool) -> bool:
        """Whether a line does the step."""
        step = self.step
        if step.typed:
            return self._begins_like(node, rest, step.typed)
        if step.check:
            try:
                return compare_result(self.session, step.check)[0]
            except UserError:
                return False
        wanted, wanted_rest = self.session.interpreter.find(step.solution[-1])
        command = node.declared()
        if not worked or node.target is not wanted.target or command is None:
            return False
        if rest.split() == wanted_rest.split():
            return True
        if "json" not in command.forms or (command.effect != PURE and " -n" not in rest):
            return False
        return bool(self._data(line) == self._data(step.solution[-1]))

    def _begins_like(self, node: Node, rest: str, wanted: str) -> bool:
        """Whether a line is the wanted command, with the same words first."""
        other, words = self.session.interpreter.find(wanted)
        return node.target is other.target and rest.split()[: len(words.split())] == words.split()

    def _data(self, line: str) -> Any:
        """What a pure command says, as data."""
        try:
            return plain(self.session.interpreter.result_of(line.strip()).data())
        except UserError:
            return None


def task_lines(head: str, do: str) -> list[Line]:
    """What is to be done, behind the place in the lesson."""
    first, *more = wrap(do, WIDTH - len(head) - 2) or [""]
    return [[("title", head), ("", f"  {first}")], *(" " * (len(head) + 2) + line for line in more)]
