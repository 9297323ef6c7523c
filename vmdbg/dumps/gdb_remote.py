"""GDB's remote protocol, as QEMU's gdb stub speaks it (GDB manual, appendix E: "Remote Protocol")."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager

from vmdbg.dumps.connection import MOST_ANSWER, Connection, plain, shown
from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_CPUS = 64
NUMBER = re.compile(r"[0-9]{1,9}")  # of a register
MOST_PARTS = 32  # documents that describe the registers
PART = 0x7F0  # bytes of one request for a part of a document, or for memory
SILENT = (
    'A gdb stub serves one client at a time: is a gdb connected already?  ("vmdbg --gdb-plugin" gives it a '
    'command "vm".)  Is it a gdb stub ("-s"), not QMP ("target qemu")?'
)
STOPS = b"TSWX"  # what the answer to a stop begins with
ESCAPE, REPEAT = 0x7D, 0x2A
#: By what the stub calls an architecture: what `Image.processor` calls it.
PROCESSORS = {"i386:x86-64": "x86_64", "i386": "x86", "riscv:rv64": "riscv", "riscv:rv32": "riscv32",
              "aarch64": "aarch64"}  # fmt: skip
SIGNALS = {2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 11: "SIGSEGV"}
REGISTER = re.compile(r"<reg\b([^>]*)>")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)  # registers in it have no numbers
ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')


class Stub(Connection):
    """A connection to a gdb stub, whose guest stands still from now on.  `processor` as in `Image`."""

    peer, again = "the stub", "target remote"

    def __init__(self, where: str, timeout: float) -> None:
        super().__init__(where, timeout)
        self._greeted, self.processor = False, ""
        self._numbers: dict[str, int] | None = None
        try:
            self.send_bytes(b"+")
            features = self.ask("qSupported:xmlRegisters=i386,arm,riscv")
            self._greeted = True
            if b"qXfer:features:read+" in features:
                self._describe()
            if self.ask("Qqemu.PhyMemMode:1") != b"OK":
                raise UserError(
                    f"{where}: this gdb stub does not read physical memory (QEMU's does, from 4.1 on)."
                )
        except BaseException:
            self.close()
            raise

    # -- questions

    def ask(self, text: str) -> bytes:
        """The answer to a packet; empty if the stub does not know it.  UserError."""
        end = time.monotonic() + self.timeout
        with self._answered():
            self.send(text)
            return self._reply(end, f'no answer to "{plain(text[:40])}"')

    def send(self, text: str) -> None:
        """Send a packet, whose answer comes later or never.  UserError."""
        data = text.encode("latin-1")
        self.send_bytes(b"$%b#%02x" % (data, sum(data) & 255))

    def monitor(self, line: str) -> str:
        """What QEMU's human monitor prints for a line.  UserError."""
        end, text = time.monotonic() + self.timeout, bytearray()
        with self._answered():
            self.send(f"qRcmd,{line.encode().hex()}")
            while (piece := self._reply(end, f'no answer to "{line}"'))[:1] == b"O" and piece != b"OK":
                text += self._bytes(piece[1:])
                if len(text) > MOST_ANSWER:
                    raise self.too_long("an answer")
        if piece != b"OK":
            raise UserError(f'{self.where}: the stub refuses "monitor {line}": {shown(piece)}.')
        return text.decode(errors="replace").replace("\r", "")

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """A question and its answer, which after Ctrl-C would be taken for that of the next question."""
        try:
            yield
        except KeyboardInterrupt:
            self.broken("a question was interrupted")
            raise

    def physical(self, pa: int, size: int) -> bytes:
        """The bytes at a physical address, read by packets."""
        found = bytearray()
        while len(found) < size:
            count = min(PART, size - len(found))
            piece = self.ask(f"m{pa + len(found):x},{count:x}")
            data = b"" if piece[:1] == b"E" else self._bytes(piece)
            if len(data) != count:
                raise UserError(f"{self.where}: no {count} bytes of memory at {pa + len(found):#x}.")
            found += data
        return bytes(found)

    def registers(self, names: Sequence[str]) -> list[dict[str, int]]:
        """Of each CPU those registers that the stub has, by small letters.  UserError."""
        numbers = {name: self._numbers[name] for name in names if self._numbers and name in self._numbers}
        if not numbers:
            return []
        found = []
        for thread in self._threads():
            self.ask(f"Hg{thread}")
            answers = {name: self.ask(f"p{number:x}") for name, number in numbers.items()}
            found.append(
                {
                    name: int.from_bytes(self._bytes(piece), "little") & (1 << 64) - 1
                    for name, piece in answers.items()
                    if piece and piece[:1] not in b"Ex"
                }
            )
        return found

    def stopped(self, seconds: float | None) -> str:
        """The signal with which a guest that runs stops; empty if it did not in so many seconds."""
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            try:
                piece = self._answer(end, "")
            except TimeoutError:
                return ""
            if piece[:1] and piece[:1] in STOPS:
                number = int(piece[1:3], 16) if re.match(rb"[0-9a-f]{2}", piece[1:3]) else 0
                return SIGNALS.get(number, f"signal {number}")

    def interrupt(self) -> None:
        """Stop a guest that runs.  UserError if it does not stop in time."""
        self.send_bytes(b"\x03")
        if not self.stopped(self.timeout):
            raise self.broken(f"the guest does not stop within {self.timeout:g} s")

    # -- what the stub has

    def _threads(self) -> list[str]:
        """The numbers of the CPUs, as text."""
        found: list[str] = []
        piece = self.ask("qfThreadInfo")
        for _ in range(MOST_CPUS):
            if piece[:1] != b"m":
                break
            found += [
                part.decode("latin-1")
                for part in piece[1:].split(b",")
                if re.fullmatch(rb"[0-9a-fp.]+", part)
            ]
            piece = self.ask("qsThreadInfo")
        return found[:MOST_CPUS] or ["0"]

    def _describe(self) -> None:
        """Read the documents about registers: the processor, and the number of each register (GDB manual,
        appendix G: a register without one follows the one before)."""
        numbers: dict[str, int] = {}
        text = self._document("target.xml")
        named = re.search(r"<architecture>([^<]*)<", text)
        self.processor = PROCESSORS.get(named[1].strip() if named else "", "")
        number = 0
        parts = re.findall(r'href="([\w.-]+)"', text)[:MOST_PARTS]
        for part in [text, *map(self._document, parts)]:
            for found in REGISTER.findall(part):
                known = dict(ATTRIBUTE.findall(found))
                number = int(known["regnum"]) if NUMBER.fullmatch(known.get("regnum", "")) else number
                numbers.setdefault(known.get("name", "").lower(), number)
                number += 1
        self._numbers = numbers

    def _document(self, name: str) -> str:
        """A document about registers, without comments.  UserError."""
        text = bytearray()
        while len(text) < MOST_ANSWER:
            piece = self.ask(f"qXfer:features:read:{name}:{len(text):x},{PART:x}")
            text += piece[1:]
            if piece[:1] != b"m" or len(piece) < 2:
                return COMMENT.sub("", text.decode(errors="replace"))
        raise self.too_long("an answer")

    # -- packets

    def _reply(self, end: float, missing: str) -> bytes:
        """The next packet that tells no stop: that of a guest which ran when we came is told at some time."""
        while True:
            piece = self._answer(end, missing)
            if not piece or piece[:1] not in STOPS:
                return piece

    def _answer(self, end: float | None, missing: str) -> bytes:
        """The content of the next packet.  At the time `end` a UserError with what is `missing`, or without
        that TimeoutError."""
        taken = 0
        while True:
            start = self._held.find(b"$")
            stop = self._held.find(b"#", start) if start >= 0 else -1
            if 0 <= stop <= len(self._held) - 3:
                content = bytes(self._held[start + 1 : stop])
                if b"%02x" % (sum(content) & 255) != bytes(self._held[stop + 1 : stop + 3]).lower():
                    raise self.broken(
                        f"expected a packet with its checksum, not {shown(content)}", self.hint()
                    )
                del self._held[: stop + 3]
                self.send_bytes(b"+")
                return self._plain_bytes(content)
            if start < 0:  # acknowledgements, or what belongs to no packet
                other = bytes(self._held).strip(b"+\0")
                if other:
                    raise self.broken(f"expected a packet of a gdb stub, not {shown(other)}", self.hint())
                self._held.clear()
            if max(taken, len(self._held)) > MOST_ANSWER:
                raise self.too_long("a packet")
            piece = self.piece(end, missing)
            taken += len(piece)
            self._held += piece

    def _plain_bytes(self, content: bytes) -> bytes:
        """A packet's content without escapes and repeats."""
        if ESCAPE not in content and REPEAT not in content:
            return content
        found, at = bytearray(), 0
        while at < len(content):
            byte, after = content[at], content[at + 1] if at + 1 < len(content) else 0
            if byte == ESCAPE:
                found.append(after ^ 0x20)
            elif byte == REPEAT and found:
                found += found[-1:] * max(0, after - 29)
            else:
                found.append(byte)
                at -= 1
            at += 2
            if len(found) > MOST_ANSWER:
                raise self.too_long("an answer")
        return bytes(found)

    def _bytes(self, digits: bytes) -> bytes:
        """Bytes of hexadecimal digits.  UserError."""
        try:
            return bytes.fromhex(digits.decode("ascii"))
        except ValueError:
            raise self.broken(f"expected hexadecimal digits, not {shown(digits)}") from None

    def hint(self) -> str:
        return "" if self._greeted else SILENT
