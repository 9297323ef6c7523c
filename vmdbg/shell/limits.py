"""The limits of a run: output, time, memory, size of files.  `--time-limit` sets one, `--restricted` all."""

from __future__ import annotations

import resource
import signal
import time

from vmdbg.errors import LimitReached
from vmdbg.machine import boot
from vmdbg.state.tables import TABLES, buffer_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.machine.config import MachineConfig
    from vmdbg.shell.session import Session

OUTPUT_CHARACTERS = 16 << 20
SECONDS = 120
MEMORY_BYTES = 4 << 30
FILE_BYTES = 64 << 20
TIME_LIMIT = "Time limit reached."
LEAST = 0.001  # seconds of a timer at least: a timer of 0 never ends


class Bounds:
    """What a restricted session has: seconds, characters of output, bytes of memory besides its machine's."""

    def __init__(self) -> None:
        self.seconds: float = SECONDS
        self.output, self.memory = OUTPUT_CHARACTERS, MEMORY_BYTES


def set_limits(session: Session, seconds: float | None = None) -> None:
    """Sets the limits for the rest of this process; reaching one ends the run with status 1.

    Without `seconds` a restricted session has those of its Bounds, and another session has no limit of time.
    """
    bounds = session.state(Bounds)

    def out_of_time(number: int, frame: object) -> None:
        session.torn = session.runs
        session.output.error(TIME_LIMIT)
        raise LimitReached(TIME_LIMIT)

    signal.signal(signal.SIGALRM, out_of_time)
    if session.permissions.restricted:
        session.output.limit = bounds.output
        limit_memory(bounds.memory)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        least = FILE_BYTES if hard < 0 else min(FILE_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, hard))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        seconds = bounds.seconds if seconds is None else seconds
    if seconds is not None:
        signal.setitimer(signal.ITIMER_REAL, seconds)


def limit_memory(most: int) -> None:
    """Limits the memory of this process to `most` bytes."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))


def make_room(session: Session, config: MachineConfig) -> None:
    """In a restricted session: raises the limit of memory by the tables of two such machines."""
    if session.permissions.restricted:
        shape = boot.shape(config)
        tables = sum(buffer_size(table, shape) for table in TABLES.values())
        limit_memory(session.state(Bounds).memory + 2 * tables)


class Allowance:
    """The limits of an isolated script: those of a restricted run, or `seconds`.

    Its time counts against the script that it is `inside` of, but not against the run.
    """

    def __init__(self, session: Session, seconds: float | None, inside: bool) -> None:
        self.session, self.seconds, self.inside = session, seconds, inside

    def __enter__(self) -> None:
        self.limit, self.left = self.session.output.limit, signal.getitimer(signal.ITIMER_REAL)[0]
        self.before = signal.getsignal(signal.SIGALRM)
        self.started = time.monotonic()
        seconds = self.seconds
        if self.session.permissions.restricted and not self.inside:
            bounds = self.session.state(Bounds)
            self.session.output.limit = bounds.output
            seconds = bounds.seconds if seconds is None else seconds
        if self.inside and self.left:
            seconds = self.left if seconds is None else min(seconds, self.left)
        if seconds is not None:
            if not self.session.permissions.restricted:
                set_limits(self.session)
            signal.setitimer(signal.ITIMER_REAL, max(LEAST, seconds))

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)
        if self.left:
            used = time.monotonic() - self.started if self.inside else 0
            signal.setitimer(signal.ITIMER_REAL, max(LEAST, self.left - used))
        if not self.inside:
            self.session.output.limit = self.limit
