"""expect: counting, comparing, remarks, exit status, TAP."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmdbg.shell.boot import open_first
from vmdbg.shell.expectations import Tally
from vmdbg.shell.field_conditions import in_brackets, split

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_what_holds(shell) -> None:
    assert shell.run("expect 1 + 1 == 2", "expect -points 3 show confirm => [0].value == true") == (
        "ok      1/1  -  1 + 1 == 2\nok      3/3  -  show confirm => [0].value == true\n"
    )
    assert shell.session.exit_code is None


@pytest.mark.parametrize(
    ("line", "remark"),
    [
        ("0", "is 0"),
        ("1/0", "error: Division by zero"),
        (
            "show confirm => [0].value == false",
            "is true: Whether to confirm potentially dangerous operations is on.",
        ),
        (
            'show confirm => [0].name != "confirm"',
            'is "confirm": Whether to confirm potentially dangerous operations is on.',
        ),
        (
            "show confirm => [0].nope == 1",
            'error: no field "nope"; there are name, value, default, kind, unit, readonly, help',
        ),
        ("show confirm => [7].name == 1", 'error: no object [7] in "[7].name"'),
        ("show confirm => count > 1", "is 1: Whether to confirm potentially dangerous operations is on."),
        ("foo => a == 1", 'error: Undefined command: "foo".  Try "help".'),
        ("pwd => a == 1", 'error: "pwd" has no JSON form.'),
        ("show confirm => [0].name < 5", 'error: "confirm" < 5 cannot be compared'),
        (
            'show confirm => [0].name =~ "("',
            "error: Error in regular expression: Missing ), unterminated subpattern at position 0",
        ),
        ('show confirm => [0].name == "x', 'error: Value "x cannot be read.'),
    ],
)
def test_what_does_not_hold(shell, line: str, remark: str) -> None:
    assert shell.run(f"expect {line}") == f"FAILED  0/1  -  {line}\n             {remark}\n"
    assert shell.session.exit_code == 1


@pytest.mark.parametrize(
    "condition",
    [
        "[0].value == 256",
        "[0].value >= 0x100",
        "[0].value < 1 + 256",
        '[0].name =~ "^history"',
        '[0].unit == ""',
        "count == 1",
    ],
)
def test_conditions(shell, condition: str) -> None:
    assert shell.run(f"expect show history size => {condition}").startswith("ok ")


@pytest.mark.long
def test_nonsense_is_an_error(shell) -> None:
    assert shell.errors("expect", "expect -points x 1", "expect -points -1 1") == (
        "Argument required (what to expect).\n"
        'No symbol "x" in current context.\n'
        "Points from 0 to 1000000 expected.\n"
    )


SCRIPT = """\
expect -points 2 show confirm => [0].value == true
expect 0
source -isolated student.vmdbg
expect -points 3 $a == 1
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "lab.vmdbg").write_text("set $a = 1\n" + SCRIPT)
    (tmp_path / "student.vmdbg").write_text(
        "set $a = 2\ndefine expect\necho cheat\\n\nend\ndefine hook-expect\nset $a = 1\nend\nquit 0\n"
    )
    return tmp_path


@pytest.mark.long
def test_a_graded_script(run_vmdbg: Run, lab: Path) -> None:
    done = run_vmdbg("-nx", "-batch", "--restricted", "-x", "lab.vmdbg")
    assert done.stdout == (
        "ok      2/2  lab.vmdbg:2  show confirm => [0].value == true\n"
        "FAILED  0/1  lab.vmdbg:3  0\n"
        "             is 0\n"
        "ok      3/3  lab.vmdbg:5  $a == 1\n"
        "total   5/6 points, 2 of 3 hold\n"
    )
    assert (done.stderr, done.returncode) == ("", 1)


@pytest.mark.long
def test_tap(run_vmdbg: Run, lab: Path) -> None:
    done = run_vmdbg("-nx", "-batch", "--tap", "-x", "lab.vmdbg")
    assert done.stdout == (
        "ok 1 - lab.vmdbg:2  show confirm => [0].value == true\n"
        "# 2/2 points\n"
        "not ok 2 - lab.vmdbg:3  0\n"
        "# 0/1 points\n"
        "# is 0\n"
        "ok 3 - lab.vmdbg:5  $a == 1\n"
        "# 3/3 points\n"
        "# 5/6 points, 2 of 3 hold\n"
        "1..3\n"
    )
    assert done.returncode == 1


def test_a_quit_keeps_the_totals_and_the_status(run_vmdbg: Run, tmp_path: Path) -> None:
    (tmp_path / "lab.vmdbg").write_text("expect 0\nquit 0\nexpect 1\n")
    done = run_vmdbg("-nx", "-batch", "-x", "lab.vmdbg")
    assert done.stdout.endswith("total   0/1 points, 0 of 1 hold\n")
    assert done.returncode == 1


def test_no_expectation_inside_an_isolated_script(shell, tmp_path: Path) -> None:
    (tmp_path / "here" / "s.vmdbg").write_text("expect -points 100 1\n")
    assert shell.errors("source -isolated s.vmdbg").endswith('No "expect" in an isolated script.\n')
    assert Tally not in shell.session.kept


def test_the_machine_is_asked(run_vmdbg: Run) -> None:
    line = "translate 0x401234"
    done = run_vmdbg(
        "-nx",
        "-batch",
        "-ex",
        f'expect {line} => outcome == "translated"',
        "-ex",
        f"expect {line} => pid == 7",
    )
    assert done.stdout.splitlines()[0] == f'ok      1/1  -  {line} => outcome == "translated"'
    assert done.stdout.splitlines()[2].startswith("             is 1: 0x401234 -> 0x")


def test_a_condition_that_is_none_does_not_hold_and_stops_nothing(shell) -> None:
    assert shell.script("expect show confirm => what\necho on\\n") == (
        "FAILED  0/1  test.vmdbg:1  show confirm => what\n"
        '             error: Condition "what" names no field. '
        "It is an array: [0].NAME is a field of its first object, count the number of them.\n"
        "on\n"
    )


def test_a_bug_of_ours_is_an_expectation_that_does_not_hold(shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(shell.session, "evaluate", broken)
    assert "FAILED  0/1  -  1\n             error: ZeroDivisionError\n" in shell.run("expect 1")
    assert "Internal error" in shell.err()


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("pa / 256 == 0x10", ""),
        ("0x10 == pa / 256 && page_size == 256", ""),
        ("pa == va + 0x1000 - 0x0", ""),
        ('outcome == "fault" || (pa > 0 && region == "heap")', ""),
        ('outcome =~ "^trans" && pa % page_size == 0', ""),
        ("slot == null && !stale", ""),
        ("(pa & 0xf00) == 0 ? 1 : 0", ""),
        ("pa / 256 == 0x11", "pa is 4096 (0x1000)"),
        ('outcome == "translated" && region == "text"', 'region is "heap"'),
        ("slot + 1 == 2", "error: slot is null: no number, so that it can only be compared alone"),
        ("pa + nothing == 2", 'error: No symbol "nothing" in current context.'),
        ("pa / 0 == 2", "error: Division by zero"),
        ("pa + == 2", "error: A syntax error in expression"),
        ("7 == 7", 'error: Condition "7 == 7" names no field.'),
        ("pa = 3", "error: "),
    ],
)
def test_conditions_are_expressions_over_the_fields(run_shell, condition: str, found: str) -> None:
    text = run_shell(f"expect translate 0x0000 => {condition}")
    assert text.startswith("ok " if not found else "FAILED"), text
    assert found in text


@pytest.fixture
def run_shell(make_shell):
    """A shell on a machine whose page 0 is mapped."""
    shell = make_shell(target=False)
    shell.session.open_target = lambda: open_first(shell.session, "tutorial16", "")
    shell.run("start", "step 1")
    return shell.run


def test_a_string_may_end_in_a_backslash() -> None:
    assert in_brackets(r'(x == "\\" && y == 1)') == r'x == "\\" && y == 1'
    assert split(r'x == "\\ && " && (y && z)', "&&") == [r'x == "\\ && "', "(y && z)"]
    assert in_brackets("(a) && (b)") == in_brackets("a") == in_brackets("(a") == ""


def test_names_hints_and_hidden_ones(shell) -> None:
    assert shell.run(
        'expect -name sum -hint "Add them." -points 2 1 + 1 == 3',
        "expect -hidden 1 == 2",
        "expect -name x -hidden 1",
    ) == (
        "FAILED  0/2  -  sum: 1 + 1 == 3\n             is 0\n             hint: Add them.\n"
        "FAILED  0/1  -  hidden\nok      1/1  -  x\n"
    )


def test_answers_of_a_hand_in(shell, tmp_path: Path) -> None:
    (tmp_path / "here" / "s.vmdbg").write_text(
        'set $a = 5\nset $b = "frame"\nset $c = 1.5\nset $d = (char *) 3\nset $e = 1\n'
    )
    text = shell.script(
        "source -isolated -keep a,$b,c,d,f s.vmdbg\n"
        'expect $a == 5\nexpect $b == "frame"\nexpect $b =~ "^f"\nexpect $c > 1\n'
        'expect $b != "frame"\nexpect $d == 3\nexpect $e == 1\nexpect $f == 1'
    )
    assert [line.split()[0] for line in text.splitlines()[:5]] == ["ok", "ok", "ok", "ok", "FAILED"]
    assert 'is "frame"' in text
    assert [f"error: ${name} is not set" in text for name in "def"] == [True] * 3
    assert shell.err() == "$d is not kept: it is neither a number nor a string.\n"


def test_no_more_than_variables_is_kept(shell) -> None:
    assert shell.errors("source -isolated -keep a.b s.vmdbg", "source -isolated -keep 1 s.vmdbg") == (
        '"a.b": expected names of variables, such as answer,q1.\n'
        '"1": expected names of variables, such as answer,q1.\n'
    )


def test_a_token_marks_the_total(run_vmdbg: Run) -> None:
    done = run_vmdbg("-nx", "-batch", "--token", "5f1c", "-ex", "expect 1")
    assert done.stdout.splitlines()[-1] == "total   1/1 points, 1 of 1 hold  [5f1c]"


def test_values_as_json(shell) -> None:
    assert shell.run('print/j "abc"', "p/json 1 + 1", "print/j $nothing", "print/j (char) 65") == (
        '{"number": 1, "type": "char [4]", "value": "abc"}\n'
        '{"number": 2, "type": "int", "value": 2}\n'
        '{"number": 3, "type": "void", "value": null}\n'
        '{"number": 4, "type": "char", "value": 65}\n'
    )
