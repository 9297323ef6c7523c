"""Mutated traces of every format, replayed: read to the end, or refused in one line that names the place.

A second line may show it, or name the formats.  What is refused leaves the machine of the session as it was.
Nothing hangs, and nothing is a mistake of vmdbg.
"""

from __future__ import annotations

import importlib.util
import io
import json
import random
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmdbg.inspect.target import boot
from vmdbg.machine.config import load_config
from vmdbg.programs.traces.catalog import FORMATS
from vmdbg.programs.traces.record import TraceFormat
from vmdbg.shell.session import Session
from vmdbg.shell.startup import make_session

SECONDS = 5
NOISE = b"\x00\xff\n,ISLM =0x9a-\"'():#\x1b\t\r"
NUMBERS = (
    b"-1",
    b"0",
    b"0x",
    b"ffffffffffffffff",
    b"18446744073709551616",
    b"9" * 400,
    b"1e9",
    b"0x8000000000000000",
)
#: Where something is wrong: a line (and column), an offset, a row or a column of a table.
PLACE = r":\d+(:\d+)?: |: (offset \d+(, unpacked)?|row \d+|column .{1,40}): "
#: What is said of a file as a whole, with the formats that there are in the line below.
WHOLE = (": there is nothing in it", ": this is no trace that can be read", ": there is no access in it",
         ": no Parquet file that can be read: ", ": expected a column named ")  # fmt: skip

Mutation = Callable[[random.Random, bytearray], None]


def flip(chance: random.Random, data: bytearray) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def spoil(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data))
    data[at : at + chance.choice((0, 1, 4))] = bytes(chance.choices(NOISE, k=chance.randint(1, 4)))


def cut_out(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.randint(1, 40)]


def cut_off(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data)) :]


def double(chance: random.Random, data: bytearray) -> None:
    at, count = chance.randrange(len(data)), chance.randint(1, 80)
    data[at:at] = data[at : at + count] * chance.choice((1, 1, 30))


def swap(chance: random.Random, data: bytearray) -> None:
    first, second = sorted(chance.choices(range(len(data)), k=2))
    data[first:second] = data[first:second][::-1]


def renumber(chance: random.Random, data: bytearray) -> None:
    """Another number in place of one in the text, if there is one."""
    found = list(re.finditer(rb"(0x)?[0-9a-f]+", bytes(data)))
    if found:
        match = chance.choice(found)
        data[match.start() : match.end()] = chance.choice(NUMBERS)


def join_lines(chance: random.Random, data: bytearray) -> None:
    places = [at for at, byte in enumerate(data) if byte == ord("\n")]
    for at in places[chance.randrange(len(places) + 1) :]:
        data[at] = ord(" ")


def put_in_words(chance: random.Random, data: bytearray) -> None:
    """Eight bytes of a binary record get the largest, the smallest or a negative number."""
    at = chance.randrange(len(data))
    data[at : at + 8] = chance.choice((b"\xff" * 8, bytes(8), b"\0" * 7 + b"\x80", b"\xff" * 7 + b"\x7f"))


MUTATIONS: tuple[Mutation, ...] = (
    flip, spoil, cut_out, cut_off, double, swap, renumber, join_lines, put_in_words
)  # fmt: skip


def mutated(chance: random.Random, form: TraceFormat) -> bytes:
    """A trace as the format's writer makes it, with one mutation or two."""
    accesses = [(chance.randrange(4), chance.randrange(1, 1 << 32)) for _ in range(chance.randrange(1, 60))]
    assert form.write is not None
    data = bytearray(b"".join(form.write(iter(accesses), 12)))
    for _ in range(chance.choice((1, 1, 2))):
        if data:
            chance.choice(MUTATIONS)(chance, data)
    return bytes(data)


@pytest.fixture
def alarm() -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise AssertionError(f"not done after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


HINT = 'With "-skip-bad" "replay" counts such records and goes on.'


class Replays:
    """A session at a small machine that replays one file after the other."""

    def __init__(self, file: Path) -> None:
        self.out, self.err, self.file = io.StringIO(), io.StringIO(), file
        self.session: Session = make_session(self.out, self.err)
        config = load_config("trace").with_({"machine.ram": 4 << 20, "machine.swap.size": 16 << 20})
        self.target = boot(config)
        self.digest = self.target.machine.digest()

    def refused(self, data: bytes, options: str) -> bool:
        """Replay it: whether it is refused, as it has to be."""
        self.file.write_bytes(data)
        self.session.target = self.target
        for stream in (self.out, self.err):
            stream.seek(0)
            stream.truncate()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        worked = self.session.interpreter.try_line(f"replay/json {options} {self.file}")
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.session.output.flush()
        said = self.err.getvalue().splitlines()
        if worked:
            assert json.loads(self.out.getvalue().splitlines()[-1])["accesses"] >= 0, data
            return False
        line, *more = said
        assert line.startswith(str(self.file)), (line, data)
        rest = line.removeprefix(str(self.file))
        assert re.match(PLACE, rest) or rest.startswith(WHOLE), (line, data)
        assert len(line) < 400, (line, data)
        if more[:1] and more[0].startswith("  "):  # the line, and a mark below its column
            assert more[1].strip() == "^", (said, data)
            del more[:2]
        assert not more or more[0].startswith(("Traces that can be read", HINT)), (said, data)
        assert len(more) <= 3, (said, data)
        assert self.session.target is self.target, data
        return True


def refused_of(form: TraceFormat, folder: Path, seed: int, count: int) -> int:
    """How many of so many mutated traces of a format are refused."""
    if form.name == "parquet" and importlib.util.find_spec("pyarrow") is None:
        pytest.skip("needs pyarrow")
    chance = random.Random(f"{form.name} {seed}")
    replays = Replays(folder / f"t.{form.name}")
    total = 0
    for number in range(count):
        options = f"-format {form.name}" if number % 2 else ""
        total += replays.refused(mutated(chance, form), options)
    assert replays.target.machine.digest() == replays.digest
    return total


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_some_of_each_format(form: TraceFormat, tmp_path: Path, alarm: None) -> None:
    refused_of(form, tmp_path, 1, 4)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_two_thousand_in_all(form: TraceFormat, tmp_path: Path, alarm: None) -> None:
    count = 2000 // len(FORMATS) + 1
    assert count / 5 < refused_of(form, tmp_path, 2, count) <= count
