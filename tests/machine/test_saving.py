"""Machines in files: what is saved comes back equal, what is damaged is refused."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmdbg.errors import UserError
from vmdbg.machine.check import check
from vmdbg.machine.saving import load_machine, save_machine
from vmdbg.targets.simulated import open_machine


@pytest.mark.parametrize("name", ["default", "tutorial16", "x86_32", "sv39", "pressure"])
def test_a_saved_machine_goes_on_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    machine = open_machine(name).machine
    machine.run(machine.operations + 1500)
    save_machine(machine, str(tmp_path / "m"))
    again = load_machine(str(tmp_path / "m"))
    assert again.digest() == machine.digest()
    assert check(again) == check(machine)
    for side in (machine, again):
        side.run(side.operations + 700)
    assert again.digest() == machine.digest()


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    machine = open_machine("tutorial16").machine
    save_machine(machine, str(tmp_path / "m"))
    whole = (tmp_path / "m").read_bytes()
    chance = random.Random(1)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        if bytes(data) == whole:
            continue
        (tmp_path / "d").write_bytes(data)
        with pytest.raises(UserError) as error:
            load_machine(str(tmp_path / "d"))
        assert "\n" not in str(error.value)
        refused += 1
    assert refused > 250


def test_a_full_folder_or_none_is_one_line(tmp_path: Path) -> None:
    machine = open_machine("tutorial16").machine
    with pytest.raises(UserError, match="No such file"):
        save_machine(machine, str(tmp_path / "none" / "m"))
    with pytest.raises(UserError, match="No such file"):
        load_machine(str(tmp_path / "m"))


@pytest.mark.slow
def test_a_kill_while_saving_leaves_a_whole_file(tmp_path: Path) -> None:
    program = (
        "import sys; from vmdbg.machine.saving import save_machine;"
        "from vmdbg.targets.simulated import open_machine;"
        "m = open_machine('default').machine; save_machine(m, sys.argv[1]); print(flush=True)\n"
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
