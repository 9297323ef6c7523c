"""`Mmu`: walks and accesses on memory of every kind, against the models of the manuals."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg import FORMATS, Fault, Mmu, Translation, UserError
from vmdbg.formats import find
from vmdbg.formats.contract import FAULT_KINDS
from vmdbg.machine.registers import read
from vmdbg.state.tables import CONTROL_FAULT

BASE, RAM, PAGE = 0x80000000, 1 << 16, 4096
KINDS = ("buffer", "pieces", "function", "words")
FAULTS = {"empty": "not-present", "swapped": "not-present", "reserved": "reserved", "bus": "bus"}
ADDRESSES = (
    0, 0x1000, 0x201000, 0x40201008, 0x8040201FF8, 0x7FFFFFFFFFF8, (1 << 38) - 8, -8, -(1 << 38), -(1 << 47),
    1 << 38, 1 << 47, 1 << 62,
)  # fmt: skip


class Ram:
    """Memory of a kind: what `Mmu` takes, and its bytes."""

    def __init__(self, kind: str, content: bytearray, base: int, width: int = 8) -> None:
        self.kind, self.content, self.base, self.width = kind, content, base, width
        self.memory: Any = content
        self.arguments: dict[str, Any] = {}
        if kind == "buffer":
            self.arguments = {"ram_base": base}
        elif kind == "pieces":
            whole, half = memoryview(content), len(content) // 2
            self.memory = {base: whole[:half], base + half: whole[half:]}
        elif kind == "function":
            self.memory, self.arguments = self.load, {"store": self.store}
        else:
            places = range(0, len(content), width)
            self.memory = {base + at: int.from_bytes(content[at : at + width], "little") for at in places}

    def load(self, address: int, size: int) -> bytes | None:
        at = address - self.base
        return bytes(self.content[at : at + size]) if 0 <= at <= len(self.content) - size else None

    def store(self, address: int, size: int, word: int) -> None:
        at = address - self.base
        self.content[at : at + size] = word.to_bytes(size, "little")

    def bytes(self) -> bytes:
        if self.kind == "words":
            return b"".join(word.to_bytes(self.width, "little") for word in self.memory.values())
        return bytes(self.content)


def plant(rng: random.Random, k: Any, form: Any, content: bytearray, base: int, va: int) -> None:
    """Fill the entries that a walk of `va` may meet: mostly good ones, some garbage."""
    pages = min(len(content) // form.page_size, 16)
    width = form.entry_bytes
    for page in range(pages):
        for depth, level in enumerate(form.levels):
            at = page * form.page_size + form.index(va, depth) * width
            if at + width > len(content):
                continue
            target = base + rng.randrange(pages) * form.page_size
            large = target >> level.shift << level.shift
            entry = rng.choice(
                (
                    k.make_table(target, depth),
                    k.make_table(target, depth),
                    k.touched(k.make_leaf(large, rng.randrange(16), depth), rng.randrange(2)),
                    k.make_leaf(large, 15, depth),
                    k.make_swapped(rng.randrange(1, 9)),
                    rng.getrandbits(8 * width),
                    0,
                )
            )
            content[at : at + width] = (entry & (1 << 8 * width) - 1).to_bytes(width, "little")


def root_of(form: Any, address: int) -> dict[str, int]:
    """The root register that names a table."""
    if not form.root_fields:
        return {form.root_register: address}
    *modes, _, page = form.root_fields
    shift = form.page_bits if page.name.endswith(".ppn") else 0
    return {form.root_register: sum(m.initial << m.low for m in modes) | address >> shift << page.low}


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in FORMATS if not find(name).bounded])
def test_a_walk_is_that_of_the_manual(name: str, model: Callable[[str], ModuleType]) -> None:
    walker, form = model("walker"), find(name)
    if name not in walker.LAYOUTS:
        pytest.skip("no model")
    base = 0 if form.va_bits < 20 else BASE
    k = Mmu(name, b"")._machine.k

    @hypothesis.settings(max_examples=drawn(150))
    @hypothesis.given(
        st.integers(0, 1 << 30), st.integers(0, (1 << form.va_bits) - 1), st.sampled_from(KINDS)
    )
    def scenario(seed: int, low: int, kind: str) -> None:
        if form.split:
            low %= 1 << form.va_bits - 1  # the upper half has a root of its own
        rng, va = random.Random(seed), form.signed(low) & (1 << 64) - 1
        content = bytearray(RAM)
        plant(rng, k, form, content, base, low)
        root = base + rng.randrange(4) * form.page_size
        expected = walker.walk(walker.LAYOUTS[name], bytes(content), base, root, va)
        ram = Ram(kind, content, base, form.entry_bytes)
        try:
            found = Mmu(name, ram.memory, **ram.arguments, **root_of(form, root)).walk(va)
        except UserError:
            assert form.root_checked  # the CPU would refuse the root
            return
        assert [step.entry_address for step in found.steps] == expected.entries
        assert found.va == va
        if expected.kind == "leaf":
            assert isinstance(found, Translation)
            assert found.pa == expected.pa
            assert [letter in found.rights for letter in "rwx"] == [
                bool(expected.rights >> bit & 1 and expected.rights & 7) for bit in range(3)
            ]
        else:
            assert isinstance(found, Fault)
            missing = "not-present" if (kind, expected.kind) == ("words", "bus") else FAULTS[expected.kind]
            assert found.kind == missing
        assert bytes(content) == ram.bytes()

    scenario()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FORMATS if not find(name).bounded])
def test_four_thousand_accesses_take_less_than_a_minute(name: str) -> None:
    """As those drive it who have the answers of hardware: entries, registers and an access go in, the
    outcome, the code and the entries afterwards come out."""
    form, rng = find(name), random.Random(name)
    memory = bytearray(RAM)
    mmu = Mmu(name, memory)
    started, made, arrived = time.process_time(), 0, 0
    for _ in range(4000):
        va = rng.randrange(1 << form.va_bits)
        plant(rng, mmu._machine.k, form, memory, 0, va)
        try:
            mmu.registers.update(root_of(form, rng.randrange(4) * form.page_size))
        except UserError:
            assert form.root_checked
            continue
        made += 1
        found = mmu.access(
            form.signed(va), rng.choice(("read", "write", "fetch")), rng.random() < 0.5, size=1
        )
        arrived += found.ok
        assert found.ok or (found.code >= 0 and found.reason)
        assert all(
            update.new == int.from_bytes(memory[update.address :][: form.entry_bytes], "little")
            for update in found.updates
        )
    assert time.process_time() - started < 60
    assert made > 500  # the CPU refuses most roots of PAE, as their entries have reserved bits
    assert arrived > made // 40


def test_machine_mode_accesses_as_its_registers_say() -> None:
    """RISC-V Privileged, 3.1.6.3; QEMU's processor does so too: tests/hardware/test_qemu_riscv.py."""
    user_page, kernel_page = 0x80000 << 10 | 0xDF, 0x80001 << 10 | 0xCF
    memory = {0x1000: 2 << 10 | 1, 0x2000: 3 << 10 | 1, 0x3000: user_page, 0x3008: kernel_page}
    mmu = Mmu("sv39", memory, satp=8 << 60 | 1)
    assert outcome(mmu.access(0x1010, "write", machine=True)) == ("translated", 0x1010)
    mmu.registers["mstatus.mprv"] = 1
    assert outcome(mmu.access(0x10, "write", machine=True)) == ("translated", 0x80000010)
    assert mmu.why(0x1010, "read", machine=True).rules == mmu.why(0x1010, "read").rules
    assert mmu.access(0x1010, "read", machine=True).code == 13
    assert outcome(mmu.access(0x10, "fetch", machine=True)) == ("translated", 0x10)
    mmu.registers["mstatus.mpp"] = 1
    assert outcome(mmu.access(0x1010, "read", machine=True)) == ("translated", 0x80001010)
    assert mmu.access(0x10, "write", machine=True).code == 15
    mmu.registers["sstatus.sum"] = 1
    assert mmu.access(0x10, "write", machine=True).ok
    mmu.registers["mstatus.mpp"] = 3
    assert outcome(mmu.access(0x1010, "write", machine=True)) == ("translated", 0x1010)
    with pytest.raises(UserError, match="never 2"):
        mmu.registers["mstatus.mpp"] = 2
    with pytest.raises(UserError, match="x86_64 has no machine mode"):
        Mmu("x86_64", {}).access(0, machine=True)


def outcome(found: Translation | Fault) -> tuple[str, int]:
    return ("translated", found.pa) if isinstance(found, Translation) else (found.kind, -1)


def check_against(ram: Ram, mmu: Mmu, va: int, how: str, user: bool, expected: Any, after: bytes) -> None:
    """A pure look and then the access: the same answer, and what memory is like afterwards."""
    before = ram.bytes()
    access: Any = {"r": "read", "w": "write", "x": "fetch"}[how]
    looked = mmu.translate(va, access, user)
    assert ram.bytes() == before
    found = mmu.access(va, access, user, size=1)
    assert found == looked
    wanted = ("not-present", -1) if ram.kind == "words" and expected[0] == "bus" else expected
    assert outcome(found) == wanted
    assert ram.bytes() == after
    width = ram.width
    for address, old, new in found.updates:
        at = address - ram.base
        assert (before[at : at + width], after[at : at + width]) == (
            old.to_bytes(width, "little"),
            new.to_bytes(width, "little"),
        )
    assert len(found.updates) == sum(
        before[at : at + width] != after[at : at + width] for at in range(0, len(before), width)
    )
    verdict = mmu.why(va, access, user)
    assert (verdict.allowed, str(verdict)[:2]) == (found.ok, "Ye" if found.ok else "No")
    assert str(found) in found._repr_html_() or found.data()["outcome"] in ("translated", "fault")


@pytest.mark.long
@hypothesis.settings(max_examples=drawn(100))
@hypothesis.given(
    st.integers(0, 1 << 30), st.sampled_from(ADDRESSES), st.sampled_from("rwx"), st.booleans(),
    st.integers(0, 15), st.sampled_from(KINDS),
)  # fmt: skip
def test_an_access_of_x86_64(
    model: Callable[[str], ModuleType], seed: int, va: int, how: str, user: bool, rules: int, kind: str
) -> None:
    oracle, rng, form = model("oracle"), random.Random(seed), find("x86_64")
    wp, smep, smap, nxe = (bool(rules >> bit & 1) for bit in range(4))
    content = bytearray(RAM)
    plant(rng, Mmu("x86_64", b"")._machine.k, form, content, BASE, va)
    ram = Ram(kind, content, BASE)
    root = BASE + rng.randrange(8) * PAGE
    mmu = Mmu(
        "x86_64", ram.memory, **ram.arguments,
        cr3=root, cr0_wp=wp, cr4_smep=smep, cr4_smap=smap, efer=nxe << 11,
    )  # fmt: skip
    before, after = ram.bytes(), bytearray(ram.bytes())
    if not oracle.canonical(va):
        check_against(ram, mmu, va, how, user, ("non-canonical", -1), before)
        return
    walk = oracle.walk(before, BASE, root, va, nxe)
    expected = (walk.outcome, -1)
    if walk.outcome == "translated":
        expected = ("protection", -1)
        if oracle.may(walk.rights, how, user, wp, smep, smap):
            expected = ("translated", walk.pa)
            for place, step in enumerate(walk.steps):
                last = place == len(walk.steps) - 1
                after[step - BASE] |= 0x60 if last and how == "w" else 0x20
    check_against(ram, mmu, va, how, user, expected, bytes(after))


FAMILIES = {"cr3": "x86", "satp": "riscv", "ttbr0_el1": "arm64"}


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in FORMATS if find(name).root_register in FAMILIES])
def test_an_access_is_that_of_the_machine(model: Callable[[str], ModuleType], name: str) -> None:
    """On random tables and registers, those with which tests hold the hardware against the manuals."""
    form = find(name)
    family = FAMILIES[form.root_register]
    manual, cases = model(family), model(f"{family}_cases")
    known = cases.addresses(*{"x86": (form,), "riscv": (form.va_bits - 1,), "arm64": ()}[family])

    @hypothesis.settings(max_examples=drawn(100))
    @hypothesis.given(
        st.integers(0, 1 << 30), st.sampled_from(known), st.sampled_from("rwx"), st.booleans(),
        st.sampled_from(KINDS),
    )  # fmt: skip
    def scenario(seed: int, va: int, how: str, user: bool, kind: str) -> None:
        rng = random.Random(seed)
        chosen = [rng.random() < 0.5 for _ in range(4)]
        rules = manual.Rules(len(form.levels), *chosen) if family == "riscv" else manual.Rules()
        booted, _ = cases.prepare(name, rng, va, user, rules)
        k, m = booted.k, booted.m
        before = bytes(m.ram1)
        ram = Ram(kind, bytearray(before), cases.BASE, form.entry_bytes)
        mmu = Mmu(name, ram.memory, **ram.arguments)
        for register in mmu.registers:
            value = read(booted, 0, register)
            if value != mmu.registers[register] and "." not in register:
                try:
                    mmu.registers[register] = value or 0
                except UserError:  # a PDPTE with reserved bits: the CPU would refuse the root
                    return
        pa = k.translate(m, 0, va, "rwx".index(how))
        expected = ("translated", pa) if pa >= 0 else (FAULT_KINDS[m.control[CONTROL_FAULT]], -1)
        check_against(ram, mmu, va & form_mask(form), how, user, expected, bytes(m.ram1))

    scenario()


def form_mask(form: Any) -> int:
    return (1 << (64 if form.sign_extended else form.va_bits)) - 1
