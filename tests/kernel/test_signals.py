"""Handlers of signals: the access is repeated, a second fault kills, and every engine and time agrees."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.time.timeline import Timeline
from vmdbg.kernel.calls.signals import handles
from vmdbg.kernel.faults import SIGBUS, SIGKILL, SIGSEGV
from vmdbg.machine.check.invariants import check
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.vmp import parse_vmp
from vmdbg.state.tables import PROCESS, PROCESS_BACK, PROCESS_HANDLER, PROCESS_STATUS

REPAIRED = """
handler mend
write 0x406000, 0x2a
read 0x406000
exit 5
mend:
  mmap 0x406000, 4K, rw
  return
"""
SWEPT = """
region data 0x400000 64K rw
handler mend
loop 3
  mprotect 0x404000, 16K, r
  write 0x400000..0x410000 step 4K, 7
end
exit
mend:
  loop 2
    loop 2
      read 0x400000
    end
  end
  mprotect 0x400000, 64K, rw
  return
"""
FORKED = """
region data 0x400000 4K r
loop 2
  loop 2
    handler mend
    write 0x400000, 1
    fork other
  end
end
exit 1
mend:
  mprotect 0x400000, 4K, rw
  return
other:
  handler
  loop 3
    read 0x400000
  end
  exit 2
"""


def boot(text: str, **settings: int) -> Machine:
    program = parse_vmp(text.encode(), "t.vmp", va_bits=48, page_size=1 << 12)
    values = {name.replace("__", "."): value for name, value in settings.items()}
    machine = Machine(MachineConfig({"machine.ram": 8 << 20, **values}))
    machine.load(program)
    return machine


def run(machine: Machine, engine: str, ready: Callable[[Machine], Machine], limit: int = 10_000) -> Machine:
    if engine == "compiled":
        ready(machine)
    machine.run(limit, engine == "compiled")
    assert check(machine) == []
    return machine


def status(machine: Machine, pid: int = 1) -> int:
    return int(machine.m.process[pid * PROCESS + PROCESS_STATUS])


Ready = Callable[[Machine], Machine]


def test_the_access_is_made_again_after_the_repair(engine: str, ready: Ready) -> None:
    machine = run(boot(REPAIRED), engine, ready)
    counts = machine.counts()
    assert (counts["signal"], counts["handler"], counts["return"], counts["mmap"]) == (1, 1, 1, 1)
    assert (counts["write"], counts["read"], status(machine)) == (1, 1, 5)
    assert machine.operations == 7


def test_the_end_of_the_operations_ends_a_handler_too(engine: str, ready: Ready) -> None:
    machine = run(boot(REPAIRED.replace("  return\n", "")), engine, ready)
    assert (machine.counts()["return"], status(machine), machine.operations) == (1, 5, 7)
    said = boot("handler h\nread 0\nexit 1\nh: mmap 0, 4K, r\nexit 2\n")
    said.run(100)
    assert status(said) == 2


def test_a_second_fault_in_the_handler_kills(engine: str, ready: Ready) -> None:
    text = "handler h\nread 0x1000\nexit\nh:\nread 0x400000\nwrite 0x2000, 1\nreturn\n"
    machine = run(boot("region data 0x400000 4K r\n" + text), engine, ready)
    assert status(machine) == 128 + SIGSEGV
    assert (machine.counts()["handler"], machine.counts()["signal"]) == (1, 2)


def test_ranges_and_loops_go_on_where_they_were(engine: str, ready: Ready) -> None:
    machine = run(boot(SWEPT), engine, ready)
    counts = machine.counts()
    assert status(machine) == 0
    assert (counts["handler"], counts["return"]) == (3, 3)
    assert (counts["write"], counts["read"]) == (3 * 16, 3 * 4)


def test_a_child_at_a_label_is_in_no_loop(engine: str, ready: Ready) -> None:
    machine = run(boot(FORKED), engine, ready)
    assert [status(machine, pid) for pid in range(1, 6)] == [1, 2, 2, 2, 2]
    assert machine.counts()["read"] == 4 * 3
    assert machine.counts()["handler"] == 1


def test_both_engines_end_equal(both: None, ready: Ready) -> None:
    for text in (REPAIRED, SWEPT, FORKED):
        digests = {run(boot(text), engine, ready).digest() for engine in ("interpreted", "compiled")}
        assert len(digests) == 1


def test_a_child_made_in_the_handler_returns_too() -> None:
    text = "handler h\nwrite 0x406000, 1\nexit 3\nh:\nmmap 0x406000, 4K, rw\nfork\nreturn\n"
    machine = boot(text)
    machine.run(1000)
    assert (status(machine, 1), status(machine, 2)) == (3, 3)
    assert (machine.counts()["return"], machine.counts()["write"]) == (2, 2)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("handler h\nhandler\nread 0x1000\nexit\nh: exit 4\n", 128 + SIGSEGV),
        ("handler h\nread 0x1000\nexit\nh: exit 4\n", 4),
        ("return\nexit 6\n", 6),
        (
            "process p limit=1\nregion data 0 8K rw\nhandler h\nread 0..8K step 4K\nexit\nh: exit 4\n",
            128 + SIGKILL,
        ),
    ],
)
def test_how_a_process_ends(text: str, ends: int) -> None:
    machine = boot(text)
    machine.run(100)
    assert status(machine) == ends
    assert machine.counts().get("syscall-error", 0) == text.startswith("return")


def test_a_handler_that_repairs_nothing_runs_for_ever() -> None:
    machine = boot("handler h\nread 0x1000\nexit\nh: return\n")
    machine.run(1000)
    assert machine.operations == 1000
    assert machine.counts()["handler"] == 500


def test_a_bus_error_is_handled_too() -> None:
    text = """
    region data 0x400000 4K rw
    handler mend
    write 0x400000, 1
    read 0x400000
    exit 7
    mend:
      munmap 0x400000, 4K
      mmap 0x400000, 4K, rw
      return
    """
    machine = boot(text)
    machine.run(2)
    form, last = machine.format, len(machine.format.levels) - 1
    address = machine.k.entry_address(machine.m, 1, 0x400000, last)
    entry = machine.k.make_leaf(1 << 40, 15, last)  # a frame that no bank has
    machine.k.store(machine.m, address, form.entry_bytes, entry)
    machine.k.tlb_flush(machine.m, 0, -1, 0)
    machine.run(100)
    counts = machine.counts()
    assert (counts["bus-error"], counts["handler"], counts["return"]) == (1, 1, 1)
    assert status(machine) == 7


def test_what_can_be_handled() -> None:
    machine = boot("handler h\nh: return\n")
    assert not handles(machine.m, 1, SIGSEGV)
    machine.m.process[PROCESS + PROCESS_HANDLER] = 1
    assert [handles(machine.m, 1, number) for number in (SIGBUS, SIGSEGV, SIGKILL)] == [True, True, False]
    machine.m.process[PROCESS + PROCESS_BACK] = 1
    assert not handles(machine.m, 1, SIGSEGV)


@pytest.mark.long
def test_every_instant_of_a_handler_can_be_gone_to() -> None:
    line = Timeline(boot(SWEPT), Stops())
    digests = []
    for time in range(60):
        line.go(time)
        digests.append(line.machine.digest())
    for time in (59, 3, 17, 18, 16, 31, 0):
        line.go(time)
        assert line.machine.digest() == digests[time]


def test_a_fork_that_fails_leaves_a_clean_row() -> None:
    text = "region data 0 8K rw populate\nloop 3\nfork\nend\n"
    machine = boot(text, kernel__user_frames=16, kernel__table_frames=8)
    machine.run(1)
    assert machine.counts()["syscall-error"] == 1
    assert list(machine.m.process[2 * PROCESS : 3 * PROCESS]) == [0] * PROCESS
