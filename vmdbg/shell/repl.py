"""The prompt on a terminal: editing, completion, colour, history, blocks, toolbar.

This file and `lexer` are the only importers of prompt_toolkit and pygments.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document  # noqa: TC002 - prompt_toolkit is loaded anyway
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.bindings.completion import display_completions_like_readline
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

from vmdbg.errors import UserError
from vmdbg.shell.completion import complete_word
from vmdbg.shell.lexer import styled_words
from vmdbg.shell.script import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from vmdbg.debugger.session import Session

STYLE = Style.from_dict(
    {
        "command": "ansicyan bold",
        "form": "ansicyan",
        "option": "ansicyan",
        "number": "ansiblue",
        "variable": "ansimagenta",
        "string": "ansigreen",
        "comment": "ansibrightblack",
        "unknown": "",
        "bottom-toolbar": "noreverse ansibrightblack",
    }
)


class ShellCompleter(Completer):
    """Completion from the declarations."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        try:
            start, words = complete_word(self._session, text)
        except UserError:
            return
        alone = len(words) == 1
        for word in words:
            tail = "" if word.endswith("/") or not alone else " "
            yield Completion(word + tail, start_position=start - len(text), display=word)


class ShellLexer(Lexer):
    """Colours what is typed, as the pygments lexer of the docs does."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        registry = self._session.interpreter.registry

        def line(number: int) -> StyleAndTextTuples:
            text = document.lines[number]
            return [(f"class:{style}" if style else "", part) for style, part in styled_words(registry, text)]

        return line


class QuietOutput(Vt100_Output):
    """A terminal that is never asked where its cursor is: not all answer, and an answer that comes
    late is mixed with what is typed ahead.  Two lines, prompt and toolbar, are all that is needed."""

    def get_rows_below_cursor_position(self) -> int:
        return 2


class TerminalSource(Source):
    """Lines typed at a terminal."""

    interactive = True

    def __init__(self, session: Session) -> None:
        super().__init__("stdin", ())
        self._session = session
        self._history = InMemoryHistory()
        for line in session.interpreter.history:
            self._history.append_string(line)
        coloured = session.output.coloured
        self._below = ""
        self._output = output = QuietOutput.from_pty(sys.stdout, term=os.environ.get("TERM"))
        output.enable_cpr = False
        self._prompt: PromptSession[str] = PromptSession(
            history=self._history,
            completer=ShellCompleter(session),
            complete_style=CompleteStyle.READLINE_LIKE,
            complete_while_typing=False,
            lexer=ShellLexer(session) if coloured else None,
            style=STYLE if coloured else Style([]),
            include_default_pygments_style=False,
            key_bindings=bindings(self.hide_toolbar),
            enable_open_in_editor=True,
            output=output,
        )

    def hide_toolbar(self) -> None:
        """It is gone until the next line is read."""
        self._prompt.bottom_toolbar = None

    def raw_line(self, prompt: str) -> str | None:
        self._session.output.flush()
        if self._session.toolbar is not None:
            self._below = self._session.toolbar()
            self._prompt.bottom_toolbar = lambda: self._below
        try:
            with self.given_back():
                line = self._prompt.prompt(prompt)
        except EOFError:
            return None
        self.line_number += 1
        return line

    @contextlib.contextmanager
    def given_back(self) -> Iterator[None]:
        """While this holds, a signal that ends vmdbg leaves the terminal as it is now."""
        found = termios.tcgetattr(sys.stdin.fileno())

        def end(number: int, frame: object) -> None:
            self._output.disable_bracketed_paste()
            self._output.show_cursor()
            self._output.write_raw("\r\n")
            self._output.flush()
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, found)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def bindings(hide_toolbar: Callable[[], None]) -> KeyBindings:
    """Ctrl-D on an empty line types `quit`, as GDB shows it; Tab completes, or lists what there is."""
    keys = KeyBindings()

    @keys.add("tab")
    def _(event: KeyPressEvent) -> None:
        text = event.current_buffer.text
        display_completions_like_readline(event)
        if event.current_buffer.text == text:
            hide_toolbar()  # the list is written below the line, where the toolbar would stay

    @keys.add("c-d")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.text:
            buffer.delete()
        else:
            event.app.exit(exception=EOFError)

    return keys
