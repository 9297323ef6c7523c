"""The same commands through the real gdb and through vmdbg's expressions, values and views.

gdb gets a file without code: one section of data at 0x1000 that it reads without running anything, and
one symbol near its end.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vmdbg.debugger.c_types import describe
from vmdbg.debugger.expressions import EmptyScope, Evaluator
from vmdbg.debugger.values import Value
from vmdbg.errors import UserError
from vmdbg.views.examine import ExamineState, format_memory, split_format
from vmdbg.views.printf import printf_pieces, split_printf, unescape
from vmdbg.views.values import format_value

START = 0x1000
SYMBOL = "tail"
SYMBOL_OFFSET = 0x800
WARNING = re.compile(r"^warning: .*\n", re.MULTILINE)
MARK = "@@@\n"
# Without debug information gdb has another sentence for a name that it does not know.
NO_SYMBOLS = 'No symbol table is loaded.  Use the "file" command.\n'


def memory_image() -> bytes:
    """What lies at 0x1000: strings, runs, numbers of each size, noise, zeros, and the symbol's bytes."""
    noise = random.Random(2).randbytes(512)
    data = b"hello, world\0\0tab\there \x01\x7f\xff\xe9\0" + b"a" * 300 + b"\0xyzzz" + b"z" * 20 + b"\0\0"
    data += struct.pack(
        "<QqIiHhBbdf", 0x1122334455667788, -5, 0xDEADBEEF, -7, 0xBEEF, -9, 200, -100, 3.25, 1.5
    )
    data += noise.replace(b"\0", b"\1") + b"\0" * 300 + b"end\0"
    return data.ljust(SYMBOL_OFFSET, b"\xa5") + b"tail of it\0".ljust(64, b"\0")


def executable(data: bytes) -> bytes:
    """A little ELF file for x86-64 with the data in its only section that is loaded."""
    names = b"\0.data\0.symtab\0.strtab\0.shstrtab\0"
    strings = b"\0" + SYMBOL.encode() + b"\0"
    symbols = bytes(24) + struct.pack("<IBBHQQ", 1, 0x11, 0, 1, START + SYMBOL_OFFSET, 64)
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


@pytest.fixture(scope="session")
def ask_gdb(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[str]], list[str]]:
    """What the real gdb prints for each of some commands, all given to one process."""
    program = shutil.which("gdb")
    if program is None:
        pytest.skip("no gdb to compare with")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\b(\d+)\.\d+\s*$", version.partition("\n")[0])
    if found is None or int(found[1]) < 12:
        pytest.skip("this gdb is older than those whose sentences vmdbg follows")
    folder: Path = tmp_path_factory.mktemp("gdb")
    image = folder / "image.elf"
    image.write_bytes(executable(memory_image()))

    def ask(commands: Sequence[str]) -> list[str]:
        arguments = [program, "-nx", "-batch", str(image)]
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
            env={**os.environ, "LC_ALL": "C", "HOME": str(folder)},
        )
        answers = done.stdout.decode("latin-1").split(MARK)[1:]
        assert len(answers) == len(commands), answers[-1]
        return answers

    return ask


class ImageScope(EmptyScope):
    """The scope of the image: its memory, which cannot be written, its symbol, and no registers."""

    def __init__(self) -> None:
        self.image = memory_image()

    def read_memory(self, address: int, size: int) -> bytes:
        for place in (address, address + size - 1):
            if not START <= place < START + len(self.image):
                first = place if place == address else START + len(self.image)
                raise UserError(f"Cannot access memory at address 0x{first & (1 << 64) - 1:x}")
        return self.image[address - START : address - START + size]

    def symbol(self, name: str) -> int | None:
        return START + SYMBOL_OFFSET if name == SYMBOL else None

    def setting(self, name: str) -> int | str | bool | None:
        settings: dict[str, int | str | bool] = {"height": 0, "print elements": 200, "confirm": True}
        return settings.get(name)

    def symbolize(self, address: int) -> str:
        distance = address - START - SYMBOL_OFFSET
        if not 0 <= distance < len(self.image) - SYMBOL_OFFSET:
            return ""
        return f"{SYMBOL}+{distance}" if distance else SYMBOL


class Prompt:
    """The commands of gdb that only need expressions, as a prompt would run them."""

    def __init__(self) -> None:
        self.scope = ImageScope()
        self.warnings: list[str] = []
        self.evaluator = Evaluator(self.scope, warn=self.warnings.append)
        self.state = ExamineState()
        self.text = ""

    def answer(self, command: str) -> str:
        """What the command prints, errors last."""
        self.text = ""
        name, rest = re.fullmatch(r"([a-z]+)(.*)", command, re.DOTALL).groups()  # type: ignore[union-attr]
        try:
            getattr(self, f"do_{name}")(rest)
        except UserError as error:
            self.text += f"{error}\n"
        warnings = "".join(f"warning: {warning}\n" for warning in self.warnings)
        self.warnings.clear()
        return warnings + self.text

    def show(self, value: Value, letter: str = "") -> str:
        self.state.printed(value)
        return format_value(value, letter, self.scope.read_memory, symbolize=self.scope.symbolize)

    def shaped(self, rest: str, remember: bool) -> tuple[str, str]:
        if not rest.startswith("/"):
            return "", rest.strip()
        letters, expression = split_format(rest)
        return self.state.print_format(letters, remember).letter, expression

    def do_p(self, rest: str) -> None:
        letter, expression = self.shaped(rest, remember=True)
        evaluator = self.evaluator
        value = evaluator.evaluate(expression) if expression else evaluator.history.last()
        self.text += f"${evaluator.history.record(value)} = "
        self.text += self.show(value, letter) + "\n"

    def do_output(self, rest: str) -> None:
        letter, expression = self.shaped(rest, remember=False)
        self.text += self.show(self.evaluator.evaluate(expression), letter)

    def do_whatis(self, rest: str) -> None:
        self.text += f"type = {describe(self.evaluator.type_of(self.evaluator.parse(rest.strip())))}\n"

    def do_set(self, rest: str) -> None:
        self.evaluator.evaluate(rest.strip().removeprefix("var "))

    def do_show(self, rest: str) -> None:
        argument = rest.strip().removeprefix("values").strip()
        history = self.evaluator.history
        for number, value in history.rows(int(argument) if argument.isdecimal() else None, argument == "+"):
            self.text += f"${number} = {self.show(value)}\n"

    def do_echo(self, rest: str) -> None:
        self.text += unescape(rest.removeprefix(" "))

    def do_printf(self, rest: str) -> None:
        form, arguments = split_printf(rest)
        values = [self.evaluator.run(node) for node in self.evaluator.parse_list(arguments)]
        for piece in printf_pieces(form, values, self.scope.read_memory):
            self.text += piece

    def do_x(self, rest: str) -> None:
        letters, expression = split_format(rest) if rest.startswith("/") else ("", rest.strip())
        form = self.state.examine_format(letters, expression)
        address = self.evaluator.evaluate(expression).as_address() if expression else None
        for line in format_memory(
            self.state, form, self.scope.read_memory, address, symbolize=self.scope.symbolize
        ):
            self.text += line
        self.evaluator.variables.set("_", self.state.address)
        self.evaluator.variables.set("__", self.state.value)


@pytest.fixture
def compare(ask_gdb: Callable[[Sequence[str]], list[str]]) -> Callable[..., None]:
    """Give the commands to both and ask for the same text; `warnings=False` leaves out the warnings."""

    def check(commands: Sequence[str], warnings: bool = True) -> None:
        prompt = Prompt()
        expected = ask_gdb(commands)
        differences = []
        for command, theirs in zip(commands, expected, strict=True):
            ours = prompt.answer(command)
            if not warnings:
                ours, theirs = (WARNING.sub("", text) for text in (ours, theirs))
            if theirs == NO_SYMBOLS and re.fullmatch(r'No symbol "\w+" in current context\.\n', ours):
                continue
            if ours != theirs:
                differences.append(f"{command}\n  gdb   {theirs!r}\n  vmdbg {ours!r}")
        assert not differences, f"{len(differences)} differ:\n" + "\n".join(differences)

    return check
