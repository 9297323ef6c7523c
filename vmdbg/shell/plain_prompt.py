"""The prompt where prompt_toolkit is missing: GNU readline if Python has it, else bare lines."""

from __future__ import annotations

import sys

from vmdbg.errors import UserError
from vmdbg.shell.completion import complete_word
from vmdbg.shell.script import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.session import Session


class PlainSource(Source):
    """Lines typed at a terminal, read by `input`."""

    interactive = True

    def __init__(self, session: Session) -> None:
        super().__init__("stdin", ())
        self._session = session
        try:
            import readline
        except ImportError:
            return
        readline.set_completer(self._complete)
        readline.set_completer_delims("\n")
        readline.parse_and_bind("tab: complete")
        for line in session.interpreter.command_history:
            readline.add_history(line)

    def _complete(self, text: str, state: int) -> str | None:
        """readline asks for the full lines that continue `text`, one by one."""
        try:
            start, words = complete_word(self._session, text)
        except UserError:
            return None
        return text[:start] + words[state] if state < len(words) else None

    def raw_line(self, prompt: str) -> str | None:
        self._session.output.flush()
        try:
            line = input(prompt)
        except EOFError:
            sys.stdout.write("\n")
            return None
        self.line_number += 1
        return line
