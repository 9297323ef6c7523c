"""A person at a terminal: prompt, completion, history, Ctrl-C, Ctrl-D, blocks, pager, colour."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

PROMPT = r"\(vmdbg\)"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")
UP = "\x1b[A"


class Terminal:
    """vmdbg at the other end of a terminal."""

    def __init__(self, child: pexpect.spawn) -> None:
        self.child = child

    def prompt(self) -> str:
        """Waits for a prompt; what came before it, without control sequences."""
        self.child.expect(PROMPT)
        return CONTROL.sub("", self.child.before)

    def line(self, text: str) -> str:
        """Types a line at the prompt; what came before the next prompt (what was typed shows twice, as
        it is drawn and drawn again)."""
        self.child.send(text + "\r")
        self.prompt()
        return self.prompt()

    def expect(self, pattern: str) -> str:
        self.child.expect(pattern)
        return CONTROL.sub("", self.child.before)


@pytest.fixture
def start(user_environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts vmdbg on a terminal: `start("-q", size=(24, 80))`."""
    children = []

    def make(*arguments: str, size: tuple[int, int] = (24, 80), **environment: str) -> Terminal:
        child = pexpect.spawn(
            str(tmp_path / "bin" / "vmdbg"),
            ["-nx", *arguments],
            env={**user_environment, "TERM": "xterm", **environment},
            cwd=str(tmp_path),
            dimensions=size,
            encoding="utf-8",
            timeout=30,
        )
        children.append(child)
        terminal = Terminal(child)
        terminal.prompt()
        return terminal

    yield make
    for child in children:
        child.close(force=True)


def test_a_prompt_and_an_answer(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.child.send("print 6 * 7\r")
    terminal.expect(r"\$1 = 42\r\n")


def test_the_banner(start: Callable[..., Terminal], user_environment: dict[str, str], tmp_path: Path) -> None:
    child = pexpect.spawn(
        str(tmp_path / "bin" / "vmdbg"),
        ["-nx"],
        env={**user_environment, "TERM": "xterm"},
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=30,
    )
    child.expect('a debugger for virtual memory.  "help" lists commands; "quit" leaves.')
    child.close(force=True)


def test_tab_completes_and_a_second_tab_lists(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.child.send("show conf\t\r")
    terminal.expect("Whether to confirm potentially dangerous operations is on.")
    terminal.prompt()
    terminal.child.send("set json addresses \t\t")
    terminal.expect("hex +number")
    terminal.child.send("\x03")
    terminal.prompt()
    terminal.child.send("history\t\r")
    terminal.expect("    2  history")


def test_ctrl_c_at_the_prompt_discards_the_line(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.child.send("print 5")
    terminal.child.sendintr()
    terminal.expect("Quit\r\n")
    terminal.prompt()
    terminal.child.send("print 6\r")
    terminal.expect(r"\$1 = 6\r\n")


def test_ctrl_c_ends_a_loop(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.child.send("while 1\r")
    terminal.expect(" >")
    terminal.child.send("echo turning\\n\r")
    terminal.expect(" >")
    terminal.child.send("end\r")
    terminal.expect("turning\r\nturning\r\n")
    terminal.child.send("\x03")
    terminal.expect("Quit\r\n")
    terminal.prompt()
    terminal.child.send("print 7\r")
    terminal.expect(r"\$1 = 7\r\n")


def test_ctrl_d_quits(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.child.send("\x04")
    terminal.expect("quit\r\n")
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == 0


def test_quit_with_a_status(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.child.send("quit 3\r")
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == 3


def test_a_block_over_several_lines(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.child.send("define twice\r")
    terminal.expect('Type commands for definition of "twice".\r\nEnd with a line saying just "end".\r\n')
    for line in ("if $argc", "print $arg0 * 2", "end", "end"):
        terminal.expect(">")
        terminal.child.send(line + "\r")
    terminal.prompt()
    terminal.child.send("twice 4\r")
    terminal.expect(r"\$1 = 8\r\n")


def test_questions(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.child.send("define print\r")
    terminal.expect(r'Really redefine built-in command "print"\? \(y or n\) ')
    terminal.child.send("maybe\r")
    terminal.expect("Please answer y or n.")
    terminal.child.send("n\r")
    terminal.expect('Command "print" not redefined.')


def test_the_pager(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    more = "--Type <RET> for more, q to quit, c to continue without paging--"
    terminal.child.send("help support\r")
    page = terminal.expect(more)
    page = page[page.index("Support facilities.") :]
    assert sum(1 + len(line) // 80 for line in page.split("\n")[:-1]) == 23
    terminal.child.send("\r")
    terminal.prompt()
    terminal.child.send("help all\r")
    terminal.expect(more)
    terminal.child.send("q\r")
    terminal.expect("Quit\r\n")
    terminal.prompt()
    terminal.child.send("help all\r")
    terminal.expect(more)
    terminal.child.send("c\r")
    assert "--Type" not in terminal.expect('Type "apropos -v word"')
    terminal.prompt()
    terminal.child.send("set height 0\r")
    terminal.prompt()
    terminal.child.send("help all\r")
    assert "--Type" not in terminal.expect('Type "apropos -v word"')


def test_a_large_terminal_has_large_pages(start: Callable[..., Terminal]) -> None:
    terminal = start("-q", size=(50, 200))
    terminal.child.send("help all\r")
    page = terminal.expect("--Type <RET>")
    page = page[page.index("Command class:") :]
    assert 45 <= sum(1 + len(line) // 200 for line in page.split("\n")) <= 50


def test_history_by_the_arrow_and_across_sessions(start: Callable[..., Terminal], tmp_path: Path) -> None:
    first = start("-q", "-ex", "set history save on")
    first.child.send("print 11\r")
    first.expect(r"\$1 = 11\r\n")
    first.child.send(UP + "\r")
    first.expect(r"\$2 = 11\r\n")
    first.child.send("quit\r")
    first.child.expect(pexpect.EOF)
    assert (tmp_path / ".vmdbg_history").read_text() == "print 11\nprint 11\nquit\n"
    second = start("-q")
    second.child.send(UP + UP + "\r")
    second.expect(r"\$1 = 11\r\n")


def test_history_expansion(start: Callable[..., Terminal]) -> None:
    terminal = start("-q", "-ex", "set history expansion on")
    terminal.child.send("print 3\r")
    terminal.expect(r"\$1 = 3\r\n")
    terminal.child.send("!!\r")
    terminal.expect(r"\$2 = 3\r\n")
    terminal.child.send("!pri\r")
    terminal.expect(r"\$3 = 3\r\n")
    terminal.child.send("!zzz\r")
    terminal.expect("zzz: event not found\r\n")


def test_an_empty_line_repeats(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.child.send("print 1\r")
    terminal.expect(r"\$1 = 1\r\n")
    terminal.prompt()
    terminal.child.send("\r")
    terminal.expect(r"\$2 = 1\r\n")


def test_typed_text_and_results_are_coloured(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.child.send("help data\r")
    terminal.expect("\x1b\\[36;1mcall\x1b\\[0m --")


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(("--color=never",), {}), ((), {"NO_COLOR": "1"}), (("-ex", "set style enabled off"), {})],
)
def test_no_colour(
    start: Callable[..., Terminal], arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    terminal = start("-q", *arguments, **environment)
    terminal.child.send("help data\r")
    seen = terminal.child.expect(["\x1b\\[3[0-9]", "call --"])
    assert seen == 1


def test_an_error_leaves_the_prompt(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.child.send("tprint 1\r")
    terminal.expect('Undefined command: "tprint".  Try "help".\r\nDid you mean "print"\\?\r\n')
    terminal.prompt()
    terminal.child.send("print 1\r")
    terminal.expect(r"\$1 = 1\r\n")


def test_without_prompt_toolkit(start: Callable[..., Terminal], tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "prompt_toolkit.py").write_text("raise ImportError\n")
    starter = tmp_path / "bin" / "vmdbg"
    starter.write_text(starter.read_text().replace('PYTHONPATH="', f'PYTHONPATH="{hidden}:'))
    terminal = start("-q")
    terminal.child.send("show conf\t\r")
    terminal.expect("Whether to confirm potentially dangerous operations is on.")
    terminal.prompt()
    terminal.child.send("print 5")
    terminal.expect("print 5")
    terminal.child.sendintr()
    terminal.expect("Quit\r\n")
    terminal.prompt()
    terminal.child.send("\x04")
    terminal.expect("quit\r\n")
    terminal.child.expect(pexpect.EOF)


def test_the_toolbar_needs_no_answer_from_the_terminal(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.expect(r"process 1 \(demo\) +time [0-9]+:[0-9]+")
    terminal.child.send("print 5\r")
    seen = terminal.expect(r"\$1 = 5\r\n")
    assert "WARNING" not in seen
    assert "\x1b[6n" not in terminal.child.before


def test_what_is_typed_ahead_is_not_lost(start: Callable[..., Terminal]) -> None:
    terminal = start("-q")
    terminal.child.send("define f\rprint 11\rend\rf\rprint 12\r")
    terminal.expect(r"\$1 = 11\r\n")
    terminal.expect(r"\$2 = 12\r\n")
