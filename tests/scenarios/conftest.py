"""A prompt at a machine, as the scenarios type at it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.session import Session
from vmdbg.shell.startup import make_session


class Prompt:
    """A session at a machine: what lines print, results and errors, as text and as JSON."""

    def __init__(self, machine: str, program: str = "") -> None:
        self.stream = io.StringIO()
        self.session: Session = make_session(self.stream, self.stream)
        self.session.settings.attach_later(lambda: MachineSettings(self.session))
        self.session.target = open_target(self.session, machine, program)

    def __call__(self, *lines: str) -> str:
        for line in lines:
            self.session.interpreter.try_line(line)
        self.session.output.flush()
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return text

    def json(self, line: str) -> Any:
        """What one line prints, read as JSON; an error message fails the test by itself."""
        text = self(line)
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise AssertionError(f"{line}: {text}") from None

    def told(self, line: str) -> list[tuple[str, str]]:
        """The events that a line tells: name, and what is said of it."""
        rows = [row.split(None, 2) for row in self(line).splitlines()]
        stories = [row for row in rows if len(row) == 3 and row[0][:1].isdigit() and ":" in row[0]]
        return [(event, what.rsplit(None, 1)[0].rstrip()) for _, event, what in stories]

    def counts(self) -> dict[str, int]:
        """How often each kind of event happened so far."""
        return {row["event"]: row["count"] for row in self.json("info stats/j")}

    def digest(self) -> str:
        """A hash of the whole machine."""
        return str(self.json("info machine/j")["digest"])

    def processes(self) -> dict[int, dict[str, Any]]:
        """The rows of `ps` by process."""
        return {row["pid"]: row for row in self.json("ps/j")}


@pytest.fixture
def at(tmp_path: Path) -> Callable[..., Prompt]:
    """A prompt at a machine; `program` is the text of a .vmp file, `toml` that of a machine's file."""

    def make(machine: str = "default", program: str = "", toml: str = "") -> Prompt:
        file = ""
        if program:
            (tmp_path / "test.vmp").write_text(program)
            file = str(tmp_path / "test.vmp")
        if toml:
            machine = str(tmp_path / "test.toml")
            Path(machine).write_text(toml)
        return Prompt(machine, file)

    return make
