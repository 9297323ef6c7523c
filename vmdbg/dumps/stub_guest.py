"""A QEMU guest behind a gdb stub: ours to stop and let go, or that of a gdb which asks for us."""

from __future__ import annotations

from vmdbg.dumps.gdb_remote import Stub
from vmdbg.dumps.guest import Guest
from vmdbg.dumps.pasted_registers import pasted_registers
from vmdbg.errors import InputError, UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from vmdbg.dumps.guest import Link

    class StubLink(Link, Protocol):
        """A connection that has what a gdb stub has."""

        processor: str

        def physical(self, pa: int, size: int) -> bytes:
            """The bytes at a physical address."""

        def registers(self, names: Sequence[str]) -> list[dict[str, int]]:
            """Of each CPU those registers that the stub has, by small letters."""


#: What the monitor does not print, or an older one: by processor the registers that are asked of the stub.
X86 = ["rip", "eip", "rsp", "esp", "cr0", "cr2", "cr3", "cr4", "efer", "cs", "eflags"]
RISCV = ["pc", "sp", "priv", "satp", "mstatus", "sstatus", "scause", "stval", "sepc", "stvec"]
AARCH64 = [
    "pc",
    "sp",
    "cpsr",
    "ttbr0_el1",
    "ttbr1_el1",
    "tcr_el1",
    "sctlr",
    "sctlr_el1",
    "mair_el1",
    "esr_el1",
    "far_el1",
    "elr_el1",
    "vbar",
    "vbar_el1",
]
ASKED = {"x86_64": X86, "x86": X86, "riscv": RISCV, "riscv32": RISCV, "aarch64": AARCH64}
RENAMED = {"cpsr": "pstate", "sctlr": "sctlr_el1", "vbar": "vbar_el1"}
ENDED = ("shutdown", "internal-error")  # states from which QEMU does not go on


def stub_registers(link: StubLink, processor: str) -> list[dict[str, int]]:
    """Of each CPU the registers of interest that a stub tells, by the manual's names.  UserError."""
    return [
        {RENAMED.get(name, name): value for name, value in cpu.items()}
        for cpu in link.registers(ASKED.get(processor, ()))
    ]


def joined_registers(printed: list[dict[str, int]], told: list[dict[str, int]]) -> list[dict[str, int]]:
    """What was printed of each CPU, and what else was told."""
    count = max(len(told), len(printed))
    printed, told = (cpus + [{}] * (count - len(cpus)) for cpus in (printed, told))
    return [{**few, **more, **few} for few, more in zip(printed, told, strict=True)]


def merged_registers(link: StubLink, processor: str) -> list[dict[str, int]]:
    """The registers of each CPU, as the stub and the monitor tell them.  UserError if they tell none."""
    refused: UserError | None = None
    try:
        printed = pasted_registers(link.monitor("info registers -a"))
    except (InputError, UserError) as error:
        if link.lost:
            raise
        printed, refused = [], error
    complete = printed and processor in ("x86_64", "x86")
    told = [] if complete else stub_registers(link, processor)
    found = joined_registers(printed, told)
    if not found:
        raise refused or UserError(f"{link.where}: the stub tells no registers.")
    return found


class StubGuest(Guest):
    """A guest behind a connection of our own to its stub, which stops it."""

    def __init__(self, where: str, timeout: float) -> None:
        self.stub = Stub(where, timeout)
        super().__init__(self.stub)
        self.running = False
        self.processor = self.stub.processor
        try:
            status = self.stub.monitor("info status")
        except UserError:
            self.stub.close()
            raise
        self.ran = not any(word in status for word in (*ENDED, "prelaunch"))

    def registers(self) -> list[dict[str, int]]:
        """The registers of each CPU."""
        return merged_registers(self.stub, self.processor)

    def slow_piece(self, pa: int, size: int) -> bytes:
        """Memory by the stub's packets."""
        return self.stub.physical(pa, size)

    def halt(self) -> None:
        """Stop the guest, if it runs."""
        if self.running:
            self.stub.interrupt()
            self.running = False

    def resume(self) -> None:
        """Let the guest run.  UserError if it cannot, as after a triple fault."""
        status = self.stub.monitor("info status")
        if any(word in status for word in ENDED):
            raise UserError(f"The guest has ended ({status.strip()}): it does not go on.")
        self.stub.send("c")
        self.running = True

    def wait(self, seconds: float | None = None) -> str:
        """Until the guest stops by itself: the signal; empty if it did not in so many seconds."""
        found = self.stub.stopped(seconds)
        self.running = self.running and not found
        return found

    def let_go(self) -> None:
        """Let the guest go on if it ran when it was found, by GDB's `detach`."""
        if self.running:
            self.halt()
        if self.ran:
            self.stub.ask("Qqemu.PhyMemMode:0")
            self.stub.ask("D")
