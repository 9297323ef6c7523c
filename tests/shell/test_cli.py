"""The command line as a process: order, exit statuses, streams, bugs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vmdbg.cli import UsageError, parse

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_options() -> None:
    options = parse(
        ["-q", "--batch", "-x", "a", "-ex=b", "--eval-command", "c", "-iex", "d", "-m", "sv", "p.vmp"]
    )
    assert options.flags == {"quiet", "batch"}
    assert options.commands == [("x", "a"), ("ex", "b"), ("ex", "c")]
    assert options.early == [("ex", "d")]
    assert (options.machine, options.program) == ("sv", ["p.vmp"])


def test_args_end_the_options() -> None:
    assert parse(["-q", "--args", "p.vmp", "-x", "5"]).program == ["p.vmp", "-x", "5"]
    assert parse(["--", "-q"]).program == ["-q"]


def test_options_may_be_abbreviated() -> None:
    assert parse(["--eval", "x"]).commands == [("ex", "x")]
    assert parse(["-batch-s"]).flags == {"batch", "batch_silent"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nope"], "unrecognized option '--nope'"),
        (["-x"], "option '-x' requires an argument"),
        (["--batch=5"], "option '--batch' doesn't allow an argument"),
        (["--rest=5"], "option '--rest' doesn't allow an argument"),
        (["--color=pink"], "invalid value 'pink' of --color: always, never or auto expected"),
        (["--in", "5"], "option '--in' is ambiguous; possibilities: '--init-command' '--init-eval-command'"),
    ],
)
def test_wrong_command_lines(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(words)
    assert str(error.value) == message


def test_help_and_version(run_vmdbg: Run) -> None:
    assert run_vmdbg("--help").stdout.startswith("This is vmdbg, a debugger for virtual memory.  Usage:")
    assert run_vmdbg("--version").stdout.startswith("vmdbg ")


@pytest.mark.long
def test_strict_ends_at_the_first_error(run_vmdbg: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.vmdbg").write_text("echo a\\n\nfoo\necho b\\n\n")
    done = run_vmdbg("-nx", "-batch", "--strict", "-x", "bad.vmdbg", "-ex", "echo c")
    assert (done.stdout, done.returncode) == ("a\n", 1)
    assert run_vmdbg("-nx", "-batch", "--strict", "-ex", "foo", "-ex", "echo c").stdout == ""
    done = run_vmdbg("-nx", "-batch", "--strict", "-x", "missing", "-ex", "echo c")
    assert (done.stdout, done.stderr, done.returncode) == ("", "missing: No such file or directory.\n", 1)
    assert run_vmdbg("-nx", "-batch", "--strict", "-ex", "echo c").returncode == 0
    assert run_vmdbg("-nx", "--strict", input="foo\necho c\n").returncode == 1
    assert run_vmdbg("-nx", "-batch", "--strict", "-iex", "foo", "-ex", "echo c").stdout == ""


@pytest.mark.long
def test_init_files(run_vmdbg: Run, home: Path, tmp_path: Path) -> None:
    (home / ".vmdbginit").write_text("echo home\\n\n")
    (tmp_path / ".vmdbginit").write_text("echo folder\\n\n")
    done = run_vmdbg("-batch", "-iex", "echo early\\n", "-ex", "echo x")
    assert done.stdout == "home\nearly\nx"
    assert done.stderr.startswith(
        f'warning: File "{tmp_path}/.vmdbginit" auto-loading has been declined by your'
    )
    assert len(done.stderr.splitlines()) == 7
    trusted = run_vmdbg("-batch", "-iex", f"set auto-load safe-path {tmp_path}", "-ex", "echo x")
    assert (trusted.stdout, trusted.stderr) == ("home\nfolder\nx", "")
    assert (
        run_vmdbg("-batch", "-nh", "-iex", "set auto-load safe-path /", "-ex", "echo x").stdout == "folder\nx"
    )
    assert run_vmdbg("-batch", "-nx", "-ex", "echo x").stdout == "x"


@pytest.mark.long
def test_colour_only_when_asked_for(run_vmdbg: Run) -> None:
    assert "\x1b" not in run_vmdbg("-nx", "-batch", "-ex", "help").stdout
    assert "\x1b[" in run_vmdbg("-nx", "-batch", "--color=always", "-ex", "help").stdout
    piped = run_vmdbg("-nx", "-batch", "--color=always", "-ex", "pipe help | cat").stdout
    assert "\x1b" not in piped


@pytest.mark.long
def test_both_streams_in_one_keep_their_order(user_environment: dict[str, str], tmp_path: Path) -> None:
    words = ["vmdbg", "-nx", "-batch", "-ex", "echo a\\n", "-ex", "foo", "-ex", "echo b\\n"]
    done = subprocess.run(
        words, env=user_environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.stdout == 'a\nUndefined command: "foo".  Try "help".\nb\n'


def test_json_is_one_value_on_stdout(run_vmdbg: Run) -> None:
    done = run_vmdbg("-nx", "-batch", "-ex", "show/json history")
    assert {row["name"] for row in json.loads(done.stdout)} >= {"history size", "history save"}


@pytest.mark.long
def test_a_reader_that_goes_away(user_environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "endless.vmdbg").write_text("while 1\nhelp\nend\n")
    script = f"vmdbg -nx -batch -x {tmp_path}/endless.vmdbg | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], env=user_environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("List of classes of commands:\n", "")
    assert done.returncode == 141


def test_a_bug_of_ours_is_one_line_and_a_file(run_vmdbg: Run, tmp_path: Path) -> None:
    plant = (
        "import sys; from vmdbg.shell.commands import host; from vmdbg.cli import main\n"
        "host.pwd_command.declarations[0].function = lambda session, args: 1 / 0\n"
        "sys.exit(main(['-nx', '-batch', '-ex', 'pwd', '-ex', 'echo on']))"
    )
    done = subprocess.run([sys.executable, "-c", plant], capture_output=True, text=True, check=False)
    assert done.stdout == "on"
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(
        "Internal error: ZeroDivisionError: division by zero.  This is a bug of vmdbg;"
    )
    file = Path(done.stderr.rstrip(".\n").rsplit(" ", 1)[1])
    assert "ZeroDivisionError" in file.read_text()
    file.unlink()


def test_bytes_that_are_no_text_pass(run_vmdbg: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.vmdbg").write_bytes(b"echo \xff\\n\n")
    done = subprocess.run(
        [str(tmp_path / "bin" / "vmdbg"), "-nx", "-batch", "-x", str(tmp_path / "odd.vmdbg")],
        capture_output=True,
        check=False,
    )
    assert done.stdout == b"\xff\n"


def test_what_starts_with_batch_needs_no_terminal_library(run_vmdbg: Run) -> None:
    code = (
        "import sys; from vmdbg.cli import main; main(['-nx', '-batch', '-ex', 'print 1']);"
        "print([m for m in ('llvmlite', 'prompt_toolkit', 'pygments', 'argparse') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "$1 = 1\n[]\n"


@pytest.mark.long
def test_the_exit_status_of_the_program(run_vmdbg: Run, tmp_path: Path) -> None:
    (tmp_path / "p.vmp").write_text("process p\nregion data 0x1000 4K rw\nread 0x1000\nexit 7\n")
    run = ("-nx", "-batch", "-return-child-result", "p.vmp", "-ex", "run")
    assert run_vmdbg(*run).returncode == 7
    assert run_vmdbg(*run, "-ex", "quit 3").returncode == 3
    assert run_vmdbg(*run, "-ex", "bad").returncode == 1
    assert run_vmdbg("-nx", "-batch", "p.vmp", "-ex", "run").returncode == 0
