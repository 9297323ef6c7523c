"""A guest under QEMU that turns paging on with tables of ours and halts; QEMU's monitor over QMP."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

PROGRAM = "qemu-system-x86_64"
TABLES = 1 << 20  # where the tables are put
LONG_CODE, FLAT_CODE = 0x00209A0000000000, 0x00CF9A000000FFFF
HALT = b"\xf4\xeb\xfd"  # hlt; jmp to it


def there() -> bool:
    return shutil.which(PROGRAM) is not None


def boot_sector(cr0: int, cr3: int, cr4: int, efer: int, *, long: bool) -> bytes:
    """Real mode at 0x7c00: load the registers, jump into code of 64 or 32 bits, halt."""

    def immediate(register: bytes, value: int) -> bytes:
        return b"\x66" + register + struct.pack("<I", value)

    code = b"\xfa\x31\xc0\x8e\xd8\x0f\x01\x16\xf0\x7d"  # cli; ds = 0; lgdt [0x7df0]
    code += immediate(b"\xb8", cr4) + b"\x0f\x22\xe0"
    code += immediate(b"\xb8", cr3) + b"\x0f\x22\xd8"
    code += immediate(b"\xb9", 0xC0000080) + immediate(b"\xb8", efer) + b"\x66\x31\xd2\x0f\x30"  # wrmsr
    code += immediate(b"\xb8", cr0) + b"\x0f\x22\xc0"
    target = 0x7C00 + len(code) + 8
    code += b"\x66\xea" + struct.pack("<IH", target, 8) + HALT
    sector = bytearray(code.ljust(512, b"\0"))
    sector[0x1E0:0x1F0] = struct.pack("<QQ", 0, LONG_CODE if long else FLAT_CODE)
    sector[0x1F0:0x1F6] = struct.pack("<HI", 15, 0x7C00 + 0x1E0)
    sector[510:] = b"\x55\xaa"
    return bytes(sector)


class Guest:
    """A guest with 64 MiB; `tables` lie at TABLES; or that of another `command`.  A context: it ends with the
    block.

    A second socket of QMP, `qmp2` in the folder, is for who is tested.
    """

    def __init__(
        self,
        folder: Path,
        sector: bytes = b"",
        tables: bytes = b"",
        cpu: str = "max",
        command: Sequence[str] = (),
    ) -> None:
        if not command:
            (folder / "boot.img").write_bytes(sector.ljust(1440 << 10, b"\0"))
            (folder / "tables.bin").write_bytes(tables)
            command = [
                PROGRAM, "-m", "64M", "-accel", "tcg", "-cpu", cpu,
                "-drive", f"file={folder / 'boot.img'},format=raw,if=floppy", "-boot", "a",
                "-device", f"loader,file={folder / 'tables.bin'},addr={TABLES:#x},force-raw=on",
            ]  # fmt: skip
        self.folder, self.path = folder, os.path.relpath(folder / "qmp")
        self.process = subprocess.Popen(
            [
                *command, "-nodefaults", "-display", "none", "-no-reboot", "-no-shutdown",
                "-qmp", f"unix:{self.path},server=on,wait=off",
                "-qmp", f"unix:{self.path}2,server=on,wait=off",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.socket = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        end = time.monotonic() + 60
        while True:
            try:
                self.socket.connect(self.path)
                break
            except OSError:
                assert self.process.poll() is None, self.process.communicate()[1].decode()
                assert time.monotonic() < end, "QEMU opens no socket"
                time.sleep(0.05)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.ask("qmp_capabilities")
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()
        self.process.kill()
        self.process.communicate()

    def ask(self, command: str, **arguments: Any) -> Any:
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "event" not in answer:
                assert "return" in answer, answer
                return answer["return"]

    def monitor(self, line: str) -> str:
        return str(self.ask("human-monitor-command", **{"command-line": line})).replace("\r", "")

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Until something holds: then the guest is stopped."""
        end = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < end, self.monitor("info registers")
            time.sleep(0.1)
        self.ask("stop")

    def wait_for(self, text: str) -> str:
        """Until `info registers` has this text: then the guest is stopped."""
        end = time.monotonic() + 60
        while True:
            registers = self.monitor("info registers")
            if text in registers and "HLT=1" in registers or "shutdown" in self.monitor("info status"):
                self.ask("stop")
                return registers
            assert time.monotonic() < end, registers
            time.sleep(0.1)
