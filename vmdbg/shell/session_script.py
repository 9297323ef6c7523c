"""Writes a session as a script: commands that make its stops, settings and acting commands again."""

from __future__ import annotations

import os
import re

from vmdbg.debugger.settings import SHELL_SETTINGS
from vmdbg.errors import UserError
from vmdbg.expressions.c_types import INT, POINTER, describe
from vmdbg.machine.config import SETTINGS, load_config
from vmdbg.shell.commands.display import Displays
from vmdbg.units import decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from vmdbg.debugger.stops.stops import Stop
    from vmdbg.debugger.time.timeline import Timeline
    from vmdbg.expressions.values import Value
    from vmdbg.shell.session import Session

NAMED = re.compile(r"\$\$?[0-9]+|\$\$|\$[A-Za-z_]\w*|\$(?![\w$])")
OF_THE_TERMINAL = ("height", "width", "editing", "history", "logging", "prompt", "style", "pagination")
OF_THE_FILE = ("machine.program", "machine.warm", "kernel.swapped")  # what `file` sets


def spelled(session: Session) -> str:
    """The running command so that it can be typed again: values replace the variables of the shell."""
    text = str(session.interpreter.running) if session.interpreter is not None else ""
    return NAMED.sub(lambda found: value_text(session, found[0]), text)


def value_text(session: Session, name: str) -> str:
    """`$x`, `$`, `$$2` or `$3` as a number of its type; as it stands if it is none of the shell's."""
    value = value_of(session, name)
    if value is None or value.type.code not in (INT, POINTER):
        return name
    number = value.as_integer()
    return str(number) if value.type.code == INT else f"(({describe(value.type)}) {number:#x})"


def value_of(session: Session, name: str) -> Value | None:
    """The value that a name stands for, if the shell keeps it."""
    word, found = name[1:], None
    try:
        if word[:1].isalpha() or word[:1] == "_":
            found = session.variables.values.get(word)
        else:
            digits = word.removeprefix("$")
            number = decimal(digits) if digits else len(word)
            found = (
                session.values.get(-number if word.startswith("$") else number)
                if number is not None
                else None
            )
    except UserError:
        pass
    return found


# -- stops


def stop_lines(stops: Iterable[Stop]) -> Iterator[str]:
    """The commands that make stops again, as GDB saves them."""
    for stop in stops:
        yield stop.spelling
        if stop.condition is not None:
            yield f"  condition $bpnum {stop.condition.text}"
        if stop.ignore:
            yield f"  ignore $bpnum {stop.ignore}"
        if stop.commands:
            yield "  commands"
            for statement in stop.commands:
                yield from statement.lines(2)
            yield "  end"
        if stop.disposition == "dis":
            yield f"  enable count {stop.left} $bpnum" if stop.left else "  enable once $bpnum"
        if stop.disposition == "del" and not stop.spelling.startswith("t"):
            yield "  enable delete $bpnum"
        if not stop.enabled:
            yield "disable $bpnum"


# -- everything


def session_lines(session: Session) -> Iterator[str]:
    """The commands that make the session again: machine, settings, definitions, history, stops."""
    yield "# A session of vmdbg: run it with -x."
    yield from setting_lines(session)
    if session.target is not None:
        yield from machine_lines(session.target)
    for path, statements in sorted(session.interpreter.registry.bodies.items()):
        yield f"define {' '.join(path)}"
        for statement in statements:
            yield from statement.lines(1)
        yield "end"
    target = session.target
    if getattr(target, "machine", None) is None or target is None:
        return
    if "run" not in target.capabilities:
        yield from display_lines(session)
        return
    timeline = session.timeline
    yield from history_lines(timeline)
    yield f"goto {timeline.position}"
    yield from stop_lines(stop for number, stop in session.stops.by_number.items() if number)
    yield from display_lines(session)


def setting_lines(session: Session) -> Iterator[str]:
    """The settings of the shell that were changed."""
    for setting in SHELL_SETTINGS:
        value = session.settings.get(setting.name)
        if value != setting.default and setting.words[0] not in OF_THE_TERMINAL and not setting.readonly:
            yield f"set {setting.name} {setting.text(value)}"


def machine_lines(target: Any) -> Iterator[str]:
    """How the machine is booted: by name, its settings, its program; or loaded."""
    if target.loaded_from:
        yield f"load machine {target.loaded_from}"
        return
    if "run" not in target.capabilities:
        yield target.command
        return
    config = target.machine.config
    plain = load_config(target.origin)
    yield f"machine {target.origin}"
    ours = config["machine.program"] == plain["machine.program"] and not target.command
    for setting in SETTINGS:
        value = config[setting.name]
        if value != plain[setting.name] and (ours or setting.name not in OF_THE_FILE):
            yield f"set {setting.name} {setting.text(value)}"
    if not ours and config["machine.program"]:
        resident = "-resident " if target.resident else ""
        yield f"file {resident}{os.path.abspath(config['machine.program'])}"
    if target.command:
        yield target.command


def history_lines(timeline: Timeline) -> Iterator[str]:
    """The acting commands, each at its time; then the names of times."""
    at = timeline.booted
    for action in timeline.actions:
        if action.time != at:
            yield f"goto {action.time}"
        yield action.command
        at = action.time + 1
    if timeline.end != at:
        yield f"goto {timeline.end}"
    for name, position in sorted(
        timeline.bookmarks.items(), key=lambda item: (not item[0].isdigit(), item[1])
    ):
        yield f"goto {position}"
        yield "checkpoint" if name.isdigit() else f"bookmark {name}"


def display_lines(session: Session) -> Iterator[str]:
    """The expressions that every stop shows."""
    for display in session.state(Displays).by_number.values():
        letters = f"/{display.letters}" if display.letters else ""
        yield f"display{letters} {display.text}"
        if not display.enabled:
            yield f"disable display {display.number}"
