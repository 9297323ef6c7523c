"""Damaged programs and ELF files, 1,000 each: one clear error and nothing loaded, or a program that loads."""

from __future__ import annotations

import io
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vmdbg.errors import InputError, UserError
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs import read_program
from vmdbg.programs.operations import OPERATIONS
from vmdbg.programs.options import OPTION_TEXTS
from vmdbg.programs.vmp import KEYWORDS
from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.startup import make_session

pytestmark = pytest.mark.long

FEW, MANY = 300, 1000
NUMBERS = pytest.mark.parametrize("number", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
WIDE, PAGE = 48, 1 << 12
PROGRAM = """# A program with everything in it.
let buf = 0x404000
process first limit=64 cpu=0 oom=3
region text 0x400000 16K r-x populate
region data buf 64K rw
region anon 8M 2M rw page=2M
handler mend
fetch 0x400000 .. 0x400000 + 16K step 4K, 4
again: write buf, 0x2a, 8
loop 3
  read random(buf, 64K, count=1K, seed=7), 8
  loop 2
    modify zipf(buf, 4K, step=64), 1
  end
  read chase(buf, 8K, count=5)
  write stride(buf, 8K, step=4K, count=3), 1
end
mmap 0x600000, 8K, rw populate
mprotect 0x600000, 4K, r
munmap 0x600000, 8K
brk buf + 64K
fork child
exit 3
child: read buf .. buf + 1K
  exit
mend:
  mmap 0x700000, 4K, none
  return
process second
region heap 0 8K rw
read (1 << 4) * 3 / 2 - 1 & ~7, 2
"""
TOKENS = (
    *(*OPERATIONS, *KEYWORDS, *OPTION_TEXTS, "..", ",", ":", "=", "(", ")", "<<", "~", "/", "%", "-1", "0"),
    *("rw", "r-x", "4K", "9" * 30, "1E", "0x", "heap", "buf", "#", "\n", " ", "\t", "\0", "\x1b", "é", "\r"),
)


def mutated_text(number: int) -> bytes:
    rng = random.Random(number)
    text = PROGRAM
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(text) + 1)
        end = min(len(text), at + rng.choice((0, 0, 1, 3, 8, 30)))
        text = (
            text[:at]
            + rng.choice((rng.choice(TOKENS), text[at:end] * 2, "", chr(rng.randrange(1, 300))))
            + text[end:]
        )
    data = text.encode()
    if rng.random() < 0.1:
        at = rng.randrange(len(data))
        data = data[:at] + rng.randbytes(3) + data[at:]
    return data


def mutated_bytes(seeds: list[bytes], number: int) -> bytes:
    rng = random.Random(number)
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 5)):
        near = rng.choice((64, 64, 200, len(data)))  # mostly the headers
        at = rng.randrange(4, max(5, min(near, len(data))))
        how = rng.randrange(5)
        if how == 0:
            data[at : at + 1] = rng.randbytes(1)
        elif how == 1:
            data[at : at + 1] = bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1])
        elif how == 2:
            size = rng.choice((2, 4, 8))
            value = rng.choice((0, 1, -1, 1 << (8 * size - 1), rng.getrandbits(8 * size)))
            data[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        elif how == 3:
            del data[at : at + rng.randint(1, 40)]
        elif len(data) > 20:
            del data[rng.randrange(16, len(data)) :]
    return bytes(data)


class Loader:
    """Loads files into a machine, and brings it back to where it was."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(MachineConfig({"machine.ram": 4 << 20}))
        self.start, self.digest = self.machine.snapshot(), self.machine.digest()
        self.path = folder / "mutant"
        self.loaded = self.refused = 0

    def load(self, data: bytes) -> None:
        self.path.write_bytes(data)
        program = refusal = None
        try:
            program = read_program(str(self.path), va_bits=WIDE, page_size=PAGE)
            self.machine.load(program)
        except UserError as error:
            refusal = error
        if refusal is None:
            self.loaded += 1
            self.machine.run(self.machine.operations + 20)
            self.machine.restore(self.start)
            self.machine.program = None
            return
        self.refused += 1
        assert str(refusal).isprintable()
        assert self.machine.program is None
        if program is not None:
            assert self.machine.digest() == self.digest
            return
        assert isinstance(refusal, InputError)
        assert str(refusal).startswith(f"{self.path}:")
        assert not refusal.line or 1 <= refusal.line <= data.count(b"\n") + 1
        assert not refusal.excerpt or (refusal.line and refusal.excerpt.count("\n") == 1)


def test_the_program_itself_is_good(tmp_path: Path) -> None:
    loader = Loader(tmp_path)
    loader.load(PROGRAM.encode())
    assert loader.loaded == 1


@NUMBERS
def test_damaged_programs(number: int, tmp_path: Path) -> None:
    loader = Loader(tmp_path)
    for seed in range(number):
        loader.load(mutated_text(seed))
    assert loader.machine.digest() == loader.digest
    assert loader.refused > number // 2
    assert loader.loaded > number // 40


@pytest.fixture
def elf_seeds(model: Callable[[str], ModuleType]) -> list[bytes]:
    pytest.importorskip("elftools")
    elf = model("elf_files")
    loads = [elf.Load(0x400000, 5, b"\x90" * 64, 64), elf.Load(0x401010, 6, b"data", 0x3000)]
    names = [elf.Name("_start", 0x400010), elf.Name("buf", 0x401010, elf.OBJECT)]
    low = [load._replace(va=load.va - 0x400000) for load in loads]
    made = [elf.make(loads, names, entry=0x400010), elf.make(low, names, kind=elf.DYN, entry=16)]
    return [*made, elf.make(loads, names, big=True, entry=0x400010)]


@NUMBERS
def test_damaged_elf_files(number: int, elf_seeds: list[bytes], tmp_path: Path) -> None:
    loader = Loader(tmp_path)
    for seed in range(number):
        loader.load(mutated_bytes(elf_seeds, seed))
    assert loader.machine.digest() == loader.digest
    assert loader.refused > number // 2
    assert loader.loaded > number // 20


def test_at_the_prompt_a_damaged_file_is_one_error(elf_seeds: list[bytes], tmp_path: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    session = make_session(out, err)
    session.target = open_target(session, "tutorial16", "")
    session.settings.attach_later(lambda: MachineSettings(session))
    target, digest = session.target, session.target.machine.digest()
    path = tmp_path / "mutant.vmp"
    for data in [*(mutated_text(number) for number in range(60)), *elf_seeds]:
        path.write_bytes(data)
        err.truncate(0)
        err.seek(0)
        session.interpreter.try_line(f"file {path}")
        assert session.target is target
        lines = err.getvalue().splitlines()
        assert lines[0].startswith(f"{path}:")
        assert len(lines) in (1, 3)
        assert "Traceback" not in err.getvalue()
    assert session.target.machine.digest() == digest


# --- programs without an end


ENDLESS = {
    "loop": "region data 0 4K rw\nloop\n  write 0, 1\nend\n",
    "pattern": "region data 0 1M rw\nread random(0, 1M, count=1E)\n",
    "range": "region data 0 1M rw\nloop\n  read 0..1M\nend\n",
}
#: vmdbg as a restricted run that may take half a second.
HURRIED = (
    "import sys; from vmdbg.shell import limits; from vmdbg.cli import main; limits.SECONDS = 0.5\n"
    "sys.exit(main(sys.argv[1:]))"
)


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    started = []

    def start(kind: str, *program: str) -> Any:
        path = tmp_path / "endless.vmp"
        path.write_text(ENDLESS[kind])
        options = ("-nx", "-q", "-batch", "-ex", "set engine interpreted", "-ex", "run", "-ex", "when")
        process = subprocess.Popen(
            [sys.executable, *program, *options, path.name],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", list(ENDLESS))
def test_ctrl_c_stops_an_endless_program(endless: Callable[..., Any], kind: str) -> None:
    process = endless(kind, "-m", "vmdbg")
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert "Program received signal SIGINT, Interrupt." in out
    assert out.splitlines()[-1].startswith("Time ")
    assert err.count("\n") <= 1  # that it has no end is said in a line


@pytest.mark.parametrize("kind", list(ENDLESS))
def test_restricted_stops_an_endless_program(endless: Callable[..., Any], kind: str) -> None:
    process = endless(kind, "-c", HURRIED, "--restricted")
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("", "Time limit reached.\n", 1)
