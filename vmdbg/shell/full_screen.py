"""The full screen: panes above, the prompt below, in a part of the screen that scrolls by itself.

The prompt, its pager and its questions are the ones of every terminal: the scrolling region of the terminal
(DECSTBM) keeps them below the panes, which are drawn around the cursor and leave it where it is.
"""

from __future__ import annotations

import os
import signal

from vmdbg.errors import UserError
from vmdbg.shell.panes import VIEWS, Moment, pane
from vmdbg.views.panes import beside, pane_rows, place_on_time_line, time_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from vmdbg.shell.session import Session

    Column = tuple[str, ...]  # panes below one another
    Band = tuple[Column, ...]  # columns side by side
    Layout = tuple[Band, ...]  # bands below one another

LEAST_COLUMNS, LEAST_LINES = 60, 18
LARGE_COLUMNS, LARGE_LINES = 160, 36
COMMAND = "cmd"  # the part with the prompt, in GDB's word
#: What each layout has on a small screen and on a large one.
LAYOUTS: dict[str, tuple[Layout, Layout]] = {
    "vm": (
        ((("program", "tlb"), ("walk", "frames")), (("events",),)),
        ((("program", "events"), ("walk", "tlb"), ("map", "frames", "swap")),),
    ),
    "walk": (((("walk",),), (("events",),)), ((("walk",),), (("program",), ("events",)))),
    "tlb": (((("tlb",),), (("events",),)), ((("tlb",), ("walk", "events")),)),
    "frames": (((("frames",), ("swap",)), (("events",),)), ((("frames",), ("swap", "map", "events")),)),
    "program": (((("program",),),), ((("program",), ("events",)),)),
    "split": (((("program",), ("walk",)), (("events",),)), ((("program",), ("walk",)), (("events",),))),
}
NO_MOUSE = "\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l"
ENTER, LEAVE = "\x1b[?1049h", f"{NO_MOUSE}\x1b[r\x1b[?1049l"
KEEP_CURSOR, RESTORE_CURSOR = "\x1b7", "\x1b8"


class FullScreen:
    """The full screen of a session while it is on."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.layout, self.focus = "vm", COMMAND
        self.heights: dict[str, int] = {}  # of panes, as `winheight` gave them
        self.scrolled: dict[str, int] = {}
        self.moment: Moment | None = None
        self.old: Moment | None = None
        self.entered = False
        self.lent = False  # to programs of the shell, whose output is still to be read
        self.question = ""  # that waits for an answer
        self._stops: Any = signal.SIG_DFL  # what SIGTSTP did before
        self._size = (0, 0)  # columns and lines for which the terminal is arranged
        self._drawn: list[str] = []

    # -- sizes

    @property
    def rows(self) -> int:
        """Lines of the part with the prompt."""
        lines = self._size[1] or terminal_size()[1]
        wanted = self.heights.get(COMMAND) or max(7, lines // 3)
        return max(4, min(wanted, lines - 8))

    @property
    def misfit(self) -> bool:
        """Has the terminal to be arranged: it is not, or its size has changed?"""
        return not self.lent and (not self.entered or terminal_size() != self._size)

    def bands(self) -> Layout:
        """The panes of the layout, as the size of the screen has them."""
        small, large = LAYOUTS[self.layout]
        columns, lines = self._size
        return large if columns >= LARGE_COLUMNS and lines >= LARGE_LINES else small

    def names(self) -> list[str]:
        """The panes that are seen, in their order, and the prompt."""
        return [name for band in self.bands() for column in band for name in column] + [COMMAND]

    # -- the terminal

    def arrange(self) -> None:
        """Takes the terminal: panes above, an empty part for the prompt below, the cursor at its top."""
        self._size = terminal_size()
        check_size(*self._size)
        head = "" if self.entered else ENTER
        if not self.entered:
            self.entered, self.lent = True, False
            self._stops = signal.getsignal(signal.SIGTSTP)
            if self._stops != signal.SIG_IGN:
                signal.signal(signal.SIGTSTP, self.suspend)
        self.write(head + self.parts())
        self._drawn = []
        self.refresh()

    def parts(self) -> str:
        """What clears the screen and makes two parts of it, with the cursor at the top of the lower one."""
        lines = self._size[1]
        top = lines - self.rows + 1
        return f"\x1b[r\x1b[2J\x1b[{top};{lines}r\x1b[{top};1H"

    def leave(self) -> None:
        """Gives the terminal back as it was found."""
        if self.entered:
            self.entered = False
            signal.signal(signal.SIGTSTP, self._stops)
            self.write(LEAVE)

    def lend(self) -> None:
        """Gives the terminal to programs of the shell; the panes come back when a person asks for them."""
        self.leave()
        self.lent = True

    def suspend(self, number: int, frame: object) -> None:
        """Ctrl-Z while a command runs or a question waits: the terminal is given back until vmdbg goes on.

        Then what was seen is shown again: the machine may be in the middle of a change, and is not looked at.
        It may also be in the middle of writing to a stream, so this writes past it.
        """
        descriptor = self.session.output.stdout.fileno()
        os.write(descriptor, LEAVE.encode())
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self.suspend)
        out = ENTER
        if not self.misfit:  # else the next prompt arranges it
            out += self.parts() + f"{KEEP_CURSOR}{placed(enumerate(self._drawn))}{RESTORE_CURSOR}"
        os.write(descriptor, (out + self.question).encode())

    def resized(self) -> None:
        """The terminal has another size while a command runs: its output gets its part of that at once, and
        stays.  Panes are drawn when the command ends, for the machine may be in the middle of a change; as in
        `suspend` this writes past the stream."""
        size = terminal_size()
        if not self.entered or size == self._size or is_small(*size):
            return  # the next prompt sees to it
        self._size, self._drawn = size, []
        waiting = placed([(0, "The panes are drawn when the command ends."[: size[0]])])
        text = f"{self.parts()}{KEEP_CURSOR}{waiting}{RESTORE_CURSOR}{self.question}"
        os.write(self.session.output.stdout.fileno(), text.encode())

    def write(self, text: str) -> None:
        """Control sequences and panes: no part of any result or log."""
        stdout = self.session.output.stdout
        stdout.flush()
        stdout.write(text)
        stdout.flush()

    # -- drawing

    def refresh(self) -> None:
        """Draws what differs from what is seen."""
        if not self.entered:
            return
        rows, seen = self.painted(), self._drawn
        changed = [(n, row) for n, row in enumerate(rows) if n >= len(seen) or seen[n] != row]
        self._drawn = rows
        self.write(f"{KEEP_CURSOR}{placed(changed)}{RESTORE_CURSOR}")

    def painted(self) -> list[str]:
        """All rows above the prompt."""
        columns, lines = self._size
        height = lines - self.rows - 1
        paint = self.session.output.paint
        if self.session.target is None:
            blank = [paint([("", " " * columns)])] * (height - 1)
            return [paint([("", "No machine.".ljust(columns))]), *blank, " " * columns]
        self.look()
        timeline = self.session.timeline
        rows = []
        bands = self.bands()
        for band, room in zip(bands, self.band_heights(bands, height), strict=True):
            rows += [paint(row) for row in self.band_rows(band, columns, room)]
        line = time_line(
            timeline.begin, str(timeline.position), timeline.position.operations, timeline.end, columns
        )
        return [*rows, paint(line)]

    def look(self) -> None:
        """Looks at the machine; what it was at the last step is kept until the next."""
        if self.moment is None or not self.moment.same(self.session):
            self.old, self.moment = self.moment, Moment(self.session)
            self.scrolled.clear()
            if self.old is not None and self.old.machine is not self.moment.machine:
                self.old = None

    def band_heights(self, bands: Layout, height: int) -> list[int]:
        """Rows for each band: the last one of several has a third, unless `winheight` said more or less."""
        if len(bands) == 1:
            return [height]
        names = [name for column in bands[-1] for name in column]
        last = next((self.heights[name] + 1 for name in names if name in self.heights), height // 3)
        last = max(3, min(last, height - 6))
        return [height - last, last]

    def band_rows(self, band: Band, columns: int, height: int) -> list[list[tuple[str, str]]]:
        """A band: its columns side by side."""
        drawn, titles = [], []
        for names, width in zip(band, column_widths(band, columns - 1 - len(band)), strict=True):
            rows: list[list[tuple[str, str]]] = []
            found = set()
            for name, room in zip(names, self.pane_heights(names, height), strict=True):
                found.add(len(rows))
                rows += self.one(name, width, room)
            drawn.append(rows)
            titles.append(found)
        return beside(drawn, titles)

    def one(self, name: str, width: int, height: int) -> list[list[tuple[str, str]]]:
        """The rows of a pane, its title among them."""
        assert self.moment is not None
        shown = pane(
            self.session, name, self.moment, self.old, width - 1, height - 1, self.scrolled.get(name, 0)
        )
        shown.focused = name == self.focus
        return pane_rows(shown, width, height)

    def pane_heights(self, names: Sequence[str], height: int) -> list[int]:
        """Rows for each pane of a column: equal parts, but what `winheight` gave."""
        fixed = {name: self.heights[name] + 1 for name in names if name in self.heights}
        left, free = height, [name for name in names if name not in fixed]
        found = []
        for place, name in enumerate(names):
            waiting = len(names) - place - 1
            share = fixed.get(name) or (left - sum(fixed.get(n, 0) for n in names[place + 1 :])) // len(free)
            room = left if not waiting else max(2, min(share, left - 2 * waiting))
            if name not in fixed:
                free.remove(name)
            found.append(room)
            left -= room
        return found

    # -- what is asked of it

    def choose(self, word: str) -> None:
        """Another layout: by its name, or `next` or `prev`."""
        names = list(LAYOUTS)
        if word in ("next", "prev"):
            step = 1 if word == "next" else -1
            word = names[(names.index(self.layout) + step) % len(names)]
        self.layout = word
        if self.focus not in self.names():
            self.focus = COMMAND

    def move_focus(self, word: str) -> str:
        """The focus to a pane: by its name, or `next` or `prev`.  The name."""
        names = self.names()
        if word in ("next", "prev"):
            word = names[(names.index(self.focus) + (1 if word == "next" else -1)) % len(names)]
        if word not in names:
            raise UserError(f'Window "{word}" is not visible', f"These are: {', '.join(names)}.")
        self.focus = word
        return word

    def scroll(self, rows: int) -> None:
        """Moves the text of the pane that has the focus."""
        if self.focus in VIEWS:
            self.scrolled[self.focus] = self.scrolled.get(self.focus, 0) + rows
            self.refresh()

    def set_height(self, name: str, text: str) -> None:
        """`winheight`: N rows, +N or -N."""
        if name not in self.names():
            raise UserError(f'Window "{name}" is not visible', f"These are: {', '.join(self.names())}.")
        sign, digits = (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)
        if not digits.isdigit() or (not sign and not int(digits)):
            raise UserError("Invalid window height specified")
        now = self.heights.get(name) or (self.rows if name == COMMAND else self.height_of(name))
        self.heights[name] = max(1, now + int(sign + digits) if sign else int(digits))

    def height_of(self, name: str) -> int:
        """The rows of text that a pane has now."""
        bands = self.bands()
        height = self._size[1] - self.rows - 1
        for band, room in zip(bands, self.band_heights(bands, height), strict=True):
            for column in band:
                if name in column:
                    return self.pane_heights(column, room)[column.index(name)] - 1
        return 1

    def time_at(self, column: int, row: int) -> int | None:
        """The operation at a place of the time line, both counted from 0; None elsewhere."""
        if row != self._size[1] - self.rows - 1:
            return None
        line = self.session.timeline
        return place_on_time_line(line.begin, str(line.position), line.end, self._size[0], column)


def placed(rows: Iterable[tuple[int, str]]) -> str:
    """Rows by their numbers, from 0, as what draws them there."""
    return "".join(f"\x1b[{number + 1};1H{row}" for number, row in rows)


def column_widths(band: Band, columns: int) -> list[int]:
    """The columns for each column of a band: alike, but of three the one with a walk has more, for its
    table."""
    parts = [7 if len(band) > 2 and "walk" in names else 5 for names in band]
    ends = [columns * sum(parts[: place + 1]) // sum(parts) for place in range(len(parts))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def terminal_size() -> tuple[int, int]:
    """Columns and lines of the terminal."""
    size = os.get_terminal_size()
    return size.columns, size.lines


def is_small(columns: int, lines: int) -> bool:
    """Is that too small for panes?"""
    return columns < LEAST_COLUMNS or lines < LEAST_LINES


def check_size(columns: int, lines: int) -> None:
    """UserError if that is too small for panes."""
    if is_small(columns, lines):
        raise UserError(
            f"Cannot enable the TUI: the terminal has {columns}x{lines} characters, and "
            f"{LEAST_COLUMNS}x{LEAST_LINES} are needed"
        )


def enable(session: Session) -> FullScreen:
    """The full screen, on.  UserError where there is no terminal that could show it."""
    if session.screen is not None:
        return session.screen
    output = session.output
    if session.ask is None or not output.stdout.isatty():
        raise UserError("Cannot enable the TUI when output is not a terminal")
    term = os.environ.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        raise UserError(f"Cannot enable the TUI: terminal doesn't support cursor addressing [TERM={term}]")
    if not session.draws:
        raise UserError("Cannot enable the TUI: it needs prompt_toolkit: pip install prompt_toolkit")
    check_size(*terminal_size())
    session.screen = FullScreen(session)
    return session.screen


def disable(session: Session) -> None:
    """The full screen, off."""
    if session.screen is not None:
        session.screen.leave()
        session.screen = None
