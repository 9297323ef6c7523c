"""A booted Debian kernel under QEMU: what QEMU says of its tables, vmdbg says, live and of the dump."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.dumps.test_qemu import MODES, Mode, lines_of, merged, signed
from tests.models import linux_guest, qemu

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not qemu.there(), reason=f"{qemu.PROGRAM} is not installed"),
]
FOUR, FIVE = MODES[0], MODES[1]
#: Name, processor, options of the kernel, how it translates.
BOOTS = {
    "pti": ("qemu64", "pti=on", FOUR),
    "no pti": ("qemu64", "pti=off nokaslr", FOUR),
    "la57": ("max", "pti=off", FIVE),
}  # fmt: skip
LOOKING = ("map", "map/j", "map -merge", "map -fold", "tables", "overhead", "check rights", "check cpu",
           "x/8gx $rsp", "walk $rip", "why $rip w", "rmap 0x1000", "find root/j",
           "map where user && x", "map/csv where size>=2M")  # fmt: skip


@pytest.fixture(scope="module")
def image(pytestconfig: pytest.Config) -> Path:
    cache: Any = pytestconfig.cache
    found = linux_guest.kernel(cache.mkdir("linux-kernel"))
    if found is None:
        pytest.skip("Debian's kernel cannot be fetched (apt-get download linux-image-amd64)")
    return found


@pytest.mark.parametrize("name", BOOTS)
def test_info_tlb_info_mem_and_gva2gpa(
    shell: Any, image: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cpu, options, mode = BOOTS[name]
    with linux_guest.boot(tmp_path, image, cpu, options) as guest:
        linux_guest.wait(tmp_path)
        guest.ask("stop")
        (tmp_path / "regs").write_text(guest.monitor("info registers"))
        guest.ask("dump-guest-memory", paging=False, protocol="file:guest.core")
        pages = pages_of(guest.monitor("info tlb"))
        mem = guest.monitor("info mem") if mode is FOUR else ""  # with five levels QEMU 7.2 prints nothing
        asked = addresses(pages, mode)
        answers = {va: guest.monitor(f"gva2gpa {va:#x}").strip() for va in asked}
        assert f", {mode.format}, 1 CPU" in shell.type("target qemu qmp2")
        live = {line: shell.type(line) for line in (*LOOKING, *(f"walk/j {va:#x}" for va in asked))}
        assert "not followed" not in "".join(live.values())
        check(shell, pages, mem, answers, mode)
        shell.type("machine tutorial16")
    shell.type("target dump guest.core -regs regs")
    check(shell, pages, mem, answers, mode)
    assert {line: text for line, text in live.items() if shell.type(line) != text} == {}
    shell.type("import")
    assert {line: text for line, text in live.items() if shell.type(line) != text} == {}


def pages_of(tlb: str) -> dict[int, int]:
    return {
        int(va, 16): int(pa, 16) for va, pa in re.findall(r"^([0-9a-f]+): ([0-9a-f]+) ", tlb, re.MULTILINE)
    }


def addresses(pages: dict[int, int], mode: Mode) -> list[int]:
    source = random.Random(2)
    asked = [source.choice(list(pages)) + source.randrange(4096) for _ in range(700)]
    return asked + [signed(source.getrandbits(12 + sum(mode.bits)), mode) for _ in range(300)]


def check(shell: Any, pages: dict[int, int], mem: str, answers: dict[int, str], mode: Mode) -> None:
    """QEMU's answers are ours; frames of pages that QEMU shows without their mask are masked."""
    rows = shell.json("map/j")
    ours = {
        row["start"] + offset: row["pa"] + offset
        for row in rows
        for offset in range(0, (row["end"] - row["start"]) & (1 << 64) - 1, row["page_size"])
    }
    assert len(ours) > 10_000
    assert ours == pages
    if mem:
        assert merged(rows) == [tuple(line.split()) for line in lines_of(mem, mode)]
    for va, answer in answers.items():
        found = shell.json(f"walk/j {va:#x}")
        wanted = "Unmapped" if found["outcome"] == "fault" else f"gpa: {found['pa']:#x}"
        assert answer.startswith(wanted), (hex(va), answer)
