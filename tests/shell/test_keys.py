"""Keys, pastes, sizes and histories of a person at a terminal, beyond what GDB's readline gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest

from vmdbg.shell.inputrc import mode_in
from vmdbg.shell.keys import in_columns

pytestmark = pytest.mark.long

Start = Callable[..., Any]  # of a Terminal, see conftest.py
PASTE = "\x1b[200~", "\x1b[201~"


@pytest.fixture(params=[(24, 80)], ids=["24x80"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """One size is enough here."""
    found: tuple[int, int] = request.param
    return found


def test_a_long_list_of_completions_is_asked_for_and_shown_by_pages(start: Start) -> None:
    terminal = start("-q")
    terminal.press("\t\t")
    terminal.see("possibilities? (y or n)")
    terminal.press("y")
    terminal.see("advance")
    page = terminal.see("--More--")
    assert terminal.rows(page) <= 2 * 24
    terminal.press("\r", " ")
    terminal.see("xp")
    terminal.prompt()
    terminal.type("print 1")
    terminal.see("$1 = 1\r\n")


def test_control_r_and_enter_run_the_line(either: Start) -> None:
    terminal = either()
    terminal.type("print 40 + 2")
    terminal.see("$1 = 42\r\n")
    terminal.press("\x12nt 4", "\r")
    terminal.see("$2 = 42\r\n")


def test_control_d_in_an_empty_search_does_not_quit(start: Start) -> None:
    terminal = start("-q")
    terminal.press("\x12", terminal.CTRL_D)
    time.sleep(0.3)
    terminal.type("print 1")
    terminal.see("$1 = 1\r\n")


def test_pasted_lines_run_one_by_one(start: Start) -> None:
    terminal = start("-q")
    terminal.press(f"{PASTE[0]}print 7\nprint 8\r\nif 1\n  print 9\nend\n{PASTE[1]}")
    for number, value in ((1, 7), (2, 8), (3, 9)):
        terminal.see(f"${number} = {value}\r\n")
    terminal.press(f"{PASTE[0]}print 10\nprint 1{PASTE[1]}")
    terminal.see("$4 = 10\r\n")
    terminal.prompt()
    terminal.press("1\r")
    terminal.see("$5 = 11\r\n")
    terminal.press(terminal.UP, terminal.UP, "\r")  # they are in the history
    terminal.see("$6 = 10\r\n")


def test_a_pasted_line_answers_a_question(start: Start) -> None:
    terminal = start("-q")
    terminal.press(f"{PASTE[0]}break *0x401000\ndelete\ny\ninfo breakpoints\n{PASTE[1]}")
    terminal.see("Delete all breakpoints? (y or n) y\r\n")
    terminal.see("No breakpoints or watchpoints.\r\n")


def test_control_z_suspends(user_environment: dict[str, str], tmp_path: Path) -> None:
    environment = {**user_environment, "TERM": "xterm", "PS1": "shell> "}
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "-i"],
        env=environment,
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=30,
    )
    try:
        shell.expect_exact("shell> ")
        shell.send("vmdbg -nx -q\r")
        shell.expect_exact("(vmdbg)")
        time.sleep(0.3)
        shell.send("print 4\x1a")
        shell.expect("Stopped")
        shell.send("fg\r")
        shell.expect_exact("(vmdbg)")
        shell.send("2\r")
        shell.expect_exact("$1 = 42")
        shell.send("while 1\rend\r")
        time.sleep(0.5)
        shell.send("\x1a")  # while a command runs, too
        shell.expect("Stopped")
        shell.send("fg\r")
        time.sleep(0.3)
        shell.send("\x03")
        shell.expect_exact("Quit")
    finally:
        shell.close(force=True)


def test_the_size_follows_the_terminal(start: Start) -> None:
    terminal = start("-q")
    terminal.child.setwinsize(31, 101)
    terminal.type("show height")
    terminal.see("in a page is 31.\r\n")
    terminal.type("show width")
    terminal.see("in a line is 101.\r\n")
    terminal.type("set width 60")
    terminal.prompt()
    terminal.child.setwinsize(32, 102)
    terminal.type("show width")
    terminal.see("in a line is 60.\r\n")


def test_the_size_follows_while_a_command_runs(start: Start) -> None:
    terminal = start("-q", "-ex", "set height 0")
    terminal.type('while $_gdb_setting("width") == 80', "end", "show width")
    time.sleep(0.5)
    terminal.child.setwinsize(24, 90)
    terminal.see("in a line is 90.\r\n")


def test_vi_keys(start: Start) -> None:
    terminal = start("-q")
    terminal.type("set editing-mode vi")
    terminal.prompt()
    terminal.press("print 41\x1b")
    time.sleep(0.7)
    terminal.press("r2\r")
    terminal.see("$1 = 42\r\n")
    terminal.type("set editing-mode emacs")
    terminal.prompt()
    terminal.press("rint 43\x01p\r")
    terminal.see("$2 = 43\r\n")


@pytest.mark.parametrize("chosen", [False, True])
def test_vi_keys_by_inputrc(start: Start, home: Path, chosen: bool) -> None:
    (home / ".inputrc").write_text("set editing-mode vi\n")
    terminal = start("-q", *(["-iex", "set editing-mode emacs"] if chosen else []))
    terminal.type("show editing-mode")
    terminal.see(f'is "{"emacs" if chosen else "vi"}".')


def test_what_an_inputrc_says() -> None:
    assert mode_in("") == "emacs"
    assert mode_in("set editing-mode vi") == "vi"
    assert mode_in("# set editing-mode vi\n") == "emacs"
    assert mode_in("$if Bash\nset editing-mode vi\n$endif\n") == "emacs"
    assert mode_in("$if Gdb\nset Editing-Mode VI\n$else\nset editing-mode emacs\n$endif") == "vi"
    assert (
        mode_in("set editing-mode vi\n$if mode=vi\nset keymap vi\n$endif\n$endif\n$else\nset\n$if\n") == "vi"
    )


def test_without_editing_the_terminal_reads_the_line(start: Start) -> None:
    """A tab is a character of the line then, as all keys are that the terminal itself does not know."""
    terminal = start("-q")
    for setting, length in (("off", 3), ("on", 2)):
        terminal.type(f"set editing {setting}")
        terminal.prompt()
        time.sleep(0.3)
        terminal.type('print $_strlen("a\tb")')
        terminal.see(f" = {length}\r\n")
        terminal.prompt()


def test_history_is_kept_for_people_by_default(start: Start, home: Path, tmp_path: Path) -> None:
    first = start("-q")
    first.type("print 11")
    first.see("$1 = 11\r\n")
    first.type("quit")
    assert first.end() == 0
    kept = home / ".vmdbg_history"
    assert kept.read_text() == "print 11\nquit\n"
    assert kept.stat().st_mode & 0o077 == 0
    second = start("-q")
    second.press(second.UP, second.UP, "\r")
    second.see("$1 = 11\r\n")
    second.type("set history save off", "quit")
    assert second.end() == 0
    assert kept.read_text() == "print 11\nquit\n"
    (tmp_path / ".vmdbg_history").write_text("print 12\n")  # GDB's place comes first where there is one
    third = start("-q")
    third.press(third.UP, "\r")
    third.see("$1 = 12\r\n")


def test_two_sessions_add_to_one_history(start: Start, home: Path) -> None:
    kept = home / ".vmdbg_history"
    kept.write_text("print 1\n")
    first, second = start("-q"), start("-q")
    for number, terminal in enumerate((first, second), 2):
        terminal.type(f"print {number}")
        terminal.see(f"= {number}\r\n")
        terminal.type("quit")
        assert terminal.end() == 0
    assert kept.read_text() == "print 1\nprint 2\nquit\nprint 3\nquit\n"
    assert [file.name for file in home.iterdir()] == [".vmdbg_history"]


def test_scripts_keep_no_history(run_vmdbg: Start, home: Path, tmp_path: Path) -> None:
    assert run_vmdbg("-batch", "-ex", "print 1").returncode == 0
    assert run_vmdbg("-q", input="print 1\n").returncode == 0
    assert not (home / ".vmdbg_history").exists()
    assert not (tmp_path / ".vmdbg_history").exists()


@pytest.mark.parametrize("entries", ["²", "9" * 5000, "", "-", "--1", "٣"])
def test_a_strange_size_of_the_history_is_none(start: Start, entries: str) -> None:
    terminal = start("-q", VMDBGHISTSIZE=entries)
    terminal.type("show history size")
    terminal.see("is 256.\r\n")


def test_suggestions_come_from_the_history(start: Start) -> None:
    terminal = start("-q")
    terminal.type("print 123456")
    terminal.see("$1 = 123456\r\n")
    terminal.prompt()
    terminal.press("print 1")
    assert terminal.see_either("\x1b\\[[0-9;]+m23456") == 0
    terminal.press("\x1b[C")  # the right arrow takes it
    terminal.press("\r")
    terminal.see("$2 = 123456\r\n")


def test_columns_are_sorted_downwards() -> None:
    assert in_columns(["a", "bb", "c", "d", "e"], 9) == ["a   d", "bb  e", "c"]
    assert in_columns(["long" * 30], 80) == ["long" * 30]


def test_a_bug_in_what_completes_takes_no_prompt_away(start: Start, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'vmdbg.shell.commands.page_tables': raise ZeroDivisionError('here')\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    starter = tmp_path / "bin" / "vmdbg"
    starter.write_text(starter.read_text().replace('PYTHONPATH="', f'PYTHONPATH="{broken}:'))
    terminal = start("-q")
    terminal.press("info b\t")
    terminal.see("Internal error: ZeroDivisionError: here.")
    terminal.prompt()
    terminal.type("print 1")
    terminal.see("$1 = 1\r\n")
