"""Dumps that QEMU writes of a guest with tables of ours: what QEMU says of them is what vmdbg says."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.models import qemu
from vmdbg.formats import NAMES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not qemu.there(), reason=f"{qemu.PROGRAM} is not installed"),
]
WORD_MASK = (1 << 64) - 1
#: Of a dump with the monitor's registers they say the same as of the guest.
LOOKING = ("map", "map/j -merge", "map -fold", "tables", "overhead", "rmap 0x7", "check rights", "check cpu",
           "xp/64gx 0x7c00", "x/8gx $pc", "info registers")  # fmt: skip


class Mode(NamedTuple):
    """A way to translate: index bits of each level, bytes of an entry, depths of leaves, registers."""

    format: str
    bits: tuple[int, ...]
    width: int
    leaves: tuple[int, ...]
    cr4: int
    efer: int
    cpu: str = "max"

    @property
    def long(self) -> bool:
        return bool(self.efer & 0x100)


MODES = [
    Mode("x86_64", (9, 9, 9, 9), 8, (1, 2, 3), 0x20, 0x900),
    Mode("x86_64_la57", (9, 9, 9, 9, 9), 8, (2, 3, 4), 0x1020, 0x900),
    Mode("x86_pae", (2, 9, 9), 8, (1, 2), 0x20, 0x800),
    Mode("x86_32", (10, 10), 4, (0, 1), 0x10, 0),
]


def tables_of(mode: Mode, seed: int) -> bytes:
    """Tables in which the boot sector is mapped, and much that is random, from qemu.TABLES on."""
    source, count = random.Random(seed), 60
    size, most = 4096, 12 if len(mode.bits) < 5 else 5
    memory = bytearray(size * count)
    depth_of = [0] + [min(len(mode.bits) - 1, 1 + at % (len(mode.bits) - 1)) for at in range(1, count)]
    at_depth = {
        depth: [n for n in range(1, count) if depth_of[n] == depth] for depth in range(1, len(mode.bits))
    }

    def put(table: int, index: int, value: int) -> None:
        at = table * size + index * mode.width
        memory[at : at + mode.width] = value.to_bytes(mode.width, "little")

    shifts = [12 + sum(mode.bits[depth + 1 :]) for depth in range(len(mode.bits))]
    for table in range(count):
        depth = depth_of[table]
        root_of_pae = mode.format == "x86_pae" and depth == 0
        for index in source.sample(range(1 << mode.bits[depth]), min(most, 1 << mode.bits[depth])):
            flags = 1 | (
                0 if root_of_pae else source.choice([0, 2, 4, 6, 6]) | source.choice([0, 0x20, 0x60, 0x18])
            )
            last = depth == len(mode.bits) - 1
            if last or (depth in mode.leaves and source.random() < 0.3):
                frame = source.randrange(1 << 14) << 12 >> shifts[depth] << shifts[depth]
                flags |= (0 if last else 0x80) | source.choice([0, 0x100])
            else:
                frame = qemu.TABLES + size * source.choice(at_depth[depth + 1])
            high = source.choice([0, 0, 1 << 63]) if mode.efer & 0x800 and not root_of_pae else 0
            put(table, index, frame | flags | high)
    # the first megabytes are the boot sector's, executable
    for depth in range(len(mode.bits) - 1):
        table = 0 if depth == 0 else at_depth[depth][0]
        put(
            table,
            0,
            qemu.TABLES + size * at_depth[depth + 1][0]
            | (1 if mode.format == "x86_pae" and not depth else 7),
        )
    put(at_depth[len(mode.bits) - 1][0], 7, 0x7003)
    return bytes(memory)


@pytest.fixture(params=MODES, ids=lambda mode: mode.format)
def mode(request: pytest.FixtureRequest) -> Mode:
    if request.param.format not in NAMES:
        pytest.skip(f"there is no format {request.param.format}")
    return request.param


def signed(va: int, mode: Mode) -> int:
    bits = 12 + sum(mode.bits)
    return va | WORD_MASK >> bits << bits if mode.long and va >> bits - 1 & 1 else va


def test_info_tlb_info_mem_and_gva2gpa(shell: Any, mode: Mode, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    sector = qemu.boot_sector(0x80010011, qemu.TABLES, mode.cr4, mode.efer, long=mode.long)
    with qemu.Guest(tmp_path, sector, tables_of(mode, 7), mode.cpu) as guest:
        registers = guest.wait_for(f"CR3={qemu.TABLES:0{16 if mode.long else 8}x}")
        assert "HLT=1" in registers, guest.monitor("info registers")
        tlb = guest.monitor("info tlb")
        five = mode.format == "x86_64_la57"  # with five levels QEMU 7.2 does not come back from info mem
        mem = "" if five else guest.monitor("info mem")
        guest.ask("dump-guest-memory", paging=False, protocol=f"file:{tmp_path / 'guest.core'}")
        guest.ask("pmemsave", val=0, size=64 << 20, filename=str(tmp_path / "guest.raw"))
        pages = {
            int(va, 16): int(pa, 16) & (1 << 52) - 1  # of PAE tables QEMU shows NX with the frame
            for va, pa in re.findall(r"^([0-9a-f]+): ([0-9a-f]+) ", tlb, re.MULTILINE)
        }
        source = random.Random(1)
        asked = [source.choice(list(pages)) + source.randrange(4096) for _ in range(700)]
        asked += [signed(source.getrandbits(12 + sum(mode.bits)), mode) for _ in range(300)]
        answers = {va: guest.monitor(f"gva2gpa {va:#x}").strip() for va in asked}
        assert f", {mode.format}, 1 CPU" in shell.type(f"target qemu {tmp_path / 'qmp2'}")
        live = {line: shell.type(line) for line in (*LOOKING, *(f"walk/j {va:#x}" for va in asked))}
        assert shell.type("machine tutorial16") == ""
    (tmp_path / "regs.txt").write_text(registers)
    shown = []
    for line in (f"{tmp_path / 'guest.core'}", f"{tmp_path / 'guest.core'} -regs {tmp_path / 'regs.txt'}",
                 f"{tmp_path / 'guest.raw'} -regs {tmp_path / 'regs.txt'}"):  # fmt: skip
        assert f", {mode.format}, 1 CPU" in shell.type(f"target dump {line}")
        rows = shell.json("map/j")
        shown.append(rows)
        if ".raw" in line:
            assert {line: shell.type(line) for line in live} == live
    assert shown[0] == shown[1] == shown[2]
    ours = {
        (row["start"] + offset) & WORD_MASK: row["pa"] + offset
        for row in shown[0]
        for offset in range(0, (row["end"] - row["start"]) & WORD_MASK, row["page_size"])
    }
    assert ours == pages
    assert len(pages) > 100
    for va, answer in answers.items():
        found = shell.json(f"walk/j {va:#x}")
        wanted = "Unmapped" if found["outcome"] == "fault" else f"gpa: {found['pa']:#x}"
        assert answer.startswith(wanted), (hex(va), answer)
    if not five:
        assert merged(shown[0]) == [tuple(line.split()) for line in lines_of(mem, mode)]


def lines_of(mem: str, mode: Mode) -> list[str]:
    """`start end rights` of each line of `info mem`, addresses as ours are."""
    found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) [0-9a-f]+ (\S+)", mem, re.MULTILINE)
    return [f"{signed(int(a, 16), mode):#x} {signed(int(b, 16), mode):#x} {rights}" for a, b, rights in found]


def merged(rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Runs as `info mem` joins them: by user and write alone."""
    found: list[list[Any]] = []
    for row in rows:
        rights = ("u" if row["rights"][3] == "u" else "-") + "r" + row["rights"][1]
        if found and found[-1][1] == row["start"] and found[-1][2] == rights:
            found[-1][1] = row["end"]
        else:
            found.append([row["start"], row["end"], rights])
    return [(f"{start:#x}", f"{end:#x}", rights) for start, end, rights in found]
