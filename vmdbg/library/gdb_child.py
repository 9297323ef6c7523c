"""vmdbg under the user's own GDB: the process that `gdb_plugin` starts.

`serve` answers the plug-in, a line of JSON for a line of JSON (`gdb_file` writes the file that GDB sources).
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from vmdbg import progress
from vmdbg.dumps.gdb_remote import PROCESSORS
from vmdbg.dumps.guest import Guest
from vmdbg.dumps.opening import machine_of
from vmdbg.dumps.stub_guest import merged_registers
from vmdbg.errors import UserError
from vmdbg.inspect.target import Target
from vmdbg.shell.boot import replace_target
from vmdbg.shell.completion import complete_line
from vmdbg.shell.startup import make_session
from vmdbg.state.tables import KERNEL_CPU

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

AGAIN = "target gdb"
CAPABILITIES = frozenset({"addresses", "translate"})


class Gdb:
    """The plug-in, as the link to a guest: what is asked of it goes through GDB's connection."""

    def __init__(self, source: IO[str], sink: IO[str]) -> None:
        self.source, self.sink = source, sink
        self.where, self.lost, self.local, self.timeout = "gdb", "", True, 0.0
        self.processor = ""

    def ask(self, what: str, **arguments: Any) -> Any:
        """The answer to a question.  UserError if GDB has none."""
        json.dump({"ask": what, **arguments}, self.sink)
        self.sink.write("\n")
        self.sink.flush()
        line = self.source.readline()
        if not line:
            raise SystemExit(0)
        answer = json.loads(line)
        if "error" in answer:
            raise UserError(f"GDB: {answer['error']}")
        return answer["answer"]

    def monitor(self, line: str) -> str:
        """What QEMU's monitor prints."""
        return str(self.ask("monitor", line=line)).replace("\r", "")

    def physical(self, pa: int, size: int) -> bytes:
        """The bytes at a physical address."""
        return bytes.fromhex(self.ask("memory", pa=pa, size=size))

    def registers(self, names: Sequence[str]) -> list[dict[str, int]]:
        """Of each CPU those registers that GDB has."""
        return list(self.ask("registers", names=list(names)))

    def close(self) -> None:
        """GDB's connection is GDB's."""


class GdbGuest(Guest):
    """The guest of GDB's connection, which GDB alone stops and lets go."""

    goes_on_by = 'GDB itself: type it without "vm"'

    def __init__(self, gdb: Gdb) -> None:
        super().__init__(gdb)
        self.gdb = gdb
        found = gdb.ask("cpu")
        gdb.processor = self.processor = PROCESSORS.get(found["architecture"], "")
        self.number = found["number"]

    def registers(self) -> list[dict[str, int]]:
        """The registers of each CPU."""
        return merged_registers(self.gdb, self.processor)

    def slow_piece(self, pa: int, size: int) -> bytes:
        """Memory by packets."""
        return self.gdb.physical(pa, size)

    def let_go(self) -> None:
        """It stands, or goes on, as GDB wants it."""


class Names:
    """GDB's names of addresses, in the place of `programs.symbols.Symbols`."""

    def __init__(self, gdb: Gdb) -> None:
        self.gdb, self.by_name = gdb, NameTable(gdb)

    def name_of(self, address: int) -> str:
        """`idt+8`; empty if there is none near."""
        return str(self.gdb.ask("place", address=address))

    def first_in(self, start: int, end: int) -> str:
        """The name of the first address, if it has one."""
        return self.name_of(start)


class NameTable(dict[str, int]):
    """Addresses by name, asked when they are wanted."""

    def __init__(self, gdb: Gdb) -> None:
        super().__init__()
        self.gdb = gdb

    def get(self, name: str, default: Any = None) -> Any:
        """The address of a name."""
        found = self.gdb.ask("symbol", name=name)
        return default if found is None else found


class Served:
    """A session that looks at GDB's guest."""

    def __init__(self, gdb: Gdb) -> None:
        self.gdb = gdb
        self.out, self.errors = io.StringIO(), io.StringIO()
        self.session = make_session(self.out, self.errors, color="always")
        self.session.settings.set("confirm", False)
        self.now: object = None  # what the guest was when it was looked at

    def look(self, stop: object, again: bool) -> None:
        """Look at the guest as it is now, if it has changed or another thread is chosen; `again`: whatever
        else is looked at."""
        session = self.session
        opened = session.opened
        if opened is not None and not isinstance(opened.guest, GdbGuest) and not again:
            return  # a dump, or a copy
        guest = GdbGuest(self.gdb)
        now = stop, guest.number, guest.registers()  # a monitor's command may have changed it, too
        if opened is None or again or now != self.now:
            machine = machine_of(guest.image(), [])
            machine.symbols = Names(self.gdb)
            machine.m.kernel[KERNEL_CPU] = min(guest.number, machine.config["machine.cpus"] - 1)
            target = Target(machine, "guest", CAPABILITIES, self.gdb.where)
            target.guest, self.now = guest, now
            replace_target(session, target)

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """What a line prints, or the words that may end it."""
        session = self.session
        if "complete" in question:
            text, word = question["complete"], question["word"]
            skip = len(text) - len(word)
            return {"words": [found[skip:] for found in complete_line(session, text)]}
        line = question["line"]
        again = line.split() == AGAIN.split()
        session.settings.set("width", question["width"])
        session.settings.set("style enabled", question["color"])
        worked = session.interpreter.attempt(lambda: self.look(question["stop"], again))
        if worked:
            worked = session.interpreter.try_line("info target" if again else line)
        session.output.flush()
        texts = {"text": self.out.getvalue(), "error": self.errors.getvalue()}
        if worked:
            texts = {"text": texts["text"] + texts["error"]}
        for stream in (self.out, self.errors):
            stream.seek(0)
            stream.truncate()
        return {"worked": worked, **texts}


def serve() -> int:
    """Answer the plug-in until it ends; Ctrl-C ends the line that is answered."""
    sink = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # nobody else writes between the messages
    served = Served(Gdb(sys.stdin, sink))
    progress.show_on(sys.stderr)
    while True:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        line = sys.stdin.readline()
        if not line:
            return 0
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            answer = served.answer(json.loads(line))
        except SystemExit:
            answer = {"worked": True, "text": "", "left": True}
        progress.clear()
        try:
            json.dump(answer, sink)
            sink.write("\n")
            sink.flush()
        except BrokenPipeError:  # Ctrl-C in GDB: nobody waits
            os._exit(0)  # without what would flush it again
        if "left" in answer:
            return 0
