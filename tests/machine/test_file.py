"""Machines in files: what is saved comes back equal, what is damaged is refused."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from vmdbg.errors import InputError, UserError
from vmdbg.hardware.tlb import WORD_PFN
from vmdbg.inspect.target import boot_named
from vmdbg.machine.check.invariants import check
from vmdbg.machine.file import HASH_BYTES, MAGIC, checksum, load_machine, save_machine
from vmdbg.machine.registers import read
from vmdbg.state.tables import TLB, TLB_KEY, TLB_WORD


@pytest.mark.parametrize("name", ["default", "tutorial16", "x86_32", "sv39", "pressure"])
def test_a_saved_machine_goes_on_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    machine = boot_named(name).machine
    machine.run(machine.operations + 1500)
    save_machine(machine, str(tmp_path / "m"))
    again = load_machine(str(tmp_path / "m"))
    assert again.digest() == machine.digest()
    assert check(again) == check(machine)
    for side in (machine, again):
        side.run(side.operations + 700)
    assert again.digest() == machine.digest()


def damaged(chance: random.Random, whole: bytes) -> bytes:
    """Some bits turned over, or the end cut off."""
    data = bytearray(whole)
    if chance.random() < 0.3:
        del data[chance.randrange(len(data)) :]
    else:
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def mistaken(chance: random.Random, whole: bytes) -> bytes:
    """A header that says something else, or is no JSON, in a file whose checksum is right."""
    end = whole.index(b"\n", len(MAGIC))
    header = json.loads(whole[len(MAGIC) : end])
    if chance.random() < 0.2:
        line = bytearray(whole[len(MAGIC) : end])
        place = chance.randrange(len(line))
        line[place : place + chance.randrange(3)] = bytes(
            chance.choices(b'{}[]",:0aZ\xff', k=chance.randrange(4))
        )
        text = bytes(line).replace(b"\n", b"")
    else:
        table: Any = header
        while True:
            keys = list(table) if isinstance(table, dict) else range(len(table))
            key = chance.choice(keys)
            if not isinstance(table[key], (dict, list)) or not table[key] or chance.random() < 0.2:
                break
            table = table[key]
        how = chance.randrange(4)
        if how == 0:
            del table[key]
        elif how == 1 and isinstance(table, dict):
            table["other"] = table.pop(key)
        else:
            table[key] = chance.choice(
                (
                    None,
                    True,
                    -1,
                    0,
                    1,
                    7,
                    1 << 40,
                    1 << 70,
                    1.5,
                    "",
                    "x",
                    "fifo",
                    "4x4",
                    [],
                    [[0, 1]],
                    {},
                    {"a": 1},
                )
            )
        text = json.dumps(header).encode()
    data = MAGIC + text + whole[end:-HASH_BYTES]
    return data + checksum(data)


def refused_files(folder: Path, name: str, seed: int, count: int) -> int:
    """Loads files that are wrong; how many were refused, each in one line that names the file."""
    machine = boot_named(name).machine
    machine.run(machine.operations + 100)
    save_machine(machine, str(folder / "m"))
    whole, digest = (folder / "m").read_bytes(), machine.digest()
    chance, refused = random.Random(seed), 0
    for _ in range(count):
        data = chance.choice((damaged, mistaken))(chance, whole)
        (folder / "d").write_bytes(data)
        said = ""
        try:
            again = load_machine(str(folder / "d"))
        except UserError as error:
            said = str(error)
        if said:
            assert str(folder / "d") in said
            assert "\n" not in said
            refused += 1
        else:
            assert again.digest() == digest  # a name, a cost: nothing of the state
    return refused


@pytest.mark.long
@pytest.mark.parametrize("name", ["tutorial16", "x86_32"])
def test_a_file_that_is_wrong_is_one_line(name: str, tmp_path: Path) -> None:
    assert refused_files(tmp_path, name, 1, 150) > 120


@pytest.mark.slow
@pytest.mark.parametrize("name", ["default", "tutorial16", "sv39", "pressure"])
def test_many_files_that_are_wrong(name: str, tmp_path: Path) -> None:
    assert refused_files(tmp_path, name, 2, 500) > 400


def test_what_was_expected_is_said(tmp_path: Path) -> None:
    save_machine(boot_named("tutorial16").machine, str(tmp_path / "m"))
    whole = (tmp_path / "m").read_bytes()
    for old, new, said in (
        (b'"tutorial16"', b'"tutorial17"', 'machine.format: "tutorial17" is no format'),
        (b'"kernel.over_limit": "', b'"kernel.over_limit": "z', "config.kernel.over_limit: expected one of"),
        (
            b'"machine.cpus": 1',
            b'"machine.cpus": 0',
            "config.machine.cpus: expected an integer, 1 to 64, not 0",
        ),
        (b'"frames": 256', b'"frames": 255', "shape.frames: expected 256 rows"),
        (b'"digest": "', b'"digest": "0', "digest: expected "),
        (b'{"config"', b'{config"', "byte 17: expected a line of JSON"),
    ):
        assert old in whole
        data = whole.replace(old, new, 1)[:-HASH_BYTES]
        (tmp_path / "d").write_bytes(data + checksum(data))
        with pytest.raises(InputError, match=re.escape(said)):
            load_machine(str(tmp_path / "d"))


@pytest.mark.long
def test_few_bytes_do_not_become_many(tmp_path: Path) -> None:
    """What the chunks unpack to is bounded by what the header says."""
    save_machine(boot_named("tutorial16").machine, str(tmp_path / "m"))
    whole = (tmp_path / "m").read_bytes()
    end = whole.index(b"\n", len(MAGIC)) + 1
    data = whole[:end] + zlib.compress(bytes(1 << 28), 9)
    (tmp_path / "d").write_bytes(data + checksum(data))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="the chunks: expected"):
        load_machine(str(tmp_path / "d"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_a_large_file_of_something_else_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "core"
    path.write_bytes(b"\x7fELF")
    os.truncate(path, 1 << 40)
    with pytest.raises(InputError, match="byte 0: expected"):
        load_machine(str(path))


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    machine = boot_named("tutorial16").machine
    with pytest.raises(UserError, match="No such file"):
        save_machine(machine, str(tmp_path / "none" / "m"))
    with pytest.raises(UserError, match="No such file"):
        load_machine(str(tmp_path / "m"))
    with pytest.raises(UserError, match="Is a directory"):
        load_machine(str(tmp_path))
    with pytest.raises(UserError, match="Is a directory"):
        save_machine(machine, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_not_replaced_and_a_link_stays(tmp_path: Path) -> None:
    machine = boot_named("tutorial16").machine
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="Not a regular file"):
        save_machine(machine, str(tmp_path / "pipe"))
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "link").symlink_to(tmp_path / "m")
    save_machine(machine, str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert load_machine(str(tmp_path / "m")).digest() == machine.digest()


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """As the limit of a file's size and as a device that is full."""
    machine = boot_named("tutorial16").machine
    path = tmp_path / "m"
    save_machine(machine, str(path))
    old = path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(UserError, match="File too large") as error:
            save_machine(machine, str(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_kill_while_saving_leaves_a_whole_file(tmp_path: Path) -> None:
    program = (
        "import sys; from vmdbg.machine.file import save_machine;"
        "from vmdbg.inspect.target import boot_named;"
        "m = boot_named('default').machine; save_machine(m, sys.argv[1]); print(flush=True)\n"
        "while True: m.run(m.operations + 5); save_machine(m, sys.argv[1])"
    )
    chance = random.Random(2)
    for _ in range(100):
        path = tmp_path / "m"
        child = subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.random() * 0.05)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert check(load_machine(str(path))) == []
        for left in tmp_path.glob("m.*.new"):
            os.unlink(left)


def test_what_watched_the_machine_is_not_in_the_file(tmp_path: Path) -> None:
    machine = boot_named("tutorial16").machine
    machine.grow("log", 1 << 16)
    machine.grow("stops", 5000)
    save_machine(machine, str(tmp_path / "m"))
    assert load_machine(str(tmp_path / "m")).digest() == machine.digest()


def test_a_file_of_version_1_is_made_one_of_today() -> None:
    """Words of its TLB are laid out anew, and control registers that it lacks are as at boot."""
    machine = load_machine(str(Path(__file__).resolve().parent.parent / "data" / "version-1.vmdbg"))
    assert check(machine) == []
    assert read(machine, 0, "cr4") == 1 << 4 | 1 << 7  # PSE, PGE
    (held,) = [row for row in range(0, len(machine.m.tlb), TLB) if machine.m.tlb[row + TLB_KEY] >= 0]
    assert machine.m.tlb[held + TLB_WORD] >> WORD_PFN == 0x103
    assert machine.k.translate(machine.m, 0, 0x8049678, 1) == 0x103678
