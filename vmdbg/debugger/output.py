"""The only place that writes: results to stdout, diagnostics to stderr, both to the log.

A line is a `str` without its newline, or a list of fragments `(style, text)`; `paint` turns
fragments into text (with colour or without) and is given by the shell.

A line never carries a control character or a byte that is not text to the terminal, wherever it has its
words from (names, files, memory): `visible` spells them as GDB does.  Only `write` takes text as it is.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

from vmdbg import progress
from vmdbg.errors import LimitReached, OutputLost, Quit
from vmdbg.units import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import IO

    Fragments = Sequence[tuple[str, str]]
    Line = str | Fragments  # a str may be a LineBlock
    Sink = tuple[IO[str] | None, Callable[[Fragments], str], Callable[[], str] | None, list[list[str]], bool]


MOST_HELD, PAUSE = 64, 0.05  # lines that wait for the next ones, if those come within so many seconds
OUTPUT_LIMIT = "Output limit reached."


def plain(fragments: Fragments) -> str:
    """Fragments without their styles."""
    return "".join([text for _, text in fragments])


def line_text(line: Line) -> str:
    """A line without its styles."""
    return line if isinstance(line, str) else plain(line)


def seen_width(text: str) -> int:
    """The characters of a text without its colours."""
    width = len(text)
    start = text.find("\x1b[")
    while start >= 0:
        end = text.find("m", start)
        if end < 0:
            break
        width -= end + 1 - start
        start = text.find("\x1b[", end)
    return width


class LineBlock(str):
    """Many lines at once, newlines between them, that are known to have nothing but printable text."""

    __slots__ = ()


class Output:
    """Where a session writes.  `pager`, if set, is asked at each full page and answers `q`, `c` or
    anything else; it is None unless stdout is a terminal."""

    def __init__(self, stdout: IO[str] | None = None, stderr: IO[str] | None = None) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self.paint: Callable[[Fragments], str] = plain
        self.silent = False
        self.pager: Callable[[], str] | None = None
        self.height: int | None = None
        self.width: int | None = None
        self._lines = 0
        self._column = 0
        self._unpaged = False
        self._captures: list[list[str]] = []
        self.log: IO[str] | None = None
        self.log_only = False
        self.log_name = ""  # of the log file, as it was given
        self.limit: int | None = None  # characters that may still be written

    @property
    def stdout(self) -> IO[str]:
        """The stream of results."""
        return self._stdout or sys.stdout

    @property
    def stderr(self) -> IO[str]:
        """The stream of diagnostics."""
        return self._stderr or sys.stderr

    def line(self, line: Line = "") -> None:
        """One line of a result."""
        if isinstance(line, str):
            line = visible(line)
        else:
            text = plain(line)
            if not text.isprintable():  # seldom: all fragments are looked at at once
                line = [(style, visible(part)) for style, part in line]
                text = plain(line)
            line = text if self._captures or not self.coloured else self.paint(line)
        self.write(line + "\n")

    def lines(self, lines: Iterable[Line]) -> None:
        """The lines of a result, written as they come; those that come quickly some at a time."""
        if self.pager is not None or self.limit is not None:
            for line in lines:
                for part in line.split("\n") if isinstance(line, LineBlock) else (line,):
                    self.line(part)
            return
        held: list[str] = []
        due = 0.0  # the first line, and one after a pause, is written at once
        try:
            for line in lines:
                if type(line) is not str:
                    self._write_held(held)
                    if isinstance(line, LineBlock):
                        self.write(line + "\n")
                    else:
                        self.line(line)
                    continue
                held.append(line)
                if len(held) >= MOST_HELD or time.monotonic() >= due:
                    self._write_held(held)
                    due = time.monotonic() + PAUSE
        finally:
            self._write_held(held)

    def _write_held(self, held: list[str]) -> None:
        """Write lines that wait, and forget them."""
        if held:
            whole = "\n".join(held)
            text = (whole if "".join(held).isprintable() else visible(whole)) + "\n"
            held.clear()
            self.write(text)

    def foreign(self, text: str) -> str:
        """Text from memory or a file, for `write`: as it is, but with nothing that a terminal obeys."""
        return visible(text) if not self._captures and self.stdout.isatty() else text

    def write(self, text: str) -> None:
        """A piece of a result, as it is."""
        self.count(text)
        if self._captures:
            self._captures[-1].append(text)
            return
        if self.log is not None:
            self._write_log(text)
            if self.log_only:
                return
        if self.silent:
            return
        progress.clear()
        if self.pager is None:
            self._put(text)
        else:
            self._write_paged(text)

    def _put(self, text: str) -> None:
        try:
            self.stdout.write(text)
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        """Results can no longer be written: one line, and the run ends."""
        if isinstance(error, BrokenPipeError):
            raise error
        if self._stdout is None:
            drop_stdout()
        self.silent, self.pager, self.log_only = True, None, False
        self.error(f"vmdbg: write error: {error.strerror}")
        raise OutputLost

    def _write_log(self, text: str) -> None:
        assert self.log is not None
        try:
            self.log.write(text)
        except OSError as error:
            self._lose_log(error)

    def _lose_log(self, error: OSError) -> None:
        """The log cannot be written: it is given up, and the session goes on."""
        log, self.log, self.log_only = self.log, None, False
        assert log is not None
        with suppress(OSError):  # that is what failed
            log.close()
        self.warning(f"Logging has ended: {error.strerror}.")

    def count(self, text: str) -> None:
        """Counts the characters of a text that is to be written; LimitReached if there are too many."""
        if self.limit is not None:
            self.limit -= len(text)
            if self.limit < 0:
                self.limit = None
                self.error(OUTPUT_LIMIT)
                raise LimitReached(OUTPUT_LIMIT)

    def _write_paged(self, text: str) -> None:
        for piece in text.splitlines(keepends=True):
            if self.height and not self._unpaged and self._lines >= self.height - 1:
                self._ask()
            self._put(piece)
            if piece.endswith("\n"):
                columns = self._column + seen_width(piece) - 1
                self._lines += 1 + (max(0, columns - 1) // self.width if self.width else 0)
                self._column = 0
            else:
                self._column += seen_width(piece)

    def _ask(self) -> None:
        self.stdout.flush()
        answer = self.pager() if self.pager is not None else "c"
        self._lines = 0
        if answer == "q":
            raise Quit
        self._unpaged = answer == "c"

    def new_page(self) -> None:
        """A prompt was shown: the pager counts from here."""
        self._lines = self._column = 0
        self._unpaged = False

    def error(self, text: str) -> None:
        """One diagnostic line, after everything that was written before."""
        self.count(text)
        self.flush()
        text = visible(text)
        if self.log is not None:
            self._write_log(text + "\n")
            if self.log_only:
                return
        progress.clear()
        try:
            self.stderr.write(text + "\n")
            self.stderr.flush()
        except BrokenPipeError:
            raise
        except OSError:
            pass  # stderr is closed too
        self._column = 0

    def warning(self, text: str) -> None:
        """A warning, as GDB begins it."""
        self.error(f"warning: {text}")

    def flush(self) -> None:
        """Everything written so far is out."""
        try:
            self.stdout.flush()
        except OSError as error:
            self._lose(error)
        if self.log is not None:
            try:
                self.log.flush()
            except OSError as error:
                self._lose_log(error)

    def capture(self) -> Capture:
        """`with output.capture() as text:` keeps results from stdout; `text()` is what came."""
        return Capture(self._captures)

    def swap_sink(self, sink: Sink) -> Sink:
        """Puts stream, paint, pager, captures and silence in the place of the present ones; those."""
        before = (self._stdout, self.paint, self.pager, self._captures, self.silent)
        self._stdout, self.paint, self.pager, self._captures, self.silent = sink
        return before

    @property
    def coloured(self) -> bool:
        """Whether fragments keep their colours."""
        return self.paint is not plain

    def redirect(self, stream: IO[str]) -> Redirection:
        """`with output.redirect(stream):` sends results to another stream, unpaged and plain."""
        return Redirection(self, stream)

    @property
    def captured(self) -> bool:
        """Results go to a capture, not to a person."""
        return bool(self._captures)


def drop_stdout() -> None:
    """Discards what is buffered for stdout and all that follows: Python's last flush must not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


class Redirection:
    """Results go to another stream while it is entered."""

    def __init__(self, output: Output, stream: IO[str]) -> None:
        self._output, self._stream = output, stream

    def __enter__(self) -> None:
        self._kept = self._output.swap_sink((self._stream, plain, None, [], False))

    def __exit__(self, *_: object) -> None:
        self._output.swap_sink(self._kept)


class Capture:
    """Collects the results written while it is entered."""

    def __init__(self, stack: list[list[str]]) -> None:
        self._stack = stack
        self._parts: list[str] = []

    def __enter__(self) -> Callable[[], str]:
        self._stack.append(self._parts)
        return lambda: "".join(self._parts)

    def __exit__(self, *_: object) -> None:
        self._stack.pop()
