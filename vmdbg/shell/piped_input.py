"""Lines from a pipe: prompts are written all the same, errors do not stop, blank lines repeat."""

from __future__ import annotations

import sys

from vmdbg.shell.script import StreamSource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.session import Session


def piped_source(session: Session) -> StreamSource:
    """Standard input as a source of lines."""

    def readline() -> str:
        return sys.stdin.readline() if sys.stdin is not None else ""

    def show_prompt(prompt: str) -> None:
        session.output.write(prompt)
        session.output.flush()

    return StreamSource("stdin", readline, show_prompt)


def run_piped(session: Session) -> int:
    """Executes the lines of standard input up to its end; the exit status."""
    interpreter = session.interpreter
    source = piped_source(session)
    interpreter.sources.append(source)
    while (line := source.read(session.settings.string("prompt"))) is not None:
        if not interpreter.command_line(line) and session.strict:
            return 1
    interpreter.trace("quit")
    return 0
