"""QMP, QEMU's machine protocol: a line of JSON there, a line of JSON back (QEMU: docs/interop/qmp-spec).

A peer may be anything that listens.  Whatever it sends, a question ends within the connection's time with an
answer or a UserError, and no more than MOST_ANSWER bytes of it are held.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import deque

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_ANSWER = 8 << 20  # bytes of one line
PIECE = 1 << 16  # bytes that are taken from the socket at once
SHOWN = 60  # characters of an answer that make no sense
MOST_EVENTS = 64
LONGEST_NAME = 100  # bytes of the name of a socket: sun_path has 108
SILENT = (
    "QMP serves one client at a time: is another connected?  Is it QMP "
    '("-qmp unix:PATH,server=on,wait=off")?  For a gdb stub ("-s") it is "target remote".'
)


class Qmp:
    """A connection.  `where` is the name of a socket or `HOST:PORT`; `timeout` the seconds of each question.

    `local`: the peer is on this computer, and may see its files.  `version` is what the greeting says;
    `events` the names of the last events.  `lost` says why no more can be asked, empty while it can.
    """

    def __init__(self, where: str, timeout: float) -> None:
        self.where, self.timeout, self.lost = where, timeout, ""
        self.events: deque[str] = deque(maxlen=MOST_EVENTS)
        self._held, self._searched, self._number = bytearray(), 0, 0
        try:
            self._socket, self.local = connected(where, timeout)
        except (OSError, ValueError, OverflowError) as error:
            raise UserError(f"{where}: {getattr(error, 'strerror', None) or error}.") from None
        greeting = self._message(time.monotonic() + timeout, "no greeting")
        if not isinstance(greeting.get("QMP"), dict):
            raise self._broken(f"expected the greeting of QMP, not {shown(greeting)}")
        self.version = version_of(greeting["QMP"])
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """What a command returns.  UserError if QEMU refuses it, or does not answer in time."""
        self._send(command, arguments)
        number, end = self._number, time.monotonic() + self.timeout
        while True:
            answer = self._message(end, f'no answer to "{command}"')
            self._note(answer)
            if answer.get("id") != number:
                continue  # an event, or what came too late
            if "return" in answer:
                return answer["return"]
            error = answer.get("error")
            text = error.get("desc") if isinstance(error, dict) else None
            raise UserError(f'QEMU refuses "{command}": {plain(str(text or answer))}')

    def monitor(self, line: str) -> str:
        """What the human monitor prints for a line.  UserError."""
        text = self.ask("human-monitor-command", **{"command-line": line})
        if not isinstance(text, str):
            raise self._broken(f'expected the text of "{line}", not {shown(text)}')
        return text.replace("\r", "")

    def wait(self, names: tuple[str, ...], seconds: float | None = None) -> str:
        """The first of some events from now on; empty if none came in so many seconds (None: for ever)."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            for name in list(self.events):
                self.events.popleft()
                if name in names:
                    return name
            try:
                self._note(self._message(end, ""))
            except TimeoutError:
                return ""

    def close(self) -> None:
        """End the connection."""
        self.lost = self.lost or "closed"
        self._socket.close()

    # -- lines

    def _send(self, command: str, arguments: dict[str, Any]) -> None:
        """Put a question; its number is `_number`."""
        if self.lost:
            raise UserError(f"{self.where}: {self.lost}.", '"target qemu SOCKET" connects again.')
        self._number += 1
        line = json.dumps({"execute": command, "arguments": arguments, "id": self._number})
        try:
            self._socket.settimeout(self.timeout)
            self._socket.sendall(line.encode() + b"\n")
        except OSError as error:
            raise self._broken(f"QEMU takes no question: {error.strerror or error}") from None

    def _message(self, end: float | None, missing: str) -> dict[str, Any]:
        """The next line, as an object.  At the time `end` a UserError with what is `missing`, or without that
        TimeoutError."""
        while True:
            at = self._held.find(b"\n", self._searched)
            if at >= 0 and (end is None or time.monotonic() < end):
                line = bytes(self._held[:at]).strip()
                del self._held[: at + 1]
                self._searched = 0
                if line:
                    return self._parsed(line)
                continue
            self._searched = len(self._held)
            if self._searched > MOST_ANSWER:
                raise self._broken(f"a line of more than {MOST_ANSWER >> 20} MiB")
            self._held += self._piece(end, missing)

    def _piece(self, end: float | None, missing: str) -> bytes:
        """Some bytes from the peer."""
        left = None if end is None else end - time.monotonic()
        try:
            if left is not None and left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            piece = self._socket.recv(PIECE)
        except TimeoutError:
            if not missing:
                raise
            begun = f"; it began {shown(bytes(self._held))}" if self._held else ""
            if self._number:  # a late answer is skipped by its number
                raise UserError(f"{self.where}: {missing} within {self.timeout:g} s{begun}.") from None
            raise self._broken(f"{missing} within {self.timeout:g} s{begun}", SILENT) from None
        except OSError as error:
            raise self._broken(f"the connection broke: {error.strerror or error}") from None
        if not piece:
            raise self._broken("the peer has closed the connection")
        return piece

    def _parsed(self, line: bytes) -> dict[str, Any]:
        """The object of a line."""
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            hint = SILENT if not self._number else ""
            raise self._broken(f"expected a line of JSON, not {shown(line)}", hint) from None
        if not isinstance(found, dict):
            raise self._broken(f"expected an object of JSON, not {shown(line)}")
        return found

    def _note(self, message: dict[str, Any]) -> None:
        """Keep the name of an event."""
        if isinstance(message.get("event"), str):
            self.events.append(message["event"][:SHOWN])

    def _broken(self, why: str, hint: str = "") -> UserError:
        """The error after which nothing can be asked any more."""
        self.lost = why
        self._socket.close()
        return UserError(f"{self.where}: {why}.", hint)


def connected(where: str, timeout: float) -> tuple[socket.socket, bool]:
    """A socket that is connected, and whether its other end is on this computer.  OSError, ValueError."""
    if is_port(where):
        host, _, port = where.rpartition(":")
        found = socket.create_connection((host.strip("[]") or "localhost", int(port)), timeout)
        found.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # questions are small, and wait for answers
        return found, found.getpeername()[0] == found.getsockname()[0]
    path, folder = os.path.expanduser(where), -1
    found = socket.socket(socket.AF_UNIX)
    try:
        if len(os.fsencode(path)) > LONGEST_NAME:  # the folder is open, and has a short name then
            folder = os.open(os.path.dirname(path), os.O_PATH)
            path = f"/proc/self/fd/{folder}/{os.path.basename(path)}"
        found.settimeout(timeout)
        found.connect(path)
    except BaseException:
        found.close()
        raise
    finally:
        if folder >= 0:
            os.close(folder)
    return found, True


def is_port(where: str) -> bool:
    """Is it `HOST:PORT`, and not the name of a socket?"""
    return "/" not in where and ":" in where and where.rpartition(":")[2].isdecimal()


def version_of(greeting: dict[str, Any]) -> str:
    """`7.2.22`; empty if the greeting does not say it."""
    version = greeting.get("version")
    parts = version.get("qemu") if isinstance(version, dict) else None
    if not isinstance(parts, dict):
        return ""
    return ".".join(str(parts.get(key)) for key in ("major", "minor", "micro") if type(parts.get(key)) is int)


def shown(what: object) -> str:
    """The beginning of an answer, in one line."""
    text = what.decode(errors="replace") if isinstance(what, bytes) else json.dumps(what)
    return f'"{plain(text[:SHOWN])}{".." if len(text) > SHOWN else ""}"'


def plain(text: str) -> str:
    """Text of a peer without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:1000])
