"""Saved machines whose checksum and digest are right, and one number of which is wild."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vmdbg.errors import UserError
from vmdbg.inspect.target import boot_named
from vmdbg.machine.check.invariants import check
from vmdbg.machine.file import load_machine, save_machine
from vmdbg.machine.machine import Machine
from vmdbg.state import tables
from vmdbg.state.tables import STATE, TABLES

pytestmark = pytest.mark.long

Ready = Callable[[Machine], Machine]
PRESETS = ("default", "tutorial16", "x86_32", "sv39", "pressure", "partitions")
WILD = (-1, -2, 1, 2, 3, 7, 63, 64, 4095, 4096, 1 << 20, 1 << 31, 1 << 40, 1 << 62, -(1 << 62), -(1 << 63))
BYTES = ("ram1", "swap8", "file8", "count")  # what they hold may be anything, or is long
OPERATIONS = 400
SECONDS = 20


@pytest.fixture
def alarm() -> Iterator[None]:
    """A test that hangs is one that failed."""

    def late(number: int, frame: object) -> None:
        raise AssertionError(f"not done after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def forge(chance: random.Random, machine: Machine) -> str:
    """One word of the machine's state becomes another one; where and what."""
    names = [
        t.name for t in TABLES.values() if t.group == STATE and t.code == "q" and len(machine.buffers[t.name])
    ]
    name = chance.choice([name for name in names if name not in BYTES or chance.random() < 0.1])
    words: Any = getattr(machine.m, name)
    used = [place for place, word in enumerate(words) if word] if len(words) < 1 << 16 else []
    place = chance.choice(used) if used and chance.random() < 0.6 else chance.randrange(len(words))
    how = chance.randrange(4)
    old = words[place]
    new = (
        chance.choice(WILD)
        if how
        else max(-(1 << 63), min((1 << 63) - 1, old + chance.choice((-8, -1, 1, 8))))
    )
    words[place] = new
    return f"{name}[{place}] = {new} (was {old})"


def forged_files(folder: Path, preset: str, seed: int, count: int, run: Callable[[Machine], None]) -> int:
    """Loads forged machines; how many were refused.  One that is taken runs without harm."""
    chance, refused = random.Random(seed), 0
    machine = boot_named(preset).machine
    machine.run(machine.operations + 1000)
    good = machine.snapshot()
    path = str(folder / "m")
    for _ in range(count):
        machine.restore(good)
        what = forge(chance, machine)
        save_machine(machine, path)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            again = load_machine(path)
        except UserError:
            refused += 1
            continue
        try:
            check(again)
            run(again)
            check(again)
        except Exception as error:
            raise AssertionError(f"{preset}: {what}") from error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return refused


def runner(engine: str, ready: Ready) -> Callable[[Machine], None]:
    """Runs a machine on for a while."""

    def run(machine: Machine) -> None:
        if engine == "compiled":
            ready(machine)
        machine.run(machine.operations + OPERATIONS, engine == "compiled")

    return run


@pytest.mark.parametrize("preset", PRESETS)
def test_a_wild_number_is_refused_or_does_no_harm(
    preset: str, engine: str, ready: Ready, tmp_path: Path, alarm: None
) -> None:
    assert forged_files(tmp_path, preset, 3, 10, runner(engine, ready)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_two_thousand_wild_numbers(
    preset: str, engine: str, ready: Ready, tmp_path: Path, alarm: None
) -> None:
    assert forged_files(tmp_path, preset, 4, 340, runner(engine, ready)) > 100


@pytest.mark.parametrize(
    ("table", "word", "number", "said"),
    [
        ("kernel", "KERNEL_FREE", 1 << 62, "row 0 of kernel: free is 4611686018427387904, not -1 to 16383"),
        ("bank", "BANK_SIZE", 1 << 30, "row 0 of bank: size is 1073741824, not 67108864"),
        ("bank", "BANK_OFFSET", 8, "row 0 of bank: offset is 8, not 0"),
        ("tlb", "TLB_KEY", -2, "row 0 of tlb: key is -2, not -1 to "),
        ("frame", "FRAME_RMAP", 1 << 40, "row 0 of frame: rmap is 1099511627776, not 0 to "),
        ("process", "PROCESS_DEPTH", 3, "process 1 stands at row 12 of its program, inside 3 loops"),
    ],
)
def test_check_says_which_number_is_wild(table: str, word: str, number: int, said: str) -> None:
    """And that is all that it says: whoever follows such a number gets lost."""
    machine = boot_named("default").machine
    row = tables.PROCESS if table == "process" else 0
    getattr(machine.m, table)[row + getattr(tables, word)] = number
    found = check(machine)
    assert [violation.rule for violation in found] == ["numbers"]
    assert found[0].message.startswith(said)


def test_a_list_that_is_a_circle_is_refused(tmp_path: Path) -> None:
    machine = boot_named("default").machine
    first = machine.m.kernel[tables.KERNEL_FREE]
    machine.m.frame[first * tables.FRAME + tables.FRAME_NEXT] = first
    save_machine(machine, str(tmp_path / "m"))
    with pytest.raises(UserError, match=f"row {first} of frame is in two lists, or twice in one"):
        load_machine(str(tmp_path / "m"))


def test_every_index_has_a_range() -> None:
    """Columns without one are addresses, words of registers, names, what is copied: never an index."""
    free = {
        f"{table.name}.{column}"
        for table in TABLES.values()
        if table.group == STATE
        for column in table.columns
        if column not in table.ranges
    }
    assert free == {
        "bank.base", "bank.size", "bank.offset",  # those of the configuration
            "ram1.byte", "file8.word", "swap8.word", "op.word", "op.va", "op.value", "op.more",
        "cpu.root", "cpu.address", "cpu.code", "cpu.reserved", "cpu.ignored", "cpu.silent",
        "cpu.reserved_large", "cpu.ignored_high",
        "cpu.loaded", *(f"cpu.entry{n}" for n in range(4)),
        *(f"cpu.control{n}" for n in range(8)), *(f"cpu.owed{n}" for n in range(8)),
        "kernel.root", "kernel.hand", "rmap.entry", "rmap.va",
        "node.count", "node.time", "node.va", "future.page", "future.next",
        "region.start", "region.end", "region.limit",
        "process.root", "process.status", "process.name0", "process.name1", "slot.va",
        "object.key", "object.name0", "object.name1", "object.name2",
    }  # fmt: skip
