"""A QEMU guest behind QMP: stop and go, memory by files, and the registers that only a gdb stub tells."""

from __future__ import annotations

import contextlib
import os

from vmdbg.dumps.gdb_remote import Stub
from vmdbg.dumps.guest import Guest
from vmdbg.dumps.qmp import Qmp
from vmdbg.dumps.stub_guest import joined_registers, stub_registers
from vmdbg.errors import UserError

#: By QEMU's name of a processor: what `Image.processor` calls it.
PROCESSORS = {"x86_64": "x86_64", "i386": "x86", "riscv64": "riscv", "riscv32": "riscv32",
              "aarch64": "aarch64"}  # fmt: skip
#: Processors of which the monitor does not print all that decides: the root, the mode.
UNPRINTED = ("aarch64", "riscv", "riscv32")
STOPPED = ("STOP", "SHUTDOWN", "GUEST_PANICKED")


class QmpGuest(Guest):
    """A guest behind QMP."""

    def __init__(self, where: str, timeout: float) -> None:
        self.qmp = Qmp(where, timeout)
        super().__init__(self.qmp)
        try:
            self.processor = PROCESSORS.get(str(self._field("query-target", "arch")), "")
            self.ran = bool(self._field("query-status", "running"))
            self.halt()
        except BaseException:
            self.qmp.close()
            raise

    def _field(self, command: str, key: str) -> object:
        answer = self.qmp.ask(command)
        if not isinstance(answer, dict) or key not in answer:
            raise UserError(f'{self.qmp.where}: expected "{key}" in the answer to "{command}".')
        return answer[key]

    def registers(self) -> list[dict[str, int]]:
        """The registers of each CPU.  What the monitor does not print of a processor is asked of a gdb stub,
        which QEMU is told to open for a moment, unless somebody has opened one."""
        found = super().registers()
        if self.processor not in UNPRINTED or not self.folder:
            return found
        try:
            told = self._told_by_stub(os.path.join(self.folder, "gdb"))
        except UserError:
            if self.qmp.lost:
                raise
            return found  # "find root" helps
        return joined_registers(found, told)

    def _told_by_stub(self, path: str) -> list[dict[str, int]]:
        """Registers that a gdb stub of QEMU's tells; none if one is open already.  UserError."""
        devices = self.qmp.ask("query-chardev")
        if not isinstance(devices, list):
            return []
        known = [device for device in devices if isinstance(device, dict)]
        if any("gdb" in str(device.get("label")) for device in known):
            return []
        self.qmp.monitor(f"gdbserver unix:{path},server=on,wait=off")
        try:
            stub = Stub(path, self.qmp.timeout)
            try:
                return stub_registers(stub, self.processor)
            finally:
                stub.close()
        finally:
            self.qmp.monitor("gdbserver none")
            with contextlib.suppress(OSError):
                os.unlink(path)

    def halt(self) -> None:
        """Stop the guest, if it runs."""
        if self._field("query-status", "running"):
            self.qmp.ask("stop")
        self.qmp.events.clear()

    def resume(self) -> None:
        """Let the guest run.  UserError if QEMU refuses, as after a triple fault."""
        self.qmp.events.clear()  # before: it may stop again before QEMU answers
        self.qmp.ask("cont")

    def wait(self, seconds: float | None = None) -> str:
        """Until the guest stops by itself: the event that said so; empty if it did not in so many seconds."""
        return self.qmp.wait(STOPPED, seconds)

    def let_go(self) -> None:
        """Let the guest go on if it ran when it was found."""
        if self.ran:
            self.qmp.ask("cont")

    def moved(self) -> bool:
        """Has somebody else let it run since it was stopped?"""
        return "RESUME" in self.qmp.events

    def save(self, pa: int, size: int, name: str) -> None:
        """Let QEMU write memory into a file.  UserError if it refuses."""
        self.qmp.ask("pmemsave", val=pa, size=size, filename=name)
