"""A shell without a process: a session over strings, with a tiny target; and vmdbg or GDB on a terminal."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from vmdbg.errors import UserError
from vmdbg.inspect.target import Target
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine
from vmdbg.shell.permissions import Permissions
from vmdbg.shell.session import Session
from vmdbg.shell.startup import make_session


class FakeScope:
    """Sixteen KiB of memory at 0x1000, a register, a symbol, a function."""

    bits = 16
    physical_bits = 16

    def __init__(self) -> None:
        self.memory = bytearray(range(256)) * 64
        self.registers = {"cr3": 0x103000}

    def read_memory(self, address: int, size: int) -> bytes:
        start = address - 0x1000
        if start < 0 or start + size > len(self.memory):
            bad = address if start < 0 else 0x1000 + len(self.memory)
            raise UserError(f"Cannot access memory at address {bad:#x}")
        return bytes(self.memory[start : start + size])

    def read_physical(self, address: int, size: int) -> bytes:
        return self.read_memory(address + 0x1000, size)

    def write_memory(self, address: int, data: bytes) -> None:
        self.memory[address - 0x1000 : address - 0x1000 + len(data)] = data

    def register(self, name: str) -> object:
        from vmdbg.expressions.values import make_integer

        value = self.registers.get(name)
        return None if value is None else make_integer(value, 64, signed=False)

    def set_register(self, name: str, value: object) -> None:
        self.registers[name] = int(value)  # type: ignore[call-overload]

    def names(self) -> list[str]:
        return ["$cr3", "buf"]

    def symbolize(self, address: int) -> str:
        return ""

    def symbol(self, name: str) -> int | None:
        return {"buf": 0x1010}.get(name)

    def call(self, name: str, arguments: list[object]) -> object:
        return None


class Shell:
    """A session and what it wrote."""

    def __init__(self, session: Session, out: io.StringIO, err: io.StringIO) -> None:
        self.session, self._out, self._err = session, out, err

    @property
    def interpreter(self):
        return self.session.interpreter

    def run(self, *lines: str) -> str:
        """Executes lines as `-ex` does; what came on stdout."""
        for line in lines:
            self.interpreter.try_line(line)
        return self.out()

    def errors(self, *lines: str) -> str:
        """Executes lines; what came on stderr."""
        self.run(*lines)
        return self.err()

    def type(self, *lines: str) -> str:
        """Executes lines as if they were typed; what came on stdout."""
        for line in lines:
            self.interpreter.remember(line)
            self.interpreter.command_line(line)
        return self.out()

    def script(self, text: str, name: str = "test.vmdbg") -> str:
        """Runs the lines of a script; what came on stdout."""
        self.interpreter.attempt(lambda: self.interpreter.run_lines(name, text.split("\n")))
        return self.out()

    def out(self) -> str:
        return taken(self._out)

    def err(self) -> str:
        return taken(self._err)


def taken(stream: io.StringIO) -> str:
    """What a stream holds; it is empty afterwards."""
    text = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    return text


@pytest.fixture
def make_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Shell]]:
    """Makes shells that work in an empty folder."""
    sessions = []
    folder = tmp_path / "here"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)

    def make(restricted: bool = False, target: bool = True) -> Shell:
        out, err = io.StringIO(), io.StringIO()
        session = make_session(out, err, Permissions(restricted))
        sessions.append(session)
        if target:
            session.target = Target(Machine(load_config("tutorial16")), "fake", frozenset({"translate"}))
            session._machine_scope = FakeScope()  # memory that is easy to tell
        return Shell(session, out, err)

    yield make
    for session in sessions:
        for action in session.at_exit:
            action()


@pytest.fixture
def shell(make_shell: Callable[..., Shell]) -> Shell:
    """A shell with the tiny target."""
    return make_shell()


SIZES = [(24, 80), (50, 200)]
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\x1b\][^\a]*\a|\r")


class Terminal:
    """vmdbg or gdb, and the keys that a person presses."""

    UP = "\x1b[A"
    CTRL_C = "\x03"
    CTRL_D = "\x04"
    MORE = "--Type <RET> for more, q to quit, c to continue without paging--"

    def __init__(self, name: str, child: pexpect.spawn, size: tuple[int, int]) -> None:
        self.name, self.child, self.size = name, child, size

    def press(self, *keys: str) -> None:
        """Sends keys as they are."""
        for key in keys:
            self.child.send(key)

    def type(self, *lines: str) -> None:
        """Types lines, each with its Enter."""
        for line in lines:
            self.child.send(line + "\r")

    def see(self, text: str) -> str:
        """Waits for a text; what came before it, without control sequences."""
        self.child.expect_exact(text)
        return CONTROL.sub("", self.child.before)

    def see_either(self, *patterns: str) -> int:
        """Waits for one of some patterns; which it was."""
        return int(self.child.expect(list(patterns)))

    def prompt(self) -> None:
        """Waits for a prompt, which may be the same one drawn again."""
        self.see(f"({self.name})")

    def rest(self) -> str:
        """Everything that comes until the commands so far are done."""
        self.type("echo all of it\\n")
        return self.see("all of it\r\n")

    def end(self) -> int:
        """Waits for the end of the program; its exit status."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        assert self.child.exitstatus is not None
        return int(self.child.exitstatus)

    def rows(self, page: str) -> int:
        """The rows of the screen that the lines of a text take."""
        columns = self.size[1]
        return sum(1 + max(0, len(line) - 1) // columns for line in page.split("\n"))


@pytest.fixture(params=[SIZES[0], pytest.param(SIZES[1], marks=pytest.mark.slow)], ids=["24x80", "50x200"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Rows and columns of the terminal."""
    found: tuple[int, int] = request.param
    return found


@pytest.fixture
def start(
    user_environment: dict[str, str], tmp_path: Path, size: tuple[int, int]
) -> Iterator[Callable[..., Terminal]]:
    """Starts vmdbg on a terminal, up to its first prompt: `start("-q", NO_COLOR="1")`.

    `program="gdb"` starts GDB with the same options; the test is skipped where there is none.
    """
    children = []

    def make(*arguments: str, program: str = "vmdbg", ready: bool = True, **environment: str) -> Terminal:
        path = shutil.which(program, path=user_environment["PATH"])
        if path is None:
            pytest.skip(f"{program} is not installed")
        surroundings = {**user_environment, "TERM": "xterm", **environment}
        for name in ("COLUMNS", "LINES"):
            surroundings.pop(name)
        child = pexpect.spawn(
            path,
            ["-nx", *arguments],
            env=surroundings,
            cwd=str(tmp_path),
            dimensions=size,
            encoding="utf-8",
            timeout=30,
        )
        children.append(child)
        terminal = Terminal(program, child, size)
        if ready:
            terminal.prompt()
        return terminal

    yield make
    for child in children:
        child.close(force=True)


@pytest.fixture(params=["vmdbg", pytest.param("gdb", marks=pytest.mark.long)])
def either(request: pytest.FixtureRequest, start: Callable[..., Terminal]) -> Callable[..., Terminal]:
    """Starts vmdbg, and in a test of its own GDB: what holds for the one holds for the other."""

    def make(*arguments: str, **environment: str) -> Terminal:
        return start("-q", *arguments, program=request.param, **environment)

    return make
