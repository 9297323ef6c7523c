"""How a run begins and ends (items 1 to 4 and 6): options, scripts, exit statuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.long  # each case starts gdb and vmdbg

# Name of the case to a command line.
COMMAND_LINES: dict[str, list[str]] = {
    "1: early": ["-batch", "-ex", "p 2", "-iex", "p 1"],
    "1 3: early fails": ["-batch", "-iex", "bad", "-ex", "p 2"],
    "1: early quits": ["-batch", "-iex", "p 1", "-ix", "quit.gdb", "-ex", "p 2"],
    "1 3: mixed order": ["-batch", "-ex", "p 1", "-x", "two.gdb", "-ex", "p 3"],
    "3: missing script": ["-batch", "-x", "missing", "-ex", "p 1"],
    "3: missing script last": ["-batch", "-ex", "p 1", "-x", "missing"],
    "2: script fails last": ["-batch", "-ex", "p 1", "-x", "bad.gdb"],
    "4: silent": ["-batch-silent", "-ex", "p 1", "-ex", "bad"],
    "4: nothing": ["-batch"],
    "4: not batch": ["-ex", "p 1", "-ex", "bad"],
    "4: define reads stdin": ["-batch", "-ex", "define f", "-ex", "f"],
    "1: equals": ["-batch", "-x=two.gdb", "--ex=p 1"],
    "1: long names": ["--batch", "--eval-command", "p 1", "--command=two.gdb"],
    "1: unknown option": ["--nonsense"],
    "1: no value": ["-ex"],
    "1: folder": ["-batch", "-cd", "sub", "-ex", "pwd"],
    "1: no folder": ["-batch", "-cd", "missing", "-ex", "p 1"],
    "2 3: script fails, next runs": ["-batch", "-x", "bad.gdb", "-ex", "p 1"],
    "3: the program's status": ["-batch", "-return-child-result", "-ex", "p 1"],
    "3: the program's status, and an error": ["-batch", "-return-child-result", "-ex", "bad"],
    "3: the program's status, and quit": ["-batch", "-return-child-result", "-ex", "quit 3"],
    "1: a script without a name": ["-batch", "-x", ""],
    "3: a status of its own": ["-batch", "-ex", "quit 300"],
    "3: a status below zero": ["-batch", "-ex", "quit -1"],
    "2: a folder as a script": ["-batch", "-x", "sub"],
    "1: an option that begins several": ["--init"],
    "3: early quit": ["-batch", "-iex", "quit 4", "-ex", "p 2"],
    "4: silent and an error": ["-batch-silent", "-ex", "bad"],
    "4: blocks read what is piped": ["-batch", "-ex", "if 1", "-ex", "p 8"],
}

# Name of the case, behind the items that it is about, to the command lines given with -ex, in -batch.
LINES: dict[str, list[str]] = {
    "3: last command decides": ["foo", "p 1"],
    "3: last command fails": ["p 1", "foo"],
    "3: quit": ["quit 7", "foo"],
    "3: quit an expression": ["quit 1+2", "foo"],
    "3: quit wrong": ["quit 1+", "p 1"],
    "3: exit": ["exit"],
    "3: source": ["source", "source missing", "p 1"],
    "6: source -v": ["source -v two.gdb", "source -s -v two.gdb", "source ./two.gdb", "source two.gdb junk"],
}

# Name of the case to scripts; the first is run with -x.
SCRIPTS: dict[str, dict[str, str]] = {
    "2: stops at an error": {"a.gdb": "p 1\nfoo\np 2\n"},
    "2: nested": {"a.gdb": "echo a\\n\nsource b.gdb\necho after\\n\n", "b.gdb": "echo b\\n\nfoo\n"},
    "2: three deep": {"a.gdb": "source b.gdb\n", "b.gdb": "\nsource c.gdb\n", "c.gdb": "p 1\n\np 1/0\n"},
    "2: an error in a loop": {"a.gdb": "while 1\nfoo\nend\n"},
    "2: an error in a condition": {"a.gdb": "if 1 +\np 1\nend\n"},
    "2: quit in a script": {"a.gdb": "p 1\nquit 3\np 2\n"},
    "2: quit in a function": {"a.gdb": "define q2\nquit 4\nend\nif 1\nq2\nend\np 2\n"},
    "2: blank lines do nothing": {"a.gdb": "p 1\n\n\np 2\n   \n# x\n"},
}


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_command_lines(name: str, alike: Callable[..., None]) -> None:
    alike(*COMMAND_LINES[name], input="p 5\nend\n")


@pytest.mark.parametrize("name", LINES)
def test_lines(name: str, alike: Callable[..., None]) -> None:
    alike("-batch", *[word for line in LINES[name] for word in ("-ex", line)])


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(name: str, alike: Callable[..., None]) -> None:
    alike("-batch", "-x", "a.gdb", files=SCRIPTS[name])
