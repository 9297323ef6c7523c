"""A booted Linux under QEMU: Debian's kernel, and a first process of ours that maps memory and waits."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.models import qemu

BASE = 0x400000
#: mmap SIZE bytes, touch each page, take all rights of the second MiB away, say READY, pause for ever.
CODE = (
    "b809000000 31ff be SIZE ba03000000 41ba22000000 49c7c0ffffffff 4531c9 0f05 4889c3 4889d9"
    "488d93 SIZE c60101 4881c100100000 4839d1 72f1"
    "b80a000000 488dbb00001000 be00001000 31d2 0f05"
    "b801000000 bf01000000 488d3510000000 ba06000000 0f05 b822000000 0f05 ebf7"
)


def first_process(megabytes: int) -> bytes:
    """An ELF file with one segment."""
    code = bytes.fromhex(CODE.replace("SIZE", struct.pack("<I", megabytes << 20).hex())) + b"READY\n"
    size = 64 + 56 + len(code)
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, BASE + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 0x1000) + code


def archive(megabytes: int) -> bytes:
    """The initial file system: /init and /dev/console, as cpio's format newc."""
    found = b""
    files = (("init", 0o100755, first_process(megabytes), (0, 0)), ("dev", 0o40755, b"", (0, 0)),
             ("dev/console", 0o20600, b"", (5, 1)), ("TRAILER!!!", 0, b"", (0, 0)))  # fmt: skip
    for number, (name, mode, data, device) in enumerate(files, 1):
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
        entry = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        found += entry.ljust(-(-len(entry) // 4) * 4, b"\0") + data.ljust(-(-len(data) // 4) * 4, b"\0")
    return found


def kernel(folder: Path) -> Path | None:
    """Debian's kernel, fetched into a folder that keeps it; None if it cannot be."""
    found = sorted(folder.glob("boot/vmlinuz-*"))
    if found:
        return found[-1]
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return None
    done = subprocess.run(
        ["apt-cache", "depends", "linux-image-amd64"], check=False, capture_output=True, text=True
    )
    names = [line.split()[-1] for line in done.stdout.splitlines() if "Depends: linux-image" in line]
    if not names or subprocess.call(
        ["apt-get", "-qq", "download", names[0]], cwd=folder, stderr=subprocess.DEVNULL
    ):
        return None
    for package in folder.glob("linux-image*.deb"):
        files = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True
        ).stdout
        subprocess.run(["tar", "x", "-C", folder, "--wildcards", "./boot/vmlinuz*"], input=files, check=True)
        package.unlink()
    return next(iter(sorted(folder.glob("boot/vmlinuz-*"))), None)


def boot(
    folder: Path, image: Path, cpu: str, options: str, megabytes: int = 8, more: Sequence[str] = ()
) -> qemu.Guest:
    """The guest, which is booting; `log` in the folder is its console, which is the current one.  Its process
    maps so many `megabytes`; `more` goes to QEMU."""
    (folder / "initrd").write_bytes(archive(megabytes))
    return qemu.Guest(
        folder,
        command=[
            qemu.PROGRAM, "-machine", "q35", "-accel", "tcg", "-cpu", cpu, "-m", "512M",
            "-kernel", str(image),
            "-initrd", "initrd", "-append", f"console=ttyS0 panic=-1 quiet {options}",
            "-serial", "file:log", *more,
        ],
    )  # fmt: skip


def wait(folder: Path) -> None:
    """Until the first process waits."""
    end = time.monotonic() + 240
    while "READY" not in (folder / "log").read_text(errors="replace"):
        assert time.monotonic() < end, (folder / "log").read_text(errors="replace")
        time.sleep(0.2)
    time.sleep(1)
