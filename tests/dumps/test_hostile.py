"""Hostile dumps: a clear error or a walk that ends, in bounded time and memory."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.models.dumps import LONG, Memory, core, lime, monitor
from vmdbg.hardware import page_tables

LOOKING = (
    "info target",
    "info registers rip",
    "info registers",
    "map",
    "map -fold",
    "map -merge",
    "tables",
    "overhead",
    "walk 0x401234",
    "translate 0xffffffff80000000 x",
    "why 0x401234 w",
    "rmap",
    "rmap 0x5",
    "info aliases 0",
    "xp/4gx 0x1000",
    "x/2gx 0x1000",
    "check rights",
    "check cpu",
    "find root",
    "print $cr3",
    "export {0}",
    "import",
    "map",
    "check rights",
    "check cpu",
    "write 0x401234 1",
    "undo",
)
SECONDS = 5  # of CPU time for all of them


def damaged(source: random.Random) -> tuple[str, bytes]:
    """What to type after the file's name, and the file."""
    memory = Memory(1 << 16)
    kind = source.choice(["garbage", "circles", "outside", "high", "kernel"])
    for table in range(1, 16):
        for index in range(512) if kind == "circles" else source.sample(range(512), 40):
            entry = {
                "garbage": lambda: source.getrandbits(64),
                "circles": lambda: source.randrange(1, 5) << 12 | 7,
                "outside": lambda: source.getrandbits(40) << 12 | 7,
                "high": lambda: source.getrandbits(64) | 0xFFF0000000000001,
                "kernel": lambda: source.randrange(16) << 12 | source.getrandbits(9) | 1,
            }[kind]()
            memory.put(table << 12 | index << 3, entry)
    registers = {**LONG, "rip": 0x401234, "rsp": 0x7000, "idtr": 0x3000, "idtr.limit": 0xFFF, "gdtr": 0x2000}
    registers |= {"gdtr.limit": 0xFF, "tr": 8, "tr.base": 0x1000}
    for name in registers:
        if source.random() < 0.15:
            registers[name] = source.getrandbits(32 if "limit" in name or name in ("cs", "tr") else 64)
    data = bytes(memory.bytes)
    sort = source.choice(["core", "core", "lime", "raw"])
    if sort == "core":
        content = bytearray(
            core([(source.choice([0, 0, 1 << 40]), data), (0x10000, data[:4096])], [registers])
        )
    elif sort == "lime":
        content = bytearray(lime([(0, data), (0x10000, data[:4096])]))
    else:
        content = bytearray(data)
    for _ in range(source.choice([0, 0, 1, 5])):
        content[source.randrange(min(len(content), 800))] = source.getrandbits(8)
    if source.random() < 0.3:
        del content[source.randrange(len(content)) :]
    more = source.choice(
        ["", "", " -root 0x1000", " -format x86_32 -root 0x1000", " -format sv39", " -base 0x1000"]
    )
    return more, bytes(content)


def look(shell: Any, seed: int) -> None:
    source = random.Random(seed)
    more, content = damaged(source)
    path = shell.file("hostile", content)
    if source.random() < 0.3:
        more += (
            f" -regs {shell.file('regs', monitor(LONG) if source.random() < 0.7 else source.randbytes(300))}"
        )
    shell.type("machine tutorial16")
    began = time.process_time()
    shell.type(f"target dump {path}{more}")
    for line in LOOKING:
        shell.type(line.format(shell.folder / "out"))
    assert time.process_time() - began < SECONDS, seed


@pytest.fixture
def few_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A smaller bound, so that the tests are quick; the real one is tried below."""
    monkeypatch.setattr(page_tables.Bounded.__init__, "__defaults__", (8,))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(24))
def test_a_hostile_dump_is_borne(shell: Any, few_repeats: None, seed: int) -> None:
    look(shell, seed)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many_hostile_dumps_are_borne(make_shell: Callable[[], Any], few_repeats: None) -> None:
    for seed in range(1000, 6000):
        if seed % 100 == 0:
            shell = make_shell()
        look(shell, seed)


@pytest.mark.slow
def test_tables_that_all_point_to_themselves_end(shell: Any) -> None:
    memory = Memory(1 << 14)
    for index in range(512):
        memory.put(0x1000 + 8 * index, 0x1007)
    shell.type(f"target dump {shell.file('m.core', core([(0, bytes(memory.bytes))], [LONG]))}")
    began = time.process_time()
    assert "entries whose tables were read before are not followed" in " ".join(shell.type("map").split())
    assert time.process_time() - began < 60


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "the file is empty"),
        (b"\x7fELF", "ends inside its ELF header"),
        (b"\x7fELF\x02\x02\x01".ljust(64, b"\0"), "big-endian"),
        (
            b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<H", 2).ljust(48, b"\0"),
            "not an executable",
        ),
        (core([])[:64] + b"\0" * 8, "ends inside its headers"),
        (core([]), "has no memory"),
        (
            core([(0, b"x")]).replace(struct.pack("<HH", 64, 56), struct.pack("<HH", 64, 99), 1),
            "program headers of 99",
        ),
        (core([((1 << 64) - 4096, b"x" * 4096)]), "physical address 0xfffffffffffff000"),
        (b"EMiL", "has no memory"),
        (lime([(0, b"x")]) + b"y" * 40, "no LiME header"),
        (struct.pack("<4sIQQ8x", b"EMiL", 1, 5, 4), "a LiME range"),
        (b"KDUMP   ".ljust(100, b"\0"), '"makedumpfile -E -d 0 FILE CORE"'),
        (b"makedumpfile".ljust(4096, b"\0"), '"makedumpfile -R NEW < FILE"'),
        (b"\x1f\x8b".ljust(100, b"\0"), "is compressed"),
    ],
)
def test_what_is_no_dump_is_refused_in_a_line(shell: Any, content: bytes, error: str) -> None:
    shell.type("machine tutorial16")
    text = shell.type(f"target dump {shell.file('m', content)}")
    assert error in text
    assert len(text.splitlines()) <= 3
    assert "tutorial16" in shell.type("machine").split("*")[1]  # nothing has changed


@pytest.mark.long
def test_thousands_of_segments_are_refused_soon(shell: Any) -> None:
    text = shell.type(f"target dump {shell.file('m', core([(page << 13, b'x') for page in range(6000)]))}")
    assert "more than 4096 pieces" in text
    text = shell.type(
        f"target dump {shell.file('m', core([(0x1000 * page, b'y' * 0x1000) for page in range(100)]))}"
    )
    assert "400 KiB" in text


def test_a_file_that_is_cut_short_says_so(shell: Any) -> None:
    whole = core([(0, bytes(1 << 16))], [LONG])
    text = shell.type(f"target dump {shell.file('m', whole[:-5000])}")
    assert "The file ends inside the memory at 0x0: 0x1388 bytes are missing." in " ".join(text.split())
    assert shell.type("target dump /nonexistent").startswith("/nonexistent: No such file")
    assert "Is a directory" in shell.type(f"target dump {shell.folder}")
    assert "is for raw images" in shell.type(f"target dump {shell.folder / 'm'} -base 4096")
