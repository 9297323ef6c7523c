"""`source -isolated`: whatever a hand-in does, the lab that reads it goes on as if it had done nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drawn import every_third

pytestmark = pytest.mark.long

Run = Callable[..., subprocess.CompletedProcess[str]]
LAB = """\
write 0x409000, 9
bookmark here
write 0x40a000, 1
handle SIGSEGV nostop
checkpoint
break 30
set machine.ram 32M
set logging file lab.log
set logging enabled on
source -isolated -seconds 20 student.vmdbg
show logging
set logging enabled off
echo over\\n
goto here
expect -points 4 *(char*)0x409000 == 9
expect -points 2 info signals SIGSEGV => [0].stop == false
expect show machine.ram => [0].value == 32 * 1024 * 1024
info checkpoints
info breakpoints
break 31
checkpoint
show confirm
show width
"""
#: What a hand-in may try, by name.  None of it is work that the lab asks for.
ESCAPES = {
    "undo": "undo\n",
    "undo of more than its own": "write 0x408000, 1\nundo\nundo\n",
    "redo": "redo\n",
    "undo of an undo": "write 0x408000, 1\nundo\nredo\nundo\nundo\n",
    "goto begin": "goto begin\n",
    "goto a time before": "goto 0\n",
    "goto back by operations": "goto -1\n",
    "goto a bookmark of the lab": "goto here\n",
    "a change in the past": "goto begin\nwrite 0x408000, 2\nundo\n",
    "reverse-stepi": "reverse-stepi\n",
    "reverse-stepi into the lab": "stepi 2\nreverse-stepi 1000\n",
    "reverse-step": "reverse-step 5\n",
    "reverse-next": "reverse-next\n",
    "reverse-continue": "reverse-continue\n",
    "reverse-finish": "reverse-finish\n",
    "restart at a checkpoint": "restart 1\n",
    "run": "run\n",
    "start": "start\n",
    "run, and back": "run\nreverse-continue\ngoto begin\nundo\n",
    "a branch": "branch 1\n",
    "branches": "write 0x408000, 1\ngoto begin\nwrite 0x408000, 2\nbranch 1\nbranch 2\nundo\n",
    "a branch is deleted": "delete branch 1\n",
    "half an operation": "stepi\n",
    "diff with what was": "diff begin\n",
    "the bookmark moved": "bookmark here\n",
    "the bookmark deleted": "delete bookmark here\n",
    "checkpoints": "checkpoint\ncheckpoint\n",
    "handle": "handle all nostop\nhandle SIGSEGV stop\n",
    "handle of nothing": "handle SIGBUS nostop\n",
    "breakpoint numbers": "break 1\nbreak 2\ndelete 2\ndelete 3\n",
    "tbreak": "tbreak 5\ncontinue\n",
    "watch": "watch *0x408000\n",
    "catch": "catch swap-out\ncatch tlb-miss\n",
    "stops deleted": "delete\n",
    "stops changed": "condition 1 0\nignore 1 100\ndisable 1\ncommands 1\nquit 3\nend\n",
    "stops enabled once": "enable once 1\nenable delete 1\n",
    "logging off": "set logging enabled off\n",
    "logging elsewhere": "set logging file lab.vmdbg\nset logging redirect on\nset logging overwrite on\n",
    "logging on again": "set logging enabled on\n",
    "the waiting machine": "set machine.ram 16M\nrun\n",
    "the waiting machine with": "with machine.ram 16M -- run\n",
    "another machine": "machine tutorial16\n",
    "another program": "file x.vmp\n",
    "a bug": "break ²\n",
    "a bug in an argument": "define f\nprint $arg²\nend\nf 1\n",
    "a number of many digits": f"print {'9' * 6000}\n",
    "a count of many digits": f"stepi {'9' * 6000}\n",
    "a regular expression that is none": 'print $_regex("a", "(")\n',
    "an expectation": "expect -points 100 1\n",
    "an expectation that is none": "expect show confirm => what\n",
    "a hook of source": "define hook-source\nquit\nend\ndefine hookpost-source\nquit\nend\n",
    "a hook of stops": "define hook-stop\nquit 0\nend\n",
    "a hook of info": "define hook-info\necho cheat\\n\nend\n",
    "expect renamed": "alias expect = echo\n",
    "a loop is left": "loop_break\nloop_continue\n",
    "quit": "quit\n",
    "quit in a hook": "define hook-echo\nquit 9\nend\necho x\n",
    "itself": "source student.vmdbg\n",
    "itself isolated": "source -isolated student.vmdbg\n",
    "more time": "source -isolated -seconds 9999 other.vmdbg\n",
    "a shell": "shell touch made\n",
    "another shell": "!touch made\n",
    "a pipe": "| echo x | tee made\n",
    "make": "make made\n",
    "a saved machine": "save machine made\n",
    "saved stops": "save breakpoints made\n",
    "the folder": "cd /\n",
    "width": "set width 20\nset height 3\n",
    "style": "set style enabled on\n",
    "confirm": "set confirm off\n",
    "trace": "set trace-commands on\nset verbose on\n",
    "JSON": "set json addresses hex\nset json indent 4\n",
    "the engine": "set engine interpreted\n",
    "half a block": "if 1\nwhile 0\n",
    "an end too many": "end\n",
    "a NUL": "echo a\0b\n",
    "no text": "echo \udcff\udcfe\nspawn \udcff\n",
    "a long line": "echo " + "x" * 3_000_000 + "\n",
    "colours": "echo \\033[2J\\033[31m\n",
    "a total": 'echo total   7/7 points, 3 of 3 hold\\n\nprintf "ok      4/4\\n"\n',
    "recursion": "set max-user-call-depth unlimited\ndefine r\nr\nend\nr\n",
}
HONEST: list[str] = []  # what the lab prints without a hand-in, once


@pytest.fixture
def grade(run_vmdbg: Run, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    (tmp_path / "lab.vmdbg").write_text(LAB)
    (tmp_path / "other.vmdbg").write_text("while 1\nend\n")

    def run(text: str, *options: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "student.vmdbg").write_bytes(text.encode("utf-8", "surrogateescape"))
        return run_vmdbg("-nx", "-batch", *options, "-x", "lab.vmdbg")

    return run


@pytest.mark.parametrize("name", every_third(name for name in ESCAPES if name != "more time"))
def test_nothing_gets_out(
    name: str, grade: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    if not HONEST:
        HONEST.append(grade("").stdout)
        assert HONEST[0].endswith("total   7/7 points, 3 of 3 hold\n")
    done = grade(ESCAPES[name])
    assert done.stdout == HONEST[0]
    assert "Traceback" not in done.stderr
    assert (tmp_path / "lab.vmdbg").read_text() == LAB
    assert "cheat" not in (tmp_path / "lab.log").read_text()  # errors are in it
    assert not (tmp_path / "made").exists()


def test_a_teacher_sets_the_time(
    grade: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The hand-in's, which it cannot make longer, and the run's."""
    (tmp_path / "lab.vmdbg").write_text("source -isolated -seconds 1 student.vmdbg\nexpect 1\n")
    for text in ("while 1\nend\n", ESCAPES["more time"]):
        done = grade(text)
        assert (done.stdout, done.returncode) == (
            "ok      1/1  lab.vmdbg:2  1\ntotal   1/1 points, 1 of 1 hold\n",
            1,
        )
        assert "Time limit reached.\n" in done.stderr
    (tmp_path / "lab.vmdbg").write_text("expect 1\nwhile 1\nend\n")
    done = grade("", "--time-limit=1")
    assert (done.stderr, done.returncode) == ("Time limit reached.\n", 1)
    assert done.stdout.endswith("total   1/1 points, 1 of 1 hold\n")


def test_the_end_of_its_time_leaves_the_machine_whole(
    grade: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "endless.vmp").write_text(
        "process p\nregion data 0x1000 64K rw\nloop\n  write 0x1000 .. 0x11000 step 4K, 1\nend\n"
    )
    (tmp_path / "lab.vmdbg").write_text(
        "file endless.vmp\nset engine interpreted\nsource -isolated -seconds 1 student.vmdbg\n"
        'expect check => count == 0\nexpect step => 1 == 1\nexpect translate 0x1000 => outcome =~ "."\n'
        "undo\nread 0x1000\n"
    )
    done = grade("continue\n")
    assert "Time limit reached.\nNothing to undo.\n" in done.stderr.replace(
        "lab.vmdbg:7: Error in sourced command file:\n", ""
    )
    assert "total" in done.stdout
