"""Events that happened: the rows of the machine's log, and which events go there."""

from __future__ import annotations

from vmdbg.state.events import EVENTS, KINDS, MASK_LOG, MASK_STOPS
from vmdbg.state.tables import (
    CONTROL_COUNTERS,
    CONTROL_EVENTS,
    CONTROL_LOGGED,
    CONTROL_NUMBERED,
    CONTROL_STOP_AT,
    CPU,
    CPU_PID,
    KERNEL_CPU,
    LOG,
    LOG_A,
    LOG_B,
    LOG_C,
    LOG_CPU,
    LOG_EVENT,
    LOG_KIND,
    LOG_OPERATION,
    LOG_PID,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from vmdbg.machine.machine import Machine
    from vmdbg.state.events import Event

    KeptLog: TypeAlias = tuple[bytes, list[int], bytes]  # mask, KEPT_WORDS, rows


KEPT_WORDS = (CONTROL_LOGGED, CONTROL_NUMBERED, CONTROL_EVENTS)


class LoggedEvent:
    """One event: operation and number inside it, CPU, process, arguments (64-bit, signed)."""

    __slots__ = ("a", "b", "c", "cpu", "kind", "number", "operation", "pid")

    def __init__(
        self, kind: int, operation: int, number: int, cpu: int, pid: int, a: int, b: int, c: int
    ) -> None:
        self.kind, self.operation, self.number, self.cpu, self.pid = kind, operation, number, cpu, pid
        self.a, self.b, self.c = a, b, c

    @property
    def declaration(self) -> Event:
        """The declaration of its kind."""
        return EVENTS[self.kind]

    @property
    def name(self) -> str:
        """The name of its kind."""
        return EVENTS[self.kind].name

    @property
    def arguments(self) -> dict[str, int]:
        """The arguments by name."""
        return dict(zip(EVENTS[self.kind].arguments, (self.a, self.b, self.c), strict=False))


def log_rows(m: Any) -> int:
    """Rows that the log can hold."""
    return len(m.log) // LOG


def require_rows(machine: Machine, rows: int) -> None:
    """Make the log hold at least so many rows."""
    if log_rows(machine.m) < rows:
        machine.grow("log", rows)


def start_log(m: Any, stop_at: int = 0) -> None:
    """Number and log all events from here on, from an operation's start; leave it at one if asked."""
    for kind in range(KINDS):
        m.mask[kind] |= MASK_LOG
    m.control[CONTROL_NUMBERED] = -1
    m.control[CONTROL_LOGGED] = 0
    m.control[CONTROL_STOP_AT] = stop_at


def stop_log(m: Any) -> None:
    """Stop logging."""
    for kind in range(KINDS):
        m.mask[kind] &= MASK_STOPS
    m.control[CONTROL_STOP_AT] = 0


def read_log(m: Any) -> list[LoggedEvent]:
    """What was logged since `start_log`, as far as the log could hold it."""
    log, found = m.log, []
    for row in range(0, min(m.control[CONTROL_LOGGED], log_rows(m)) * LOG, LOG):
        found.append(
            LoggedEvent(
                log[row + LOG_KIND],
                log[row + LOG_OPERATION],
                log[row + LOG_EVENT],
                log[row + LOG_CPU],
                log[row + LOG_PID],
                log[row + LOG_A],
                log[row + LOG_B],
                log[row + LOG_C],
            )
        )
    return found


def overflowed(m: Any) -> bool:
    """Were there more events than the log could hold?"""
    return bool(m.control[CONTROL_LOGGED] > log_rows(m))


def keep_log(m: Any) -> KeptLog:
    """The log as it is, for `put_log`."""
    used = min(m.control[CONTROL_LOGGED], log_rows(m)) * LOG
    return bytes(m.mask), [m.control[word] for word in KEPT_WORDS], m.log[:used].tobytes()


def put_log(m: Any, kept: KeptLog) -> None:
    """Make the log what it was; it may have grown since."""
    mask, words, rows = kept
    m.mask[:] = mask
    for word, value in zip(KEPT_WORDS, words, strict=True):
        m.control[word] = value
    m.log.cast("B")[: len(rows)] = rows


def totals(m: Any) -> list[int]:
    """How often each kind of event happened so far."""
    return [sum(m.count[kind::KINDS]) for kind in range(len(EVENTS))]


def amounts(before: list[int], after: list[int], logged: list[LoggedEvent]) -> dict[str, int]:
    """The amounts of events between two `totals`, by name of the event; `logged` are these events."""
    found = {e.name: after[e.kind] - before[e.kind] for e in EVENTS if after[e.kind] != before[e.kind]}
    for event in logged:
        if event.declaration.amount:
            found[event.name] += event.arguments[event.declaration.amount] - 1
    return found


def aim_counters(machine: Machine, cpu: int | None = None, pid: int | None = None) -> None:
    """Let events of cold code be counted for a CPU and a process; by default the current ones."""
    m = machine.m
    cpu = m.kernel[KERNEL_CPU] if cpu is None else cpu
    pid = m.cpu[cpu * CPU + CPU_PID] if pid is None else pid
    m.control[CONTROL_COUNTERS] = (pid * machine.config["machine.cpus"] + cpu) * KINDS
