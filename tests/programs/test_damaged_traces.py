"""Damaged traces, plain and compressed, and policies: read, or refused in one line that names the file."""

from __future__ import annotations

import gzip
import importlib.util
import lzma
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmdbg.errors import UserError
from vmdbg.kernel.policies.user_file import load
from vmdbg.programs.traces.catalog import FORMATS
from vmdbg.programs.traces.record import TraceFormat
from vmdbg.programs.traces.whole import read_trace

ROOT = Path(__file__).parent.parent.parent
NOISE = b"\x00\xff\n,ISLM =0x9a-\"'():#\x1b\xfd7zXZ\x1f\x8b"
SECONDS = 5
KNOWN = [form for form in FORMATS if form.name != "parquet" or importlib.util.find_spec("pyarrow")]
PACKS: list[Callable[[bytes], bytes]] = []
if importlib.util.find_spec("zstandard"):
    import zstandard

    PACKS.append(lambda data: zstandard.ZstdCompressor().compress(data))


def trace(chance: random.Random, form: TraceFormat) -> bytes:
    """Some accesses of a good one."""
    found = [(chance.randrange(4), chance.randrange(1, 1 << 32)) for _ in range(chance.randrange(1, 60))]
    assert form.write is not None
    return b"".join(form.write(iter(found), 12))


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
    pack: Callable[[bytes], bytes] = chance.choice((bytes, lzma.compress, gzip.compress, *PACKS))
    form = chance.choice(KNOWN)
    if form.opened is not None:
        pack = bytes
    text = trace(chance, form)
    data = damaged(chance, pack(text)) if chance.random() < 0.5 else pack(damaged(chance, text))
    return chance.choice((f"t.{form.name}", "t.xz", "t.gz", "t")), data


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
        total += refused(
            lambda path: read_trace(path, va_bits=48, page_size=4096, user_end=1 << 47), folder / name, data
        )
    return total


def refused_policies(folder: Path, seed: int, count: int) -> int:
    """How many damaged policies are refused."""
    good = (ROOT / "docs" / "examples" / "mru.py").read_bytes()
    chance = random.Random(seed)
    return sum(refused(load, folder / "p.py", damaged(chance, good)) for _ in range(count))


def test_damaged_traces(tmp_path: Path, alarm: None) -> None:
    assert refused_traces(tmp_path, 1, 100) > 30


def test_damaged_policies(tmp_path: Path, alarm: None) -> None:
    assert refused_policies(tmp_path, 1, 100) > 50


@pytest.mark.slow
def test_thousands_of_each(tmp_path: Path, alarm: None) -> None:
    assert refused_traces(tmp_path, 2, 2000) > 600
    assert refused_policies(tmp_path, 2, 1000) > 500
