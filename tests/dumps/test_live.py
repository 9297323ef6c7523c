"""target qemu: an honest peer under the looking commands, and hostile ones."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.models import qmp_peer
from tests.models.dumps import LONG, Memory, P, U, W, core
from tests.models.qmp_peer import HOSTILE, Computer, Peer
from vmdbg.dumps import live_memory
from vmdbg.dumps.qmp import Qmp
from vmdbg.inspect.dump_diff import same_register
from vmdbg.shell.commands import guest

LOOKING = (
    "map/j", "map -fold", "map -merge", "tables/j", "overhead/j", "walk/j 0x401234", "translate/j 0x403000",
    "why/j 0x403000 w -u", "rmap 0x81", "info aliases 0x401000", "xp/32gx 0x1000", "x/4gx 0x401000",
    "check rights", "check cpu", "find root/j", "output $cr3", "info registers",
)  # fmt: skip
REGISTERS = {**LONG, "efer": 0xD00, "rip": 0x401000, "rsp": 0x402800}


def memory_of() -> Memory:
    memory = Memory(1 << 20)
    for page in range(4):
        memory.map(0x401000 + page * 4096, 0x81000 + page * 4096, P | W | (U if page & 1 else 0))
    memory.map(0xFFFFFFFF80000000, 0x0, P | W, depth=2)
    memory.put(0x81000, 0x1122334455667788)
    return memory


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def computer(folder: Path) -> Iterator[Computer]:
    memory = memory_of()
    found = Computer(memory.bytes, dict(REGISTERS))
    found.tables = memory  # type: ignore[attr-defined]
    with Peer(folder / "qmp", found.serve):
        yield found


@pytest.mark.parametrize("files", [True, False])
def test_looking_is_as_on_a_dump(shell: Any, computer: Computer, files: bool) -> None:
    computer.files = files
    text = shell.type("target qemu qmp")
    assert text == "QEMU guest, x86_64, 1 CPU, 1 MiB; cr3 0x1000, kernel, at 0x401000.\n"
    assert not computer.running
    live = {line: shell.type(line) for line in LOOKING}
    before = len(computer.asked)
    assert {line: shell.type(line) for line in LOOKING} == live
    assert len(computer.asked) == before, "what was read is kept"
    regs = shell.file("regs", qmp_peer.monitor(REGISTERS))
    shell.type(f"target dump {shell.file('d.core', core([(0, bytes(computer.memory))]))} -regs {regs}")
    assert computer.running, "it ran when it was found"
    for line, text in live.items():
        assert shell.type(line) == text, line
    assert files or computer.asked.count("pmemsave") == 1, "asked once whether it works"


def test_continue_and_what_has_changed(shell: Any, computer: Computer) -> None:
    tables: Memory = computer.tables  # type: ignore[attr-defined]
    shell.type("target qemu qmp")
    assert "has not run" in shell.type("diff")
    assert shell.type("xp/1gx 0x81000").split()[-1] == "0x1122334455667788"

    def step() -> None:
        tables.map(0x401000, 0x82000, P | W | U)
        tables.map(0x7000000, 0x90000, P)
        tables.put(tables.entry(0x402000, 3), 0)
        tables.put(0x81000, 5)
        computer.registers["rip"] = 0x401010

    computer.steps = [step]
    computer.stops = True
    assert "The guest stopped (STOP)." in shell.type("continue")
    assert shell.type("xp/1gx 0x81000").split()[-1] == "0x0000000000000005"
    rows = [(row["what"], row["before"], row["after"]) for row in shell.json("diff/j")]
    assert rows == [
        ("0: rip", "0x401000", "0x401010"),
        ("0x401000..0x402000 (4 KiB)", "0x81000, 4 KiB, rwxk", "0x82000, 4 KiB, rwxu"),
        ("0x402000..0x403000 (4 KiB)", "0x82000, 4 KiB, rwxu", None),
        ("0x7000000..0x7001000 (4 KiB)", None, "0x90000, 4 KiB, r-xk"),
    ]
    assert "only looked at" in shell.type("write 0x401000 1")
    assert '"continue" lets it run' in shell.type("stepi")
    assert {name.split()[0] for name in computer.asked} <= {
        "qmp_capabilities", "query-target", "query-status", "stop", "cont", "info", "pmemsave",
    }  # fmt: skip


def test_a_number_of_seconds_and_ctrl_c(
    shell: Any, computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.type("target qemu qmp")
    assert shell.type("continue 0").startswith("QEMU guest")
    assert not computer.running

    def interrupted(self: Qmp, names: Any, seconds: Any) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Qmp, "wait", interrupted)
    assert "The guest stopped (Ctrl-C)." in shell.type("continue")
    assert not computer.running
    assert shell.type("diff") == "No difference.\n"


def test_a_session_at_a_guest_is_saved_and_comes_back(shell: Any, computer: Computer) -> None:
    shell.type("target qemu qmp -format x86_64 -root 0x1000 -timeout 3")
    before = shell.type("map")
    shell.type(f"save session {shell.folder / 'again'}")
    assert f'"{shell.folder / "qmp"}" -format x86_64 -root 0x1000' in (shell.folder / "again").read_text()
    shell.type("machine tutorial16")
    shell.type(f"source {shell.folder / 'again'}")
    assert shell.type("map") == before


def test_two_dumps_are_compared(shell: Any) -> None:
    memory = memory_of()
    shell.file("a.core", core([(0, bytes(memory.bytes))], [REGISTERS]))
    memory.map(0x401000, 0x99000, P | W)
    shell.type(f"target dump {shell.file('b.core', core([(0, bytes(memory.bytes))], [REGISTERS]))}")
    (row,) = shell.json(f"diff/j {shell.folder / 'a.core'}")
    assert (row["before"], row["after"]) == ("0x81000, 4 KiB, rwxk", "0x99000, 4 KiB, rwxk")
    assert "another dump" in shell.type("diff")


@pytest.mark.parametrize(
    ("name", "others", "same"),
    [("rax", {"eax"}, "eax"), ("eip", {"rip"}, "rip"), ("rax", {"rax"}, "rax"), ("cr3", {"eax"}, "cr3")],
)
def test_registers_of_another_mode_are_compared(name: str, others: set[str], same: str) -> None:
    assert same_register(name, dict.fromkeys(others, 0)) == same


def test_memory_that_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_memory, "MOST_KEPT", 1 << 14)
    content = bytes(range(256)) * 256
    banks = [live_memory.Bank(0x3000, 0x5000, 0), live_memory.Bank(0x10000, 0x7000, 0)]
    memory = live_memory.LiveMemory(lambda pa, size: content[pa % 256 : pa % 256 + size], banks, 1 << 12)
    for pa in (0x3000, 0x7FF8, 0x10008, 0x16FFF, 0x4010, 0x3000):
        assert memory.load(pa, 1) == pa % 256
        assert memory.bytes_kept <= 1 << 14
    assert [memory.load(pa, 8) for pa in (0x7FFC, 0x2FFF, 0x17000, 0)] == [-1] * 4
    memory.frozen = True
    memory.forget()
    assert memory.load(0x3000, 1) == -1


@pytest.mark.parametrize("serve", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_peer_is_refused(
    shell: Any, folder: Path, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "SECONDS", 0.25)
    shell.type("machine tutorial16")
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Peer(folder / "qmp", serve):
        began = time.monotonic()
        text = shell.type("target qemu qmp")
        assert time.monotonic() - began < 1.5
    assert text.startswith("qmp: ")
    assert len(text.splitlines()) <= 3
    assert text.replace("\n", "").isprintable()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 64 << 10
    assert "tutorial16" in shell.type("machine").split("*")[1]


RANGES = "".join(f"  {n << 14:016x}-{(n << 14) + 4095:016x} (prio 0, ram): r\n" for n in range(5000))
HEAD = 'FlatView #0\n AS "memory", root: system\n'


@pytest.mark.parametrize(
    ("command", "answer", "error"),
    [
        ("query-target", {"a": 1}, 'expected "arch"'),
        ("query-status", {"error": {"desc": "no \x1b[0m"}}, 'refuses "query-status": no ?[0m'),
        ("query-status", {"error": 5}, 'refuses "query-status"'),
        ("info", "nothing", 'no memory in the answer to "info mtree -f"'),
        ("info", 5, 'expected the text of "info mtree -f", not "5"'),
        ("info", HEAD + RANGES, "more than 4096 pieces"),
        ("info", HEAD + "  0000000000000000-3fffffffffffffff (prio 0, ram): r\n", "at most 0x40000000000"),
        ("info", HEAD + "  0000000000000000-0000000000ffffff (prio 0, ram): r\n", 'to "info registers -a"'),
    ],
)
def test_answers_that_make_no_sense(
    shell: Any, computer: Computer, command: str, answer: Any, error: str
) -> None:
    computer.answers[command] = answer
    text = shell.type("target qemu qmp")
    assert error in text
    assert len(text.splitlines()) <= 3


def test_memory_that_ends_or_is_no_memory(shell: Any, computer: Computer) -> None:
    shell.type("target qemu qmp")
    del computer.memory[0x8000:]
    assert "QEMU gives 32768 bytes at 0x0, where 65536 were asked for." in shell.type("map")
    computer.files = False
    assert "refuses" in shell.type("map")
    shell.type("target qemu qmp")
    computer.answers["xp"] = "Cannot access memory\r\n"
    assert "Cannot access memory at 0x1000." in shell.type("map")
    computer.answers["xp"] = {"error": {"desc": "no"}}
    assert "refuses" in shell.type("map")


def test_names_that_are_no_peer(shell: Any, folder: Path) -> None:
    assert "No such file" in shell.type("target qemu nothing")
    shell.file("file", "")
    assert "Connection refused" in shell.type("target qemu file")
    assert "localhost:1: Connection refused." in shell.type("target qemu localhost:1")
    assert shell.type(f"target qemu {'x/' * 4000}y").count("\n") <= 2
    assert "expected 1 to" in shell.type("target qemu nothing -timeout 0")
    with Peer(Path("n" * 90), qmp_peer.silent):
        text = shell.type(f"target qemu {folder / ('n' * 90)} -timeout 1")
    assert "QMP serves one client at a time" in " ".join(text.split())
