"""The terminal is left as it was found: at every question, pager and list of completions, by every key that
may end it, and by SIGTERM."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

pytestmark = pytest.mark.long

MODES = re.compile(r"modes (\S+)\r\n")
CTRL_C, CTRL_D, ESCAPE = "\x03", "\x04", "\x1b"
MORE = "--Type <RET> for more"
POSSIBILITIES = "Display all [0-9]+ possibilities\\? \\(y or n\\)"

# Where somebody may be: the keys that lead there, and what is then on the screen.
PLACES: dict[str, tuple[str, str]] = {
    "prompt": ("print 1", "print"),
    "search": ("print 1\r\x12pri", "pri"),
    "possibilities": ("\t\t", POSSIBILITIES),
    "page of completions": ("\t\ty", "--More--"),
    "pager": ("set height 10\rhelp all\r", MORE),
    "quit": ("step\rquit\r", "Quit anyway\\? \\(y or n\\)"),
    "define": ("define print\r", "Really redefine built-in command"),
    "delete": ("break *0x401000\rdelete\r", "Delete all breakpoints\\? \\(y or n\\)"),
    "run": ("step\rrun\r", "Start it from the beginning\\? \\(y or n\\)"),
    "block": ("define f\rprint 1\r", ">"),
    "document": ("define f\rend\rdocument f\r", "saying just"),
    "commands": ("break *0x401000\rcommands\r", "saying just"),
}


@pytest.fixture
def terminal(user_environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], pexpect.spawn]]:
    """A shell that tells the terminal's modes, starts vmdbg, and tells them again."""
    children = []

    def make() -> pexpect.spawn:
        script = "echo modes $(stty -g); vmdbg -nx -q; echo status $?; echo modes $(stty -g)"
        child = pexpect.spawn(
            "bash",
            ["-c", script],
            env={**user_environment, "TERM": "xterm"},
            cwd=str(tmp_path),
            dimensions=(24, 80),
            encoding="utf-8",
            timeout=30,
        )
        children.append(child)
        return child

    yield make
    for child in children:
        child.close(force=True)


def at(terminal: Callable[[], pexpect.spawn], place: str) -> tuple[pexpect.spawn, str]:
    """Somebody at that place, and the terminal's modes before."""
    child = terminal()
    child.expect(MODES)
    modes = child.match[1]
    child.expect_exact("(vmdbg)")
    keys, seen = PLACES[place]
    for key in re.split(r"(?<=\r)", keys):
        child.send(key)
        time.sleep(0.1)
    child.expect(seen)
    return child, modes


def ended(child: pexpect.spawn, modes: str) -> str:
    """The exit status, once the terminal's modes are found to be those from before."""
    child.expect("status ([0-9]+)\r\n")
    status = child.match[1]
    child.expect(MODES)
    assert child.match[1] == modes
    return str(status)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(CTRL_C, id="ctrl-c"),
        pytest.param(CTRL_D, id="ctrl-d", marks=pytest.mark.slow),
        pytest.param(ESCAPE, id="escape", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("place", PLACES)
def test_no_key_kills_the_session(terminal: Callable[[], pexpect.spawn], place: str, key: str) -> None:
    child, modes = at(terminal, place)
    child.send(key)
    time.sleep(0.7 if key == ESCAPE else 0.2)  # of a lone escape it is not known that nothing follows
    # Wherever the key left us, Ctrl-C leads back to the prompt.
    child.send(CTRL_C)
    time.sleep(0.2)
    child.send("print 6 * 7\r")
    found = child.expect(["= 42\r\n", "status"])
    if found == 1:
        assert (place, key) == ("quit", CTRL_D)  # as in GDB: the end of input is a yes
        child.expect(MODES)
        assert child.match[1] == modes
        return
    assert "Traceback" not in child.before
    child.send("set confirm off\rquit 5\r")
    assert ended(child, modes) == "5"


@pytest.mark.parametrize("place", PLACES)
def test_sigterm_leaves_the_terminal_as_it_was(terminal: Callable[[], pexpect.spawn], place: str) -> None:
    child, modes = at(terminal, place)
    os.kill(debugger(child), signal.SIGTERM)
    assert ended(child, modes) == str(128 + signal.SIGTERM)
    assert "Traceback" not in child.before


def debugger(child: pexpect.spawn) -> int:
    """The process of vmdbg below the shell."""
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])
