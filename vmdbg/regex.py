"""Regular expressions that users write: one door, bounded in size and in time.

They are Python's.  A search that goes back and forth for ever (`(a+)+b`) is ended after SECONDS of CPU
time, by a timer of the process, which only its main thread can have; in other threads there is no bound.
"""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 1000  # characters of an expression
SECONDS = 1.0


class _TooLong(Exception):
    """A search has taken longer than SECONDS."""


class Pattern:
    """A compiled expression; all its searches together have SECONDS of CPU time."""

    def __init__(self, text: str, *, ignore_case: bool = False) -> None:
        """UserError, as GDB words it, for what is no regular expression or a longer one than LONGEST."""
        if len(text) > LONGEST:
            raise UserError(f"Error in regular expression: More than {LONGEST} characters")
        self._left = SECONDS
        try:
            with self._timed():
                self._compiled = re.compile(text, re.IGNORECASE if ignore_case else 0)
        except (re.error, OverflowError, RecursionError, ValueError) as error:
            what = "Nested too deeply" if isinstance(error, RecursionError) else str(error).capitalize()
            raise UserError(f"Error in regular expression: {what}") from None

    def found_in(self, text: str) -> bool:
        """Whether it matches anywhere in the text."""
        with self._timed():
            return self._compiled.search(text) is not None

    def begins(self, text: str) -> bool:
        """Whether it matches from the beginning of the text on."""
        with self._timed():
            return self._compiled.match(text) is not None

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """UserError if what is done inside takes longer than what is left."""
        try:
            before = signal.signal(signal.SIGVTALRM, _end)
        except ValueError:  # not in the main thread
            yield
            return
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, max(self._left, 0.001))
            yield
        except _TooLong:
            raise UserError("Regular expression takes too long -- command aborted.") from None
        finally:
            self._left = signal.setitimer(signal.ITIMER_VIRTUAL, 0)[0]
            signal.signal(signal.SIGVTALRM, before)


def _end(number: int, frame: object) -> None:
    raise _TooLong
