"""check rights, check cpu, code and the conditions of map: on kernels that are wrong in known ways."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.models.dumps import LONG, NX, PAGE, Memory, P, U, W, core
from tests.models.dumps import note as made_note
from tests.models.walker import LAYOUTS, walk

BASE = 0xFFFFFFFF80000000


class Kernel(Memory):
    """A kernel as it should be: code, data, descriptor tables and stacks, each page with the rights it needs.

    The code is at BASE, handlers behind it; data is at BASE + 0x10000: GDT, IDT, TSS, stacks.
    """

    def __init__(self) -> None:
        super().__init__()
        for page in range(2):
            self.map(BASE + page * PAGE, 0x80000 + page * PAGE, P)
        for page in range(6):
            self.map(BASE + 0x10000 + page * PAGE, 0x90000 + page * PAGE, P | W | NX)
        self.map(0x400000, 0xA0000, P | U)
        self.put(0x90010, 0x00209A0000000000)  # the GDT's entry 0x10: code
        self.registers = {
            **LONG,
            "efer": 0xD00,
            "rip": BASE + 0x40,
            "rsp": BASE + 0x13000,
            "cs": 0x10,
            "cs.flags": 0x209A00,
            "gdtr": BASE + 0x10000,
            "gdtr.limit": 0x2F,
            "idtr": BASE + 0x11000,
            "idtr.limit": 0xFFF,
            "tr": 0x20,
            "tr.base": BASE + 0x12000,
            "tr.limit": 0x67,
        }
        self.gate(14, BASE + 0x100)
        self.gate(8, BASE + 0x200, ist=1)
        self.put(0x92000 + 36, BASE + 0x15000)
        self.put(0x92000 + 4, BASE + 0x14000)

    def gate(self, vector: int, handler: int, ist: int = 0, flags: int = 0x8E) -> None:
        low = handler & 0xFFFF | 0x10 << 16 | ist << 32 | flags << 40 | (handler >> 16 & 0xFFFF) << 48
        self.put(0x91000 + 16 * vector, low)
        self.put(0x91000 + 16 * vector + 8, handler >> 32)

    def opened(self, shell: Any) -> Any:
        text = "".join(f"{name} {value:#x}\n" for name, value in self.registers.items())
        note = b"format x86_64\n" + text.encode()
        content = core([(0, bytes(self.bytes))], notes=made_note(b"VMDBG", 0, note))
        shell.type(f"target dump {shell.file('k.core', content)}")
        return shell


def chain(shell: Any) -> str:
    return str(shell.json("check cpu/j")["chain"])


def test_a_kernel_as_it_should_be(shell: Any) -> None:
    Kernel().opened(shell)
    assert chain(shell) == "So: what runs now is mapped, and a #PF reaches its handler."
    assert all(need["ok"] for need in shell.json("check cpu/j")["needs"])
    assert shell.json("check rights/j") == []
    assert shell.type("check rights").endswith("No findings.\n")


def unmap(kernel: Kernel, va: int) -> None:
    kernel.put(kernel.entry(va, 3), 0)


NOW = "So: what runs now is mapped; at a #PF"
STACK = "So: the stack faults: #PF; the stack cannot be written: #DF"
HANDLER = "its handler cannot be fetched"
LOOP = f"{HANDLER}: #PF again until the stack is used up, then #DF"
LIMIT = "its gate is beyond the limit of the IDT"


def to_user(kernel: Kernel) -> None:
    kernel.registers.update({"cs": 0x33, "rip": 0x400000})
    unmap(kernel, BASE + 0x13000)


def handlers_move(kernel: Kernel) -> None:
    kernel.map(BASE, 0x80000, P | NX)
    kernel.gate(14, BASE + 0x1100)
    kernel.gate(8, BASE + 0x1200)


def no_stacks(kernel: Kernel) -> None:
    kernel.registers["rsp"] = 0x500000
    unmap(kernel, BASE + 0x14000)


DAMAGES: dict[str, tuple[Callable[[Kernel], object], str]] = {
    "code": (
        lambda k: unmap(k, BASE),
        f"So: the instruction faults: #PF; {LOOP}; {HANDLER}: triple fault.",
    ),
    "handlers elsewhere": (
        handlers_move,
        "So: the instruction faults: #PF, which reaches its handler.",
    ),
    "idt": (
        lambda k: unmap(k, BASE + 0x11000),
        f"{NOW} its gate cannot be read: #DF; its gate neither: triple fault.",
    ),
    "tss and stack": (
        lambda k: unmap(k, BASE + 0x12000),
        f"{STACK}; IST1 cannot be read from the TSS: triple fault.",
    ),
    "stacks": (no_stacks, f"{STACK}; its stack, IST1, cannot be written: triple fault."),
    "stack": (
        lambda k: k.registers.update({"rsp": 0x500000}),
        f"{STACK}, which reaches its handler.",
    ),
    "limit": (
        lambda k: k.registers.update({"idtr.limit": 0x7F}),
        f"{NOW} {LIMIT}: #DF; {LIMIT}: triple fault.",
    ),
    "gate": (
        lambda k: k.gate(14, BASE, flags=0x0E),
        f"{NOW} its gate is not present: #DF, which reaches its handler.",
    ),
    "user": (
        to_user,
        "So: the stack faults: #PF; its stack, RSP0, cannot be written: #DF, which reaches its handler.",
    ),
}


@pytest.mark.parametrize(("damage", "sentence"), DAMAGES.values(), ids=list(DAMAGES))
def test_the_chain_of_faults(shell: Any, damage: Any, sentence: str) -> None:
    kernel = Kernel()
    damage(kernel)
    kernel.opened(shell)
    assert chain(shell) == sentence
    assert shell.type("check cpu").splitlines()[-1] == sentence


def test_other_processors_have_vectors(shell: Any) -> None:
    memory = bytearray(1 << 16)
    memory[0x1000:0x1008] = (0x2 << 10 | 1).to_bytes(8, "little")
    memory[0x2000:0x2008] = (0x3 << 10 | 1).to_bytes(8, "little")
    memory[0x3010:0x3018] = (0x5 << 10 | 0xCB).to_bytes(8, "little")  # 0x2000: R X A D
    regs = shell.file(
        "r.txt",
        " pc 0000000000002010\n satp 8000000000000001\n stvec 0000000000003000\n sp 0000000000002800\n",
    )
    shell.type(f"target dump {shell.file('m.raw', memory)} -regs {regs}")
    found = shell.json("check cpu/j")
    assert [(need["needed"], need["ok"]) for need in found["needs"]] == [
        ("instruction", True), ("stack", False), ("trap vector", False),
    ]  # fmt: skip
    assert found["chain"] == "The vector cannot be fetched: a fault faults again, for ever."


def test_check_cpu_needs_registers(shell: Any) -> None:
    shell.type("machine default")
    assert "needs the registers of a real CPU" in shell.type("check cpu")


def test_what_rights_should_not_be(shell: Any) -> None:
    kernel = Kernel()
    kernel.map(BASE + 0x30000, 0xB0000, P | W)
    kernel.map(BASE + 0x40000, 0xB1000, P | U | NX)
    kernel.map(0x500000, 0x80000, P | W | U | NX)
    table = kernel.entry(0x500000, 3) & ~0xFFF
    kernel.map(0x501000, table, P | W | U | NX)
    kernel.map(0, 0xB2000, P | NX)
    kernel.put(kernel.entry(0x40000000, 2), 0x2000 | 0x200000 | P | 0x80)
    kernel.put(kernel.entry(0x80000000, 1), 0x7FFF000 | P)
    kernel.opened(shell)
    rows = shell.json("check rights/j")
    found = {row["rule"]: row for row in rows}
    assert len(rows) == len(found) == 7
    assert (found["writable-executable"]["start"], found["user-kernel"]["start"]) == (
        BASE + 0x30000,
        BASE + 0x40000,
    )
    aliased = found["aliases"]
    assert {aliased["start"], aliased["other"], aliased["pa"]} == {BASE, 0x500000, 0x80000}
    assert (found["user-tables"]["start"], found["user-tables"]["pa"]) == (0x501000, table)
    assert "bit 13 of a 2 MiB entry" in found["reserved"]["text"]
    assert "table at 0x7fff000" in found["outside"]["text"]
    assert found["null"]["start"] == 0
    assert "7 findings." in shell.type("check rights")


@pytest.mark.parametrize("seed", range(4))
def test_rights_by_a_walk_of_its_own(shell: Any, seed: int) -> None:
    source = random.Random(seed)
    memory = Memory()
    vas = set()
    for _ in range(60):
        va = sum(source.randrange(3) << shift for shift in (30, 21, 12))
        vas.add(va | source.choice([0, 511 << 39 | 0xFFFF << 48]))
    for va in vas:
        memory.map(
            va,
            source.randrange(0x80, 0x90) << 12,
            source.choice([P, P | W, P | U, P | W | U]) | source.choice([0, NX]),
        )
    path = shell.file("m.core", core([(0, bytes(memory.bytes))], [LONG]))
    shell.type(f"target dump {path}")
    pages = {va: walk(LAYOUTS["x86_64"], bytes(memory.bytes), 0, 0x1000, va) for va in vas}
    rows = shell.json("check rights/j")

    def covered(rule: str) -> set[int]:
        return {
            va
            for row in rows
            if row["rule"] == rule
            for va in vas
            if 0 <= va - row["start"] < row["end"] - row["start"]
        }

    assert covered("writable-executable") == {va for va, page in pages.items() if page.rights & 6 == 6}
    assert covered("user-kernel") == {va for va, page in pages.items() if page.rights & 8 and va >> 63}
    writable = {page.pa for page in pages.values() if page.rights & 6 == 2}
    assert covered("aliases") == {
        va for va, page in pages.items() if page.rights & 6 == 4 and page.pa in writable
    }


def test_conditions_of_map_choose_what_they_say(shell: Any) -> None:
    kernel = Kernel()
    kernel.map(0x40000000, 0x0, P | W | U, depth=2)
    kernel.opened(shell)
    every = shell.json("map/j")
    cases: dict[str, Callable[[str, int, dict[str, int]], bool]] = {
        "w": lambda rights, page, row: "w" in rights,
        "!w && kernel": lambda rights, page, row: "w" not in rights and rights[3] == "k",
        "rights=~w && user && size>=2M": lambda rights, page, row: (
            "w" in rights and rights[3] == "u" and page >= 2 << 20
        ),
        "(x || user) && start<$rip": lambda rights, page, row: (
            ("x" in rights or rights[3] == "u") and row["start"] < BASE + 0x40
        ),
        "rights==r-xk": lambda rights, page, row: rights == "r-xk",
        "rights!~x": lambda rights, page, row: "x" not in rights,
        "pa>=0x80000 && pa<0x90000": lambda rights, page, row: 0x80000 <= row["pa"] < 0x90000,
        "pfn=0xa0": lambda rights, page, row: row["pfn"] == 0xA0,
        "page!=4K": lambda rights, page, row: page != 4096,
    }
    for text, chosen in cases.items():
        wanted = [row for row in every if chosen(row["rights"], row["page_size"], row)]
        assert shell.json(f"map/j where {text}") == wanted, text
        assert wanted
    assert len(shell.json(f"map/j {BASE:#x}..{BASE + 0x1000:#x}")) == 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("where", "Expected FROM..TO"),
        ("where foo", "Undefined word"),
        ("where size>", "ends too early"),
        ("where (w", "ends too early"),
        ("where w)", 'Invalid condition at ")"'),
        ("where size=~w", "compares texts"),
        ("where rights>w", "compares numbers"),
        ("where " + "!" * 100 + "w", "nested too deeply"),
        ("where w w", "Invalid condition"),
        ("0x1000", "Expected FROM..TO"),
        ("0x2000..0x1000", "is empty"),
        ("where pa=", "ends too early"),
        ("where pa=$nothing+", "A syntax error"),
    ],
)
def test_mistakes_in_conditions(shell: Any, text: str, error: str) -> None:
    Kernel().opened(shell)
    assert error in shell.type(f"map {text}")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("0x15", "Page fault of a user fetch: the page may not be executed."),
        ("2", "Page fault of a kernel write: an entry is not present."),
        ("0x9", "Page fault of a kernel read: an entry has a reserved bit set."),
        ("-as scause 13", "Exception 13: load page fault."),
        ("-as scause 0x8000000000000005", "Interrupt 5: supervisor timer."),
        ("-as esr 0x96000046", "Data abort, exception level unchanged: write, translation fault, level 2."),
        (
            "-as esr 0x8200000f",
            "Instruction abort from a lower exception level: fetch, permission fault, level 3.",
        ),
    ],
)
def test_codes_in_a_sentence(shell: Any, code: str, sentence: str) -> None:
    assert shell.type(f"code {code}").splitlines()[0] == sentence


@pytest.mark.parametrize(("machine", "bits"), [("sv39", "63"), ("sv32", "31")])
def test_scause_is_as_wide_as_the_machine(shell: Any, machine: str, bits: str) -> None:
    shell.type(f"machine {machine}")
    assert shell.json("code/j 15")[0]["bits"] == bits
    assert "Interrupt 5" in shell.type(f"code {(1 << int(bits)) + 5}")


def test_the_code_of_a_fault_says_what_why_says(shell: Any) -> None:
    Kernel().opened(shell)
    for va in (BASE, BASE + 0x10000, 0x400000, 0x500000):
        for access, word in (("r", "read"), ("w", "write"), ("x", "fetch")):
            for mode, who in (("-u", "user"), ("-k", "kernel")):
                fault = shell.json(f"translate/j {va:#x} {access} {mode}")["fault"]
                if fault is None:
                    continue
                text = shell.type(f"code {fault['code']}")
                missing = "an entry is not present" in text.splitlines()[0]
                assert missing == (fault["kind"] == "not-present")
                if word != "fetch" or fault["code"] & 16:
                    assert f"of a {who} {word}:" in text


def test_folded_and_merged_maps(shell: Any) -> None:
    memory = Memory()
    memory.map(0x400000, 0x80000, P | W)
    shared = memory.get(memory.entry(0x400000, 2))
    for slot in range(8):
        memory.put(memory.entry(0x40000000 + slot * 0x200000, 2), shared)
    memory.map(0x401000, 0x90000, P | W)
    shell.type(f"target dump {shell.file('m.core', core([(0, bytes(memory.bytes))], [LONG]))}")
    assert len(shell.json("map/j")) == 18
    folded = shell.json("map/j -fold")
    assert [row["like"] for row in folded] == [None, None, 0x400000]
    assert folded[2]["end"] - folded[2]["start"] == 8 * 0x200000
    assert len(shell.json("map/j -merge")) == 9


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (f"{BASE:#x} -e 3", "a kernel write: the page is read-only, and CR0.WP = 1, as the tables"),
        ("0x400000 -e 0x7", "0x7: Page fault of a user write: the page is the kernel's or read-only, as the"),
        ("0x400000 -e 0x4", "user read: an entry is not present, but the tables allow it now"),
        ("0x500000 -e 0x7", "user write: the page is the kernel's or read-only, but the tables say 0x6"),
        ("0x500000 -e 0x8000000000000000", "-e 0x8000000000000000: not the code of a page fault."),
    ],
)  # fmt: skip
def test_a_code_of_a_log_and_the_tables(shell: Any, line: str, sentence: str) -> None:
    Kernel().opened(shell)
    assert sentence in " ".join(shell.type(f"why {line}").split())


def test_a_code_says_access_and_mode(shell: Any) -> None:
    Kernel().opened(shell)
    for access, mode in (("r", "user"), ("w", "user"), ("x", "user"), ("r", "kernel"), ("w", "kernel")):
        for va in (BASE, BASE + 0x10000, 0x400000, 0x500000):
            plain = shell.json(f"why/j {va:#x} {access} -{mode[0]}")
            if plain["fault"] is None:
                continue
            told = shell.json(f"why/j {va:#x} -e {plain['fault']['code']}")
            assert told.pop("reported")["agrees"]
            plain.pop("reported")
            if access != "x" or plain["fault"]["code"] & 16:
                assert told == plain
