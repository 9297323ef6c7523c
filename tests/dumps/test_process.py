"""target process: a /proc of ours, and the process of the test."""

from __future__ import annotations

import mmap
import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vmdbg.dumps import linux_process
from vmdbg.errors import UserError

PAGE = 4096
PRESENT, SWAPPED, FILE, ALONE = 1 << 63, 1 << 62, 1 << 61, 1 << 56
SMAPS = """\
{start:x}-{end:x} {rights} {offset:08x} 08:01 {inode}{name}
Size:                {size} kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                 {rss} kB
Shared_Clean:        {clean} kB
Shared_Dirty:        {dirty} kB
Swap:                {swap} kB
SwapPss:               0 kB
VmFlags: rd wr mr
"""


class Proc:
    """A folder like /proc with a process 7."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.smaps, self.words = folder, "", dict[int, int]()
        (folder / "7").mkdir()
        (folder / "7" / "comm").write_text("demo\n")
        self.write()

    def region(self, start: int, pages: int, rights: str, name: str = "", **amounts: int) -> None:
        values = {"rss": 0, "clean": 0, "dirty": 0, "swap": 0, "offset": 0, **amounts}
        self.smaps += SMAPS.format(
            start=start, end=start + pages * PAGE, rights=rights, size=4 * pages, inode=1 if name else 0,
            name="          " + name if name else "", **values,
        )  # fmt: skip
        self.write()

    def write(self) -> None:
        (self.folder / "7" / "smaps").write_text(self.smaps)
        with (self.folder / "7" / "pagemap").open("wb") as file:
            for va, word in self.words.items():
                file.seek(va // PAGE * 8)
                file.write(struct.pack("<Q", word))


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proc:
    monkeypatch.setattr(linux_process.LinuxProcess.__init__, "__defaults__", (str(tmp_path),))
    monkeypatch.setattr(os, "sysconf", lambda name: PAGE)
    return Proc(tmp_path)


def test_regions_and_pages(shell: Any, proc: Proc) -> None:
    source = random.Random(3)
    for number, (rights, name) in enumerate(
        [("r-xp", "/bin/demo"), ("rw-p", "[heap]"), ("rw-s", "/dev/shm/x y"), ("---p", "")]
    ):
        start = (number + 1) << 20
        proc.region(start, 8, rights, name, rss=8, clean=4, swap=4 * number, offset=0x2000 * number)
        for page in range(8):
            sort = source.choice([0, PRESENT | FILE, PRESENT | ALONE, SWAPPED])
            proc.words[start + page * PAGE] = sort | (source.randrange(1, 1 << 30) if sort else 0)
    proc.write()
    assert shell.type("target process 7").startswith(
        "Process 7 (demo), 4 regions, 128 KiB: 32 KiB resident, 16 KiB of that shared, 24 KiB swapped."
    )
    rows = shell.json("map/j")
    assert [(row["rights"], row["kind"], row["backing"], row["share"]) for row in rows] == [
        ("r-xu", "demo", "/bin/demo", False), ("rw-u", "heap", "[heap]", False),
        ("rw-u", "x y", "/dev/shm/x y+0x4000", True), ("-", "anon", "", False),
    ]  # fmt: skip
    assert (rows[2]["resident"], rows[2]["shared"], rows[2]["swapped"]) == (8192, 4096, 8192)
    for va, word in proc.words.items():
        found = shell.json(f"translate/j {va + 0x123:#x}")
        low = word & (1 << 55) - 1
        assert found["outcome"] == (
            "resident" if word & PRESENT else "swapped" if word & SWAPPED else "absent"
        )
        assert found["pa"] == (low * PAGE + 0x123 if word & PRESENT else None)
        assert found["swap"] == ({"area": low & 31, "place": low >> 5} if word & SWAPPED else None)
        assert (found["file"], found["alone"]) == (bool(word & FILE), bool(word & ALONE))
        assert shell.type(f"translate {va:#x}").startswith(f"{va:#x} -> ")
    frames = {va: word & (1 << 55) - 1 for va, word in proc.words.items() if word & PRESENT}
    assert {
        row["start"] + at: (row["pa"] + at) // PAGE
        for row in shell.json("map/j -phys")
        for at in range(0, row["size"], PAGE)
    } == frames
    assert shell.type("translate 0x10").strip() == "0x10 is in no region."


def test_frames_that_are_hidden(shell: Any, proc: Proc) -> None:
    proc.region(1 << 20, 2, "rw-p", "[heap]", rss=4)
    proc.words[1 << 20] = PRESENT | ALONE
    proc.write()
    shell.type("target process 7")
    assert "its frame is shown only to those with CAP_SYS_ADMIN" in shell.type("translate 0x100000")
    assert shell.json("translate/j 0x100000")["pa"] is None
    assert "Linux shows frame numbers only to those with CAP_SYS_ADMIN." in shell.type("map -phys")


def test_what_a_process_lacks(shell: Any, proc: Proc) -> None:
    shell.type("machine tutorial16")
    assert "No process 8." in shell.type("target process 8")
    assert "tutorial16" in shell.type("machine").split("*")[1]
    assert "0 regions" in shell.type("target process 7")
    assert "a thread of the kernel has none" in shell.type("map")
    for line in ("walk 0", "tables", "rmap", "info registers", "find root"):
        assert "has no page tables that can be read" in shell.type(line)
    assert "does not run" in shell.type("step")
    assert "shows all regions" in shell.type("map -k")
    (proc.folder / "7" / "smaps").unlink()
    assert "No process 7." in shell.type("map")
    proc.write()
    (proc.folder / "7" / "smaps").write_text("garbage\n\n\x00\xff 5 kB\nRss: 5 kB\n")
    assert shell.json("map/j") == []
    (proc.folder / "7" / "pagemap").write_bytes(b"123")
    assert "is in no region" in shell.type("translate 0")


def test_maps_stand_in_for_smaps(proc: Proc) -> None:
    proc.region(1 << 20, 2, "rw-p", "[heap]", rss=4)
    (proc.folder / "7" / "smaps").rename(proc.folder / "7" / "maps")
    process = linux_process.LinuxProcess(7)
    (found,) = process.mappings()
    assert (found.start, found.end, process.measured) == (1 << 20, (1 << 20) + 2 * PAGE, False)
    with pytest.raises(UserError, match="which is not here"):
        linux_process.LinuxProcess(7, str(proc.folder / "nothing"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is of Linux")
def test_a_real_process(shell: Any) -> None:
    size, touched = 64 * mmap.PAGESIZE, 5
    code = (
        "import mmap, sys\n"
        f"m = mmap.mmap(-1, {size}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "m.madvise(mmap.MADV_NOHUGEPAGE) if hasattr(mmap, 'MADV_NOHUGEPAGE') else None\n"
        f"for page in range({touched}): m[page * mmap.PAGESIZE] = 1\n"
        "import ctypes; print(ctypes.addressof(ctypes.c_char.from_buffer(m)), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        address = int(child.stdout.readline())
        text = shell.type(f"target process {child.pid}")
        if "not shown" in text or "may not be read" in text:
            pytest.skip("this system does not show processes")
        region = next(row for row in shell.json("map/j") if row["start"] <= address < row["end"])
        outcomes = [shell.json(f"translate/j {address + page * mmap.PAGESIZE:#x}") for page in range(8)]
        child.communicate("")
    assert region["rights"] == "rw-u"
    assert [found["outcome"] for found in outcomes] == ["resident"] * touched + ["absent"] * 3
    assert "No process" in shell.type("map")
