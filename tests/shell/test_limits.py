"""The bounds of a restricted run: whatever has no end is ended, and said so in one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

Run = Callable[..., subprocess.CompletedProcess[str]]

# Name of the case to a script that would go on for ever, or take all there is.
ENDLESS = {
    "a loop": "while 1\nend\n",
    "a loop of commands": "while 1\nset $i = 1\nend\n",
    "more and more variables": 'set $i = 0\nwhile 1\neval "set $v%d = 1", $i\nset $i++\nend\n',
    "more and more aliases": 'set $i = 0\nwhile 1\neval "alias a%d = print", $i\nset $i++\nend\n',
    "a program": "file endless.vmp\nrun\n",
    "a regular expression": 'print $_regex("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "(a+)+$")\n',
    "a loop that catches errors": "define hookpost-echo\nwhile 1\nend\nend\necho\n",
}
TOO_MUCH = {
    "recursion": ("set max-user-call-depth unlimited\ndefine r\nr\nend\nr\n", "Recursion too deep"),
    "recursion as it is": ("define r\nr\nend\nr\n", "Max user call depth exceeded"),
    "a script that reads itself": ("source a.vmdbg\n", "Too many nested scripts"),
    "blocks in blocks": ("if 1\n" * 300 + "end\n" * 300, "Control nesting too deep!"),
    "brackets": ("print " + "(" * 100_000 + "1" + ")" * 100_000 + "\n", "memory exhausted"),
    "signs": ("print " + "-" * 100_000 + "1\n", "memory exhausted"),
    "a line": ("echo " + "a" * 5_000_000 + "\n", "Command line too long."),
    "a line of many": ("print 1\\\n" * 500_000, "Command line too long."),
    "a word that doubles": (
        'set $s = "a"\nwhile 1\neval "set $s = \\"%s%s\\"", $s, $s\nend\n',
        "Command line too long.",
    ),
    "arguments that double": (
        'define f\neval "f %s%s", "$arg0", "$arg0"\nend\nf aaaaaaaaaaaaaaaaaaaaaaaa\n',
        "Command line too long.",
    ),
    "an array": ("print *0x404000@1000000000\n", "value requires 4000000000 bytes"),
    "memory that is not there": ("x/999999999xb 0x404000\n", "Cannot access memory at address"),
    "a machine": ("machine big.toml\n", "Memory exhausted -- command aborted."),
    "memory of the machine": ("set machine.ram 1T\n", "out of range"),
}


def limited(folder: Path, *arguments: str, seconds: float = 0.5) -> subprocess.CompletedProcess[str]:
    """vmdbg with a bound on time that a test can wait for."""
    code = (
        "import sys; from vmdbg.shell import limits; from vmdbg.cli import main\n"
        f"limits.SECONDS = {seconds}; sys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "-nx", "-batch", "--restricted", *arguments]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "endless.vmp").write_text("process p\nregion data 0x1000 4K rw\nloop\n  read 0x1000\nend\n")
    (tmp_path / "big.toml").write_text('[machine]\nram = "15G"\n')
    return tmp_path


@pytest.mark.parametrize("name", ENDLESS)
def test_what_has_no_end_is_ended(name: str, folder: Path) -> None:
    (folder / "a.vmdbg").write_text(ENDLESS[name])
    done = limited(folder, "-ex", "expect 1", "-x", "a.vmdbg", "-ex", "echo on")
    assert done.stdout == "ok      1/1  -  1\ntotal   1/1 points, 1 of 1 hold\n"
    assert (done.stderr, done.returncode) == ("Time limit reached.\n", 1)


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_is_an_error_of_the_script(name: str, folder: Path) -> None:
    text, message = TOO_MUCH[name]
    (folder / "a.vmdbg").write_text(text)
    done = limited(folder, "-x", "a.vmdbg", "-ex", "echo on", seconds=60)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "Internal error" not in done.stderr
    assert len(done.stderr) < 20_000
    assert done.stdout.endswith("on")


def test_endless_output_ends(run_vmdbg: Run, tmp_path: Path) -> None:
    (tmp_path / "a.vmdbg").write_text(f"while 1\necho {'x' * 10_000}\nend\n")
    done = run_vmdbg("-nx", "-batch", "--restricted", "-x", "a.vmdbg", "-ex", "echo on")
    assert (done.stderr, done.returncode) == ("Output limit reached.\n", 1)
    assert len(done.stdout) <= 16 << 20


def test_a_log_file_is_not_endless(run_vmdbg: Run, tmp_path: Path) -> None:
    (tmp_path / "a.vmdbg").write_text(
        f"set logging file l\nset logging redirect on\nset logging enabled on\n"
        f"while 1\necho {'x' * 10_000}\nend\n"
    )
    done = run_vmdbg("-nx", "-batch", "--restricted", "-x", "a.vmdbg")
    assert done.returncode == 1
    assert (tmp_path / "l").stat().st_size <= 64 << 20


@pytest.mark.parametrize(
    ("loop", "message"),
    [("while 1\nend\n", "Time limit reached.\n"), (f"while 1\necho {'x' * 9999}\nend\n", "limit reached.\n")],
)
def test_a_bound_ends_an_isolated_script_alone(loop: str, message: str, folder: Path) -> None:
    """The grader's script goes on; the exit status is 1 all the same."""
    (folder / "endless.vmdbg").write_text(loop)
    (folder / "lab.vmdbg").write_text("source -isolated endless.vmdbg\n" * 2 + "expect 1\n")
    done = limited(folder, "-x", "lab.vmdbg", seconds=2)
    assert done.stdout == "ok      1/1  lab.vmdbg:3  1\ntotal   1/1 points, 1 of 1 hold\n"
    assert done.stderr.endswith(message)
    assert done.stderr.count("limit reached.") == 2
    assert done.returncode == 1


def test_isolated_scripts_inside_one_do_not_go_on_for_ever(folder: Path) -> None:
    (folder / "inner.vmdbg").write_text("while 1\nend\n")
    (folder / "outer.vmdbg").write_text("while 1\nsource -isolated inner.vmdbg\nend\n")
    done = limited(folder, "-ex", "source -isolated outer.vmdbg", "-ex", "echo on", seconds=2)
    assert (done.stdout, done.returncode) == ("on", 1)
    assert set(done.stderr.splitlines()) == {"Time limit reached."}  # once, or twice
