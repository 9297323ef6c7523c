"""target remote: an honest gdb stub under the looking commands, and hostile ones."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dumps.test_live import LOOKING, REGISTERS, memory_of
from tests.models import qmp_peer
from tests.models.dumps import P, U, W, core
from tests.models.qmp_peer import Peer
from tests.models.stub_peer import HOSTILE, StubComputer, packet
from vmdbg.shell.commands import guest


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubComputer]:
    monkeypatch.chdir(tmp_path)
    memory = memory_of()
    found = StubComputer(memory.bytes, dict(REGISTERS))
    found.tables = memory  # type: ignore[attr-defined]
    with Peer(tmp_path / "gdb", found.serve):
        yield found


@pytest.mark.long
@pytest.mark.parametrize("files", [True, False])
def test_looking_is_as_on_a_dump(shell: Any, computer: StubComputer, files: bool) -> None:
    computer.files = files
    text = shell.type("target remote gdb")
    assert text == "QEMU guest, x86_64, 1 CPU, 1 MiB; cr3 0x1000, kernel, at 0x401000.\n"
    live = {line: shell.type(line) for line in LOOKING}
    before = len(computer.asked)
    assert {line: shell.type(line) for line in LOOKING} == live
    assert len(computer.asked) == before, "what was read is kept"
    assert any(line.startswith("m") for line in computer.asked) != files
    regs = shell.file("regs", qmp_peer.monitor(REGISTERS))
    shell.type(f"target dump {shell.file('d.core', core([(0, bytes(computer.memory))]))} -regs {regs}")
    assert computer.left.wait(5)
    assert computer.detached, "it ran when it was found"
    for line, text in live.items():
        assert shell.type(line) == text, line


def test_continue_and_what_has_changed(shell: Any, computer: StubComputer) -> None:
    tables: Any = computer.tables  # type: ignore[attr-defined]

    def step() -> None:
        tables.map(0x401000, 0x82000, P | W | U)
        computer.registers["rip"] = 0x401010

    computer.steps = [step]
    computer.stops = True
    shell.type("target remote gdb")
    assert "The guest stopped (SIGTRAP)." in shell.type("continue")
    rows = [(row["what"], row["before"], row["after"]) for row in shell.json("diff/j")]
    assert rows == [
        ("0: rip", "0x401000", "0x401010"),
        ("0x401000..0x402000 (4 KiB)", "0x81000, 4 KiB, rwxk", "0x82000, 4 KiB, rwxu"),
    ]
    computer.stops = False
    assert shell.type("continue 0").startswith("QEMU guest")
    assert not computer.running
    computer.status = "paused (shutdown)"
    assert "The guest has ended" in shell.type("continue")
    assert "rwxu" in shell.type("map")


def test_a_guest_that_had_not_begun_does_not_run_afterwards(shell: Any, computer: StubComputer) -> None:
    computer.status = "paused (prelaunch)"
    shell.type("target remote gdb")
    shell.type("machine tutorial16")
    assert computer.left.wait(5)
    assert not computer.detached


def test_a_stub_without_a_monitor_has_no_map_of_memory(shell: Any, computer: StubComputer) -> None:
    computer.has_monitor = False
    assert 'refuses "monitor info status"' in shell.type("target remote gdb")


@pytest.mark.parametrize(
    ("question", "answer", "error"),
    [
        ("qRcmd," + b"info reg".hex(), packet(b"E01"), ""),  # the stub tells some
        ("Hg", packet(b""), ""),
        ("qfThread", packet(b"E01"), ""),
        ("m", packet(b"00"), "no 2032 bytes of memory at"),
        ("m", packet(b"E14"), "no 2032 bytes of memory at"),
        ("m", packet(b"nonsense"), "expected hexadecimal digits"),
        ("m", b"$00#ff", "with its checksum"),
        ("qXfer", packet(b"E00"), ""),
    ],
)
def test_answers_that_make_no_sense(
    shell: Any, computer: StubComputer, question: str, answer: bytes, error: str
) -> None:
    computer.files = False
    computer.replies[question] = answer
    text = shell.type("target remote gdb") + shell.type("map")
    assert (error in text) if error else ("rwxk" in text)
    assert "Traceback" not in text


@pytest.mark.parametrize("serve", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_peer_is_refused(
    shell: Any, tmp_path: Path, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "SECONDS", 0.25)
    monkeypatch.chdir(tmp_path)
    shell.type("machine tutorial16")
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Peer(tmp_path / "gdb", serve):
        began = time.monotonic()
        text = shell.type("target remote gdb")
        assert time.monotonic() - began < 1.5
    assert text.startswith("gdb: ")
    assert len(text.splitlines()) <= 4
    assert text.replace("\n", "").isprintable()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 64 << 10
    assert "tutorial16" in shell.type("machine").split("*")[1]


def test_a_second_client_is_told_so(shell: Any, computer: StubComputer) -> None:
    """The first one holds the stub: the second is not served."""
    shell.type("target remote gdb")
    assert shell.type("target remote gdb -timeout 3").startswith("QEMU guest"), "the same one looks again"
    other = type(shell)(shell.folder)
    text = " ".join(other.type("target remote gdb -timeout 1").split())
    assert text.startswith("gdb: no answer to")
    assert "within 1 s. A gdb stub serves one client at a time: is a gdb connected already?" in text
