"""RISC-V and AArch64 guests of QEMU: what QEMU translates is what vmdbg says, live and of the dump."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.models import qemu
from tests.models.qemu_processors import KINDS, Kind, code_of, some_addresses, tables_of
from vmdbg.library.gdb_file import write_plugin

pytestmark = pytest.mark.slow
LOOKING = (
    "map",
    "map/j -merge",
    "map -fold",
    "tables",
    "overhead",
    "check rights",
    "check cpu",
    "info registers",
)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.format)
def kind(request: pytest.FixtureRequest) -> Kind:
    if not shutil.which(request.param.program):
        pytest.skip(f"{request.param.program} is not installed")
    found: Kind = request.param
    return found


def start(kind: Kind, folder: Path, tables: bytes) -> qemu.Guest:
    (folder / "code.bin").write_bytes(code_of(kind))
    (folder / "tables.bin").write_bytes(tables)
    loaders = [
        f"loader,file=code.bin,addr={kind.ram:#x},force-raw=on",
        f"loader,file=tables.bin,addr={kind.root:#x},force-raw=on",
    ]
    if kind.format == "arm64":
        loaders.append(f"loader,addr={kind.ram:#x},cpu-num=0")
    devices = [word for loader in loaders for word in ("-device", loader)]
    return qemu.Guest(folder, command=[kind.program, *kind.options, "-m", "64M", "-accel", "tcg", *devices])


def test_translations(shell: Any, kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VMDBG_CACHE", str(tmp_path / "cache"))
    tables = tables_of(kind, 5)
    with start(kind, tmp_path, tables) as guest:
        guest.wait_until(lambda: waiting(guest, kind))
        asked = some_addresses(kind, tables, 1000, 3)
        guest.ask("dump-guest-memory", paging=False, protocol="file:guest.core")
        mem = guest.monitor("info mem") if kind.format != "arm64" else ""
        shell.type("target qemu qmp2")
        text = shell.type("info target")
        assert f", {kind.format}, 1 CPU" in text
        assert "kernel, at " in text
        live = {line: shell.type(line) for line in (*LOOKING, *(f"translate/j {va:#x}" for va in asked))}
        (tmp_path / "regs.txt").write_text(registers_text(shell))
        shell.type("machine tutorial16")
        by_stub = looks_by_stub(shell, guest, tmp_path, live)
        by_gdb = looks_by_gdb(guest, ("map", "tables", "check cpu"))
        answers = {va: guest.monitor(f"gva2gpa {va:#x}").strip() for va in asked}  # RISC-V's sets A
    assert {line: text for line, text in by_stub.items() if text != live[line]} == {}
    assert {line: text for line, text in by_gdb.items() if text != live[line]} == {}
    shell.type("target dump guest.core -regs regs.txt")
    for line, text in live.items():
        if line != "info registers":
            assert shell.type(line) == text, line
    found = {va: shell.json(f"translate/j {va:#x}") for va in asked}
    wrong = {}
    for va, answer in answers.items():
        ours = f"gpa: {found[va]['pa']:#x}" if found[va]["fault"] is None else "Unmapped"
        if not answer.startswith(ours):
            wrong[hex(va)] = (ours, answer)
    assert wrong == {}
    assert sum(answer.startswith("gpa") for answer in answers.values()) > 200
    if mem:
        assert mapped_by_qemu(mem, kind) == mapped_by_us(shell.json("map/j"))


def waiting(guest: qemu.Guest, kind: Kind) -> bool:
    """Has the guest's code come to its end?"""
    if kind.format == "arm64":
        counter = re.search(r"PC=([0-9a-f]+)", guest.monitor("info registers"))
        return counter is not None and int(counter[1], 16) >= kind.ram + 4 * 11
    counter = re.search(r"pc +([0-9a-f]+)", guest.monitor("info registers"))
    return counter is not None and int(counter[1], 16) in (kind.ram + 0x40, kind.ram + 0x44)


def registers_text(shell: Any) -> str:
    """As a monitor prints them."""
    return "".join(f"{name} {value:x}\n" for name, value in shell.session.machine.saved_registers[0].items())


def looks_by_stub(shell: Any, guest: qemu.Guest, folder: Path, lines: Any) -> dict[str, str]:
    """The same lines by the guest's stub."""
    guest.monitor("gdbserver unix:stub,server=on,wait=off")
    shell.type("target remote stub")
    found = {line: shell.type(line) for line in lines}
    shell.type("machine tutorial16")
    guest.monitor("gdbserver none")
    return found


def looks_by_gdb(guest: qemu.Guest, lines: Any) -> dict[str, str]:
    """The same lines by a gdb of all architectures, if there is one."""
    if not shutil.which("gdb-multiarch"):
        return {}
    guest.monitor("gdbserver unix:stub2,server=on,wait=off")
    script = ["set pagination off", f"source {write_plugin()}", "target remote stub2"]
    script += [part for line in lines for part in ("echo ==\\n\n", f"vm {line}")]
    Path("script.gdb").write_text("\n".join(script))
    command = ["gdb-multiarch", "-nx", "-batch", "-x", "script.gdb"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    guest.ask("stop")  # gdb's end lets it go on
    guest.monitor("gdbserver none")
    found = dict(zip(lines, done.stdout.split("==\n")[1:], strict=True))
    last = lines[-1]
    return {**found, last: found[last].partition("[Inferior")[0]}


def mapped_by_qemu(mem: str, kind: Kind) -> list[tuple[int, int, int, str]]:
    """Runs of `info mem` (RISC-V), cut at nothing: start, end, physical, rights."""
    found = []
    for line in mem.splitlines():
        row = re.match(r"^([0-9a-f]+) +([0-9a-f]+) +([0-9a-f]+) +(\S+)", line)
        if row:
            start, pa, size = (int(row[place], 16) for place in (1, 2, 3))
            found.append((start, start + size, pa, "".join(x for x in row[4][:4] if x != "-")))
    return found


def mapped_by_us(rows: Any) -> list[tuple[int, int, int, str]]:
    return [
        (row["start"], row["end"], row["pa"], row["rights"].replace("-", "").replace("k", "")) for row in rows
    ]
