"""One line on a terminal about what takes long: how much is done, how fast, and how long it still takes.

    with progress.task("Reading ls.lackey", "B", total) as task:
        ...
        task.at(done)

Nothing is shown in a task's first second, nor before somebody said where (`show_on`).  The line is written
over again and again, and is gone when the task ends, however it ends, and before anything else is written.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Self

PATIENCE = 1.0  # seconds in which nothing is shown
PAUSE = 0.25  # seconds from one line to the next
LARGE = 100_000  # above, numbers are in millions
FEW = 1000  # units up to which they are counted

_stream: IO[str] | None = None
_shown = 0  # characters of the line that is shown


def show_on(stream: IO[str] | None) -> None:
    """Show lines there from now on, if it is a terminal; None: nowhere."""
    global _stream
    clear()
    _stream = stream if stream is not None and stream.isatty() else None


def show(text: str) -> None:
    """Put a line in the place of the one that is shown."""
    global _shown
    if _stream is None:
        return
    try:
        text = text[: os.get_terminal_size(_stream.fileno()).columns - 1]
    except (OSError, ValueError):
        text = text[:79]
    before, _shown = _shown, max(_shown, len(text))  # so that it is cleared if this is interrupted
    _stream.write("\r" + text.ljust(before))
    _stream.flush()
    _shown = len(text)


def clear() -> None:
    """Take the line away."""
    global _shown
    if _shown and _stream is not None:
        _stream.write("\r" + " " * _shown + "\r")
        _stream.flush()
        _shown = 0


class Task:
    """Something that may take long.  `unit` is "B" for bytes, or what is counted; `total` of it, if known;
    `had` of it was done before."""

    def __init__(self, what: str, unit: str, total: int | None = None, had: int = 0) -> None:
        self.what, self.unit, self.total, self.had = what, unit, total, had
        self.begun = self._next = time.monotonic() + PATIENCE
        self._before = self.begun - PATIENCE, had  # a time, and what was done by then

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        clear()

    @property
    def few(self) -> bool:
        """Is each unit an amount of work of its own?  Then they are counted, and the rate is that of all."""
        return self.total is not None and self.total <= FEW and self.unit != "B"

    def due(self) -> bool:
        """Is it time for a line?"""
        return _stream is not None and time.monotonic() >= self._next

    def at(self, done: int) -> None:
        """Say that so much is done, if a line is due."""
        if self.due():
            now = time.monotonic()
            before, had = self._before if not self.few else (self.begun - PATIENCE, self.had)
            rate = (done - had) / max(now - before, 0.001)
            show(self.text(done, rate))
            self._next = now + PAUSE
            if now - before > PATIENCE:
                self._before = now, done

    def text(self, done: int, rate: float) -> str:
        """The line: `rate` is units a second."""
        parts = [f"{self.amount(done)}", f"{self.amount(rate)}/s"]
        if self.few:
            parts = [f"{done} of {self.amount(self.total or 0)}"]
        elif self.total:
            parts[0] = f"{min(100, 100 * done // self.total)}%"
        if self.total and rate > 0:
            parts.append(f"{duration(max(0, self.total - done) / rate)} left")
        return f"{self.what}: {', '.join(parts)}"

    def amount(self, number: float) -> str:
        """A number of units, in short."""
        if self.unit == "B":
            return f"{number / (1 << 20):.1f} MiB"
        if number < LARGE:
            return f"{int(number)} {self.unit}"
        return f"{number / 1e6:.1f} million {self.unit}"


def task(what: str, unit: str, total: int | None = None, had: int = 0) -> Task:
    """A task that begins now; a context, at whose end the line is gone."""
    return Task(what, unit, total, had)


def duration(seconds: float) -> str:
    """A time to wait: `4 s`, `3 min`, `2 h`."""
    for size, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {name}"
    return f"{round(seconds)} s"
