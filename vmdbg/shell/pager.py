"""The pager's question and other questions, in GDB's words.

An answer is a line that was typed, or the next of the lines that were pasted.
"""

from __future__ import annotations

import sys

from vmdbg.errors import Quit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.session import Session

PAGER_PROMPT = "--Type <RET> for more, q to quit, c to continue without paging--"


def answer(session: Session, question: str, pasted: str | None) -> str:
    """Writes a question and reads a line, with its newline; nothing at the end of input.  Ctrl-C is Quit."""
    stdout = session.output.stdout
    stdout.write(question)
    if pasted is not None:
        stdout.write(pasted + "\n")
        return pasted + "\n"
    stdout.flush()
    screen = session.screen
    if screen is not None:
        screen.question = question
    try:
        return sys.stdin.readline()
    except KeyboardInterrupt:
        stdout.write("\n")
        raise Quit from None
    finally:
        if screen is not None:
            screen.question = ""


def ask_pager(session: Session, pasted: str | None = None) -> str:
    """Asks at a full page: `q`, `c` or nothing."""
    line = answer(session, PAGER_PROMPT, pasted)
    if not line:
        session.output.stdout.write("\n")
        return "q"
    return line.strip()[:1].lower()


def read_answer(session: Session, question: str, pasted: str | None = None) -> str:
    """Writes a question and reads a line; the end of input is a yes, as in GDB."""
    line = answer(session, question, pasted)
    if not line:
        session.output.stdout.write("EOF [assumed Y]\n")
        return "y"
    return line


def read_line(session: Session, prompt: str, pasted: str | None = None) -> str | None:
    """Writes a prompt and reads a line; None at the end of input."""
    line = answer(session, prompt, pasted)
    if not line:
        session.output.stdout.write("\n")
        return None
    return line
