"""Restores the modes of the terminal at the end of a conversation, also after a signal."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress

from vmdbg.errors import Terminated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ENDING = (signal.SIGTERM, signal.SIGHUP)
# Bracketed paste off, cursor shown, no colour: what a line that is being edited may leave behind.
AS_FOUND = "\x1b[?2004l\x1b[?25h\x1b[0m"


@contextmanager
def kept_terminal() -> Iterator[None]:
    """While it is entered, SIGTERM and SIGHUP raise `Terminated`; at its end the terminal's modes are put
    back."""
    import termios

    descriptor = sys.stdin.fileno()
    modes = termios.tcgetattr(descriptor)
    before = {number: signal.signal(number, end) for number in ENDING}
    ended = True
    try:
        yield
        ended = False
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        with suppress(termios.error, OSError):  # the terminal may be gone
            if ended and termios.tcgetattr(descriptor) != modes:
                os.write(sys.stdout.fileno(), AS_FOUND.encode())
            termios.tcsetattr(descriptor, termios.TCSADRAIN, modes)


def end(number: int, frame: object) -> None:
    """Ends the conversation by an exception, which restores everything; a second signal ends it at once."""
    signal.signal(number, signal.SIG_DFL)
    raise Terminated(number)


def end_by(number: int) -> None:
    """Ends this process by the signal that it got, so that its parent process can see which."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
