"""The full screen at terminals of 80x24 and 200x50: every layout, steps, resize, and the terminal after it.

The screens that are held are in tests/shell/full_screens; --update-transcripts writes them.
"""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest

from vmdbg.shell.full_screen import LAYOUTS

pyte = pytest.importorskip("pyte")
pytestmark = pytest.mark.long
SCREENS = Path(__file__).parent / "full_screens"
BOTH = pytest.mark.parametrize("size", [(24, 80), (50, 200)], indirect=True, ids=["80x24", "200x50"])
SMALL = pytest.mark.parametrize("size", [(24, 80)], indirect=True, ids=["80x24"])
LEFT, RIGHT, SHIFT_LEFT, SHIFT_RIGHT = "\x1b[D", "\x1b[C", "\x1b[1;2D", "\x1b[1;2C"
HOME, END = "\x1b[H", "\x1b[F"
PATIENCE = 20  # seconds
LONG = "process p\nregion heap 0x400000 4K rw\nloop 1000000000\nread 0x400000\nend\n"


class TwoScreens(pyte.Screen):
    """A terminal with the other screen of xterm (1049), which pyte lacks."""

    def set_mode(self, *modes: int, **more: bool) -> None:
        if 1049 in modes:
            self.kept = {row: dict(cells) for row, cells in self.buffer.items()}, self.cursor.y, self.cursor.x
            self.erase_in_display(2)
        super().set_mode(*modes, **more)

    def reset_mode(self, *modes: int, **more: bool) -> None:
        super().reset_mode(*modes, **more)
        if 1049 in modes:
            self.erase_in_display(2)
            rows, self.cursor.y, self.cursor.x = self.kept
            for row, cells in rows.items():
                self.buffer[row].update(cells)


class Seen:
    """What a person sees of a terminal."""

    def __init__(self, terminal: Any) -> None:
        self.terminal, self.child = terminal, terminal.child
        rows, columns = terminal.size
        self.screen = TwoScreens(columns, rows)
        self.stream = pyte.Stream(self.screen)
        self.raw = self._text = ""

    def feed(self, timeout: float) -> bool:
        """Takes what has come; whether anything did."""
        try:
            text = self.child.read_nonblocking(1 << 16, timeout)
        except pexpect.TIMEOUT:
            return False
        except pexpect.EOF:
            return False
        self.raw += text
        self.stream.feed(text)
        self._text = ""
        return True

    def until(self, *texts: str, gone: str = "no such text") -> str:
        """Waits until all texts are on the screen, another is not, and nothing more comes; the screen."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            came = self.feed(0.05)
            if not came and gone not in self.text and all(text in self.text for text in texts):
                return self.text
        raise AssertionError(f"{texts} not in\n{self.text}")

    @property
    def text(self) -> str:
        self._text = self._text or "\n".join(row.rstrip() for row in self.screen.display) + "\n"
        return self._text

    @property
    def coloured(self) -> bool:
        cells = [cell for row in range(16) for cell in self.screen.buffer[row].values()]
        return any(cell.fg != "default" for cell in cells)

    def type(self, line: str, *texts: str, **more: str) -> str:
        self.child.send(line + "\r")
        return self.until(*texts, **more)

    def press(self, key: str, *texts: str, **more: str) -> str:
        self.child.send(key)
        return self.until(*texts, **more)

    def resize(self, rows: int, columns: int) -> None:
        self._text = ""
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)


@pytest.fixture
def seen(start: Callable[..., Any]) -> Callable[..., Seen]:
    """Starts vmdbg on a terminal that is looked at: `seen("-ex", "start", NO_COLOR="1")`."""

    def make(*arguments: str, **environment: str) -> Seen:
        return Seen(start("-q", *arguments, ready=False, **environment))

    return make


@pytest.fixture
def hold(request: pytest.FixtureRequest, size: tuple[int, int]) -> Callable[[str, str], None]:
    """Compares a screen with the one that is held under a name."""

    def compare(name: str, text: str) -> None:
        path = SCREENS / f"{name}-{size[1]}x{size[0]}.txt"
        if request.config.getoption("--update-transcripts"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), name

    return compare


@BOTH
def test_every_layout_after_a_step(seen: Any, hold: Any) -> None:
    screen = seen()
    screen.until("time 12:0")
    screen.type("layout vm", "+- 12:0 |")
    screen.press(RIGHT, "+- 13:0 |", "time 13:0")
    for name in LAYOUTS:
        screen.type(f"layout {name}", f"layout {name}", "time 13:0")
        hold(name, screen.text)
        assert max(map(len, screen.text.split("\n"))) <= screen.screen.columns
    screen.type("layout next", "time 13:0", "program: demo.vmp")
    screen.type("layout prev", "+- walk 0x407000 ")
    screen.type("events begin..", "--Type <RET> for more")
    hold("pager", screen.text)
    screen.type("q", "Quit")
    screen.type("break 31", "Breakpoint 1")
    screen.type("delete", "(y or n)")
    hold("question", screen.text)


@SMALL
def test_steps_forwards_and_back(seen: Any, hold: Any) -> None:
    screen = seen("-ex", "set history size 10")
    screen.until("time 12:0")
    screen.press("\x18a", "+- 12:0 |", "time 12:0")
    screen.press(RIGHT, "+- 13:0 |", "time 13:0")
    forwards = screen.text
    assert screen.coloured
    assert "!PT[7]    ..0000000010c027" in forwards
    assert "U U W W!U T" in forwards
    assert " >33  write heap + 8K, 0x55" in forwards
    screen.press(SHIFT_LEFT, "+- 12:16 |", "time 12:16")
    screen.press(SHIFT_RIGHT, "+- 12:17 |", "time 12:17")
    screen.press(LEFT, "+- 12:0 |", "time 12:0")
    assert "!PT[7]" not in screen.text
    assert "U U W W!. T" in screen.text  # the frame is free again
    hold("back", screen.text)
    screen.press("\x1b[<0;40;16M", "+- 8:0 |", "time 8:0")  # a click in the middle of the line of time
    screen.press("\x1b[<0;40;5M")  # elsewhere
    screen.press(HOME, "+- 0:0 |", "Nothing has happened yet.")
    screen.press(LEFT, "No more reverse-execution history.")
    screen.press(END, "+- 13:0 |", "time 13:0")
    screen.type("print 6 * 7", "$1 = 42")  # the line is as it always is
    screen.press("\x1b[A", "(vmdbg) print 6 * 7\n")
    screen.press("\x03", "Quit")
    screen.press("\x18a")
    screen.type("print 2", "$2 = 2")
    assert screen.raw.count("\x1b[?1049l") == 1


@SMALL
def test_the_prompt_can_do_all_that_it_can_elsewhere(seen: Any, tmp_path: Path) -> None:
    (tmp_path / "long.vmp").write_text(LONG)
    screen = seen()
    screen.until("time 12:0")
    screen.type("tui enable", "+- 12:0 |")
    screen.press("show confir\t", "(vmdbg) show confirm")
    screen.press("\r", "operations is on.")
    screen.type("tlb", "--Type <RET> for more")
    panes = screen.text.split("\n")[:15]
    screen.type("q", "Quit")
    assert screen.text.split("\n")[:15] == panes
    screen.type("delete", "(vmdbg)")
    screen.type("while 1", ">")
    screen.type("end")
    time.sleep(0.3)
    screen.press("\x03", "Quit\n(vmdbg)")
    screen.type("focus tlb", "Focus set to tlb window.", "+= tlb ===")
    screen.press("\x1b[6~", "L1d")
    screen.type("focus map", 'Window "map" is not visible')
    screen.type("winheight cmd 6", "+- 12:0 |", "(vmdbg)", gone="focus tlb")
    assert screen.text.split("\n")[17].startswith("+- 12:0 |")
    screen.type("refresh", "(vmdbg)", "+= tlb ===")

    screen.type("display $_operations", "1: $_operations = 12")
    screen.press(LEFT, "1: $_operations = 11")
    screen.press(RIGHT, "1: $_operations = 12")
    screen.type("undisplay 1", "(vmdbg)")

    def row_of_tlb() -> int:
        return next(n for n, text in enumerate(screen.text.split("\n")) if "+= tlb ===" in text)

    before = row_of_tlb()
    screen.type("winheight tlb 2", "(vmdbg)", gone="refresh")
    assert row_of_tlb() > before
    screen.type("winheight tlb x", "Invalid window height specified")
    screen.type("file long.vmp", "program: long.vmp")
    screen.type("continue")
    time.sleep(0.5)
    screen.press("\x03", "Program received signal SIGINT", "| >4  read 0x400000")


@SMALL
def test_a_resize_and_a_terminal_that_is_too_small(seen: Any) -> None:
    screen = seen()
    screen.until("time 12:0")
    screen.type("layout vm", "+- 12:0 |")
    screen.resize(50, 200)
    large = screen.until("+- swap --", "(vmdbg)", "time 12:0")
    assert [len(row) for row in large.split("\n")[:33]] == [200] * 33
    screen.resize(10, 50)
    screen.until("(vmdbg)")
    assert "the terminal has 50x10 characters" in screen.raw
    assert screen.raw.count("\x1b[?1049h") == screen.raw.count("\x1b[?1049l") == 1


@SMALL
def test_a_resize_while_a_command_runs(seen: Any, tmp_path: Path) -> None:
    (tmp_path / "long.vmp").write_text(LONG)
    screen = seen("-ex", "file long.vmp")
    screen.until("(vmdbg)")
    screen.type("layout vm", "+- 0:0 |", "(vmdbg)")
    screen.child.send("continue\r")
    time.sleep(0.5)
    screen.resize(50, 200)
    assert "+- walk" not in screen.until("The panes are drawn when the command ends.")
    text = screen.press("\x03", "Program received signal SIGINT", "+- swap --", "(vmdbg)")
    assert [len(row) for row in text.split("\n")[:33]] == [200] * 33
    assert screen.raw.count("\x1b[?1049h") == 1
    screen.type("run", "(y or n)")
    screen.resize(24, 80)
    screen.until("(y or n)", "The panes are drawn when the command ends.")
    assert "+- walk" in screen.type("n", "Program not restarted.", "(vmdbg)", "+- walk")


@SMALL
@pytest.mark.parametrize("way", ["quit", "SIGTERM", "SIGTERM in a run"])
def test_the_terminal_is_left_as_found(seen: Any, tmp_path: Path, way: str) -> None:
    (tmp_path / "long.vmp").write_text(LONG)
    screen = seen("-ex", "set confirm off", "-ex", "file long.vmp")
    screen.until("(vmdbg)")
    screen.type("layout vm", "+- 0:0 |")
    if way == "quit":
        screen.child.send("quit\r")
    else:
        if way == "SIGTERM in a run":
            screen.type("continue", "continue")
            time.sleep(0.5)
        screen.child.kill(signal.SIGTERM)
    while screen.feed(2):
        pass
    assert screen.raw.rpartition("\x1b[r\x1b[?1049l")[1]
    assert "\x1b[?1049h" not in screen.raw.rpartition("\x1b[r\x1b[?1049l")[2]


@SMALL
def test_stopped_and_brought_back(user_environment: dict[str, str], size: Any, tmp_path: Path) -> None:
    (tmp_path / "long.vmp").write_text(LONG)
    child = pexpect.spawn(
        "bash",
        ["--norc", "-i"],
        env={**user_environment, "TERM": "xterm", "PS1": "bash> "},
        cwd=str(tmp_path),
        dimensions=size,
        encoding="utf-8",
    )
    terminal = type("Terminal", (), {"child": child, "size": size})
    screen = Seen(terminal)
    screen.until("bash>")
    modes = screen.type("stty -g", "bash>").split("\n")[1]
    screen.type("vmdbg -nx -q -ex 'file long.vmp'", "(vmdbg)")
    panes = screen.type("layout vm", "+- 0:0 |", "(vmdbg)").split("\n")[:15]
    places = [("continue", "continue", ""), ("run", "(y or n)", "(y or n)"), ("help all", "--Type", "--Type")]
    for line, seen, again in places:
        screen.type(line, seen)
        time.sleep(0.4)
        back = screen.press("\x1a", "Stopped", "bash>")
        assert "+- walk" not in back
        assert screen.type("stty -g", modes) != back
        text = screen.type("fg", "+- walk ", again)
        assert text.split("\n")[:15] == panes, line
        screen.press("\x03", "(vmdbg)")
        if line == "continue":
            panes = screen.until("Program received signal SIGINT", "| >4 ", "(vmdbg)").split("\n")[:15]
    screen.press("\x1a", "Stopped", "bash>")  # at the prompt
    assert screen.type("fg", "+- walk ", "(vmdbg)").split("\n")[:15] == panes
    screen.type("set confirm off", "(vmdbg)")
    screen.type("quit", "bash>", gone="+- walk ")
    screen.type("stty -g", modes)
    child.close(force=True)


@SMALL
def test_an_editor_has_the_terminal_to_itself(seen: Any, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        "#!/bin/sh\nprintf '\\033[?1049hin the editor'\necho 'print 6 * 7' > \"$1\"\nprintf '\\033[?1049l'\n"
    )
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    screen = seen(EDITOR=str(editor), VISUAL=str(editor))
    screen.until("time 12:0")
    panes = screen.type("layout vm", "+- 12:0 |", "time 12:0").split("\n")[:15]
    after = screen.press("print 1\x18\x05", "$1 = 42", "+- 12:0 |")
    assert after.split("\n")[:15] == panes
    assert "in the editor" in screen.raw
    assert screen.raw.count("\x1b[?1049h") == screen.raw.count("\x1b[?1049l") + 1


@SMALL
def test_the_output_of_the_shell_stays_until_it_is_read(seen: Any) -> None:
    screen = seen(SHELL="/bin/sh")
    screen.until("time 12:0")
    panes = screen.type("layout vm", "+- 12:0 |", "time 12:0").split("\n")[:15]
    wait = "--Press RETURN for the panes--"
    assert "+- walk" not in screen.type("shell echo said $((6 * 7))", "said 42\n" + wait)
    assert screen.press("\r", "+- 12:0 |", gone=wait).split("\n")[:15] == panes
    screen.type("pipe show confirm | wc -l", "1\n" + wait)
    screen.type("print 5", "+- 12:0 |", "(vmdbg) print 5", gone=wait)  # what was typed instead is kept
    screen.press("\r", "$1 = 5")
    screen.child.send("shell echo one\rshell echo two\rprint 7\r")  # commands that wait are not disturbed
    assert screen.until("one\n", "two\n", f"$2 = 7\n{wait}").rpartition("one\n")[2].count(wait) == 1
    screen.press("\x03", "+- 12:0 |", "(vmdbg)", gone=wait)
    screen.type("tui disable", "(vmdbg)", gone="+- 12:0 |")


@SMALL
def test_panes_cost_little_while_commands_wait(seen: Any) -> None:
    spent = []
    for line in ("print 1", "layout vm"):
        screen = seen("-ex", "set pagination off", NO_COLOR="1")
        screen.until("time 12:0")
        screen.type(line, "(vmdbg)", "time 12:0")
        before = seconds_of(screen.child.pid)
        screen.child.send("si\r" * STEPS)
        screen.child.send("print 40 + 2\r")
        screen.until("= 42")
        spent.append(seconds_of(screen.child.pid) - before)
    assert f"+- {screen.text.rpartition('time ')[2].split()[0]} |" in screen.text
    assert spent[1] < 3 * spent[0], spent


STEPS = 60


def seconds_of(process: int) -> float:
    """The CPU time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@SMALL
def test_without_colour(seen: Any) -> None:
    screen = seen(NO_COLOR="1")
    screen.until("time 12:0")
    screen.type("layout vm", "+- 12:0 |")
    assert not screen.coloured


@SMALL
def test_what_cannot_show_it_refuses_in_a_sentence(seen: Any, run_vmdbg: Any) -> None:
    screen = seen(TERM="dumb")
    screen.type("tui enable", "Cannot enable the TUI: terminal doesn't support cursor addressing [TERM=dumb]")
    done = run_vmdbg("-batch", "-ex", "layout vm", "-ex", "focus cmd", "-ex", "tui disable")
    assert done.stderr == (
        "Cannot enable the TUI when output is not a terminal\n"
        'The TUI is not active.\n"tui enable" shows it.\n'
    )


def test_the_page_shows_the_screen_that_is_held() -> None:
    page = Path(__file__).parent.parent.parent / "docs" / "screen.md"
    held = (SCREENS / "vm-80x24.txt").read_text(encoding="utf-8").split("\n")[:16]
    assert "\n".join(held) in page.read_text(encoding="utf-8")
