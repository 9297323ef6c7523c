"""The bounds of a restricted run: output, time, memory, size of files."""

from __future__ import annotations

from vmdbg.errors import BoundReached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.session import Session

OUTPUT_CHARACTERS = 16 << 20
SECONDS = 120
MEMORY_BYTES = 4 << 30
FILE_BYTES = 64 << 20


def bound(session: Session) -> None:
    """Sets the bounds for the rest of this process; reaching one ends the run with status 1."""
    import resource
    import signal

    def out_of_time(number: int, frame: object) -> None:
        session.output.error("Time limit reached.")
        raise BoundReached(1)

    signal.signal(signal.SIGALRM, out_of_time)
    arm(session)
    for what, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_FSIZE, FILE_BYTES)):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def arm(session: Session) -> None:
    """Output and time count from here, in a restricted session."""
    if session.policy.restricted:
        import signal

        session.output.limit = OUTPUT_CHARACTERS
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
