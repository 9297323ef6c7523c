"""The prompt on a terminal: editing, completion, colour, history, blocks, toolbar.

This file, `keys` and `lexer` are the only importers of prompt_toolkit and pygments.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
import time

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application  # noqa: TC002 - prompt_toolkit is loaded anyway
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.data_structures import Size
from prompt_toolkit.document import Document  # noqa: TC002 - prompt_toolkit is loaded anyway
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.lexers import DynamicLexer, Lexer
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import DynamicStyle, Style

from vmdbg.errors import Quit, UserError
from vmdbg.shell.completion import complete_word
from vmdbg.shell.full_screen import disable
from vmdbg.shell.keys import CompletionList, Stroke, bindings
from vmdbg.shell.lexer import styled_words
from vmdbg.shell.pager import read_line
from vmdbg.shell.report import report
from vmdbg.shell.script import Source
from vmdbg.views.theme import prompt_styles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from vmdbg.shell.session import Session

BELOW = "noreverse {}"  # the toolbar, in the colours of the role
RETURN = "--Press RETURN for the panes--"
SHARE = 10  # while more is typed than is executed, one part in so many of the time goes into panes


def style_rules(session: Session) -> dict[str, str]:
    """The roles of typed words and the toolbar, as the settings have them; nothing without colour."""
    if not session.output.coloured:
        return {}
    styles = prompt_styles(session.settings)
    return {
        **styles,
        "form": styles["option"],
        "bottom-toolbar": BELOW.format(styles["metadata"]),
        "question": "ansidefault",
        "auto-suggestion": styles["metadata"],
    }


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
    """A terminal that is never asked for the position of its cursor.

    Not every terminal answers, and a late answer would mix with what is typed ahead.  Prompt and toolbar need
    only two lines.  Beside the panes of the full screen the terminal is as high as the part with the prompt.
    """

    session: Session | None = None

    def get_size(self) -> Size:
        size = super().get_size()
        screen = self.session.screen if self.session is not None else None
        return size if screen is None else Size(rows=screen.rows, columns=size.columns)

    def get_rows_below_cursor_position(self) -> int:
        return 2


class TerminalSource(Source):
    """Lines typed at a terminal."""

    interactive = True

    def __init__(self, session: Session, line_read: Callable[[], None]) -> None:
        """`line_read()` is called after each line: prompt_toolkit has taken the handler of SIGWINCH away."""
        super().__init__("stdin", ())
        self._session, self.line_read = session, line_read
        self._history = InMemoryHistory()
        for line in session.interpreter.command_history:
            self._history.append_string(line)
        self._pasted: list[str] = []  # lines to be read before any that is typed; the last has no end yet
        self._below = ""
        self._rules: dict[str, str] = {}
        self._style = Style([])
        self._drawn_at = self._drawing = 0.0  # when panes were drawn last, and how long that took, in seconds
        self._owed = False  # panes were not drawn, for more was typed already
        output = QuietOutput.from_pty(sys.stdout, term=os.environ.get("TERM"))
        assert isinstance(output, QuietOutput)
        output.enable_cpr = False
        output.session = session
        self._prompt: PromptSession[str] = PromptSession(
            history=self._history,
            completer=ShellCompleter(session),
            complete_style=CompleteStyle.READLINE_LIKE,
            complete_while_typing=False,
            # Without colour a suggestion would look like something that was typed.
            auto_suggest=AutoSuggestFromHistory() if session.output.coloured else None,
            lexer=DynamicLexer(lambda: ShellLexer(session) if self.coloured() else None),
            style=DynamicStyle(lambda: self._style),
            include_default_pygments_style=False,
            key_bindings=bindings(session, CompletionList(self.show_below), self.paste),
            enable_open_in_editor=not session.permissions.restricted,
            enable_suspend=True,
            mouse_support=Condition(self.takes_clicks),
            output=output,
        )
        self._prompt.app.before_render += self.fit_screen

    def fit_screen(self, app: Application[str]) -> None:
        """Arranges the panes of the full screen anew where the size of the terminal has changed; where they
        do not fit, it ends.  Draws panes that were not drawn while commands waited."""
        screen = self._session.screen
        if screen is None:
            return
        if not screen.misfit:
            if self._owed and not app.is_done and not self.typed_ahead():
                self.draw_panes()
            return
        try:
            screen.arrange()
        except Exception as error:  # noqa: BLE001 - as in draw_panes
            disable(self._session)
            report(self._session, error)
        app.renderer.reset(leave_alternate_screen=False)

    def takes_clicks(self) -> bool:
        """Whether a click on the line of time goes there."""
        return self._session.screen is not None and self._session.settings.flag("tui mouse-events")

    def choose_style(self) -> None:
        """Takes the style that the settings ask for; to make one is dear, and is done when they changed."""
        rules = style_rules(self._session)
        if rules != self._rules:
            self._rules, self._style = rules, Style.from_dict(rules)

    def typed_ahead(self) -> bool:
        """Whether there is input that no prompt has taken yet."""
        keys = get_typeahead(self._prompt.input)
        store_typeahead(self._prompt.input, keys)
        return bool(keys) or bool(select.select([sys.stdin], [], [], 0)[0])

    def draw_panes(self, waiting: bool = False) -> None:
        """Draws the panes of the full screen; a bug in one is reported, and takes the panes away, not the
        prompt.  While commands are waiting to be executed they are drawn now and then: nobody sees more."""
        session = self._session
        if session.screen is None:
            return
        began = time.monotonic()
        self._owed = (waiting or self.typed_ahead()) and (
            session.screen.misfit or began - self._drawn_at < SHARE * self._drawing
        )
        if self._owed:
            return
        try:
            session.screen.refresh()
        except Exception as error:  # noqa: BLE001
            disable(session)
            report(session, error)
        self._drawn_at = time.monotonic()
        self._drawing = self._drawn_at - began

    def obey(self, stroke: Stroke) -> None:
        """Executes what a key stands for.  The panes show what it did; only more than that is told: a stop, a
        process that ended, that the record begins here."""
        if stroke.typed:
            self._pasted.append(stroke.typed)
        interpreter = self._session.interpreter
        with self._session.output.capture() as told:
            interpreter.attempt(lambda: interpreter.execute(stroke))
        text = told()
        place, _, more = text.partition("\n")
        if place[:1].isdigit():  # a time: where the machine stands, in one line or two
            source, _, rest = more.partition("\n")
            text = rest if source[:1].isdigit() else more
        self._session.output.write(text)

    def coloured(self) -> bool:
        """Whether typed words are coloured."""
        return self._session.output.coloured and self._session.settings.flag("style sources")

    def show_below(self, text: str | None) -> None:
        """Shows a question instead of the toolbar; None shows the toolbar again, "" an empty line."""
        if text is not None:
            self._prompt.bottom_toolbar = [("class:question", text)] if text else None
        elif self._session.toolbar is None:
            self._prompt.bottom_toolbar = None
        else:
            self._prompt.bottom_toolbar = lambda: self._below

    def paste(self, text: str) -> str:
        """Keeps all lines of a pasted text but the first, and returns the first."""
        first, *rest = text.split("\n")
        if rest:
            self._pasted[:0] = rest
        return first

    def take_pasted(self) -> str | None:
        """The next whole line that was pasted, as an answer to a question; None if there is none."""
        return self._pasted.pop(0) if len(self._pasted) > 1 else None

    def take_back(self) -> None:
        """Shows the panes again after programs of the shell, once their output is read; what is typed
        instead of RETURN is kept for the prompt.  While commands wait they are executed on that screen."""
        screen = self._session.screen
        if screen is None or not screen.lent or self._pasted or self.typed_ahead():
            return
        screen.lent = False
        try:
            text = read_line(self._session, RETURN) or ""
        except Quit:  # Ctrl-C shows them too
            return
        if text.strip():
            self._pasted.append(text.rstrip("\n"))

    def raw_line(self, prompt: str) -> str | None:
        session = self._session
        session.output.flush()
        self.take_back()
        if not session.settings.flag("editing"):
            self.fit_screen(self._prompt.app)
            self.draw_panes()
            return self.bare_line(prompt)
        if session.toolbar is not None:
            self._below = session.toolbar()
        self.show_below(None)
        self.choose_style()
        vi = session.settings.string("editing-mode") == "vi"
        self._prompt.app.editing_mode = EditingMode.VI if vi else EditingMode.EMACS
        self.line_number += 1
        pasted = self.take_pasted()
        if pasted is not None:
            self._history.append_string(pasted)
            session.output.line(prompt + pasted)
            self.draw_panes(waiting=True)
            return pasted
        while True:
            self.draw_panes()
            try:
                line = self._prompt.prompt(
                    prompt,
                    default=self._pasted.pop() if self._pasted else "",
                    set_exception_handler=False,
                    pre_run=self.end_on_error,
                )
            except EOFError:
                return None
            except KeyboardInterrupt:
                self._pasted = []
                raise
            finally:
                self.line_read()
                self._prompt.app.erase_when_done = False
            if not isinstance(line, Stroke):
                return self.paste(line)
            self.obey(line)
            if session.toolbar is not None:
                self._below = session.toolbar()

    def bare_line(self, prompt: str) -> str | None:
        """Reads a line with the editing of the terminal driver only: `set editing off`."""
        stdout = self._session.output.stdout
        stdout.write(prompt)
        stdout.flush()
        line = sys.stdin.readline()
        if not line:
            stdout.write("\n")
            return None
        self.line_number += 1
        return line.rstrip("\n")

    def end_on_error(self) -> None:
        """An exception in what draws or completes ends the line and is raised by `prompt`."""
        app = self._prompt.app

        def failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if app.is_running and not app.is_done:
                app.exit(exception=context.get("exception") or RuntimeError(context["message"]))

        asyncio.get_running_loop().set_exception_handler(failed)
