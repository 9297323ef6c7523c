"""Damaged traces, plain and compressed, and policies: read, or refused in one line that names the file."""

from __future__ import annotations

import gzip
import lzma
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmdbg.errors import UserError
from vmdbg.kernel.policies.user_file import load
from vmdbg.programs import read_program

ROOT = Path(__file__).parent.parent.parent
NOISE = b"\x00\xff\n,ISLM =0x9a-\"'():#\x1b\xfd7zXZ\x1f\x8b"
SECONDS = 5


def trace(chance: random.Random) -> bytes:
    """Some lines of a good one."""
    lines = [b"==7== lackey"]
    for _ in range(chance.randrange(1, 60)):
        kind = chance.choice((b"I  ", b" L ", b" S ", b" M "))
        lines.append(kind + b"%08x,%d" % (chance.randrange(1 << 32), chance.choice((1, 2, 4, 8))))
    return b"\n".join(lines) + b"\n"


def damaged(chance: random.Random, data: bytes) -> bytes:
    """Bytes replaced, put in, cut out, doubled."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(found) + 1)
        end = at + chance.choice((0, 1, 1, 2, 9))
        what = bytes(chance.choices(NOISE, k=chance.choice((0, 1, 1, 3)))) + found[at:end] * chance.choice(
            (0, 1, 50)
        )
        found[at:end] = what
    return bytes(found)


def damaged_trace(chance: random.Random) -> tuple[str, bytes]:
    """A name and what the file has."""
    pack: Callable[[bytes], bytes] = chance.choice((bytes, lzma.compress, gzip.compress))
    text = trace(chance)
    data = damaged(chance, pack(text)) if chance.random() < 0.5 else pack(damaged(chance, text))
    return chance.choice(("t.lackey", "t.xz", "t.gz")), data


@pytest.fixture
def alarm() -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise AssertionError(f"not done after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def refused(read: Callable[[str], object], file: Path, data: bytes) -> bool:
    """Whether it is refused; as it has to be."""
    file.write_bytes(data)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    said = ""
    try:
        read(str(file))
    except UserError as error:
        said = str(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert not said or str(file) in said, data
    assert "\n" not in said, data
    assert len(said) < 400, data
    return bool(said)


def refused_traces(folder: Path, seed: int, count: int) -> int:
    """How many damaged traces are refused."""
    chance, total = random.Random(seed), 0
    for _ in range(count):
        name, data = damaged_trace(chance)
        total += refused(lambda path: read_program(path, va_bits=48, page_size=4096), folder / name, data)
    return total


def refused_policies(folder: Path, seed: int, count: int) -> int:
    """How many damaged policies are refused."""
    good = (ROOT / "docs" / "examples" / "mru.py").read_bytes()
    chance = random.Random(seed)
    return sum(refused(load, folder / "p.py", damaged(chance, good)) for _ in range(count))


def test_damaged_traces(tmp_path: Path, alarm: None) -> None:
    assert refused_traces(tmp_path, 1, 100) > 50


def test_damaged_policies(tmp_path: Path, alarm: None) -> None:
    assert refused_policies(tmp_path, 1, 100) > 50


@pytest.mark.slow
def test_a_thousand_of_each(tmp_path: Path, alarm: None) -> None:
    assert refused_traces(tmp_path, 2, 1000) > 500
    assert refused_policies(tmp_path, 2, 1000) > 500
