"""Formats of one's own do what docs/formats.md says, and every command works on them."""

from __future__ import annotations

import io
import json
import random
from array import array
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg.debugger import accesses
from vmdbg.errors import UserError
from vmdbg.formats.contract import ALL_RIGHTS, ENTRY_KINDS, ENTRY_LEAF, ENTRY_SWAPPED, ENTRY_TABLE, RIGHT_W
from vmdbg.inspect.machine import describe
from vmdbg.inspect.target import boot
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.shell.boot import open_target
from vmdbg.shell.permissions import Permissions
from vmdbg.shell.startup import make_session
from vmdbg.state.tables import CONTROL_RIGHTS, CONTROL_STEPS, PATH, PATH_ADDRESS, PATH_ENTRY, SLOT
from vmdbg.units import s64

TESTS = Path(__file__).resolve().parent.parent
PAGES = 120  # of memory
#: What is typed in a session: all that looks, and all that acts.
COMMANDS = """
spawn one
process 1
mmap 0 {two} rwx
mmap {far} {one} rw -populate
write 0 0x41
write 1 0x42
read 0
fault -n {far} w
fault -n {last} r
translate 0
walk 0
walk/l 0
walk/j {far}
why 0 w
why {last} x
split 0
pte 0
map
map -phys
map -k
tables
tables/xv6
overhead
rmap 1
info aliases 0
tlb
tlb lookup 0
tlb check
swapout 0
walk 0
pte 0
swap
swapin 0
swapout 2
read 0
fork 1
process 2
write 0 0x43
read 0
mprotect 0 {one} rx
munmap {far} {one}
ps
info frames
info regions
info registers
info machine
info stats
info events
x/4xb 0
xp/4xb 0
print $pa(0)
print $pte(0)
print $vpn(0)
info cost
events
diff 1:0
undo
redo
kill 1
check
"""


@pytest.fixture
def own(model: Callable[[str], ModuleType]) -> ModuleType:
    return model("own")


def machine_of(own: ModuleType, folder: Path, document: dict[str, Any], **values: object) -> Machine:
    """A machine with a declared format, as much memory as its entries can name."""
    file = folder / "own.toml"
    file.write_text(own.text(document))
    offset = own.shifts(document)[-1]
    frames = min(PAGES, 1 << document["fields"]["frame"]["width"])
    base = {"machine.format": str(file), "machine.ram": frames << offset, "kernel.first_frame": 0}
    base |= {"machine.swap.size": 60 << offset, "tlb.l1": "2x2", "tlb.l2": "4x2"}
    return Machine(MachineConfig({**base, **values}))


def own_order(document: dict[str, Any]) -> Any:
    """Order of the bytes of an entry."""
    return "big" if document.get("big_endian") else "little"


def stored(document: dict[str, Any], entry: int) -> int:
    """An entry as memory gives it back."""
    width = document["entry_bytes"]
    return s64(entry) if width == 8 else entry & (1 << 8 * width) - 1


@pytest.mark.long
def test_entries_say_what_they_were_made_from(own: ModuleType, tmp_path: Path) -> None:
    @hypothesis.settings(max_examples=drawn(60))
    @hypothesis.given(own.documents(), st.data())
    def scenario(document: dict[str, Any], data: st.DataObject) -> None:
        machine = machine_of(own, tmp_path, document)
        k, form = machine.k, machine.format
        taken: dict[tuple[str, str], int] = {}
        for field in form.fields:
            mask = ((1 << field.width) - 1) << field.low
            for when in ((letter, level) for letter in field.where for level in field.levels or ("",)):
                assert not taken.get(when, 0) & mask, field.name
                taken[when] = taken.get(when, 0) | mask
        depth = data.draw(st.sampled_from([d for d, level in enumerate(form.levels) if level.leaf]))
        below = form.levels[depth].shift - form.page_bits
        frame = data.draw(st.integers(0, form.frames - 1)) >> below << below
        rights = data.draw(st.integers(0, 15))
        entry = stored(document, k.make_leaf(frame << form.page_bits, rights, depth))
        assert own.kind_of(document, entry, depth) == "leaf"
        assert own.number(document, entry, "frame") == frame
        given_rights = own.rights_of(document, entry)
        if rights & 7:
            assert given_rights & rights == rights
            extra = ("writable", "executable", "user", "readable")
            if all(role in document["fields"] for role in extra) and not document.get("leaf_by_rights"):
                assert given_rights == rights
        for changed in (k.touched(entry, 0), k.touched(entry, 1), k.globalized(entry), k.protected(entry)):
            word = stored(document, changed)
            assert own.kind_of(document, word, depth) == "leaf"
            assert k.leaf_frame(word, depth) == frame << form.page_bits
        assert own.has(document, k.touched(entry, 1), "dirty") == ("dirty" in document["fields"])
        assert own.has(document, k.globalized(entry), "global") == ("global" in document["fields"])
        assert stored(document, k.aged(k.touched(entry, 0))) == entry
        if "writable" in document["fields"]:
            assert not own.rights_of(document, k.protected(entry)) & RIGHT_W
        if depth != len(form.levels) - 1:
            table = stored(document, k.make_table(frame << form.page_bits, depth))
            assert own.kind_of(document, table, depth) == "table"
            number = own.number(document, table, "frame", depth)
            assert k.next_table(table, depth) == number << form.page_bits
            assert k.combine(ALL_RIGHTS, table, ENTRY_TABLE, depth) == ALL_RIGHTS
            walked = stored(document, k.touched_table(table, depth))
            sets_a = document.get("table_accessed", False) and own.stands(document, "accessed", depth)
            assert own.has(document, walked, "accessed") == (sets_a or own.has(document, table, "accessed"))
            for role in own.RIGHTS:  # bits that mean nothing here are left alone
                if not own.stands(document, role, depth) and "fields" not in document["levels"][depth]:
                    assert not own.has(document, table, role)
        if "slot" in document["fields"]:
            slot = data.draw(st.integers(1, form.slots - 1))
            kept = stored(document, k.make_swapped(slot))
            assert k.classify(kept, len(form.levels) - 1) == ENTRY_SWAPPED
            assert own.number(document, kept, "slot") == k.swapped_slot(kept) == slot

    scenario()


@pytest.mark.long
@pytest.mark.parametrize("bits", [(3, 9), (1, 2)])
def test_a_walk_is_that_of_the_document(own: ModuleType, tmp_path: Path, bits: tuple[int, int]) -> None:
    """With pages below 8 bytes too, where there is no kernel."""
    alone = {"machine.kernel": False, "machine.swap.size": 0} if bits[0] < 3 else {}

    @hypothesis.settings(max_examples=drawn(60))
    @hypothesis.given(own.documents(*bits), st.randoms(use_true_random=False))
    def scenario(document: dict[str, Any], rng: random.Random) -> None:
        machine = machine_of(own, tmp_path, document, **alone)
        k, m, form = machine.k, machine.m, machine.format
        for _ in range(20):
            va = rng.getrandbits(form.va_bits)
            plant(rng, machine, document, va)
            root = rng.randrange(8) << form.page_bits
            expected = own.walk(document, bytes(m.ram1), root, va)
            kind = k.walk(m, root, s64(va))
            steps = m.control[CONTROL_STEPS]
            assert ENTRY_KINDS[kind] == expected.kind
            assert [m.path[row * PATH + PATH_ADDRESS] for row in range(steps)] == expected.entries
            if kind == ENTRY_LEAF:
                entry = m.path[(steps - 1) * PATH + PATH_ENTRY]
                offset = va & (1 << form.levels[steps - 1].shift) - 1
                assert k.leaf_frame(entry, steps - 1) | offset == expected.pa
                assert m.control[CONTROL_RIGHTS] == expected.rights

    scenario()


def plant(rng: random.Random, machine: Machine, document: dict[str, Any], va: int) -> None:
    """Garbage where a walk of `va` may look, mostly with the bit set that makes it valid."""
    m, form, width = machine.m, machine.format, document["entry_bytes"]
    for page in range(8):
        for depth in range(len(form.levels)):
            at = (page << form.page_bits) + form.index(va, depth) * width
            word = rng.getrandbits(8 * width)
            if rng.random() < 0.9:
                word |= 1 << document["fields"]["valid"]
            if rng.random() < 0.7:
                field = document["fields"]["frame"]
                word &= ~(((1 << field["width"]) - 1) << field["low"])
                word |= rng.randrange(8) << field["low"]
            if at + width <= len(m.ram1):
                m.ram1[at : at + width] = word.to_bytes(width, own_order(document))


@pytest.mark.long
def test_processes_live_on_it(own: ModuleType, tmp_path: Path) -> None:
    """What was written is read, through swap and fork, and the machine agrees with itself."""

    @hypothesis.settings(
        max_examples=drawn(40), suppress_health_check=[hypothesis.HealthCheck.filter_too_much]
    )
    @hypothesis.given(own.documents(), st.randoms(use_true_random=False))
    def scenario(document: dict[str, Any], rng: random.Random) -> None:
        try:
            machine = machine_of(own, tmp_path, document)
            form = machine.format
            pages = min(1 << (form.va_bits - 1 - form.page_bits), 12)
            region = RegionSpec("heap", 0, pages << form.page_bits, 15)
            spec = ProcessSpec("p", None, -1, [region], array("q", [OP_EXIT, 0, 0, 0]))
            machine.load(Program("p", "", [], [spec]))
        except UserError:
            hypothesis.reject()
        held: dict[int, int] = {}
        for number in range(40):
            va = rng.randrange(pages << form.page_bits)
            if rng.random() < 0.2:
                try:
                    machine.swap_out(1, va)
                except UserError:
                    continue
            elif rng.random() < 0.5:
                done = accesses.access(machine, va, 1, 1, number + 1)
                if done.killed:
                    break
                assert done.value == held.get(va, 0)
                held[va] = number + 1
            else:
                done = accesses.access(machine, va, rng.choice((0, 2)))
                if done.killed:
                    break
                assert done.value == held.get(va, 0)
            assert check(machine) == []

    scenario()


def sizes(*levels: int, leaf: bool = False) -> dict[str, Any]:
    """Sixteen bits cut in one way or another, entries of two bytes."""
    fields: dict[str, Any] = {"valid": 0, "readable": 1, "writable": 2, "executable": 3, "user": 4}
    fields |= {"accessed": 5, "dirty": 6, "frame": {"low": 8, "width": 8}}
    fields |= {"slot_mark": 1, "slot": {"low": 8, "width": 8}}
    if leaf:
        fields["huge"] = 7
    return {
        "va_bits": 16,
        "entry_bytes": 2,
        "levels": [{"bits": bits, "leaf": leaf} for bits in levels],
        "fields": fields,
    }


@pytest.mark.parametrize("levels", [(8,), (4, 4), (2, 6), (1, 3, 4), (7, 1), (3, 3, 3)], ids=str)
@pytest.mark.parametrize("leaf", [False, True])
def test_sixteen_bits_are_cut_in_any_way(
    own: ModuleType, tmp_path: Path, levels: tuple[int, ...], leaf: bool
) -> None:
    document = sizes(*levels, leaf=leaf)
    assert check_session(own, tmp_path, document) == []


@pytest.mark.long
def test_every_command_works_on_it(own: ModuleType, tmp_path: Path) -> None:
    @hypothesis.settings(max_examples=drawn(12))
    @hypothesis.given(own.documents())
    def scenario(document: dict[str, Any]) -> None:
        check_session(own, tmp_path, document)

    scenario()


def check_session(own: ModuleType, folder: Path, document: dict[str, Any]) -> list[str]:
    """Types COMMANDS; the lines that were refused.  No line is a bug, and the machine is consistent."""
    file, offset = folder / "own.toml", own.shifts(document)[-1]
    frames = min(200, 1 << document["fields"]["frame"]["width"])
    machine = f"[machine]\nram = {frames << offset}\nswap.size = {64 << offset}\n[kernel]\nfirst_frame = 1\n"
    file.write_text(own.text(document) + machine)
    out, err = io.StringIO(), io.StringIO()
    session = make_session(out, err, Permissions(False))
    session.target = open_target(session, str(file), "")
    top = 1 << document["va_bits"] - document.get("sign_extended", False)
    page = 1 << offset
    places = {"one": page, "two": 2 * page, "far": top // 2 // page * page, "last": top - 1}
    refused = []
    for line in COMMANDS.format(**places).split("\n"):
        if not session.interpreter.try_line(line):
            refused.append(line)
    assert "Internal error" not in err.getvalue()
    assert check(session.target.machine) == []
    return refused


def test_the_homework_of_a_textbook() -> None:
    """Every entry, address and value of the published example."""
    known = json.loads((TESTS / "data" / "two-levels.json").read_text())
    target = boot(load_config(str(TESTS.parent / "docs" / "examples" / "two-levels.toml")))
    machine = target.machine
    machine.m.ram1[:] = bytes.fromhex("".join(known["memory"]))
    for answer in known["answers"]:
        k, m = machine.k, machine.m
        kind = k.walk(m, known["root"], answer["va"])
        entries = [m.path[row * PATH + PATH_ENTRY] for row in range(m.control[CONTROL_STEPS])]
        assert entries == answer["entries"]
        assert (kind == ENTRY_LEAF) == ("pa" in answer)
        if kind == ENTRY_LEAF:
            pa = k.leaf_frame(entries[-1], 1) | answer["va"] & 31
            assert (pa, k.load(m, pa, 1)) == (answer["pa"], answer["value"])


NARROW = """
[format]
name = "narrow"
va_bits = 16
entry_bytes = 4
levels = [{ name = "A", bits = 4, leaf = true }, { name = "C", bits = 4 }]
[format.fields]
valid = 31
writable = 30
huge = 29
accessed = 28
dirty = 27
user = 26
frame = { low = 0, width = WIDTH }
slot = { low = 0, width = 3 }
slot_mark = 30
"""


def test_a_swap_area_is_said_to_be_as_large_as_entries_can_name(tmp_path: Path) -> None:
    path = tmp_path / "narrow.toml"
    path.write_text(NARROW.replace("WIDTH", "5"))
    values = {"machine.format": str(path), "machine.ram": 8192, "kernel.first_frame": 1, "tlb.l2": "off"}
    machine = Machine(MachineConfig({**values, "machine.swap.size": 64 << 10}))
    assert len(machine.m.slot) // SLOT == 8
    assert describe(machine.config, machine).endswith("1792 B swap")
