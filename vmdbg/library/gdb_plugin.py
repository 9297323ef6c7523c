"""A command `vm` for the user's own GDB: `vm walk $rip`, `vm why ADDRESS`, `vm map`, `vm check cpu`.

GDB's Python runs this file, whichever it is (3.7 and later), so nothing of vmdbg is imported; the file that
`vmdbg --gdb-plugin` writes calls `install`.  vmdbg itself is a child process, started at the first `vm`; each
line goes to it, and while it answers it asks for memory and registers, which come through GDB's connection to
the guest.  Each message is a line of JSON
(`vmdbg/library/gdb_child.py` is the other end).
"""

from __future__ import annotations

import contextlib
import json
import subprocess

import gdb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PIECE = 0x7F0  # bytes of one packet: those of QEMU's stub have at most 4096 characters
NOT_CONNECTED = 'vm looks at a guest: connect to its QEMU first ("target remote :1234").'


#: Events after which the guest, or the connection to it, may be another one; old versions lack some.
EVENTS = (
    "memory_changed",
    "register_changed",
    "inferior_call",
    "new_objfile",
    "exited",
    "connection_removed",
)


class Vm(gdb.Command):  # type: ignore[misc]
    """Look at the guest's virtual memory with vmdbg.

    vm COMMAND gives the command to vmdbg: "vm help", "vm map", "vm walk $rip", "vm why ADDRESS".  Names are
    GDB's: "vm walk &init_task".  What it looks at is the guest of GDB's connection as it stands; nothing of
    it is changed.  "vm target gdb" looks at it again after "vm import" or "vm target dump".
    """

    def __init__(self, command: list[str]) -> None:
        super().__init__("vm", gdb.COMMAND_DATA)
        self.command = command  # that starts vmdbg, with its Python
        self.child: subprocess.Popen[str] | None = None
        self.stop = 0  # counts what changes the guest
        gdb.events.cont.connect(self.changed)
        for name in EVENTS:
            if hasattr(gdb.events, name):
                getattr(gdb.events, name).connect(self.changed)
        if hasattr(gdb.events, "gdb_exiting"):
            gdb.events.gdb_exiting.connect(self.end)

    # -- what GDB calls

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Run a line in vmdbg."""
        self.dont_repeat()
        require_remote()
        answer = self.talk({"line": argument, "stop": self.stop, **screen()})
        gdb.write(answer.get("text", ""))
        if answer.get("left"):
            self.end()
        if not answer.get("worked"):
            raise gdb.GdbError(answer.get("error", "").rstrip("\n"))

    def complete(self, text: str, word: str | None) -> list[str]:
        """The words that may stand at the end of a line."""
        try:
            require_remote()
            return list(self.talk({"complete": text, "word": word or ""}).get("words", []))
        except (gdb.error, gdb.GdbError, OSError):
            return []

    def changed(self, event: object) -> None:
        """The guest has run, or somebody wrote to it."""
        self.stop += 1

    def end(self, event: object = None) -> None:
        """End vmdbg; the next line starts it again."""
        child, self.child = self.child, None
        if child is not None:
            for stream in (child.stdin, child.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):
                    stream.close()
            child.wait()

    # -- the child

    def talk(self, question: dict[str, Any]) -> dict[str, Any]:
        """Send a question, answer what vmdbg asks meanwhile, and return what it says in the end."""
        if self.child is None or self.child.poll() is not None:
            pipe = subprocess.PIPE
            self.child = subprocess.Popen(self.command, stdin=pipe, stdout=pipe, universal_newlines=True)  # noqa: S603 - ours
        try:
            self.send(question)
            while True:
                assert self.child.stdout is not None
                line = self.child.stdout.readline()
                if not line:
                    raise OSError("it has ended")
                asked: dict[str, Any] = json.loads(line)
                if "ask" not in asked:
                    return asked
                self.send(answer_of(asked))
        except (OSError, ValueError) as error:
            self.end()
            raise gdb.GdbError(f"vmdbg does not answer: {error}.")  # noqa: B904
        except KeyboardInterrupt:  # the conversation is broken off in the middle
            self.end()
            raise gdb.GdbError("Quit")  # noqa: B904

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to vmdbg."""
        assert self.child is not None
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(message) + "\n")
        self.child.stdin.flush()


def require_remote() -> None:
    """An error if GDB is not connected to a stub."""
    inferior = gdb.selected_inferior()
    if hasattr(inferior, "connection"):
        kind = getattr(inferior.connection, "type", "")
        remote = kind in ("remote", "extended-remote")
    else:
        remote = "emote" in gdb.execute("info target", to_string=True)
    if not remote:
        raise gdb.GdbError(NOT_CONNECTED)


def screen() -> dict[str, Any]:
    """Width and colour of GDB's screen."""
    width = gdb.parameter("width")
    try:
        colour = bool(gdb.parameter("style enabled"))
    except RuntimeError:
        colour = False
    return {"width": width or 0, "color": colour}


def answer_of(asked: dict[str, Any]) -> dict[str, Any]:
    """What vmdbg asked for, or the error."""
    try:
        return {"answer": ANSWERS[asked["ask"]](asked)}
    except (gdb.error, gdb.MemoryError, gdb.GdbError, ValueError) as error:
        return {"error": str(error)}


def monitor(asked: dict[str, Any]) -> str:
    """What QEMU's monitor prints."""
    return str(gdb.execute("monitor " + asked["line"], to_string=True))


def memory(asked: dict[str, Any]) -> str:
    """Bytes at a physical address, in hexadecimal digits.

    GDB's own reads are virtual, and cached by address; so packets go past it, and afterwards addresses are
    virtual again.
    """
    address, size, found = asked["pa"], asked["size"], ""
    if packet("Qqemu.PhyMemMode:1") != "OK":
        raise gdb.GdbError("this gdb stub does not read physical memory (QEMU's does, from 4.1 on)")
    try:
        while size:
            count = min(size, PIECE)
            piece = packet(f"m{address:x},{count:x}")
            if len(piece) != 2 * count:
                raise gdb.GdbError(f"no {count} bytes of memory at {address:#x}")
            found += piece
            address, size = address + count, size - count
    finally:
        packet("Qqemu.PhyMemMode:0")
    return found


def packet(text: str) -> str:
    """The answer of the stub to a packet."""
    connection: Any = getattr(gdb.selected_inferior(), "connection", None)
    if hasattr(connection, "send_packet"):  # since GDB 12
        return str((connection.send_packet(text) or b"").decode("latin-1"))
    shown = gdb.execute("maintenance packet " + text, to_string=True)
    found = shown.rpartition("received: ")[2].strip()
    return str(found[1:-1])


def registers(asked: dict[str, Any]) -> list[dict[str, int]]:
    """Of each thread, which is a CPU, those registers that GDB has, by small letters."""
    found: list[dict[str, int]] = []
    before = gdb.selected_thread()
    if before is None:
        return found
    selected = gdb.selected_frame()
    try:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.num):
            thread.switch()
            frame = gdb.newest_frame()
            has = {one.name.lower(): one.name for one in frame.architecture().registers()}
            one = {}
            for name in asked["names"]:
                if name in has:
                    with contextlib.suppress(gdb.error, TypeError, ValueError):
                        one[name] = int(frame.read_register(has[name])) & (1 << 64) - 1
            found.append(one)
    finally:
        before.switch()
        with contextlib.suppress(gdb.error):  # it is another thread's frame now, if the guest has run
            selected.select()
    return found


def cpu(asked: dict[str, Any]) -> dict[str, Any]:
    """Number of the CPU whose thread is selected, and the name of the architecture."""
    thread = gdb.selected_thread()
    threads = sorted(gdb.selected_inferior().threads(), key=lambda one: one.num)
    number = [one.num for one in threads].index(thread.num) if thread is not None else 0
    frame = gdb.newest_frame() if thread is not None else None
    return {"number": number, "architecture": frame.architecture().name() if frame is not None else ""}


def symbol(asked: dict[str, Any]) -> int | None:
    """The address of a name of GDB's, or nothing."""
    try:
        return int(gdb.parse_and_eval("&" + asked["name"])) & (1 << 64) - 1
    except (gdb.error, TypeError, ValueError):
        return None


def place(asked: dict[str, Any]) -> str:
    """`idt+8` for an address, or nothing."""
    text = gdb.execute(f"info symbol {asked['address']:#x}", to_string=True)
    name = text.partition(" in section")[0] if " in section" in text else ""
    return str(name).replace(" ", "")


ANSWERS = {
    "monitor": monitor,
    "memory": memory,
    "registers": registers,
    "cpu": cpu,
    "symbol": symbol,
    "place": place,
}


def install(command: list[str]) -> None:
    """Give GDB the command."""
    Vm(command)
