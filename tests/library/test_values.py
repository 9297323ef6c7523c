"""What an `Mmu` takes and gives: registers, mistakes, pieces of accesses, values that can be kept."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from vmdbg import Fault, Mmu, Translation, Update, UserError

ALL = 7  # P, RW, US
ROOT, PDPT, PD, PT = 0x1000, 0x2000, 0x3000, 0x4000


def tables(**pages: int) -> dict[int, int]:
    """Tables of x86-64 by which `page0` and so on are mapped."""
    words = {ROOT: PDPT | ALL, PDPT: PD | ALL, PD: PT | ALL}
    return words | {PT + 8 * int(name[4:]): entry for name, entry in pages.items()}


def mmu(memory: object = None, **pages: int) -> Mmu:
    return Mmu("x86_64", tables(**pages) if memory is None else memory, cr3=ROOT)


def test_an_access_sets_a_and_d_and_a_look_does_not() -> None:
    words = tables(page1=0x8000 | ALL)
    unit = mmu(words)
    before = dict(words)
    assert unit.walk(0x1234) == unit.walk(0x1234)
    assert (unit.translate(0x1234, "write").ok, words) == (True, before)
    found = unit.access(0x1234, "write", size=4)
    assert isinstance(found, Translation)
    assert (found.pa, found.page_size, found.rights, found.rest) == (0x8234, 4096, "rwxu", None)
    assert words == {address: before[address] | (0x60 if address == PT + 8 else 0x20) for address in before}
    assert found.updates[-1] == Update(PT + 8, 0x8007, 0x8067)
    assert found.steps[-1].flags == ("P", "RW", "US", "A", "D")
    assert unit.access(0x1234, "write").updates == ()


def test_an_access_may_cross_into_the_next_page() -> None:
    unit = mmu(page1=0x8000 | ALL, page2=0x5000 | ALL)
    found = unit.access(0x1FFC, "read", size=8)
    assert isinstance(found, Translation)
    assert found.rest is not None
    assert (found.pa, found.rest.va, found.rest.pa) == (0x8FFC, 0x2000, 0x5000)
    assert [update.address for update in found.updates] == [ROOT, PDPT, PD, PT + 8, PT + 16]
    assert unit.access(0x1FF8, size=8).ok


def test_the_second_part_may_fault() -> None:
    """The first part has set A, and the fault is at the first byte of the second."""
    words = tables(page1=0x8000 | ALL)
    found = mmu(words).access(0x1FFC, "read", size=8)
    assert isinstance(found, Fault)
    assert (found.va, found.kind, found.code, found.meaning) == (0x2000, "not-present", 4, "U")
    assert words[PT + 8] == 0x8027
    assert [update.address for update in found.updates] == [ROOT, PDPT, PD, PT + 8]


def test_memory_that_cannot_be_written_stays_and_the_updates_are_told() -> None:
    content = bytearray(0x5000)
    for address, word in tables(page1=0x8000 | ALL).items():
        content[address : address + 8] = word.to_bytes(8, "little")
    for memory in (bytes(content), lambda address, size: content[address : address + size]):
        found = mmu(memory).access(0x1000)
        assert [update.new & 0x20 for update in found.updates] == [0x20] * 4
    assert content[PT + 8] == ALL


def test_a_function_may_return_numbers() -> None:
    words, stored = tables(page1=0x8000 | ALL), []

    def load(address: int, size: int) -> int | None:
        return words.get(address, 0) if address < 0x5000 else None

    unit = Mmu("x86_64", load, cr3=ROOT, store=lambda *what: stored.append(what))
    assert unit.access(0x1000).ok
    assert (PT + 8, 8, 0x8027) in stored
    unit.registers["cr3"] = 0x9000
    found = unit.walk(0x1000)
    assert isinstance(found, Fault)
    assert (found.kind, found.steps[0].kind, found.steps[0].entry) == ("bus", "bus", 0)
    assert list(unit.map()) == []


def test_a_buffer_may_end_in_the_middle_of_a_word() -> None:
    content = bytearray(13)
    content[8:12] = (0x83).to_bytes(4, "little")
    unit = Mmu("x86_32", content, cr3=0)
    unit.registers["cr3"] = 0
    assert unit.walk(2 << 22).ok
    assert unit.walk(3 << 22).steps[0].kind == "bus"


def test_registers_by_the_names_of_the_manual() -> None:
    unit = mmu(page1=0x8000 | 5)
    assert (unit.registers["cr3"], unit.registers["CR0.WP"], unit.registers["cr0_wp"]) == (ROOT, 1, 1)
    assert not unit.access(0x1000, "write", user=False).ok
    unit.registers["cr0.wp"] = 0
    assert unit.access(0x1000, "write", user=False).ok
    assert not unit.access(0x1000, "write").ok
    unit.registers.update(cr0=1 << 16, cr4_smap=1)
    assert unit.access(0x1000, user=False).meaning == "P"
    assert "cr4.smap" in set(unit.registers)
    assert Mmu("x86_64", {}, cr3=ROOT, cr4_smep=0).registers["cr4.smep"] == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mmu("z80", b""), 'machine.format: "z80" is no format'),
        (lambda: Mmu("sv39", b"", cr3=0), "sv39 has no register cr3; expected one of satp"),
        (lambda: Mmu("sv39", b"", satp=1 << 60), r"\$satp.mode is 8"),
        (lambda: Mmu("x86_64", b"", cr0_wp=2), r"does not fit in the 1 bit of \$cr0.wp"),
        (lambda: mmu().walk(1 << 64), "does not fit in 64 bits"),
        (lambda: Mmu("x86_32", b"").access(1 << 32), "does not fit in 32 bits"),
    ],
)
def test_what_the_hardware_does_not_have(make: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Mmu("x86_64", None), TypeError),
        (lambda: mmu().access(0, "execute"), ValueError),  # type: ignore[arg-type]
        (lambda: mmu().why(0, "x-ray"), ValueError),  # type: ignore[arg-type]
        (lambda: mmu().access(0, size=0), ValueError),
        (lambda: mmu().registers["cr9"], KeyError),
    ],
)
def test_what_python_calls_wrong(make: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()  # type: ignore[operator]


def test_values_can_be_kept_and_compared() -> None:
    unit = mmu(page1=0x8000 | 5)
    for found in (unit.access(0x1000), unit.access(0x1000, "write"), unit.walk(0x2000)):
        for other in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found), eval_of(found)):
            assert (other, hash(other)) == (found, hash(found))
        assert dataclasses.asdict(found)["steps"] == tuple(found.steps)
        assert found.data()["steps"][0]["level"] == "PML4"
        with pytest.raises(dataclasses.FrozenInstanceError):
            found.va = 0


def eval_of(found: Translation | Fault) -> Translation | Fault:
    """The value without the walk behind it."""
    return dataclasses.replace(found, steps=tuple(found.steps))


def test_texts_are_those_of_the_prompt() -> None:
    unit = mmu(page1=0x8000 | 5)
    assert str(unit.walk(0x1234)) == "0x1234 -> 0x8234  pfn 0x8, 4 KiB, r-xu"
    found = unit.access(0x1000, "write")
    assert str(found) == "0x1000 -> fault: protection, PT[1] has RW = 0, error code 0x7 (P W U)"
    assert str(found.steps).splitlines()[-1].split() == [
        "PT", "0x4000", "+", "1*8", "=", "0x4008", "0x0000000000008005", "r-xu", "P", "US",
    ]  # fmt: skip
    assert ">0x4008</span>" in found._repr_html_()
    verdict = unit.why(0x1000, "write")
    assert (verdict.allowed, verdict.decides.field, verdict.edits[0].new) == (False, "RW", 0x8007)
    assert "Intel SDM 3A, 4.6.1" in verdict.rules[0]
    assert verdict.data()["decides"]["field"] == "RW"


def test_map_gives_every_page() -> None:
    unit = mmu(page1=0x8000 | ALL, page3=0x9000 | 5)
    pages = list(unit.map())
    assert [(page.va, page.pa, page.size, page.rights) for page in pages] == [
        (0x1000, 0x8000, 4096, "rwxu"),
        (0x3000, 0x9000, 4096, "r-xu"),
    ]
    assert [0x3FFF in page for page in pages] == [False, True]
    assert [page.va for page in unit.map(0x2000)] == [0x3000]
    assert (pages[0].writable, pages[1].writable, pages[1].user, pages[1].executable) == (
        True,
        False,
        True,
        True,
    )


def test_map_knows_what_control_registers_reserve() -> None:
    unit = mmu(page1=0x8000 | ALL | 1 << 63, page3=0x9000 | 5)
    assert [page.rights for page in unit.map()] == ["rw-u", "r-xu"]
    unit.registers["efer.nxe"] = 0
    assert [page.va for page in unit.map()] == [0x3000]


def test_a_table_that_leads_to_itself_maps_the_tables() -> None:
    words = tables(page1=0x8000 | ALL)
    words[ROOT + 8 * 510] = ROOT | ALL
    unit = mmu(words)
    own = [page for page in unit.map() if page.va >= 0xFFFF000000000000]
    assert {page.pa for page in own} >= {ROOT, PDPT, PD, PT}
    for page in own:
        assert unit.walk(page.va).pa == page.pa


def test_the_package_loads_nothing_until_it_is_asked() -> None:
    program = "import sys, vmdbg; print(*[name for name in sys.modules if name.startswith('vmdbg')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["vmdbg"]


BIG = """
[format]
name = "big"
va_bits = 16
entry_bytes = 2
big_endian = true
levels = [{ name = "PT", bits = 8 }]
[format.fields]
valid = 0
accessed = 1
dirty = 2
frame = { low = 8, width = 8 }
"""


def test_entries_have_the_order_of_bytes_that_the_format_says(tmp_path: Path) -> None:
    """Numbers are entries; bytes are as memory has them."""
    (tmp_path / "big.toml").write_text(BIG)
    content = bytearray(0x200)
    content[2:4] = b"\x42\x01"
    kinds = {"buffer": content, "pieces": {0: bytearray(content)}, "words": {2: 0x4201}}
    for memory in (*kinds.values(), lambda address, size: content[address : address + size]):
        unit = Mmu(tmp_path / "big.toml", memory, root=0)
        assert unit.walk(0x110).pa == 0x4210
        assert [page.pa for page in unit.map()] == [0x4200]
        assert unit.access(0x110, "write", size=1).updates == (Update(2, 0x4201, 0x4207),)
        if memory is content:
            assert content[2:4] == b"\x42\x07"
            content[2:4] = b"\x42\x01"
    assert (kinds["pieces"][0][2:4], kinds["words"]) == (b"\x42\x07", {2: 0x4207})
