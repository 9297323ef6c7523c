"""help, apropos, complete; every example of every declaration runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmdbg.shell.boot import open_target
from vmdbg.shell.command import GROUPS
from vmdbg.shell.completion import complete_line
from vmdbg.shell.help import wrapped
from vmdbg.shell.registry import Registry

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
# What has to be there before an example makes sense.
BEFORE = {
    "print $": ["print 1"],
    "undo": ["set $cr2 = 1"],
    "redo": ["set $cr2 = 1", "undo"],
    "policy load mru.py": [f"shell cp {EXAMPLES}/mru.py ."],
}


def examples() -> list[Any]:
    """The examples of all declarations; those that run several machines are slow."""
    registry = Registry()
    registry.index()
    found = [example for command in registry.commands() for example in command.examples]
    return [
        pytest.param(line, marks=pytest.mark.slow) if line.startswith("compare") else line for line in found
    ]


@pytest.mark.long
@pytest.mark.parametrize("line", examples())
def test_examples_run(make_shell: Callable[..., Any], line: str) -> None:
    shell = make_shell(target=False)
    shell.session.target = open_target(shell.session, "", "")
    for before in BEFORE.get(line, ()):
        shell.run(before)
    shell.out()
    shell.run(line)
    assert shell.err() == ""


def test_help_lists_classes_and_ends_as_gdb_does(shell) -> None:
    lines = shell.run("help").splitlines()
    assert lines[0] == "List of classes of commands:"
    assert [line.split(" -- ")[0] for line in lines[2 : 2 + len(GROUPS)]] == list(GROUPS)
    assert lines[-1] == "Command name abbreviations are allowed if unambiguous."


@pytest.mark.long
def test_every_command_is_in_one_class_and_has_full_help(shell) -> None:
    registry = shell.interpreter.registry
    for command in registry.commands():
        if not command.hidden:
            assert re.search(
                rf"^{re.escape(command.name)}(,| --)", shell.run(f"help {command.group}"), re.MULTILINE
            )
        text = shell.run(f"help {command.name}")
        assert command.summary in text
        assert all(usage.split()[0] in text for usage in command.usage if command.function)
        body = [line for line in text.splitlines() if " -- " not in line and not line.startswith("Type ")]
        assert max(map(len, body)) <= 80, command.name
    assert shell.err() == ""


def test_texts_are_filled() -> None:
    assert wrapped("a  b.  " + "word " * 20, 4)[0] == "a  b.  " + "word " * 13 + "word"
    assert wrapped("x\ny\n\n  kept\n  as is\n\nz") == ["x y", "", "  kept", "  as is", "", "z"]


def test_help_of_a_prefix_and_of_settings(shell) -> None:
    assert "List of info subcommands:" in shell.run("help info")
    assert shell.run("help set confirm").startswith(
        "Set whether to confirm potentially dangerous operations.\n"
    )
    assert shell.run("help show json addresses").splitlines()[-1] == "Values: number, hex. Default: number."
    assert shell.errors("help nonsense") == 'Undefined command: "nonsense".  Try "help".\n'


def test_apropos(shell) -> None:
    assert "set pagination -- Set state of output pagination." in shell.run("apropos pagin").splitlines()
    assert "\nset pagination\nSet state of output pagination.\n" in shell.run("apropos -v PAGINATION")
    assert (
        shell.errors("apropos [") == "Error in regular expression: Unterminated character set at position 0\n"
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("apr", ["apropos"]),
        ("show conf", ["show confirm"]),
        ("set confirm o", ["set confirm off", "set confirm on"]),
        ("set json addresses ", ["set json addresses hex", "set json addresses number"]),
        ("source -i", ["source -isolated"]),
        ("show/j", ["show/json"]),
        ("help inf", ["help info"]),
        ("with confi", ["with confirm"]),
        ("with confirm off -- prin", ["with confirm off -- print", "with confirm off -- printf"]),
        ("print $_str", ["print $_streq", "print $_strlen"]),
        ("print 1+bu", ["print 1+buf"]),
        ("print $cr", ["print $cr3"]),
        ("nonsense ", []),
        ("pipe prin", ["pipe print", "pipe printf"]),
    ],
)
def test_completion(shell, text: str, lines: list[str]) -> None:
    assert complete_line(shell.session, text) == lines


def test_completion_of_everything_starts_with_what_was_typed(shell) -> None:
    for command in shell.interpreter.registry.commands():
        for text in (command.name, command.name + " ", command.name + " -", command.name + "/"):
            assert all(line.startswith(text) for line in complete_line(shell.session, text)), text


def test_files_are_completed(shell, tmp_path) -> None:
    (tmp_path / "here" / "lab.vmdbg").write_text("")
    (tmp_path / "here" / "labs").mkdir()
    assert complete_line(shell.session, "source la") == ["source lab.vmdbg", "source labs/"]


def test_hidden_and_short_names_are_not_offered(shell) -> None:
    offered = complete_line(shell.session, "")
    assert {"print", "help", "info"} <= set(offered)
    assert not {"p", "h", "i", "end", "loop_break", "!"} & set(offered)
