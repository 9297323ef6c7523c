"""A machine without a kernel: looking, accesses that end in faults, memory from files, a TLB by hand."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.drawn import drawn
from vmdbg import Mmu
from vmdbg.formats import NAMES, find
from vmdbg.shell.boot import MachineSettings, open_target
from vmdbg.shell.startup import make_session

ROOT = Path(__file__).parents[2]
TABLES = (
    "poke 0x1000 0x2007",
    "poke 0x2000 0x3007",
    "poke 0x3000 0x4007",
    "poke 0x4008 0x5007 0x6005 0x7003",
)


class Bare:
    """A session at a bare machine, whose lines are executed."""

    def __init__(self, *lines: str) -> None:
        self.stream = io.StringIO()
        self.session = make_session(self.stream, self.stream)
        self.session.settings.attach_later(lambda: MachineSettings(self.session))
        self.session.target = open_target(self.session, "bare", "")
        self.do(*lines)

    def do(self, *lines: str) -> str:
        text = ""
        for line in lines:
            self.session.interpreter.run_lines("test", line.split("\n"))
            self.session.output.flush()
            text = self.stream.getvalue()
            self.stream.seek(0)
            self.stream.truncate()
        return text

    def fails(self, line: str) -> str:
        digest = self.session.machine.digest()
        self.session.interpreter.try_line(line)
        assert self.session.machine.digest() == digest
        return self.do("echo")

    def json(self, line: str) -> Any:
        return json.loads(self.do(line))


@pytest.fixture
def bare() -> Bare:
    return Bare(*TABLES, "set $cr3 = 0x1000")


@pytest.mark.long
@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("walk 0x1234", "0x1234 -> 0x5234  pfn 0x5, 4 KiB, rwxu"),
        ("translate 0x2000 w", "fault: protection, PT[2] has RW = 0"),
        ("why 0x3000", "edit   PT[3] 0x4018: 0x0000000000007003 -> 0x0000000000007007 (set US)"),
        ("tables", "PT[2] 0x2000: pfn 0x6, 4 KiB, r-xu"),
        ("map", "0x1000"),
        ("overhead", "PT          1   4 KiB    3 of 512"),
        ("info aliases 0x1000", "0x1000"),
        ("rmap 6", "0x2000"),
        ("pte $pte(0x1000)", "frame"),
        ("split 0x1234", "PT 1"),
        ("x/2xb 0x1000", "0x1000:\t0x00\t0x00"),
        ("xp/gx 0x4008", "0x0000000000005007"),
        ("print $pa(0x1234)", "= 21044"),
        ("info registers cr3", "root table"),
        ("info machine", "Machine bare: x86_64, 64 MiB RAM, no TLB, no swap."),
        ("info stats", "poke"),
        ("when", "Time 5:0."),
    ],
)
def test_every_looking_command_works(bare: Bare, line: str, wanted: str) -> None:
    digest = bare.session.machine.digest()
    assert wanted in bare.do(line)
    assert bare.session.machine.digest() == digest


@pytest.mark.parametrize(
    "line", ["ps", "check", "mmap 0 4K rw", "spawn x", "swapout 0x1000", "fork", "info frames"]
)
def test_what_needs_a_kernel_says_so(bare: Bare, line: str) -> None:
    assert bare.fails(line).startswith("This machine has no kernel: no processes, regions or swap.\n")


def test_a_program_needs_a_kernel(bare: Bare) -> None:
    program = ROOT / "vmdbg" / "machine" / "presets" / "demo.vmp"
    assert "Without a kernel (machine.kernel) no program can be run." in bare.fails(f"file {program}")
    assert "The program is not being run." in bare.fails("step")


def test_accesses_end_in_values(bare: Bare) -> None:
    assert "0x1008: 0x0000000000000000 -> 0x0000000000000011  (tlb-miss" in bare.do("write 0x1008 0x11 8")
    assert bare.do("xp/gx 0x5008", "xp/gx 0x4008").endswith("0x0000000000005067\n")
    assert bare.do("write 0x2000 1").splitlines() == [
        "0x2000 -> fault: protection, PT[2] has RW = 0, error code 0x7 (P W U)",
        "Changed: registers cr2, error_code.  Time 7:0.",
    ]
    assert bare.do("print/x $cr2").endswith("0x2000\n")
    assert "-> fault: protection, PT[3] has US = 0" in bare.do("read 0x3000")
    assert "0x3000: 0x00  (" in bare.do("read -k 0x3000")
    assert "PT[1] has US = 1, error code 0x11 (P I)" in bare.do("fetch -k 0x1000")
    assert bare.do("print $mode").endswith("= 0\n")
    found = bare.json("fetch/json 0x9000 4")
    assert (found["outcome"], found["value"], found["fault"]["kind"], found["fault"]["code"]) == (
        "fault", None, "not-present", 0x14,
    )  # fmt: skip
    assert bare.json("read/json 0x1008 8")["value"] == 0x11
    assert "trap       not-present, error code 0x4 (U), cr2 0x9000" in bare.do("fault 0x9000")
    assert bare.do("fault -n 0x9000 w").startswith("Predicted, nothing done:\n")


def test_a_write_that_crosses_into_a_page_that_faults_writes_nothing(bare: Bare) -> None:
    assert "0x2000 -> fault: protection" in bare.do("write 0x1ffc 0x1122334455667788 8")
    assert bare.do("xp/wx 0x5ffc").endswith("0x00000000\n")


def test_memory_outside_the_machine_is_a_bus_error(bare: Bare) -> None:
    bare.do("poke 0x4008 0x400000007")
    assert bare.do("read 0x1000").startswith("0x1000 -> fault: bus, 0x400000000 lies outside memory\n")


@pytest.mark.long
@hypothesis.settings(max_examples=drawn(80))
@hypothesis.given(st.integers(0, 1 << 30), st.sampled_from(("x86_64", "sv39", "x86_32")))
def test_an_access_is_that_of_the_library(seed: int, name: str) -> None:
    """The same tables and access at the prompt and in an `Mmu`: the answer, and memory afterwards."""
    rng, form = random.Random(seed), find(name)
    bare = shell_of(name)
    m, width = bare.session.machine.m, form.entry_bytes
    k, content = bare.session.machine.k, bytearray(1 << 16)
    va = form.signed(rng.randrange(1 << form.va_bits)) & (1 << 64) - 1
    for page in range(8):
        for depth in range(len(form.levels)):
            at = page * 4096 + form.index(va, depth) * width
            entry = rng.choice(
                (k.make_table(rng.randrange(8) * 4096, depth), k.make_leaf(0, rng.randrange(16), depth))
            )
            content[at : at + width] = (entry & (1 << 8 * width) - 1).to_bytes(width, "little")
    bare.session.timeline.act("test", lambda machine: fill(machine, content))
    number = rng.randrange(8)
    root = 8 << 60 | number if form.root_fields else number << 12
    bare.do(f"set ${form.root_register} = {root:#x}")
    how, user = rng.choice(("read", "write", "fetch")), rng.random() < 0.7
    value = " 0" if how == "write" else ""
    found = bare.json(f"{how}/json {'-u' if user else '-k'} {va:#x}{value}")
    memory = bytearray(content)
    expected = Mmu(name, memory, **{form.root_register: root}).access(va, how, user, size=1)
    if expected.ok and expected.pa >= len(memory):
        assert found["fault"]["kind"] == "bus"
    elif expected.ok:
        if how == "write":
            memory[expected.pa] = 0
        assert (found["outcome"], found["pa"]) == ("translated", expected.pa)
    else:
        assert (found["outcome"], found["pa"]) == ("fault", None)
        data = expected.data()["fault"]
        assert {key: found["fault"][key] for key in data} == data
    assert bytes(m.ram1) == bytes(memory)


SHELLS: dict[str, Bare] = {}


def shell_of(name: str) -> Bare:
    if name not in SHELLS:
        SHELLS[name] = Bare("set machine.ram 64K", f"set machine.format {name}")
    return SHELLS[name]


def fill(machine: Any, content: bytearray) -> None:
    for at in range(0, len(content), 8):
        machine.k.store(machine.m, at, 8, int.from_bytes(content[at : at + 8], "little", signed=True))


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in NAMES if not find(name).bounded])
def test_any_format_by_a_setting(name: str) -> None:
    bare, form = Bare(), find(name)
    bare.do(f"set machine.format {name}")
    assert bare.session.machine.format.name == name
    text = bare.do("read 0x8")
    wanted = "refill" if form.software_walk else "not-present"
    assert f"-> fault: {wanted}" in text


@pytest.mark.long
def test_a_setting_keeps_memory_and_registers(bare: Bare) -> None:
    bare.do("set tlb.l1 4x4", "set machine.ram 1M")
    assert "0x1234 -> 0x5234" in bare.do("walk 0x1234")
    bare.do("read 0x1000")
    assert bare.do("tlb").count("ok") == 1
    bare.do("set machine.format sv39")
    assert bare.do("xp/gx 0x1000").endswith("0x0000000000002027\n")


def test_values_are_poked_one_after_the_other(bare: Bare) -> None:
    bare.do("poke/u8 0x100 1 0x22 -1", "poke/u16 0x104 0x1122, 0x3344")
    assert bare.do("xp/8xb 0x100").split()[1:] == [
        "0x01",
        "0x22",
        "0xff",
        "0x00",
        "0x22",
        "0x11",
        "0x44",
        "0x33",
    ]
    assert bare.do("poke 0x200 1 2 3 4 5 6 7 8 9").splitlines() == [
        "0x200..0x247: 9 values",
        "Changed: 9 words of memory.  Time 8:0.",
    ]
    assert "does not fit in 1 bytes" in bare.fails("poke/u8 0x100 1 256")
    assert "Cannot access memory at address 0x4000000" in bare.fails("poke 0x3fffff8 1 2")
    bare.do("undo")
    assert bare.do("xp/2xg 0x200").split()[1:] == ["0x0000000000000000"] * 2


def test_memory_goes_to_files_and_comes_back(bare: Bare, tmp_path: Path) -> None:
    bare.do(f"dump binary memory {tmp_path}/ram 0x1000 0x5000")
    content = (tmp_path / "ram").read_bytes()
    assert (len(content), content[:8]) == (0x4000, (0x2007).to_bytes(8, "little"))
    other = Bare(f"restore {tmp_path}/ram binary 0x1000", "set $cr3 = 0x1000")
    assert "0x1234 -> 0x5234" in other.do("walk 0x1234")
    unit = Mmu("x86_64", content, ram_base=0x1000, cr3=0x1000)
    assert unit.walk(0x1234).pa == 0x5234


def test_a_dump_is_loaded_or_pasted(bare: Bare, tmp_path: Path) -> None:
    (tmp_path / "sheet").write_text("page 8: 0102\n9000: 03  .\n")
    lines = bare.do(f"load hex {tmp_path}/sheet").splitlines()
    assert lines[:2] == ["0x8000..0x8001: 2 B", "0x9000..0x9000: 1 B"]
    bare.do("load hex\na000: 11 22\n33\nend")
    assert bare.do("xp/3xb 0xa000").split()[1:] == ["0x11", "0x22", "0x33"]
    bare.do(f"save session {tmp_path}/session")
    bare.do("undo")
    assert bare.do("xp/1xb 0xa000").split()[1:] == ["0x00"]
    assert Bare(f"source {tmp_path}/session").do("xp/3xb 0xa000").split()[1:] == ["0x11", "0x22", "0x33"]
    bare.do(f"define sheet\nload hex {tmp_path}/sheet 0x10\nend", "sheet")
    (tmp_path / "sheet").write_text("page 8: 0102\nwalk\n")
    assert f"{tmp_path}/sheet:2: expected bytes in hex" in bare.fails(f"load hex {tmp_path}/sheet")
    (tmp_path / "sheet").write_text("8000: 01\nffffffff0: 02\n")
    assert "Cannot access memory at address 0xffffffff0" in bare.fails(f"load hex {tmp_path}/sheet")
    (tmp_path / "sheet").write_text("# nothing\n")
    assert "The dump is empty" in bare.fails(f"load hex {tmp_path}/sheet")


def test_a_sheet_of_a_course_takes_three_commands(tmp_path: Path) -> None:
    """OSTEP's homework (tests/data/two-levels.json): the dump as it prints it, and its answers."""
    known = json.loads((ROOT / "tests" / "data" / "two-levels.json").read_text())
    (tmp_path / "sheet").write_text("".join(f"page {n:3}:{page}\n" for n, page in enumerate(known["memory"])))
    bare = Bare(
        f"machine {ROOT}/docs/examples/sheet.toml",
        f"load hex {tmp_path}/sheet",
        f"set $root = {known['root']}",
    )
    for answer in known["answers"]:
        found = bare.json(f"read/json {answer['va']}")
        assert (found["pa"], found["value"]) == (answer.get("pa"), answer.get("value"))
        entries = [step["entry"] for step in bare.json(f"walk/json {answer['va']}")["steps"]]
        assert entries == answer["entries"]


@pytest.mark.long
def test_a_table_of_an_exam_fills_a_tlb(bare: Bare) -> None:
    bare.do("set tlb.l1 4x4")
    assert bare.do("tlb set -set 3 0x0d 0x2d").startswith(
        "L1 set 3 way 0: 0x37000 -> pfn 0x2d, rwxu, 4 KiB\n"
    )
    bare.do("tlb set -set 3 -dirty 0x0e 0x2e rw-u", "tlb set -global 0x10 0x30 r--k")
    assert [
        (row["set"], row["way"], row["vpn"], row["pfn"], row["rights"], row["asid"])
        for row in bare.json("tlb/json")
    ] == [
        (0, 0, 0x10, 0x30, "r--k", None),
        (3, 0, 0x3B, 0x2E, "rw-u", 1),
        (3, 1, 0x37, 0x2D, "rwxu", 1),
    ]
    assert "0x37123 -> 0x2d123" in bare.do("translate 0x37123")
    assert "0x3b123: 0x00 -> 0x01  (tlb-hit" in bare.do("write 0x3b123 1")
    assert "fault: protection, L1 holds r--k" in bare.do("read 0x10000")
    assert "sets 0..3, not 4" in bare.fails("tlb set -set 4 1 1")
    assert "Invalid rights" in bare.fails("tlb set 1 1 rwz")
    assert "no pages of 0x2000 bytes" in bare.fails("tlb set -size 8K 1 1")
    assert "does not fit in 36 bits" in bare.fails("tlb set 0x1000000000 1")
    assert 'No TLB array "L2": this machine has L1.' in bare.fails("tlb set -array L2 1 1")
