"""QMP, QEMU's machine protocol: a line of JSON there, a line of JSON back (QEMU: docs/interop/qmp-spec)."""

from __future__ import annotations

import json
import time
from collections import deque

from vmdbg.dumps.connection import MOST_ANSWER, SHOWN, Connection, plain, shown
from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_EVENTS = 64
SILENT = (
    "QMP serves one client at a time: is another connected?  Is it QMP "
    '("-qmp unix:PATH,server=on,wait=off")?  For a gdb stub ("-s") it is "target remote".'
)


class Qmp(Connection):
    """A connection to QMP.  `version` is what the greeting says; `events` the names of the last events."""

    peer, again = "QEMU", "target qemu SOCKET"

    def __init__(self, where: str, timeout: float) -> None:
        super().__init__(where, timeout)
        self.events: deque[str] = deque(maxlen=MOST_EVENTS)
        self._searched = self._number = 0
        greeting = self._message(time.monotonic() + timeout, "no greeting")
        if not isinstance(greeting.get("QMP"), dict):
            raise self.broken(f"expected the greeting of QMP, not {shown(greeting)}")
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
            raise self.broken(f'expected the text of "{line}", not {shown(text)}')
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

    # -- lines

    def _send(self, command: str, arguments: dict[str, Any]) -> None:
        """Put a question; its number is `_number`."""
        self._number += 1
        line = json.dumps({"execute": command, "arguments": arguments, "id": self._number})
        self.send_bytes(line.encode() + b"\n")

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
                raise self.too_long("a line")
            self._held += self.piece(end, missing)

    def hint(self) -> str:
        return "" if self._number else SILENT

    def late(self, why: str) -> UserError:
        """The error of an answer that did not come in time; a late one is skipped by its number."""
        if self._held:
            why += f"; it began {shown(bytes(self._held))}"
        return UserError(f"{self.where}: {why}.") if self._number else super().late(why)

    def _parsed(self, line: bytes) -> dict[str, Any]:
        """The object of a line."""
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise self.broken(f"expected a line of JSON, not {shown(line)}", self.hint()) from None
        if not isinstance(found, dict):
            raise self.broken(f"expected an object of JSON, not {shown(line)}")
        return found

    def _note(self, message: dict[str, Any]) -> None:
        """Keep the name of an event."""
        if isinstance(message.get("event"), str):
            self.events.append(message["event"][:SHOWN])


def version_of(greeting: dict[str, Any]) -> str:
    """`7.2.22`; empty if the greeting does not say it."""
    version = greeting.get("version")
    parts = version.get("qemu") if isinstance(version, dict) else None
    if not isinstance(parts, dict):
        return ""
    return ".".join(str(parts.get(key)) for key in ("major", "minor", "micro") if type(parts.get(key)) is int)
