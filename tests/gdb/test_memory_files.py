"""`dump` and `append` write the files that gdb writes, and say what gdb says of mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.gdb.conftest import ROOT, SIZE, executable, memory_image, program, usable_gdb

COMMANDS = [
    "dump",
    "dump memory",
    "dump memory a.bin",
    "dump memory a.bin 0x1010",
    "dump memory a.bin 0x1010 0x1010",
    "dump memory a.bin 0x1010 0x1000",
    "dump memory a.bin 0x1000 0x1010",
    "append memory a.bin 0x1800 0x180b",
    "append binary memory a.bin 0x1000 0x1001",
    "dump memory missing/x.bin 0x1000 0x1010",
    "dump binary memory n.bin 0x5000 0x5010",
    "dump value v.bin 5",
    "dump value v.bin",
    "append value v.bin (char)65",
    "append value v.bin {1, 2}",
    "dump binary value w.bin {char[5]}0x1000",
    "dump ihex memory m.hex 0x1000 0x1fff",
    "dump ihex value p.hex {int}0x1010",
    "dump srec memory m.srec 0x1003 0x1456",
    "dump srec value p.srec 7",
    "dump ihex memory",
    "append",
]
LISTS = ("dump", "append")  # gdb has more formats to list


def run(starter: list[str], folder: Path) -> tuple[list[str], dict[str, bytes]]:
    """What each command says, and the files that are there afterwards."""
    folder.mkdir()
    (folder / "image.elf").write_bytes(executable(memory_image()))
    (folder / "image.vmp").write_text(program(memory_image()))
    words = list(starter)
    for command in COMMANDS:
        words += ["-ex", "echo @@@\\n", "-ex", command]
    done = subprocess.run(
        words,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C", "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    said = done.stdout.decode().split("@@@\n")[1:]
    files = {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith("image.")}
    return said, files


def test_the_same_files_and_sentences(tmp_path: Path) -> None:
    theirs, wanted = run([usable_gdb(), "-nx", "-batch", "image.elf"], tmp_path / "gdb")
    start = [sys.executable, "-m", "vmdbg", "-nx", "-batch", "image.vmp", "-ex", f"step {SIZE // 8}"]
    ours, found = run(start, tmp_path / "vmdbg")
    wanted.pop("n.bin", None)  # gdb leaves an empty one
    assert found == wanted
    for command, old, new in zip(COMMANDS, theirs, ours, strict=True):
        if command in LISTS:
            listed = [line for line in new.splitlines() if line.startswith(command + " ")]
            assert listed
            assert set(listed) <= set(old.splitlines())
        else:
            assert new == old, command
