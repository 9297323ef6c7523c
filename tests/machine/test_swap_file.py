"""The swap area in a file: its slots are the file's pages, and nothing else is different."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmdbg.debugger import accesses
from vmdbg.errors import UserError
from vmdbg.kernel.scheduler import OP_EXIT, OP_RANGED
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.file import load_machine, save_machine
from vmdbg.machine.machine import Machine
from vmdbg.machine.swapfile import SIGNATURE, attach, make
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec

READ, WRITE = 0, 1
START, PAGE = 0x400000, 4096
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def machine_of(path: Path | str, **values: Any) -> Machine:
    settings = {
        "machine.ram": 1 << 20,
        "machine.swap.size": 40 * PAGE,
        "machine.swap.file": str(path),
        "kernel.first_frame": 3,
        "kernel.user_frames": 5,
    }
    machine = Machine(MachineConfig({**settings, **values}))
    rows = array("q")
    for page in range(24):
        rows.extend((WRITE | 1 << 8, START + page * PAGE, page + 1, 0))
    rows.extend((READ | OP_RANGED | 1 << 8, START, 0, 0, 24, PAGE, 0, 0, OP_EXIT, 0, 0, 0))
    spec = ProcessSpec("p", None, -1, [RegionSpec("heap", START, 24 * PAGE, 15)], rows)
    machine.load(Program("p", "", [], [spec]))
    attach(machine)
    return machine


def test_the_file_holds_what_was_swapped_out(tmp_path: Path) -> None:
    path = tmp_path / "area"
    machine = machine_of(path)
    machine.run(24)
    data = path.read_bytes()
    assert (len(data), data[:8], data[8:PAGE]) == (41 * PAGE, SIGNATURE, bytes(PAGE - 8))
    held = {slot: data[slot * PAGE] for slot in range(1, 41) if data[slot * PAGE]}
    assert sorted(held.values()) == list(range(1, 20))  # all but the five pages that are in memory
    assert check(machine) == []


def test_a_byte_that_somebody_changes_in_the_file_is_what_the_program_reads(tmp_path: Path) -> None:
    path = tmp_path / "area"
    machine = machine_of(path)
    machine.run(24)
    data = path.read_bytes()
    slot = next(slot for slot in range(1, 41) if data[slot * PAGE] == 1)
    with path.open("r+b") as file:
        file.seek(slot * PAGE)
        file.write(b"\x99")
    assert accesses.access(machine, START, READ).value == 0x99


def test_digests_are_those_without_a_file(
    tmp_path: Path, engine: str, ready: Callable[[Machine], Machine]
) -> None:
    """Whatever was in the file before, after any number of operations, and after going back."""
    (tmp_path / "b").write_bytes(SIGNATURE + bytes(range(256)) * 1000)
    machines = [machine_of(""), machine_of(tmp_path / "a"), machine_of(tmp_path / "b")]
    if engine == "compiled":
        machines = [ready(machine) for machine in machines]
    start = [machine.snapshot() for machine in machines]
    first = {machine.digest() for machine in machines}
    assert len(first) == 1
    for goal in (7, 24, 40, 48):
        for machine in machines:
            machine.run(goal, engine == "compiled")
        assert len({machine.digest() for machine in machines}) == 1
    for machine, snapshot in zip(machines, start, strict=True):
        machine.restore(snapshot)
    assert {machine.digest() for machine in machines} == first
    assert (tmp_path / "a").read_bytes() == SIGNATURE + bytes(41 * PAGE - 8)


def test_what_was_swapped_out_at_boot_is_in_it(tmp_path: Path) -> None:
    machine = machine_of("")
    machine.run(24)
    machine.config = machine.config.with_({"machine.swap.file": str(tmp_path / "area")})
    before = machine.digest()
    attach(machine)
    assert machine.digest() == before
    assert (tmp_path / "area").read_bytes().count(b"\x01") == 1
    machine.run(48)
    assert machine.counts()["read"] == 24


def test_a_machine_that_comes_after_does_not_disturb_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "area"
    old = machine_of(path)
    old.run(24)
    new = machine_of(path)
    old.run(48)
    new.run(48)
    assert old.digest() == new.digest()


@pytest.mark.parametrize("content", [b"notes", bytes(4096), b"VMDBGSW"])
def test_a_file_of_somebody_elses_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(UserError, match="left as it is"):
        machine_of(path)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["notes"]


@pytest.mark.long
def test_another_process_has_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "area"
    machine = machine_of(path)
    code = f"from vmdbg.machine.swapfile import make; make({str(path)!r}, 8192)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "in use by another vmdbg" in other.stderr
    del machine
    gc.collect()
    subprocess.run([sys.executable, "-c", code], check=True)
    assert path.stat().st_size == 8192


@pytest.mark.parametrize("failing", ["posix_fallocate", "pwrite", "replace"])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "area"
    make(str(path), 8192)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(UserError, match=r"machine\.swap\.file: .*area: No space left on device\."):
        machine_of(path)
    assert path.read_bytes() == SIGNATURE + bytes(8184)
    assert os.listdir(tmp_path) == ["area"]


@pytest.mark.parametrize("values", [{"machine.payload": False}, {"machine.swap.size": 0}])
def test_slots_without_bytes_need_no_file(tmp_path: Path, values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="carry no bytes"):
        machine_of(tmp_path / "area", **values)
    assert os.listdir(tmp_path) == []


def test_a_saved_machine_makes_no_file(tmp_path: Path) -> None:
    machine = machine_of(tmp_path / "area")
    machine.run(24)
    save_machine(machine, str(tmp_path / "saved"))
    (tmp_path / "area").unlink()
    again = load_machine(str(tmp_path / "saved"))
    attach(again)
    assert again.digest() == machine.digest()
    assert os.listdir(tmp_path) == ["saved"]


@pytest.mark.long
def test_the_prompt_makes_it_and_refuses_without_a_change(tmp_path: Path, run_vmdbg: Run) -> None:
    (tmp_path / "notes").write_text("hello\n")
    (tmp_path / "own.toml").write_text('[machine.swap]\nfile = "beside"\nsize = "64K"\n')
    assert load_config(str(tmp_path / "own.toml"))["machine.swap.file"] == str(tmp_path / "beside")
    done = run_vmdbg("-nx", "-batch", "-m", "own.toml", "-ex", "info machine", cwd=tmp_path)
    assert (done.returncode, (tmp_path / "beside").stat().st_size) == (0, 17 * PAGE)
    lines = ["set machine.swap.file area", "swapout 0x406000", "set machine.swap.file notes", "run",
             "show machine.swap.file"]  # fmt: skip
    done = run_vmdbg("-nx", "-batch", *[word for line in lines for word in ("-ex", line)], cwd=tmp_path)
    assert "notes is no swap file of vmdbg; it is left as it is." in done.stderr
    assert (tmp_path / "notes").read_text() == "hello\n"
    assert (tmp_path / "area").stat().st_size > 64 << 20


@pytest.mark.long
def test_restricted_it_stays_in_the_folder(tmp_path: Path, run_vmdbg: Run) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "own.toml").write_text('[machine.swap]\nfile = "../outside"\nsize = "64K"\n')
    (folder / "link").symlink_to(tmp_path / "outside")
    for line in ("set machine.swap.file ../outside", "set machine.swap.file link", "machine own.toml"):
        done = run_vmdbg("-nx", "-batch", "--strict", "--restricted", "-ex", line, cwd=folder)
        assert done.returncode == 1
        assert "not allowed in a restricted session" in done.stderr
    assert not (tmp_path / "outside").exists()
