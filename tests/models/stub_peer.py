"""A gdb stub as QEMU has one, honest, and hostile ones."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.models.qmp_peer import Computer, endless, silent

TARGET = (
    '<?xml version="1.0"?><target><architecture>i386:x86-64</architecture>'
    '<xi:include href="core.xml"/><xi:include href="more.xml"/></target>'
)
DOCUMENTS = {
    "target.xml": TARGET,
    "core.xml": '<feature><reg name="rax"/><!-- <reg name="none"/> --><reg name="rip"/></feature>',
    "more.xml": '<feature><reg name="cr3" regnum="7"/><reg name="cr0"/><reg name="cr4"/></feature>',
}
NUMBERS = {0: "rax", 1: "rip", 7: "cr3", 8: "cr0", 9: "cr4"}


def packet(content: bytes) -> bytes:
    return b"$%b#%02x" % (content, sum(content) & 255)


def escaped(content: bytes) -> bytes:
    """With escapes, and a run of a byte written as a repeat."""
    found = bytearray()
    for byte in content:
        found += bytes([0x7D, byte ^ 0x20]) if byte in b"$#}*" else bytes([byte])
    return re.sub(rb"0{6}", lambda run: b"0*" + bytes([29 + len(run[0]) - 1]), bytes(found))


class StubComputer(Computer):
    """A computer behind a stub; `files` as for QMP.  `replies` stand in for the honest answers, by how the
    question begins.  `stops`: the guest stops by itself as soon as it runs.  `left`: a client has gone."""

    def __init__(self, memory: bytearray, registers: dict[str, int]) -> None:
        super().__init__(memory, registers)
        self.replies: dict[str, bytes] = {}
        self.left = threading.Event()
        self.status, self.physical, self.detached, self.has_monitor = "running", False, False, True

    def serve(self, client: Any) -> None:
        try:
            self.answer(client)
        finally:
            self.left.set()

    def answer(self, client: Any) -> None:
        """Until the client goes."""
        if self.running:  # QEMU tells it, at some time
            client.sendall(packet(b"T02thread:01;"))
        self.running = False
        data = b""
        while True:
            piece = client.recv(1 << 16)
            if not piece:
                return
            data += piece
            while data:
                if data[:1] == b"\x03":
                    data = data[1:]
                    self.running = False
                    client.sendall(packet(b"T02thread:01;"))
                elif data[:1] != b"$":
                    data = data[1:]
                elif (found := re.match(rb"\$([^#]*)#..", data, re.DOTALL)) is None:
                    break
                else:
                    data = data[found.end() :]
                    self.reply(found[1].decode("latin-1"), client)

    def reply(self, text: str, client: Any) -> None:
        self.asked.append(text if not text.startswith("qRcmd") else bytes.fromhex(text[6:]).decode())
        for begin, content in self.replies.items():
            if text.startswith(begin):
                client.sendall(content)
                return
        client.sendall(b"+")
        for content in self.answers_of(text):
            client.sendall(packet(escaped(content)))

    def answers_of(self, text: str) -> list[bytes]:
        if text.startswith("qSupported"):
            return [b"PacketSize=1000;qXfer:features:read+"]
        if text.startswith("qXfer:features:read:"):
            name, part = text[20:].split(":")
            start, size = (int(number, 16) for number in part.split(","))
            document = DOCUMENTS[name].encode()
            return [(b"m" if start + size < len(document) else b"l") + document[start : start + size]]
        if text.startswith("Qqemu.PhyMemMode:"):
            self.physical = text[-1] == "1"
            return [b"OK"]
        if text.startswith("qRcmd,") and self.has_monitor:
            return self.ran(bytes.fromhex(text[6:]).decode())
        if text.startswith("m"):
            assert self.physical
            start, size = (int(number, 16) for number in text[1:].split(","))
            found = self.memory[start : start + size]
            return [found.hex().encode() if len(found) == size else b"E14"]
        if text[0] == "p":
            name = NUMBERS.get(int(text[1:], 16))
            return [self.registers.get(name, 0).to_bytes(8, "little").hex().encode() if name else b"E14"]
        if text in ("qfThreadInfo", "qsThreadInfo"):
            return [b"m01" if text[1] == "f" else b"l"]
        if text == "D":
            self.detached = self.running = True
        if text == "c":
            return self.went_on()
        return [b"OK"] if text[0] in "HD" else [b""]

    def went_on(self) -> list[bytes]:
        self.running = True
        if self.steps:
            self.steps.pop(0)()
        if self.stops:
            self.running = False
            return [b"T05thread:01;"]
        return []

    def ran(self, line: str) -> list[bytes]:
        """Packets with what the monitor prints."""
        if line == "info status":
            text = f"VM status: {self.status}\r\n"
        elif line.startswith("pmemsave"):
            _, at, size, name = line.split(" ", 3)
            text = "" if self.files else "Could not open 'memory'\r\n"
            if self.files:
                Path(name.strip('"')).write_bytes(self.memory[int(at, 16) : int(at, 16) + int(size, 16)])
        else:
            text = self.monitor(line)
        data = text.encode()
        pieces = [b"O" + data[at : at + 500].hex().encode() for at in range(0, len(data), 500)]
        return [*pieces, b"OK"]


def greeted(after: Callable[[Any], None]) -> Callable[[Any], None]:
    """A stub that is honest at first."""

    def serve(client: Any) -> None:
        client.recv(1000)
        client.sendall(b"+" + packet(b"PacketSize=1000;qXfer:features:read+"))
        client.recv(1000)
        after(client)

    return serve


def dripping(client: Any) -> None:
    client.sendall(b"$")
    while True:
        client.sendall(b"0")
        time.sleep(0.02)


def parts(client: Any) -> None:
    """A document without an end."""
    with contextlib.suppress(OSError):
        while client.recv(1000):
            client.sendall(b"+" + packet(b"m" + b"x" * 2000))


HOSTILE: dict[str, Callable[[Any], None]] = {
    "silence": silent,
    "closes": lambda client: None,
    "garbage": lambda client: client.sendall(bytes(range(256)) * 40),
    "text": lambda client: client.sendall(b'{"QMP": {"version": {}}}\r\n'),
    "checksum": lambda client: client.sendall(b"+$OK#00"),
    "no checksum": lambda client: client.sendall(b"+$OK#zz"),
    "endless packet": lambda client: (client.sendall(b"$"), endless(b"x" * 65536)(client))[0],
    "endless acknowledgements": endless(b"+" * 65536),
    "drip": dripping,
    "repeats": lambda client: client.sendall(packet(b"x" + b"*~" * 200_000)),
    "no physical memory": lambda client: [
        client.sendall(b"+" + packet(b"")) for _ in range(3) if client.recv(99)
    ],
    "greeting, silence": greeted(silent),
    "greeting, closes": greeted(lambda client: None),
    "greeting, garbage": greeted(lambda client: client.sendall(b"\x1b[2J\xff\xfe\n")),
    "greeting, endless documents": greeted(parts),
    "greeting, endless packets": greeted(endless(packet(b"m") * 500)),
    "endless stops": endless(packet(b"T05") * 500),
}
