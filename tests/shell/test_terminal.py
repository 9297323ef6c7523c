"""A person at a terminal of 24x80 and of 50x200: keys, blocks, questions, pager, history.

Tests that ask for `either` run with GDB too, where it is installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]  # of a Terminal, see conftest.py


@pytest.mark.long
def test_a_prompt_and_an_answer(either: Start) -> None:
    terminal = either()
    terminal.type("print 6 * 7")
    terminal.see("$1 = 42\r\n")


@pytest.mark.long
def test_tab_completes_and_a_second_tab_lists(either: Start) -> None:
    terminal = either()
    terminal.type("show confir\t")
    terminal.see("Whether to confirm potentially dangerous operations is on.\r\n")
    terminal.press("info b\t\t")
    terminal.see("bookmarks")
    terminal.see("breakpoints")
    terminal.press("re\t\r")
    terminal.see("No breakpoints or watchpoints.\r\n")


@pytest.mark.long
def test_an_empty_line_repeats_even_what_failed_and_a_comment_forgets(either: Start) -> None:
    terminal = either()
    terminal.type("print 1")
    terminal.see("$1 = 1\r\n")
    terminal.type("")
    terminal.see("$2 = 1\r\n")
    for line in ("print 1 +", ""):
        terminal.type(line)
        terminal.see("A syntax error in expression, near `'.\r\n")
    terminal.type("# nothing", "", "print 3")
    assert "syntax error" not in terminal.see("$3 = 3\r\n")


@pytest.mark.long
def test_ctrl_c_at_the_prompt_discards_the_line(either: Start) -> None:
    terminal = either()
    terminal.press("print 5")
    terminal.see("5")
    terminal.press(terminal.CTRL_C)
    terminal.see("Quit\r\n")
    terminal.prompt()
    terminal.type("print 6")
    terminal.see("$1 = 6\r\n")


def test_ctrl_c_ends_a_loop(either: Start) -> None:
    terminal = either("-ex", "set pagination off")
    terminal.type("while 1")
    terminal.see(">")
    terminal.type("echo turning\\n")
    terminal.see(">")
    terminal.type("end")
    terminal.see("turning\r\n")
    terminal.see("turning\r\n")
    terminal.press(terminal.CTRL_C)
    terminal.see("Quit\r\n")
    terminal.prompt()
    terminal.type("print 7")
    terminal.see("$1 = 7\r\n")


@pytest.mark.long
def test_ctrl_d_quits(either: Start) -> None:
    terminal = either()
    terminal.press(terminal.CTRL_D)
    terminal.see("quit\r\n")
    assert terminal.end() == 0


@pytest.mark.long
def test_quit_with_a_status(either: Start) -> None:
    terminal = either()
    terminal.type("quit 3")
    assert terminal.end() == 3


@pytest.mark.long
def test_a_definition_over_several_lines(either: Start) -> None:
    terminal = either()
    terminal.type("define twice")
    terminal.see('Type commands for definition of "twice".\r\nEnd with a line saying just "end".\r\n')
    terminal.see(">")
    terminal.type("if $argc")
    terminal.see(">")
    terminal.type("print $arg0 * 2")
    terminal.see(">")
    terminal.type("end")
    terminal.see(">")
    terminal.type("end")
    terminal.prompt()
    terminal.type("document twice")
    terminal.see('Type documentation for "twice".\r\nEnd with a line saying just "end".\r\n')
    terminal.type("Double it.", "end")
    terminal.prompt()
    terminal.type("help twice")
    terminal.see("Double it.\r\n")
    terminal.type("twice 4")
    terminal.see("$1 = 8\r\n")
    terminal.type("define twice")
    terminal.see('Redefine command "twice"? (y or n) ')
    terminal.type("y")
    terminal.see(">")
    terminal.press(terminal.CTRL_C)
    terminal.see("Quit\r\n")
    terminal.prompt()
    terminal.type("twice 5")
    terminal.see("$2 = 10\r\n")


@pytest.mark.long
def test_questions(either: Start) -> None:
    terminal = either()
    terminal.type("define print")
    terminal.see('Really redefine built-in command "print"? (y or n) ')
    terminal.type("maybe")
    terminal.see("Please answer y or n.\r\n")
    terminal.see('Really redefine built-in command "print"? (y or n) ')
    terminal.type("n")
    terminal.see('Command "print" not redefined.\r\n')
    terminal.type("set confirm off")
    terminal.prompt()
    terminal.type("define print")
    terminal.see("Type commands for definition")


@pytest.mark.long
def test_the_pager(either: Start) -> None:
    terminal = either()
    terminal.type("help all")
    page = terminal.see(terminal.MORE)
    page = page[page.index("\nCommand class:") :]
    assert terminal.rows(page) == terminal.size[0]
    terminal.type("")
    assert terminal.rows(terminal.see(terminal.MORE)) in (terminal.size[0], terminal.size[0] + 1)
    terminal.type("q")
    terminal.see("Quit\r\n")
    terminal.prompt()
    terminal.type("help all")
    terminal.see(terminal.MORE)
    terminal.press(terminal.CTRL_C)
    terminal.see("Quit\r\n")
    terminal.prompt()
    terminal.type("help all")
    terminal.see(terminal.MORE)
    terminal.type("c")
    assert "--Type" not in terminal.rest()
    terminal.type("set height 0")
    terminal.prompt()
    terminal.type("help all")
    assert "--Type" not in terminal.rest()
    for line in ("set height 5", "set pagination off"):
        terminal.type(line)
        terminal.prompt()
    terminal.type("help all")
    assert "--Type" not in terminal.rest()


@pytest.mark.long
def test_history_by_the_arrow_and_across_sessions(either: Start, tmp_path: Path) -> None:
    first = either("-ex", "set history save on", "-ex", "set history filename kept")
    first.type("print 11")
    first.see("$1 = 11\r\n")
    first.press(first.UP, "\r")
    first.see("$2 = 11\r\n")
    first.type("quit")
    assert first.end() == 0
    assert (tmp_path / "kept").read_text() == "print 11\nprint 11\nquit\n"
    second = either("-iex", "set history filename kept")
    second.press(second.UP, second.UP, "\r")
    second.see("$1 = 11\r\n")
    second.type("show commands")
    second.see("    3  quit\r\n    4  print 11\r\n    5  show commands\r\n")


@pytest.mark.long
def test_history_expansion(either: Start) -> None:
    terminal = either("-ex", "set history expansion on")
    terminal.type("print 3")
    terminal.see("$1 = 3\r\n")
    terminal.type("!!")
    terminal.see("$2 = 3\r\n")
    terminal.type("!pri")
    terminal.see("$3 = 3\r\n")
    terminal.type("!zzz")
    terminal.see("zzz: event not found\r\n")


# What only vmdbg has.


@pytest.mark.long
def test_the_banner(start: Start) -> None:
    terminal = start(ready=False)
    terminal.see('a debugger for virtual memory.  "help" lists commands; "quit" leaves.\r\n')
    terminal.see("Try: map, walk 0x401234\r\n")


@pytest.mark.long
def test_ctrl_c_stops_a_program_between_two_operations(start: Start, tmp_path: Path) -> None:
    (tmp_path / "endless.vmp").write_text("process p\nregion data 0x1000 4K rw\nloop\n  read 0x1000\nend\n")
    terminal = start("-q", "endless.vmp")
    terminal.type("continue")
    terminal.see("\x1b[?2004l")  # the line is entered: what is pasted is no longer marked
    time.sleep(0.5)  # before the program runs, Ctrl-C would end the command instead
    terminal.press(terminal.CTRL_C)
    terminal.see("process 1, endless.vmp:4\r\n")
    terminal.prompt()
    terminal.type("print 7")
    terminal.see("$1 = 7\r\n")


@pytest.mark.long
def test_ctrl_c_ends_a_long_list(start: Start) -> None:
    terminal = start("-q", "-ex", "set height 0")
    terminal.type("while 1", "info frames", "end")
    terminal.see("16384 frames:")
    terminal.press(terminal.CTRL_C)
    terminal.see("Quit\r\n")
    terminal.prompt()
    terminal.type("print 8")
    terminal.see("$1 = 8\r\n")


@pytest.mark.long
def test_a_machine_that_has_gone_on_is_not_left_without_a_question(start: Start) -> None:
    terminal = start("-q")
    terminal.type("step")
    terminal.see("13:0")
    terminal.prompt()
    for leave in ("quit\r", terminal.CTRL_D):
        terminal.press(leave)
        terminal.see("A debugging session is active.\r\n\r\n")
        terminal.see("\tMachine default [time 13:0] will be lost.\r\n\r\nQuit anyway? (y or n) ")
        terminal.type("n")
        terminal.see("Not confirmed.\r\n")
        terminal.prompt()
    terminal.type("quit 5")
    terminal.see("Quit anyway? (y or n) ")
    terminal.type("y")
    assert terminal.end() == 5


@pytest.mark.long
@pytest.mark.parametrize("line", ["save machine kept.vm", "undo", "set confirm off"])
def test_a_machine_that_is_not_lost_is_left_at_once(start: Start, line: str) -> None:
    terminal = start("-q")
    terminal.type("read 0x407000")
    terminal.prompt()
    terminal.type(line)
    terminal.prompt()
    terminal.type("quit")
    assert terminal.end() == 0


@pytest.mark.long
def test_typed_text_and_results_are_coloured(start: Start) -> None:
    terminal = start("-q")
    terminal.press("walk 0x401234")
    assert terminal.see_either("\x1b\\[[0-9;]+mw") == 0
    terminal.press(terminal.CTRL_C)
    terminal.prompt()
    terminal.type("help data")
    assert terminal.see_either("\x1b\\[[0-9;]+mcall\x1b\\[0m --") == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(("--color=never",), {}), ((), {"NO_COLOR": "1"}), (("-ex", "set style enabled off"), {})],
)
def test_no_colour(start: Start, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    terminal = start("-q", *arguments, **environment)
    terminal.type("help data")
    assert terminal.see_either("\x1b\\[[0-9;]*3[0-9]", "call --") == 1


@pytest.mark.long
def test_colour_if_it_is_asked_for_despite_the_environment(start: Start) -> None:
    terminal = start("-q", "--color=always", NO_COLOR="1")
    terminal.type("help data")
    assert terminal.see_either("\x1b\\[[0-9;]+mcall", "call --") == 0


@pytest.mark.long
def test_what_was_meant_stands_on_a_line_of_its_own(start: Start) -> None:
    terminal = start("-q")
    terminal.type("tprint 1")
    terminal.see('Undefined command: "tprint".  Try "help".\r\nDid you mean "print"?\r\n')
    terminal.prompt()
    terminal.type("print 1")
    terminal.see("$1 = 1\r\n")


@pytest.mark.long
def test_the_toolbar_needs_no_answer_from_the_terminal(start: Start) -> None:
    terminal = start("-q")
    assert terminal.see_either(r"process 1 \(demo\) +time 12:0 +2080 KiB resident +4 KiB in swap") == 0
    terminal.type("step")
    assert terminal.see_either(r"process 1 \(demo\) +time 13:0 ") == 0
    terminal.type("print 5")
    seen = terminal.see("$1 = 5\r\n")
    assert "WARNING" not in seen
    assert "\x1b[6n" not in terminal.child.before


@pytest.mark.long
def test_a_list_of_completions_stands_alone(start: Start) -> None:
    terminal = start("-q")
    terminal.see("time 12:0")
    terminal.press("set json addresses \t\t")
    terminal.see("addresses")
    terminal.see("hex")
    assert "time 12:0" not in terminal.see("number").split("addresses")[-1]
    terminal.press("hex\r")
    terminal.see("time 12:0")


@pytest.mark.long
def test_what_is_typed_ahead_is_not_lost(start: Start) -> None:
    terminal = start("-q")
    terminal.press("define f\rprint 11\rend\rf\rprint 12\r")
    terminal.see("$1 = 11\r\n")
    terminal.see("$2 = 12\r\n")


@pytest.mark.long
def test_no_result_is_wider_than_80_columns(start: Start) -> None:
    terminal = start("-q", "-ex", "set height 0", "--color=never")
    for line in ("map", "walk 0x401234", "tlb", "ps", "info faults", "fault 0x408000"):
        terminal.type(line)
        shown = terminal.rest().split("\n")
        results = [row for row in shown if "(vmdbg)" not in row and not row.startswith(" default  process")]
        assert len(results) > 1
        assert max(map(len, results)) <= 80, shown


@pytest.mark.long
def test_without_prompt_toolkit(start: Start, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "prompt_toolkit.py").write_text("raise ImportError\n")
    starter = tmp_path / "bin" / "vmdbg"
    starter.write_text(starter.read_text().replace('PYTHONPATH="', f'PYTHONPATH="{hidden}:'))
    terminal = start("-q")
    terminal.type("show conf\t")
    terminal.see("Whether to confirm potentially dangerous operations is on.")
    terminal.prompt()
    terminal.press("print 5")
    terminal.see("5")
    terminal.press(terminal.CTRL_C)
    terminal.see("Quit\r\n")
    terminal.prompt()
    terminal.press(terminal.CTRL_D)
    terminal.see("quit\r\n")
    assert terminal.end() == 0
