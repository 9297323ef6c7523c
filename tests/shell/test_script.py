"""Scripts: blocks, definitions, hooks, errors with their places, isolation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmdbg.shell.script import UserArguments, split_user_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 2", ["1", "2"]),
        ("'a b' c", ["'a b'", "c"]),
        ('"a \\" b" c', ['"a \\" b"', "c"]),
        ("a\\ b c", ["a\\ b", "c"]),
        ("", []),
    ],
)
def test_user_words(text: str, words: list[str]) -> None:
    assert split_user_words(text) == words


def test_user_arguments() -> None:
    arguments = UserArguments("1 'x y'")
    assert arguments.insert("p $argc $arg0 $arg1 $arg* $argx $ar") == "p 2 1 'x y' 1 'x y' $argx $ar"


def test_blocks_in_a_script(shell) -> None:
    text = "set $i = 0\nwhile $i < 3\n set $i = $i + 1\n if $i == 2\n  loop_continue\n end\n print $i\nend"
    assert shell.script(text) == "$1 = 1\n$2 = 3\n"


def test_an_error_says_where(shell) -> None:
    shell.script("print 1\n\nfoo\nprint 2")
    assert shell.out() == ""
    assert (
        shell.err()
        == 'test.vmdbg:3: Error in sourced command file:\nUndefined command: "foo".  Try "help".\n'
    )


def test_nested_errors_have_a_header_each(shell, tmp_path: Path) -> None:
    (tmp_path / "here" / "b.vmdbg").write_text("\nfoo\n")
    shell.script("source b.vmdbg")
    assert shell.err().splitlines()[:2] == [
        "test.vmdbg:1: Error in sourced command file:",
        "b.vmdbg:2: Error in sourced command file:",
    ]


def test_definitions_and_documentation(shell) -> None:
    shell.script("define twice\nprint $arg0 * 2\nend\ndocument twice\nDouble it.\nReally.\nend")
    assert shell.run("twice 21") == "$1 = 42\n"
    assert shell.run("help twice") == "Double it.\nReally.\n"
    assert "twice -- Double it.\n" in shell.run("help user-defined")
    assert shell.run("show user twice") == 'User command "twice":\n  print $arg0 * 2\n\n'


def test_document_inside_define_is_a_block_of_its_own(shell) -> None:
    shell.script("define maker\ndefine made\nprint 1\nend\ndocument made\nMade.\nend\nend\nmaker")
    assert shell.run("help made") == "Made.\n"


def test_hooks_do_not_call_themselves(shell) -> None:
    shell.script("define hook-echo\necho <\nend\ndefine hookpost-echo\necho >\\n\nend")
    assert shell.run("echo x") == "<x>\n"


def test_hooks_of_subcommands(shell) -> None:
    shell.script("define-prefix a\ndefine a b\necho b\nend\ndefine a hook-b\necho h\nend")
    assert shell.run("a b") == "hb"


def test_what_was_running_is_forgotten_after_an_error(shell) -> None:
    shell.script("define f\nwhile 1\nfoo\nend\nend\nf")
    assert shell.interpreter.depth == shell.interpreter.loops == len(shell.interpreter.arguments) == 0
    assert shell.interpreter.sources == []


def test_a_script_that_sources_itself_ends(shell, tmp_path: Path) -> None:
    (tmp_path / "here" / "self.vmdbg").write_text("source self.vmdbg\n")
    assert shell.errors("source self.vmdbg").endswith("Too many nested scripts -- command aborted.\n")


def test_repeat(shell) -> None:
    assert shell.type("print 1", "", "") == "$1 = 1\n$2 = 1\n$3 = 1\n"
    assert shell.type("# comment", "") == ""
    shell.type("foo", "")
    assert shell.err().count("Undefined") == 2


def test_x_goes_on(shell) -> None:
    assert shell.type("x/2xb 0x1000", "") == "0x1000:\t0x00\t0x01\n0x1002:\t0x02\t0x03\n"
    assert shell.run("print $_", "print/d $__") == "$1 = (int8_t *) 0x1003\n$2 = 3\n"


def test_an_isolated_script_leaves_nothing_behind(shell, tmp_path: Path) -> None:
    (tmp_path / "here" / "s.vmdbg").write_text(
        "define print\necho mine\nend\ndefine zzf\nend\nalias zz = echo\nset confirm off\n"
        "set $a = 5\nset height 3\ndocument zzf\nx\nend\nprint 1\necho loud\\n\nquit 0\n"
    )
    shell.run("set $a = 1")
    assert shell.run("source -isolated s.vmdbg") == ""
    assert shell.run("print $a", "show confirm", "show height") == (
        "$1 = 1\nWhether to confirm potentially dangerous operations is on.\n"
        "Number of lines vmdbg thinks are in a page is unlimited.\n"
    )
    assert shell.errors("zzf", "zz") == (
        'Undefined command: "zzf".  Try "help".\nUndefined command: "zz".  Try "help".\n'
    )


def test_an_isolated_script_that_fails_says_so(shell, tmp_path: Path) -> None:
    (tmp_path / "here" / "s.vmdbg").write_text("set $a = 5\nfoo\n")
    assert shell.errors("source -isolated s.vmdbg").startswith("s.vmdbg:2: Error in sourced")
    assert shell.run("print $a") == "$1 = void\n"
    assert shell.errors("source -isolated nothing") == "nothing: No such file or directory.\n"


def test_alias_with_arguments(shell) -> None:
    assert shell.run("alias px = print /x", "px 255") == "$1 = 0xff\n"
    assert shell.run("alias set sure = set confirm", "set sure off", "show confirm").endswith(" is off.\n")
    assert shell.errors("alias set hs = set history size") == (
        "Mismatched command length between ALIAS and COMMAND.\n"
    )


def test_trace_shows_depth(shell) -> None:
    shell.script("define f\nif $argc\nprint 1\nend\nend\nset trace-commands on\nf 1\nset trace-commands off")
    assert shell.out() == ""


def test_a_session_in_string(shell) -> None:
    assert shell.session.execute_to_string("print 5") == "$1 = 5\n"
    assert shell.out() == ""


def test_history_of_commands(make_shell: Callable[..., object]) -> None:
    shell = make_shell()
    shell.run("set history size 3")
    assert shell.type("print 1", "print 2", "print 3", "history").endswith(
        "    1  print 2\n    2  print 3\n    3  history\n"
    )
    shell.run("set history remove-duplicates unlimited")
    assert shell.type("print 2", "show commands").splitlines()[1:] == [
        "    1  history",
        "    2  print 2",
        "    3  show commands",
    ]
