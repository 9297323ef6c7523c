"""A connection to a peer that answers questions, whatever it is: what QMP and gdb's protocol share.

A peer may be anything that listens.  Whatever it sends, a question ends within the connection's time with an
answer or a UserError, and no more than MOST_ANSWER bytes of it are held.
"""

from __future__ import annotations

import json
import os
import socket
import time

from vmdbg.errors import UserError

MOST_ANSWER = 8 << 20  # bytes of one answer
PIECE = 1 << 16  # bytes that are taken from the socket at once
SHOWN = 60  # characters of an answer that make no sense
LONGEST_NAME = 100  # bytes of the name of a socket: sun_path has 108


class Connection:
    """A connection.  `where` is the name of a socket or `HOST:PORT`; `timeout` the seconds of each question.

    `local`: the peer is on this computer, and may see its files.  `lost` says why no more can be asked, empty
    while it can.  A subclass says what the peer is called (`peer`) and which command connects `again`.
    """

    peer = again = ""

    def __init__(self, where: str, timeout: float) -> None:
        self.where, self.timeout, self.lost = where, timeout, ""
        self._held = bytearray()  # what came and was not taken yet
        try:
            self._socket, self.local = connected(where, timeout)
        except (OSError, ValueError, OverflowError) as error:
            raise UserError(f"{where}: {getattr(error, 'strerror', None) or error}.") from None

    def close(self) -> None:
        """End the connection."""
        self.lost = self.lost or "closed"
        self._socket.close()

    def hint(self) -> str:
        """What may help when the peer does not answer as it should."""
        return ""

    def send_bytes(self, data: bytes) -> None:
        """UserError if they cannot be sent."""
        if self.lost:
            raise UserError(f"{self.where}: {self.lost}.", f'"{self.again}" connects again.')
        try:
            self._socket.settimeout(self.timeout)
            self._socket.sendall(data)
        except OSError as error:
            raise self.broken(f"{self.peer} takes no question: {error.strerror or error}") from None

    def piece(self, end: float | None, missing: str) -> bytes:
        """Some bytes from the peer.  At the time `end` a UserError with what is `missing`, or without that
        TimeoutError."""
        left = None if end is None else end - time.monotonic()
        try:
            if left is not None and left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            found = self._socket.recv(PIECE)
        except TimeoutError:
            if not missing:
                raise
            raise self.late(f"{missing} within {self.timeout:g} s") from None
        except OSError as error:
            raise self.broken(f"the connection broke: {error.strerror or error}") from None
        if not found:
            raise self.broken("the peer has closed the connection", self.hint())
        return found

    def late(self, why: str) -> UserError:
        """The error of an answer that did not come in time: here the last, for a late answer would be taken
        for another's."""
        return self.broken(why, self.hint())

    def too_long(self, what: str) -> UserError:
        """The error of an answer, a line or a packet of more than MOST_ANSWER bytes."""
        return self.broken(f"{what} of more than {MOST_ANSWER >> 20} MiB")

    def broken(self, why: str, hint: str = "") -> UserError:
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


def shown(what: object) -> str:
    """The beginning of an answer, in one line."""
    text = what.decode(errors="replace") if isinstance(what, bytes) else json.dumps(what)
    return f'"{plain(text[:SHOWN])}{".." if len(text) > SHOWN else ""}"'


def plain(text: str) -> str:
    """Text of a peer without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:1000])
