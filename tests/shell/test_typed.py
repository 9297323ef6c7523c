"""What can be typed or be the end of a pipe and is no bug: digits of other scripts, numbers without end,
expressions that never match, bytes that are not text, files that cannot be written."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmdbg.errors import UserError
from vmdbg.regex import LONGEST, Pattern
from vmdbg.units import MOST_DIGITS, bytes_of, decimal, parse_number, text_of, visible

pytestmark = pytest.mark.long

Run = Callable[..., "subprocess.CompletedProcess[str]"]
NINES = "9" * 5000
NUMBERS = ("²", "٣", NINES, "-" + NINES, "0x" + "f" * 5000, "0b" + "1" * 5000, "1" + "0" * 5000, "1²")
# Where a number may stand: {} is it.
LINES = (
    *("break {}", "tbreak {}", "until {}", "advance {}", "list {}", "info line {}", "delete {}", "x/{}x 0"),
    *("print ${}", "print $${}", "print {}", "step {}", "next {}", "stepi {}", "goto {}", "goto 1:{}"),
    *("set height {}", "set history size {}", "set machine.ram {}", "set tlb.l1d {}x4", "show commands {}"),
    *("ignore 1 {}", "condition {}", "tlb resize l1d {} {}", "process {}", "kill {}", "swapout -n {}"),
    *("print 1@{}", 'printf "%{}d", 1', "undisplay {}", "events {}", "restart {}", "branch {}", "walk {}"),
    *("expect ps => [{}].pid == 1", "watch {}", "break x.vmp:{}", "show values {}", "quit_{}", "f {}"),
)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda text: text[:6])
def test_a_number_that_is_none_is_one_clear_line(run_vmdbg: Run, number: str) -> None:
    lines = ["define f", "print $arg²", f"print $arg{number}", "end"]
    lines += [line.replace("{}", number) for line in LINES]
    done = run_vmdbg("-q", input="\n".join(lines) + "\n")
    assert "nternal error" not in done.stderr
    assert "Traceback" not in done.stderr


def test_one_parser_of_decimal_numbers() -> None:
    assert decimal("012") == 12
    for text in ("", "²", "٣", "+1", "-1", "1_0", " 1", "1" * (MOST_DIGITS + 1), NINES):
        assert decimal(text) is None
    for text in (NINES, "-" + NINES, "0x" + "f" * 5000, "0b" + "1" * 5000, "0" + "7" * 5000):
        with pytest.raises(UserError, match="Numeric constant too large"):
            parse_number(text)
    assert parse_number("0" * 5000 + "7") == 7


@pytest.mark.parametrize(
    "text", ["(", "x{18446744073709551615}", "(" * 900, "[", "a" * (LONGEST + 1), "(?P<n>"]
)
def test_what_is_no_regular_expression(text: str) -> None:
    with pytest.raises(UserError, match=r"^Error in regular expression: "):
        Pattern(text)


@pytest.mark.parametrize("text", [r"(a+)+$", r"(a|a)*b", r"(.*)(.*)(.*)(.*)c", r"(?:a?){60}a{60}b"])
def test_a_regular_expression_has_one_second(text: str) -> None:
    started = time.process_time()
    pattern = Pattern(text)
    with pytest.raises(UserError, match="takes too long"):
        pattern.found_in("a" * 5000 + "!")
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "line",
    [
        'print $_regex("a", "{}")',
        "apropos {}",
        'expect ps => [0].name =~ "{}"',
        'print $_regex("a","(a+)+$")',
    ],
)
def test_expressions_of_users_go_through_one_door(run_vmdbg: Run, line: str) -> None:
    for text in ("x{18446744073709551615}", "(", "(a+)+$"):
        assert "nternal error" not in run_vmdbg("-batch", "-ex", line.replace("{}", text)).stderr


def test_what_a_terminal_would_obey_is_spelled() -> None:
    assert visible("a\tb\nc é") == "a\tb\nc é"
    assert visible("\x1b[31m\r\a\x7f\x9b\u202e") == "\\033[31m\\r\\a\\177\\302\\233\\342\\200\\256"
    assert visible("x\udcff") == "x\\377"
    assert bytes_of("é\udcff", 2) == b"\xc3\xa9"
    assert bytes_of("aé", 2) == b"a"
    assert text_of(bytes_of("é\udcff")) == "é\udcff"


STRANGE = b"spawn \xff\x1b]0;x\x07\x9b"


@pytest.mark.parametrize("form", ["", "/json", "/csv"])
def test_names_that_are_not_text(tmp_path: Path, user_environment: dict[str, str], form: str) -> None:
    script = tmp_path / "s.vmdbg"
    script.write_bytes(
        STRANGE + b"\nps" + form.encode() + b"\nfoo\x1b\xff\n"
        if not form
        else STRANGE + b"\nps" + form.encode()
    )
    done = subprocess.run(
        [str(tmp_path / "bin" / "vmdbg"), "-nx", "-batch", "-x", str(script)],
        capture_output=True,
        env=user_environment,
        check=False,
    )
    assert b"nternal error" not in done.stderr
    for stream in (done.stdout, done.stderr):
        assert not {7, 27, 0x9B} & set(stream)
    assert b"\\377" in done.stdout
    if form == "/json":
        rows = json.loads(done.stdout[done.stdout.index(b"[") :])
        assert rows[1]["name"] == "\\377\x1b]0;x\x07\\233"


def test_a_file_whose_name_is_not_text(tmp_path: Path, user_environment: dict[str, str]) -> None:
    name = b"\xff\x1b.vmp"
    (tmp_path / "x").write_text("region data 0x1000 4K rw\nread 0x1000\n")
    (tmp_path / "x").rename(tmp_path / name.decode("utf-8", "surrogateescape"))
    done = subprocess.run(
        [
            str(tmp_path / "bin" / "vmdbg"),
            "-nx",
            "-batch",
            name,
            "-ex",
            "ps",
            "-ex",
            "step",
            "-ex",
            "info program",
        ],
        capture_output=True,
        env=user_environment,
        cwd=tmp_path,
        check=False,
    )
    assert b"nternal error" not in done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\\377" in done.stdout


def test_memory_reaches_a_terminal_only_spelled(start: Callable[..., Any]) -> None:
    terminal = start("-q", "--color=never")
    terminal.type("set var {short}0x406000 = 0x5b1b", 'printf "<%s|%c>\\n", (char *) 0x406000, 0x1b')
    terminal.see("<\\033[|\\033>")


# Where results go, and how the run ends.
FULL = ("full", ">/dev/full", "vmdbg: write error: No space left on device\n")
CLOSED = ("closed", ">&-", "vmdbg: write error: Bad file descriptor\n")


@pytest.mark.parametrize(("name", "where", "said"), [FULL, CLOSED], ids=["full", "closed"])
@pytest.mark.parametrize(
    "what",
    [
        "-batch -ex map",
        "-batch -ex 'info frames' -ex 'print 1'",
        "-batch --strict -ex 'info frames/json'",
        "-batch --restricted -ex map",
        "-batch -ex 'expect 1 == 1'",
        "--version",
        "--help",
        "-q </dev/null -ex map",
    ],
)
def test_results_that_cannot_be_written(
    user_environment: dict[str, str], tmp_path: Path, name: str, where: str, said: str, what: str
) -> None:
    environment = {**user_environment, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-c", f"vmdbg {what} {where}"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.stderr, done.returncode) == (said, 1)
    assert not list(tmp_path.glob("vmdbg-bug-*"))


@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-"])
def test_diagnostics_that_cannot_be_written(user_environment: dict[str, str], where: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"vmdbg -batch -ex foo -ex 'print 1' {where}"],
        capture_output=True,
        text=True,
        env=user_environment,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("$1 = 1\n", 0)


LOG_LOST = ("Logging has ended", "The log may not be whole")  # while it is written, when it is closed


def test_a_log_that_cannot_be_written(run_vmdbg: Run) -> None:
    done = run_vmdbg(
        *("-batch", "-ex", "set logging file /dev/full", "-ex", "set logging enabled on"),
        *("-ex", "info frames", "-ex", "print 1"),
    )
    assert done.stdout.endswith("$1 = 1\n")
    assert done.stderr in (f"warning: {what}: No space left on device.\n" for what in LOG_LOST)
    assert done.returncode == 0


def test_an_encoding_without_the_character(run_vmdbg: Run) -> None:
    done = run_vmdbg("-batch", "-ex", "echo é→\\n", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert "rror" not in done.stderr
