"""The conversation with a person: prompt, history, pages, end."""

from __future__ import annotations

import os
import signal

from vmdbg.errors import UserError
from vmdbg.shell.history import expand, load_history, offer_history, save_history
from vmdbg.shell.inputrc import editing_mode
from vmdbg.shell.pager import ask_pager, read_answer, read_line
from vmdbg.shell.plain_prompt import PlainSource
from vmdbg.shell.report import report
from vmdbg.shell.terminal import kept_terminal
from vmdbg.shell.toolbar import toolbar_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.script import Source
    from vmdbg.shell.session import Session

MOST_FAILURES = 3  # of the line editor in a row; then lines are read without it


def fit_page(session: Session, known: tuple[int, int]) -> tuple[int, int]:
    """Height and width follow the terminal until the user sets them."""
    try:
        columns, lines = os.get_terminal_size()
    except OSError:
        return known
    if session.screen is not None:
        lines = session.screen.rows
    settings = session.settings
    if settings.number("height") == known[0] and lines:
        settings.set("height", lines)
    if settings.number("width") == known[1] and columns:
        settings.set("width", columns)
    return lines, columns


def guarded_toolbar(session: Session) -> str:
    """The toolbar; a bug in it is reported once and takes no prompt away."""
    try:
        return toolbar_text(session)
    except Exception as error:  # noqa: BLE001
        report(session, error)
        session.toolbar = None
        return ""


def set_up(session: Session, page: Page) -> Source:
    """Gives the session a terminal: pager, questions, history, keys."""
    session.settings.set("editing", True)
    session.settings.offer("editing-mode", editing_mode())
    offer_history(session)
    load_history(session)
    session.at_exit.append(lambda: save_history(session))
    if session.toolbar is None and session.opened is not None:
        session.toolbar = lambda: guarded_toolbar(session)
    try:
        from vmdbg.shell.repl import TerminalSource
    except ImportError:
        session.output.pager = lambda: ask_pager(session)
        session.ask = lambda question: read_answer(session, question)
        session.read_line = lambda prompt: read_line(session, prompt)
        return PlainSource(session)
    source = TerminalSource(session, page.fit)
    session.draws = True
    session.output.pager = lambda: ask_pager(session, source.take_pasted())
    session.ask = lambda question: read_answer(session, question, source.take_pasted())
    session.read_line = lambda prompt: read_line(session, prompt, source.take_pasted())
    return source


class Page:
    """Height and width of the output: they follow the terminal, also while a command runs, until the user
    sets them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known = (-1, -1)

    def fit(self) -> None:
        """Looks at the size of the terminal, and at any change of it from now on."""
        self._known = fit_page(self._session, self._known)
        signal.signal(signal.SIGWINCH, self._changed)

    def _changed(self, number: int, frame: object) -> None:
        if self._session.screen is not None:
            self._session.screen.resized()
        self._known = fit_page(self._session, self._known)


def run_terminal(session: Session) -> int:
    """The conversation; the exit status.  The terminal is left as it was found, by SIGTERM and SIGHUP too."""
    with kept_terminal():
        try:
            return converse(session)
        finally:
            if session.screen is not None:
                session.screen.leave()


def converse(session: Session) -> int:
    """Reads lines and executes them until the end of input."""
    interpreter = session.interpreter
    page = Page(session)
    source = set_up(session, page)
    interpreter.sources.append(source)
    page.fit()
    if session.settings.number("height") is None:
        size = fit_page(session, (-1, -1))
        session.settings.set("height", size[0])
        session.settings.set("width", size[1])
    failures = 0
    while True:
        page.fit()
        session.output.new_page()
        try:
            line = source.read(session.settings.string("prompt"))
            failures = 0
        except KeyboardInterrupt:
            session.output.error("Quit")
            continue
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug of ours must not take the prompt away
            report(session, error)
            failures += 1
            if failures == MOST_FAILURES:
                source = interpreter.sources[0] = PlainSource(session)
            continue
        if line is None:
            session.output.line("quit")
            line = "quit"
            if not interpreter.attempt(lambda: interpreter.execute("quit", True)):
                continue
        try:
            line, changed = expand(session, line)
        except UserError as error:
            session.output.error(str(error))
            continue
        if changed:
            session.output.line(line)
        interpreter.remember(line)
        if not interpreter.command_line(line) and session.strict:
            return 1
