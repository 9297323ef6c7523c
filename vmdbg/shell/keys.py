"""The keys of the prompt that differ from prompt_toolkit's, and act as in readline and GDB.

No key opens a second application.  The question before a long list of completions, and the pauses between its
pages, are states of the application that reads the line.
"""

from __future__ import annotations

import re

from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, get_common_complete_suffix
from prompt_toolkit.filters import (
    Condition,
    emacs_mode,
    has_focus,
    has_selection,
    is_searching,
    vi_navigation_mode,
)
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.search import accept_search, stop_search

from vmdbg.units import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.application import Application

    from vmdbg.shell.session import Session

ASKED_FROM = 100  # completions from which the list is not shown unasked: readline's completion-query-items
MORE = "--More--"


class CompletionList:
    """The list of completions: asked for when it is long, a page at a time.

    `show_below(text)` puts a line below the input while the list waits for a key; None takes it away.
    """

    def __init__(self, show_below: Callable[[str | None], None]) -> None:
        self._show_below = show_below
        self._rows: list[str] = []
        self._between = False  # of two pages; else the question is open

    @property
    def waiting(self) -> bool:
        """Whether a key answers the list instead of editing the line."""
        return bool(self._rows)

    def begin(self, app: Application[str], words: list[str]) -> None:
        """Lists the words; a long list waits for an answer first."""
        size = app.output.get_size()
        self._rows = in_columns([visible(word) for word in words], size.columns)
        self._between = False
        if len(words) > ASKED_FROM:
            self._wait(app, f"Display all {len(words)} possibilities? (y or n)")
        else:
            self._page(app, size.rows - 1)

    def go_on(self, app: Application[str]) -> None:
        """Yes: the next page."""
        self._page(app, app.output.get_size().rows - 1)

    def line(self, app: Application[str]) -> None:
        """Shows one more row between two pages; does nothing at the question before the list."""
        if self._between:
            self._page(app, 1)

    def end(self, app: Application[str]) -> None:
        """Ends the list."""
        self._rows = []
        self._wait(app, None)

    def _page(self, app: Application[str], rows: int) -> None:
        app.renderer.erase()
        if not self._between:
            self._show_below("")
            app.renderer.render(app, app.layout, is_done=True)  # the line stays above its list
        shown, self._rows = self._rows[:rows], self._rows[rows:]
        app.output.write_raw("\n".join(shown) + "\n")
        app.output.flush()
        self._between = bool(self._rows)
        self._wait(app, MORE if self._rows else None)

    def _wait(self, app: Application[str], text: str | None) -> None:
        app.renderer.erase()  # so that all of it is drawn anew
        self._show_below(text)
        app.invalidate()


def in_columns(words: list[str], width: int) -> list[str]:
    """The words in rows, sorted down the columns, as readline lays them out."""
    widest = max(len(word) for word in words) + 2
    columns = max(1, width // widest)
    rows = -(-len(words) // columns)
    return ["".join(word.ljust(widest) for word in words[row::rows]).rstrip() for row in range(rows)]


def complete(event: KeyPressEvent, listed: CompletionList) -> None:
    """Tab: inserts the common beginning of all completions, or lists them."""
    buffer = event.current_buffer
    found = list(buffer.completer.get_completions(buffer.document, CompleteEvent(completion_requested=True)))
    common = get_common_complete_suffix(buffer.document, found)
    if len(found) == 1:
        buffer.delete_before_cursor(-found[0].start_position)
        buffer.insert_text(found[0].text)
    elif common:
        buffer.insert_text(common)
    elif found:
        listed.begin(event.app, [item.display_text for item in found])


class Stroke(str):
    """A command line that keys stand for, no line of the history.  `typed` is what the input line had."""

    __slots__ = ("typed",)
    typed: str


PRESSED = re.compile(r"\x1b\[<0;(\d+);(\d+)M")  # the left button, at a column and a row (xterm, SGR)
#: What keys do while the full screen is on and the input line is empty.
STEPS = {
    "left": "reverse-step",
    "right": "step",
    "s-left": "reverse-stepi",
    "s-right": "stepi",
    "home": "goto begin",
    "end": "goto end",
}


def obey(event: KeyPressEvent, line: str) -> None:
    """Ends the input line, which leaves no trace, by a command."""
    event.app.erase_when_done = True
    stroke = Stroke(line)
    stroke.typed = event.current_buffer.text
    event.app.exit(result=stroke)


def add_screen_keys(keys: KeyBindings, session: Session) -> None:
    """Adds the keys of the full screen."""
    at_line = has_focus("DEFAULT_BUFFER")
    shown = Condition(lambda: session.screen is not None)
    empty = Condition(lambda: not get_app().current_buffer.text)

    @keys.add("c-x", "a", filter=at_line)
    @keys.add("c-x", "A", filter=at_line)
    @keys.add("c-x", "c-a", filter=at_line)
    def _(event: KeyPressEvent) -> None:
        obey(event, "tui enable" if session.screen is None else "tui disable")

    @keys.add("c-x", "o", filter=at_line & shown)
    def _(event: KeyPressEvent) -> None:
        obey(event, "focus next")

    @keys.add("c-l", filter=at_line & shown)
    def _(event: KeyPressEvent) -> None:
        obey(event, "refresh")

    # The editor leaves the other screen when it ends; ours is entered again when the line is drawn again.
    edits = at_line & shown & ~has_selection & Condition(lambda: not session.permissions.restricted)

    @keys.add("c-x", "c-e", filter=edits & emacs_mode)
    @keys.add("v", filter=edits & vi_navigation_mode)
    def _(event: KeyPressEvent) -> None:
        if session.screen is not None:
            session.screen.leave()
        event.current_buffer.open_in_editor(validate_and_handle=True)

    @keys.add("c-z", filter=at_line & shown)
    def _(event: KeyPressEvent) -> None:
        if session.screen is not None:
            session.screen.leave()  # it is entered again when the line is drawn again
        event.app.suspend_to_background()

    @keys.add(Keys.Vt100MouseEvent, filter=at_line & shown)
    def _(event: KeyPressEvent) -> None:
        pressed = PRESSED.fullmatch(event.data)
        if pressed is not None and session.screen is not None:
            time = session.screen.time_at(int(pressed[1]) - 1, int(pressed[2]) - 1)
            if time is not None:
                obey(event, f"goto {time}")

    for key, line in STEPS.items():

        @keys.add(key, filter=at_line & shown & empty)
        def _(event: KeyPressEvent, line: str = line) -> None:
            obey(event, line)

    for key, rows in (("pageup", -4), ("pagedown", 4)):

        @keys.add(key, filter=at_line & shown)
        def _(event: KeyPressEvent, rows: int = rows) -> None:
            if session.screen is not None:
                session.screen.scroll(rows)


def bindings(session: Session, listed: CompletionList, paste: Callable[[str], str]) -> KeyBindings:
    """All keys of our own.  `paste(text)` keeps the lines after the first of a pasted text to be read
    later, and gives the first."""
    keys = KeyBindings()
    add_list_keys(keys, listed)
    add_screen_keys(keys, session)
    at_line = has_focus("DEFAULT_BUFFER")

    @keys.add("tab", filter=at_line)
    def _(event: KeyPressEvent) -> None:
        complete(event, listed)

    @keys.add("c-d", filter=at_line)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.text:
            buffer.delete()
        else:
            event.app.exit(exception=EOFError)

    @keys.add(Keys.BracketedPaste, filter=at_line)
    def _(event: KeyPressEvent) -> None:
        text = event.data.replace("\r\n", "\n").replace("\r", "\n")
        event.current_buffer.insert_text(paste(text))
        if "\n" in text:
            event.current_buffer.validate_and_handle()

    @keys.add("enter", filter=is_searching)
    def _(event: KeyPressEvent) -> None:
        accept_search()
        event.current_buffer.validate_and_handle()

    @keys.add("tab", filter=is_searching)
    @keys.add("c-d", filter=is_searching)
    def _(event: KeyPressEvent) -> None:
        accept_search()

    @keys.add("c-c", filter=is_searching)
    def _(event: KeyPressEvent) -> None:
        stop_search()
        event.app.exit(exception=KeyboardInterrupt)

    return keys


def add_list_keys(keys: KeyBindings, listed: CompletionList) -> None:
    """Adds the keys that act while a list of completions waits."""
    waiting = Condition(lambda: listed.waiting and not get_app().is_done)

    @keys.add(Keys.Any, filter=waiting, eager=True)
    def _(event: KeyPressEvent) -> None:
        event.app.output.bell()

    @keys.add("y", filter=waiting, eager=True)
    @keys.add("Y", filter=waiting, eager=True)
    @keys.add(" ", filter=waiting, eager=True)
    def _(event: KeyPressEvent) -> None:
        listed.go_on(event.app)

    @keys.add("enter", filter=waiting, eager=True)
    def _(event: KeyPressEvent) -> None:
        listed.line(event.app)

    for key in ("n", "N", "q", "Q", "escape", "backspace", "c-d", "c-g"):

        @keys.add(key, filter=waiting, eager=True)
        def _(event: KeyPressEvent) -> None:
            listed.end(event.app)

    @keys.add("c-c", filter=waiting, eager=True)
    @keys.add("<sigint>", filter=waiting, eager=True)
    def _(event: KeyPressEvent) -> None:
        listed.end(event.app)
        event.app.exit(exception=KeyboardInterrupt)
