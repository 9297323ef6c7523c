"""The pager's question and other questions, in GDB's words."""

from __future__ import annotations

import sys

from vmdbg.errors import Quit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.session import Session

PAGER_PROMPT = "--Type <RET> for more, q to quit, c to continue without paging--"


def ask_pager(session: Session) -> str:
    """Asks at a full page: `q`, `c` or nothing."""
    stdout = session.output.stdout
    stdout.write(PAGER_PROMPT)
    stdout.flush()
    try:
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        stdout.write("\n")
        raise Quit from None
    if not line:
        stdout.write("\n")
        return "q"
    return line.strip()[:1].lower()


def read_answer(session: Session, question: str) -> str:
    """Writes a question and reads a line; the end of input is a yes, as in GDB."""
    stdout = session.output.stdout
    stdout.write(question)
    stdout.flush()
    line = sys.stdin.readline()
    if not line:
        stdout.write("EOF [assumed Y]\n")
        return "y"
    return line
