"""A processor of QEMU, stopped, single-stepped through QEMU's GDB server."""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

PIECE = 1024  # bytes of memory in a packet


class Processor:
    """QEMU with these options, before its first instruction, and the connection to its GDB server.

    `numbers` and `bytes` are those of the registers by name.
    """

    def __init__(self, program: str, *options: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = str(Path(self.folder.name) / "gdb")
        server = f"socket,path={path},server=on,wait=off,id=gdb"
        quiet = ("-nographic", "-S", "-serial", "none", "-monitor", "none")
        self.process = subprocess.Popen(
            [program, *options, *quiet, "-chardev", server, "-gdb", "chardev:gdb"], stdin=subprocess.DEVNULL
        )
        self.socket = socket.socket(socket.AF_UNIX)
        for _ in range(200):
            try:
                self.socket.connect(path)
                break
            except OSError:
                time.sleep(0.05)
        self.socket.settimeout(20)
        self.data = b""
        self.ask("qSupported:xmlRegisters=all")
        text = self.document("target.xml")
        parts = [self.document(name) for name in re.findall(r'href="([^"]+)"', text)]
        self.numbers, self.bytes, number = dict[str, int](), dict[str, int](), -1
        without_comments = re.sub(r"<!--.*?-->", "", "".join(parts), flags=re.DOTALL)
        for facts in re.findall(r"<reg ([^>]*)>", without_comments):
            fact = dict(re.findall(r'(\w+)="([^"]*)"', facts))
            number = int(fact.get("regnum", number + 1))
            self.numbers[fact["name"]], self.bytes[fact["name"]] = number, int(fact["bitsize"]) // 8
        self.ask("Qqemu.PhyMemMode:1")

    def close(self) -> None:
        """End QEMU."""
        self.socket.close()
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def ask(self, text: str) -> str:
        """The answer to a packet."""
        data = text.encode("latin-1")
        self.socket.sendall(b"$" + data + b"#%02x" % (sum(data) & 255))
        while True:
            start = self.data.find(b"$")
            end = self.data.find(b"#", start)
            if start >= 0 and 0 <= end <= len(self.data) - 3:
                answer = self.data[start + 1 : end]
                self.data = self.data[end + 3 :]
                self.socket.sendall(b"+")
                return answer.decode("latin-1")
            self.data += self.socket.recv(1 << 16)

    def document(self, name: str) -> str:
        """A document about registers."""
        text = ""
        while True:
            answer = self.ask(f"qXfer:features:read:{name}:{len(text):x},7f0")
            text += answer[1:]
            if answer[:1] != "m":
                return text

    def write(self, address: int, data: bytes) -> None:
        """Write physical memory."""
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            assert self.ask(f"M{address + at:x},{len(piece):x}:{piece.hex()}") == "OK"

    def read(self, address: int, size: int) -> bytes:
        """Read physical memory."""
        return bytes.fromhex(self.ask(f"m{address:x},{size:x}"))

    def set(self, **values: int) -> None:
        """Set registers by name."""
        for name, value in values.items():
            size = self.bytes[name]
            data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
            assert self.ask(f"P{self.numbers[name]:x}={data.hex()}") == "OK", name

    def get(self, name: str) -> int:
        """Read a register."""
        return int.from_bytes(bytes.fromhex(self.ask(f"p{self.numbers[name]:x}")), "little")

    def step(self) -> None:
        """Execute an instruction."""
        answer = self.ask("s")
        assert answer[:1] == "T", answer

    def reset(self) -> None:
        """As after switching on; memory stays."""
        assert self.ask("qRcmd," + b"system_reset".hex()) == "OK"


class Tables:
    """What a processor's memory from `base` on holds: `size` bytes of tables, then `code` that stays.

    Only what changes is written.
    """

    def __init__(self, cpu: Processor, base: int, size: int, code: bytes) -> None:
        self.cpu, self.base, self.size, self.code, self.held = cpu, base, size, code, dict[int, int]()
        cpu.write(base, bytes(size) + code)

    def fill(self, m: Any) -> None:
        """Write the tables of a machine, and the rest into it."""
        m.ram1[self.size :] = self.code
        words = m.ram8[: self.size >> 3].tolist()
        wanted = {at: word for at, word in enumerate(words) if word}
        for at in self.held.keys() | wanted.keys():
            word = wanted.get(at, 0)
            if self.held.get(at, 0) != word:
                self.cpu.write(self.base + 8 * at, word.to_bytes(8, "little", signed=True))
        self.held = wanted

    def differs(self, m: Any) -> dict[int, tuple[int, int]]:
        """The words that the processor has otherwise than a machine, by their number."""
        found = {}
        for at in self.held:
            there = int.from_bytes(self.cpu.read(self.base + 8 * at, 8), "little", signed=True)
            self.held[at] = there
            if there != m.ram8[at]:
                found[at] = there & (1 << 64) - 1, m.ram8[at] & (1 << 64) - 1
        return found

    def take_back(self, pa: int) -> None:
        """Undo a write of up to 8 bytes at an address."""
        place = pa - self.base
        self.cpu.write(pa, self.code[place - self.size :][:8] if place >= self.size else bytes(8))
        if place < self.size:
            self.held[place >> 3] = 0
