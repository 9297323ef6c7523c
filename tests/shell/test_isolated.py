"""`source -isolated`: what a stranger's script does to the machine remains, and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drawn import every_third

pytestmark = pytest.mark.long

Run = Callable[..., subprocess.CompletedProcess[str]]
LAB = """\
set $secret = 1
define mine
echo grader\\n
end
break 30
source -isolated student.vmdbg
expect -points 2 translate 0x408000 => outcome == "translated"
expect -points 3 $secret == 1
expect -points 5 translate 0x5000 => outcome == "translated"
show confirm
show print elements
show history size
show cost memory
info breakpoints
info display
mine
print 1
"""
HONEST = (
    'ok      2/2  lab.vmdbg:7  translate 0x408000 => outcome == "translated"\n'
    "ok      3/3  lab.vmdbg:8  $secret == 1\n"
    'FAILED  0/5  lab.vmdbg:9  translate 0x5000 => outcome == "translated"\n'
)
HONEST_RUNS: list[subprocess.CompletedProcess[str]] = []  # one for all tricks
# Name of the case to what a student hands in besides the work itself, which is `write 0x408000, 1`.
TRICKS = {
    "nothing": "",
    "output": 'echo ok      5/5  lab.vmdbg:9\\n\nprint 5\nprintf "total   10/10 points\\n"\n',
    "quit with 0": "quit 0\n",
    "quit with 7 in a function in a loop": "define f\nquit 7\nend\nwhile 1\nf\nend\n",
    "expect": "expect -points 100 1\n",
    "expect through an alias": "alias e = expect\ne -points 100 1\n",
    "expect through eval": 'eval "expect %d", 1\n',
    "expect in another isolated script": "source -isolated expecting.vmdbg\n",
    "expect redefined": "define expect\necho ok\\n\nend\n",
    "expect hooked": "define hook-expect\nset $secret = 1\nend\ndefine hookpost-expect\necho ok\\n\nend\n",
    "quit redefined": "define quit\necho no\\n\nend\ndefine hook-quit\nwhile 1\nend\nend\n",
    "an alias in the place of a command": "alias -a translate0 = walk\nalias sho = echo\n",
    "a document": "define mine\necho cheat\\n\nend\ndocument mine\nx\nend\n",
    "a prefix": "define-prefix mine2\ndefine mine2 x\necho\nend\n",
    "settings": "set confirm off\nset print elements 3\nset history size 5\nset trace-commands on\n",
    "costs": "set cost.memory 1\n",
    "a variable": "set $secret = 7\n",
    "values": "print 1\nprint 2\n",
    "displays": "display 1\nset $x = 1\ndisplay/x $x\n",
    "stops": "break 31\ncatch swap-out\ncommands 1\necho cheat\\n\nend\ncondition 1 0\ndisable\n",
    "no stops": "delete\n",
    "another machine": "machine tutorial16\n",
    "another machine by a setting": "set machine.ram 32M\n",
    "a machine from a file": "load machine x.vm\n",
    "another program": "file x.vmp\n",
    "a shell": "shell echo ok      5/5\n",
    "a pipe": "pipe echo ok      5/5 | cat\n",
    "make": "make ok\n",
    "a log": "set logging file lab.vmdbg\nset logging enabled on\n",
    "a saved machine": "save machine lab.vmdbg\n",
    "saved stops": "save breakpoints lab.vmdbg\n",
    "loop_break": "loop_break\n",
    "a mistake": "foo\n",
    "a mistake inside": "define f\nif 1\nfoo\nend\nend\nf\n",
    "recursion": "define r\nr\nend\nr\n",
    "half a block": "if 1\nprint 1\n",
    "the folder": "cd /\n",
}


@pytest.fixture
def grade(run_vmdbg: Run, tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    (tmp_path / "lab.vmdbg").write_text(LAB)
    (tmp_path / "expecting.vmdbg").write_text("expect -points 100 1\n")

    def run(trick: str, *options: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "student.vmdbg").write_text("write 0x408000, 1\n" + trick)
        return run_vmdbg("-nx", "-batch", *options, "-x", "lab.vmdbg")

    return run


@pytest.mark.parametrize("name", every_third(TRICKS))
def test_a_trick_changes_no_grade(
    name: str, grade: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    if not HONEST_RUNS:
        HONEST_RUNS.append(grade(""))
    honest, tricked = HONEST_RUNS[0], grade(TRICKS[name])
    assert HONEST in honest.stdout
    assert honest.stdout.endswith("grader\n$1 = 1\ntotal   5/10 points, 2 of 3 hold\n")
    assert tricked.stdout == honest.stdout
    assert (tricked.returncode, honest.returncode) == (1, 1)
    assert (tmp_path / "lab.vmdbg").read_text() == LAB


@pytest.mark.parametrize("name", ["nothing", "quit with 0", "settings", "a shell", "a mistake"])
def test_the_same_in_a_restricted_session(
    name: str, grade: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    assert grade(TRICKS[name], "--restricted").stdout == grade("").stdout


def test_a_mistake_in_it_is_said_and_stops_nothing(shell, tmp_path: Path) -> None:
    (tmp_path / "here" / "s.vmdbg").write_text("foo\n")
    assert shell.script("source -isolated s.vmdbg\necho on\\n") == "on\n"
    assert shell.err() == (
        's.vmdbg:1: Error in sourced command file:\nUndefined command: "foo".  Try "help".\n'
    )


def test_a_bug_of_ours_in_it_is_reported_and_stops_nothing(
    shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(text: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(shell.session, "evaluate", broken)
    (tmp_path / "here" / "s.vmdbg").write_text("print 1\n")
    assert shell.script("source -isolated s.vmdbg\necho on\\n") == "on\n"
    assert shell.err().startswith("Internal error: ZeroDivisionError")


def test_strict_stops_at_a_mistake_in_it(run_vmdbg: Run, tmp_path: Path) -> None:
    (tmp_path / "s.vmdbg").write_text("foo\n")
    done = run_vmdbg("-nx", "-batch", "--strict", "-ex", "source -isolated s.vmdbg", "-ex", "echo on")
    assert (done.stdout, done.returncode) == ("", 1)


def test_a_loop_of_the_caller_is_not_left(shell, tmp_path: Path) -> None:
    (tmp_path / "here" / "s.vmdbg").write_text("loop_break\n")
    text = "set $i = 0\nwhile $i < 3\nset $i++\nsource -isolated s.vmdbg\nend\nprint $i"
    assert shell.script(text) == "$1 = 3\n"


def test_nobody_is_asked(shell, tmp_path: Path) -> None:
    (tmp_path / "here" / "s.vmdbg").write_text("define print\nend\n")
    shell.session.ask = pytest.fail
    shell.run("source -isolated s.vmdbg")
    assert shell.session.ask is not None
