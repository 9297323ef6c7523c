"""The same commands through the real gdb and through vmdbg, each a process of its own.

Both look at the same page of memory: gdb gets a file without code, one section of data at 0x1000 that it
reads without running anything; vmdbg a program whose first operations write the same bytes there.  One
symbol lies in the middle of the page.
"""

from __future__ import annotations

import functools
import os
import random
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
START = 0x1000
SIZE = 0x1000
SYMBOL = "tail"
SYMBOL_OFFSET = 0x800
FILES = {"two.gdb": "p 2\n", "bad.gdb": "p 2\nbad\n", "quit.gdb": "quit 3\n"}  # beside every case
# The list of breakpoints: gdb pads addresses to the width of its target, vmdbg those of up to 32 bits.
PADDED = re.compile(r"0x0{4,}([0-9a-f]+) ?")
WIDE = re.compile(r"Address +What")
WARNING = re.compile(r"^warning: .*\n", re.MULTILINE)
HINT = re.compile(r"^(Did you mean|There is no function) .*\n", re.MULTILINE)
MARK = "@@@\n"
# Without debug information gdb has another sentence for a name that it does not know.
NO_SYMBOLS = 'No symbol table is loaded.  Use the "file" command.\n'
UNKNOWN_NAME = re.compile(r'No symbol "\w+" in current context\.\n')


def memory_image() -> bytes:
    """What lies at 0x1000: strings, runs, numbers of each size, noise, zeros, and the symbol's bytes."""
    noise = random.Random(2).randbytes(512)
    data = b"hello, world\0\0tab\there \x01\x7f\xff\xe9\0" + b"a" * 300 + b"\0xyzzz" + b"z" * 20 + b"\0\0"
    data += struct.pack(
        "<QqIiHhBbdf", 0x1122334455667788, -5, 0xDEADBEEF, -7, 0xBEEF, -9, 200, -100, 3.25, 1.5
    )
    data += noise.replace(b"\0", b"\1") + b"\0" * 300 + b"end\0"
    return (data.ljust(SYMBOL_OFFSET, b"\xa5") + b"tail of it\0").ljust(SIZE, b"\0")


def executable(data: bytes) -> bytes:
    """A little ELF file for x86-64 with the data in its only section that is loaded."""
    names = b"\0.data\0.symtab\0.strtab\0.shstrtab\0"
    strings = b"\0" + SYMBOL.encode() + b"\0"
    symbols = bytes(24) + struct.pack("<IBBHQQ", 1, 0x11, 0, 1, START + SYMBOL_OFFSET, SIZE - SYMBOL_OFFSET)
    offsets = [120]
    for part in (data, symbols, strings, names):
        offsets.append(offsets[-1] + len(part))
    table = (offsets[-1] + 7) & ~7
    header = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, START, 64, table, 0, 64, 56, 1, 64, 5, 4)
    segment = struct.pack("<IIQQQQQQ", 1, 6, offsets[0], START, START, len(data), len(data), 1)

    def section(name: int, kind: int, flags: int, address: int, index: int, *rest: int) -> bytes:
        size = offsets[index + 1] - offsets[index]
        return struct.pack("<IIQQQQIIQQ", name, kind, flags, address, offsets[index], size, *rest)

    sections = bytes(64)
    sections += section(1, 1, 3, START, 0, 0, 0, 1, 0)
    sections += section(7, 2, 0, 0, 1, 3, 1, 8, 24)
    sections += section(15, 3, 0, 0, 2, 0, 0, 1, 0)
    sections += section(23, 3, 0, 0, 3, 0, 0, 1, 0)
    body = header + segment + data + symbols + strings + names
    return body.ljust(table, b"\0") + sections


def program(data: bytes) -> str:
    """A program that puts the data where the file has it, one operation for each eight bytes."""
    words = struct.unpack(f"<{SIZE // 8}Q", data)
    lines = [
        "process image",
        f"let {SYMBOL} = {START + SYMBOL_OFFSET:#x}",
        f"region data {START:#x} {SIZE} rw",
    ]
    lines += [f"write {START + 8 * index:#x}, {word:#x}, 8" for index, word in enumerate(words)]
    return "\n".join([*lines, f"read {START:#x}", ""])


@functools.cache
def usable_gdb() -> str:
    """The gdb on the path; skips the test without one, or with one whose sentences are others."""
    found = shutil.which("gdb")
    if found is None:
        pytest.skip("no gdb to compare with")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"\b(\d+)\.\d+\s*$", said.partition("\n")[0])
    if version is None or int(version[1]) < 12:
        pytest.skip("this gdb is older than those whose sentences vmdbg follows")
    return found


@pytest.fixture(scope="session")
def ask_both(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Sequence[str]], tuple[list[str], list[str]]]:
    """What gdb and vmdbg print for each of some commands, all given to one process of each."""
    gdb = usable_gdb()
    folder: Path = tmp_path_factory.mktemp("gdb")
    data = memory_image()
    (folder / "image.elf").write_bytes(executable(data))
    (folder / "image.vmp").write_text(program(data))
    environment = {**os.environ, "LC_ALL": "C", "HOME": str(folder), "PYTHONPATH": str(ROOT)}

    def ask(starter: list[str], commands: Sequence[str]) -> list[str]:
        arguments = list(starter)
        for command in commands:
            arguments += ["-ex", "echo " + MARK.replace("\n", "\\n"), "-ex", command]
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            timeout=120,
            check=False,
            env=environment,
        )
        answers = done.stdout.decode("latin-1").split(MARK)[1:]
        assert len(answers) == len(commands), answers[-1]
        return answers

    def both(commands: Sequence[str]) -> tuple[list[str], list[str]]:
        theirs = ask([gdb, "-nx", "-batch", "image.elf"], commands)
        start = [sys.executable, "-m", "vmdbg", "-nx", "-batch", "image.vmp", "-ex", f"step {SIZE // 8}"]
        return theirs, [HINT.sub("", answer) for answer in ask(start, commands)]

    return both


@pytest.fixture
def compare(ask_both: Callable[[Sequence[str]], tuple[list[str], list[str]]]) -> Callable[..., None]:
    """Give the commands to both and ask for the same text; `warnings=False` leaves out the warnings."""

    def check(commands: Sequence[str], warnings: bool = True) -> None:
        differences = []
        for command, theirs, ours in zip(commands, *ask_both(commands), strict=True):
            if not warnings:
                theirs, ours = (WARNING.sub("", text) for text in (theirs, ours))
            if theirs == NO_SYMBOLS and UNKNOWN_NAME.fullmatch(ours):
                continue
            if ours != theirs:
                differences.append(f"{command}\n  gdb   {theirs!r}\n  vmdbg {ours!r}")
        assert not differences, f"{len(differences)} differ:\n" + "\n".join(differences)

    return check


def normal(text: str) -> str:
    """Output without the names in which the two differ."""
    for old, new in (
        ("(vmdbg) ", "(gdb) "),
        ("vmdbg", "gdb"),
        ("GDB", "gdb"),
        ("the debugger", "gdb"),
    ):
        text = text.replace(old, new)
    return WIDE.sub("Address What", PADDED.sub(r"0x\1", text))


def without_hints(text: str) -> str:
    """Diagnostics without our own second lines."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("Did you mean "))


@pytest.fixture
def alike(
    run_vmdbg: Callable[..., subprocess.CompletedProcess[str]],
    user_environment: dict[str, str],
    tmp_path: Path,
) -> Callable[..., None]:
    """Runs both with the same arguments, each in a folder of its own: stdout, stderr and exit status are
    equal.  Names differ (gdb and vmdbg, their prompts, their files); nothing else may."""
    usable_gdb()

    def compare(*arguments: str, input: str = "", files: dict[str, str] | None = None) -> None:
        results = []
        for name in ("gdb", "vmdbg"):
            folder = tmp_path / name / "here"
            (folder / "sub").mkdir(parents=True)
            for file, text in {**FILES, **(files or {})}.items():
                (folder / file).write_text(text)
            words = ["-nx", "-q", *arguments]
            if name == "gdb":
                done = subprocess.run(
                    ["gdb", *words],
                    input=input,
                    cwd=folder,
                    env=user_environment,
                    text=True,
                    capture_output=True,
                    timeout=60,
                    check=False,
                )
            else:
                done = run_vmdbg(*words, input=input, cwd=folder)
            out, err = (normal(text.replace(str(tmp_path / name), "")) for text in (done.stdout, done.stderr))
            results.append((out, without_hints(err), done.returncode))
        assert results[1] == results[0]

    return compare
