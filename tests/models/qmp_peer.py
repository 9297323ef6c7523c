"""A peer that speaks QMP, as far as vmdbg asks: an honest one with memory of ours, and hostile ones."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.models.dumps import monitor

GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}, "capabilities": []}}


def line(what: object) -> bytes:
    return json.dumps(what).encode() + b"\r\n"


class Peer:
    """Listens on a socket, and serves one client after the other with `serve`.  A context."""

    def __init__(self, path: Path, serve: Callable[[Any], None]) -> None:
        self.path, self.serve, self.ended = path, serve, False
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        while not self.ended:
            try:
                client = self.socket.accept()[0]
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                self.serve(client)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Computer:
    """What an honest peer answers for.  `steps` are done one after the other, one at each `cont`; `files`:
    pmemsave works.  `answers` stand in for the honest answers to commands."""

    def __init__(self, memory: bytearray, registers: dict[str, int]) -> None:
        self.memory, self.registers, self.running, self.files = memory, registers, True, True
        self.steps: list[Callable[[], Any]] = []
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {}
        self.stops = False  # by itself, at once

    def serve(self, client: Any) -> None:
        client.sendall(line(GREETING))
        with client.makefile("rb") as file:
            for text in file:
                question = json.loads(text)
                name, arguments = question["execute"], question.get("arguments", {})
                command = arguments.get("command-line", name)
                self.asked.append(command)
                answer = self.answers.get(command.split()[0]) or self.answer(name, arguments, client)
                answer = answer if isinstance(answer, dict) and "error" in answer else {"return": answer}
                client.sendall(line({**answer, "id": question["id"]}))
                if name == "cont" and self.stops:
                    self.running = False
                    client.sendall(line({"event": "STOP", "timestamp": {}}))

    def answer(self, name: str, arguments: dict[str, Any], client: Any) -> Any:
        if name == "query-target":
            return {"arch": "x86_64"}
        if name == "query-status":
            return {"running": self.running, "status": "running" if self.running else "paused"}
        if name in ("stop", "cont"):
            self.running = name == "cont"
            client.sendall(line({"event": name.upper(), "timestamp": {}}))
            if self.running and self.steps:
                self.steps.pop(0)()
        if name == "pmemsave":
            if not self.files:
                return {"error": {"class": "GenericError", "desc": "Could not open 'memory'"}}
            at, size = arguments["val"], arguments["size"]
            Path(arguments["filename"]).write_bytes(self.memory[at : at + size])
        if name == "human-monitor-command":
            return self.monitor(arguments["command-line"])
        return {}

    def monitor(self, text: str) -> str:
        if text == "info registers -a":
            return "\r\nCPU#0\r\n" + monitor(self.registers)
        if text == "info mtree -f":
            return (
                'FlatView #0\r\n AS "I/O", root: io\r\n  0000000000000000-000000000000ffff (prio 0, i/o): i\n'
                'FlatView #1\r\n AS "memory", root: system\r\n Root memory region: system\r\n'
                f"  0000000000000000-{len(self.memory) - 1:016x} (prio 0, ram): pc.ram KVM\r\n"
                "  00000000fec00000-00000000fec00fff (prio 0, i/o): ioapic\r\n"
            )
        assert text.startswith("xp /"), text
        count, at = int(text[4:].partition("x")[0]), int(text.rpartition(" ")[2], 0)
        rows = []
        for first in range(at, at + 8 * count, 16):
            words = [
                f"0x{int.from_bytes(self.memory[pa : pa + 8], 'little'):016x}"
                for pa in range(first, min(first + 16, at + 8 * count), 8)
            ]
            rows.append(f"{first:016x}: {' '.join(words)}\r\n")
        return "".join(rows)


def greeted(after: Callable[[Any], None]) -> Callable[[Any], None]:
    """A peer that is honest at first."""

    def serve(client: Any) -> None:
        client.sendall(line(GREETING))
        client.recv(1000)
        client.sendall(line({"return": {}, "id": 1}))
        client.recv(1000)
        after(client)

    return serve


def silent(client: Any) -> None:
    time.sleep(2)


def endless(content: bytes) -> Callable[[Any], None]:
    def serve(client: Any) -> None:
        while True:
            client.sendall(content)

    return serve


def dripping(client: Any) -> None:
    while True:
        client.sendall(b"{")
        time.sleep(0.02)


EVENT = line({"event": "RTC_CHANGE", "data": {"offset": 1}, "timestamp": {"seconds": 1, "microseconds": 2}})
HOSTILE: dict[str, Callable[[Any], None]] = {
    "silence": silent,
    "closes": lambda client: None,
    "garbage": lambda client: client.sendall(bytes(range(256)) * 40 + b"\n"),
    "monitor": lambda client: client.sendall(
        b"QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) "
    ),
    "no greeting": lambda client: client.sendall(b'{"return": {}}\n'),
    "endless line": endless(b"x" * 65536),
    "endless lines": endless(b"\n" * 65536),
    "drip": dripping,
    "list": lambda client: client.sendall(b"[1]\n"),
    "deep": lambda client: client.sendall(b"[" * 200_000 + b"\n"),
    "digits": lambda client: client.sendall(b'{"QMP": ' + b"9" * 9000 + b"}\n"),
    "greeting, silence": greeted(silent),
    "greeting, events": greeted(endless(EVENT * 500)),
    "greeting, other numbers": greeted(endless(line({"return": {}, "id": 999}) * 500)),
    "greeting, garbage": greeted(lambda client: client.sendall(b"\x1b[2J\xff\xfe\n")),
    "greeting, closes": greeted(lambda client: None),
    "greeting, no object": greeted(lambda client: client.sendall(line({"return": 7, "id": 2}))),
}
