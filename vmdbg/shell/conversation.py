"""The conversation with a person: prompt, history, pages, end."""

from __future__ import annotations

import os

from vmdbg.errors import UserError
from vmdbg.shell.history import expand, load_history, save_history
from vmdbg.shell.pager import ask_pager, read_answer
from vmdbg.shell.report import report
from vmdbg.shell.toolbar import toolbar_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.debugger.session import Session
    from vmdbg.shell.script import Source


def fit_page(session: Session, known: tuple[int, int]) -> tuple[int, int]:
    """Height and width follow the terminal until the user sets them."""
    try:
        size = os.get_terminal_size()
    except OSError:
        return known
    settings = session.settings
    if settings.number("height") == known[0] and size.lines:
        settings.set("height", size.lines)
    if settings.number("width") == known[1] and size.columns:
        settings.set("width", size.columns)
    return size.lines, size.columns


def guarded_toolbar(session: Session) -> str:
    """The toolbar; a bug in it is reported once and takes no prompt away."""
    try:
        return toolbar_text(session)
    except Exception as error:  # noqa: BLE001
        report(session, error)
        session.toolbar = None
        return ""


def set_up(session: Session) -> Source:
    """Gives the session a terminal: pager, questions, history."""
    session.settings.set("editing", True)
    session.output.pager = lambda: ask_pager(session)
    session.ask = lambda question: read_answer(session, question)
    load_history(session)
    session.at_exit.append(lambda: save_history(session))
    if session.toolbar is None and session.opened is not None:
        session.toolbar = lambda: guarded_toolbar(session)
    try:
        from vmdbg.shell.repl import TerminalSource
    except ImportError:
        from vmdbg.shell.plain import PlainSource

        return PlainSource(session)
    return TerminalSource(session)


def run_terminal(session: Session) -> int:
    """The conversation; the exit status."""
    interpreter = session.interpreter
    source = set_up(session)
    interpreter.sources.append(source)
    page = fit_page(session, (-1, -1))
    if session.settings.number("height") is None:
        session.settings.set("height", page[0])
        session.settings.set("width", page[1])
    while True:
        page = fit_page(session, page)
        session.output.new_page()
        try:
            line = source.read(session.settings.string("prompt"))
        except KeyboardInterrupt:
            session.output.error("Quit")
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
