"""Item 11: `complete` beside GDB's, wherever the words are shared; and what GDB has not."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable

import pytest

from vmdbg.errors import UserError
from vmdbg.shell.completion import complete_line
from vmdbg.shell.startup import make_session

# Lines that are completed alike, word for word.
ALIKE = (
    *("info", "p/x", "x/", "p/", "print/", "frobnicate ", "apro", "define-p", "show hist", "set lis"),
    *(
        "set print el",
        "show print el",
        "set confirm ",
        "set confirm o",
        "set height u",
        "set height ",
        "info display",
    ),
    *("help sho", "help info disp", "with confi", "with print el", "set trace-c", "set history f", "save br"),
    *("document define-p", "define define-p", "alias zz = apro", "alias -a zz = trace-c", "show history "),
    *("set logging ", "show logging o", "set history remove-duplicates u", "show max-user", "set listsize u"),
    *(
        "delete br",
        "delete dis",
        "enable o",
        "enable del",
        "disable di",
        "undisplay ",
        "catch sig",
        "tcatch sig",
    ),
    *("with confirm of", "with confirm off -- apro", "pipe apro", "| apro", "complete apro"),
)
FILES = (
    "source {}/sub/o",
    "cd {}/su",
    "shell cat {}/sub/o",
    "! cat {}/sub/t",
    "shell {}/sub/o",
    "file {}/sub/t",
)
LAST_WORD = re.compile(r"[\w$.]*$")
PREFIXES = (
    "",
    "info ",
    "show ",
    "set ",
    "show history ",
    "set history ",
    "set logging ",
    "delete ",
    "enable ",
)


@pytest.fixture
def ask_gdb(user_environment: dict[str, str]) -> Callable[[list[str]], dict[str, list[str]]]:
    """What GDB completes lines to."""

    def ask(lines: list[str]) -> dict[str, list[str]]:
        typed = "".join(f"echo \\n@@ {number}\\n\ncomplete {line}\n" for number, line in enumerate(lines))
        command = ["gdb", "-nx", "-q", "-ex", "set prompt", "-ex", "set max-completions unlimited"]
        try:
            done = subprocess.run(
                command, input=typed, text=True, capture_output=True, check=False, env=user_environment
            )
        except FileNotFoundError:
            pytest.skip("gdb is not installed")
        parts = done.stdout.split("\n@@ ")[1:]
        assert len(parts) == len(lines)
        return {lines[int(n)]: sorted(rest.split("\n")) for n, rest in (p.split("\n", 1) for p in parts)}

    return ask


def cleaned(lines: list[str]) -> list[str]:
    """Without the empty line that a prompt leaves, and GDB's files as ours: folders end with a slash."""
    return sorted({line.rstrip("/") for line in lines if line.strip()})


@pytest.fixture
def complete() -> Callable[[str], list[str]]:
    """What vmdbg completes a line to, without a machine."""
    session = make_session()

    def ask(line: str) -> list[str]:
        try:
            return complete_line(session, line)
        except UserError:
            return []

    return ask


def test_shared_lines_are_completed_alike(
    ask_gdb: Callable[[list[str]], dict[str, list[str]]], complete: Callable[[str], list[str]]
) -> None:
    theirs = ask_gdb(list(ALIKE))
    found = {line: cleaned(complete(line)) for line in ALIKE}
    wanted = {line: cleaned(theirs[line]) for line in ALIKE}
    known = {
        line: [word for word in words if word in found[line] or is_ours(complete, word)]
        for line, words in wanted.items()
    }
    assert found == known


def is_ours(complete: Callable[[str], list[str]], line: str) -> bool:
    """Whether a line that GDB offers is one that vmdbg offers for its own beginning: both have the word."""
    head, _, word = line.rpartition(" ")
    return line in complete(f"{head} {word[:1]}" if head else word[:1])


@pytest.mark.long
def test_every_beginning_of_every_shared_word(
    ask_gdb: Callable[[list[str]], dict[str, list[str]]], complete: Callable[[str], list[str]]
) -> None:
    ours = {prefix: {line for line in complete(prefix) if line.startswith(prefix)} for prefix in PREFIXES}
    theirs = ask_gdb(list(PREFIXES))
    shared = {prefix: ours[prefix] & set(theirs[prefix]) for prefix in PREFIXES}
    assert sum(map(len, shared.values())) > 90
    lines = sorted(
        {
            word[:length]
            for prefix, words in shared.items()
            for word in words
            for length in range(len(prefix) + 1, len(word) + 1)
        }
    )
    answers = ask_gdb(lines)
    every = set().union(*shared.values())
    for line in lines:
        assert set(complete(line)) & every == set(answers[line]) & every, line
    assert len(lines) > 400


def test_files(
    ask_gdb: Callable[[list[str]], dict[str, list[str]]],
    complete: Callable[[str], list[str]],
    tmp_path: os.PathLike[str],
) -> None:
    folder = os.path.join(tmp_path, "sub")
    os.makedirs(os.path.join(folder, "two"))
    for name in ("one", "other", "three"):
        with open(os.path.join(folder, name), "w", encoding="utf-8"):
            pass
    lines = [line.format(tmp_path) for line in FILES]
    theirs = ask_gdb(lines)
    for line in lines:
        found = cleaned(complete(line))
        assert found
        assert found == cleaned(theirs[line]), line


# What GDB completes with the names of its program, or not at all: some of the words, and none of others.
OURS = (
    ("p/x $_gdb_s", "$_gdb_setting", "map"),
    ("p /x $_gdb_s", "$_gdb_setting", "map"),
    ("x/4gx $_gdb_s", "$_gdb_setting", ""),
    ("output/x 1 + $_stre", "$_streq", ""),
    ("display/x $_gdb_s", "$_gdb_setting", ""),
    ("show values/j", "", ""),
    ("p sizeof(", "char int long size_t struct u8 unsigned", "map $_gdb_setting"),
    ("p sizeof(unsigned ", "char int long short", "float"),
    ("p sizeof un", "unsigned union", "uint8_t"),
    ("p (uint", "uint8_t uint16_t uint32_t uint64_t", "int"),
    ("p {unsigned lo", "long", ""),
    ("p {", "char", ""),
    ("p (", "", "char"),
    ("p 1 + lo", "", "long"),
    ("ptype unsi", "unsigned", ""),
    ("whatis unsigned long ", "int long", "char"),
    ('printf "%d, %s", $_gdb_s', "$_gdb_setting", ""),
    ('printf "%d, $_gdb_s', "", "$_gdb_setting"),
    ('printf "a, b %d %d", 1, $_gdb_s', "$_gdb_setting", ""),
    ('eval "print %d", $_gdb_s', "$_gdb_setting", ""),
    ("condition 1 $_gdb_s", "$_gdb_setting", ""),
    ("handle SIG", "SIGSEGV SIGBUS", "SIGHUP"),
    ("handle SIGSEGV no", "nostop noprint", "stop"),
    ("info signals SIGS", "SIGSEGV", ""),
    ("catch signal SIGS", "SIGSEGV", ""),
    ("if $_gdb_s", "$_gdb_setting", ""),
)


@pytest.mark.parametrize(("line", "there", "missing"), OURS)
def test_inside_a_line(line: str, there: str, missing: str) -> None:
    session = make_session()
    lines = complete_line(session, line)
    assert all(full.startswith(line) for full in lines)
    found = {LAST_WORD.search(full)[0] for full in lines}  # type: ignore[index]
    present, absent = there.split(), missing.split()
    assert set(present) <= found
    assert not set(absent) & found
    assert bool(lines) == bool(present)


@pytest.mark.long
@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("set machine.f", "set machine.forget set machine.format"),
        ("show machine.fo", "show machine.forget show machine.format"),
        ("with kernel.pol", "with kernel.policy"),
        ("set kernel.policy f", "set kernel.policy fifo"),
        ("set kern.pol f", "set kern.pol fifo"),
        ("help set kernel.pol", "help set kernel.policy"),
    ],
)
def test_dotted_settings(run_vmdbg: Callable[..., object], line: str, wanted: str) -> None:
    done = run_vmdbg("-batch", "-ex", f"complete {line}")
    words = wanted.split(" ")
    size = len(line.split(" "))
    lines = [" ".join(words[at : at + size]) for at in range(0, len(words), size)]
    assert done.stdout.splitlines() == lines  # type: ignore[attr-defined]
