"""What the software is for, at the prompt: addresses, costs, walks, isolation, swap.  Looking side."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmdbg.debugger.session import Session
from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.startup import make_session

K, M, G = 1 << 10, 1 << 20, 1 << 30


class Prompt:
    """A session at a machine: what lines print, as text and as JSON."""

    def __init__(self, machine: str, program: str = "") -> None:
        self.stream = io.StringIO()
        self.session: Session = make_session(self.stream, self.stream)
        self.session.settings.attach_later(lambda: MachineSettings(self.session))
        self.session.target = open_target(self.session, machine, program)

    def __call__(self, *lines: str) -> str:
        for line in lines:
            self.session.interpreter.try_line(line)
        self.session.output.flush()
        text = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return text

    def json(self, line: str) -> Any:
        return json.loads(self(line))


@pytest.fixture
def at(tmp_path: Path) -> Callable[..., Prompt]:
    """A prompt at a machine; `program` is the text of a .vmp file, `toml` of a machine's file."""

    def make(machine: str = "default", program: str = "", toml: str = "") -> Prompt:
        file = ""
        if program:
            (tmp_path / "test.vmp").write_text(program)
            file = str(tmp_path / "test.vmp")
        if toml:
            machine = str(tmp_path / "test.toml")
            Path(machine).write_text(toml.replace("test.toml", machine))
        return Prompt(machine, file)

    return make


TWO = """\
process a
region heap 0x406000 64K rw
write 0x406000, 0x11
read 0x406000
exit
process b
region heap 0x406000 64K rw
write 0x406000, 0x22
read 0x406000
exit
"""

FORKED = """\
process parent
region heap 0x406000 64K rw
write 0x406000, 0x11
fork child
read 0x406000
exit
child:
read 0x406000
exit
"""


def test_an_address_is_cut_into_page_and_offset(at: Callable[..., Prompt]) -> None:
    parts = at("tutorial16").json("split/j 0x0110")
    assert (parts["va"], parts["offset"], parts["vpn"], parts["page_size"]) == (272, 16, 1, 256)


def test_page_0_gets_frame_0x10(at: Callable[..., Prompt]) -> None:
    prompt = at("tutorial16")
    prompt("step")
    found = prompt.json("translate/j 0x00")
    assert (found["pa"], found["via"]) == (0x1000, "L1")


@pytest.mark.parametrize(("machine", "cached"), [("tutorial16", True), ("tutorial16-hw", True)])
def test_who_fills_the_tlb(at: Callable[..., Prompt], machine: str, cached: bool) -> None:
    prompt = at(machine)
    prompt("step")
    facts = prompt.json("info machine/j")
    assert facts["software_walk"] == (machine == "tutorial16")
    assert bool(prompt.json("tlb/j")) == cached


def test_one_entry_a_word_costs_half_of_memory(at: Callable[..., Prompt]) -> None:
    sizes = at("word-table").json("overhead/j -sizes")
    assert sizes["unit"] == "word"
    by_page = {row["page"]: row for row in sizes["sizes"]}
    assert by_page[1]["share"] == 0.5
    assert by_page[256]["table"] * 256 == by_page[256]["page"] * by_page[256]["entries"] == 1 << 16


@pytest.mark.parametrize(
    ("numbers", "size"),
    [("32 4K 4", 4 * M), ("64 4K 8", 32 << 50), ("48 4K 8", 512 * G), ("48 4K 4", 256 * G)],
)
def test_flat_tables(at: Callable[..., Prompt], numbers: str, size: int) -> None:
    assert at().json(f"overhead/j -flat {numbers}")["size"] == size


def test_one_page_of_two_levels_takes_8_kib_instead_of_4_mib(at: Callable[..., Prompt]) -> None:
    costs = at("x86_32").json("overhead/j")
    assert (costs["size"], costs["flat"]) == (8 * K, 4 * M)


def test_two_level_indexes(at: Callable[..., Prompt]) -> None:
    prompt = at("x86_32")
    parts = prompt.json("split/j 0b00001000000001001001011001111000")
    assert [index["value"] for index in parts["indexes"]] == [32, 73]
    assert parts["offset"] == 1656
    steps = prompt.json("walk/j 0x08049678")["steps"]
    assert steps[1]["entry_address"] == 0x101000 + 73 * 4


@pytest.mark.parametrize(("va", "level"), [("0x800000000000", None), ("0x5000", "PD"), ("0x40c010", "PT")])
def test_an_empty_entry_ends_the_walk(at: Callable[..., Prompt], va: str, level: str | None) -> None:
    fault = at().json(f"walk/j {va}")["fault"]
    assert fault["level"] == level


@pytest.mark.parametrize(("va", "size"), [("0x401234", 4 * K), ("0x7f0000000000", 2 * M)])
def test_page_sizes_in_walk_map_and_tlb(at: Callable[..., Prompt], va: str, size: int) -> None:
    prompt = at()
    assert prompt.json(f"walk/j {va}")["page_size"] == size
    start = int(va, 16)
    (region,) = [row for row in prompt.json("map/j") if row["start"] <= start < row["end"]]
    assert region["page_size"] == size
    assert size in {row["page_size"] for row in prompt.json("tlb/j")}


@pytest.mark.parametrize(
    ("machine", "folded"), [("x86_32", ["p4d", "pud", "pmd"]), ("default", ["p4d"]), ("sv39", ["p4d", "pud"])]
)
def test_linux_names_and_folded_levels(at: Callable[..., Prompt], machine: str, folded: list[str]) -> None:
    prompt = at(machine)
    first = prompt.json("map/j")[0]["start"]
    lines = prompt(f"walk/l {first}").splitlines()
    assert [line.split()[0] for line in lines if "folded" in line] == folded


@pytest.mark.parametrize("cut", [[8], [4, 4], [2, 6]])
def test_sixteen_bits_cut_in_any_way(at: Callable[..., Prompt], cut: list[int]) -> None:
    levels = ", ".join(f'{{ name = "L{place}", bits = {bits} }}' for place, bits in enumerate(cut))
    toml = f"""
[machine]
format = "test.toml"
ram = "64K"
swap.size = "4K"
program = "test.vmp"
[kernel]
first_frame = 8
[tlb]
l1 = "1x8"
l2 = "off"
[format]
va_bits = 16
entry_bytes = 2
levels = [{levels}]
[format.fields]
valid = 0
slot_mark = 1
frame = {{ low = 8, width = 8 }}
slot = {{ low = 8, width = 8 }}
"""
    prompt = at(toml=toml, program="process a\nregion heap 0x0 32K rw\nwrite 0x1234, 0x2a\nexit\n")
    prompt("step")
    parts = prompt.json("split/j 0x1234")
    assert [index["bits"] for index in parts["indexes"]] == cut
    assert parts["offset"] == 0x34
    walk = prompt.json("walk/j 0x1234")
    assert len(walk["steps"]) == len(cut)
    assert walk["pa"] & 0xFF == 0x34
    assert prompt(f"xp/xb {walk['pa']}").endswith("0x2a\n")


def test_the_kernel_half_is_for_the_kernel(at: Callable[..., Prompt]) -> None:
    prompt = at()
    assert prompt.json("translate/j 0xffff888000108234")["fault"]["kind"] == "protection"
    assert prompt.json("translate/j -k 0xffff888000108234")["pa"] == 0x108234
    (half,) = prompt.json("map/j -k")
    assert (half["end"] - half["start"], half["page_size"], half["rights"]) == (64 * M, 2 * M, "rw-k")


def test_one_address_of_two_processes_has_two_frames(at: Callable[..., Prompt]) -> None:
    prompt = at(program=TWO)
    prompt("step", "process 2", "step")
    first, second = (prompt.json(f"translate/j -pid {pid} 0x406000") for pid in (1, 2))
    assert first["pa"] != second["pa"]
    assert prompt.json("translate/j 0x406000")["pa"] == second["pa"]
    roots = {row["pid"]: row["root"] for row in prompt.json("ps/j")}
    assert prompt.json("walk/j 0x406000")["root"] == roots[2]
    prompt("process 1")
    assert prompt.json("translate/j 0x406000")["pa"] == first["pa"]
    assert prompt.json("walk/j 0x406000")["root"] == roots[1]


@pytest.mark.parametrize(("asids", "flushes"), [("on", False), ("off", True)])
def test_a_switch_flushes_only_without_address_space_numbers(
    at: Callable[..., Prompt], asids: str, flushes: bool
) -> None:
    prompt = at(program=TWO)
    prompt(f"set tlb asids {asids}", "step")
    assert prompt.json("tlb/j")
    prompt("process 2")
    assert bool(prompt.json("tlb/j")) is not flushes
    counted = {row["event"]: row["count"] for row in prompt.json("info stats/j")}
    assert ("tlb-flush" in counted) == flushes


def test_a_shared_frame_has_two_entries(at: Callable[..., Prompt]) -> None:
    prompt = at(program=FORKED)
    prompt("stepi", "step 2")
    pfn = prompt.json("translate/j 0x406000")["pa"] // (4 * K)
    assert {row["pid"] for row in prompt.json(f"rmap/j {pfn}")} == {1, 2}
    assert [row["pfn"] for row in prompt.json("rmap/j")] == [pfn, pfn]
    assert {row["pid"] for row in prompt.json("info aliases/j 0x406000") if row["rights"].endswith("u")} == {
        1,
        2,
    }
    assert "copy-on-write" not in prompt("why 0x406000 r")


def test_swap_shows_slots_and_owners(at: Callable[..., Prompt]) -> None:
    prompt = at()
    (slot,) = prompt.json("swap/j")
    assert (slot["slot"], slot["pid"], slot["va"]) == (1, 1, 0x407000)
    (row,) = prompt.json("ps/j")
    assert (row["rss"], row["swapped"]) == (2072 * K, 4 * K)
    assert prompt.json("walk/j 0x407abc")["slot"] == 1


def test_contiguous_addresses_in_scattered_frames(at: Callable[..., Prompt]) -> None:
    both = "".join(
        f"write {0x500000 + page * 4096:#x}, {page}\nwrite {0x406000 + page * 4096:#x}, 1\n"
        for page in range(16)
    )
    prompt = at(program=f"process a\nregion heap 0x406000 64K rw\nregion anon 0x500000 64K rw\n{both}exit\n")
    prompt("step 32")
    runs = [row for row in prompt.json("map/j -phys") if row["kind"] == "anon"]
    assert len(runs) > 4
    assert sum(row["size"] for row in runs) == 64 * K
    assert prompt("x/2xb 0x500fff") == "0x500fff:\t0x00\t0x01\n"


def test_a_number_that_is_none_and_an_address_that_does_not_fit(at: Callable[..., Prompt]) -> None:
    prompt = at("tutorial16")
    before = prompt.json("info machine/j")["digest"]
    assert prompt("translate 0x40zz00") == 'Invalid number "0x40zz00".\n'
    assert prompt("walk 0x12345") == "Address 0x12345 does not fit in 16 bits (0x0000..0xffff).\n"
    assert prompt("split -page 3K 1").startswith("tutorial16 has no pages of 3 KiB.")
    assert prompt.json("info machine/j")["digest"] == before
