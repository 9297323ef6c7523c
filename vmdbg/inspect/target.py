"""The simulated machine as a target: what commands ask, as plain data.  All of it is pure.

What needs more than a look at the machine lives in the modules beside this one, each about one
subject: `place translating deciding caches mapping census scope`.  They are imported when they are asked.
"""

# Long: one short method for each question that is asked.
from __future__ import annotations

import os

from vmdbg.errors import UserError
from vmdbg.inspect.notation import Notation
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.machine import Machine
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from vmdbg.inspect.context import Place

ACCESS = {"r": 0, "w": 1, "x": 2}


class Simulated:
    """The simulated machine behind the prompt.

    `program_file` replaces the configuration's program; `resident`: a trace's pages are in memory.
    A `machine` that is given is taken as it is.  `approve` gives the path to open for the name of a program
    or of a file that it maps, or raises a UserError.
    """

    name = "simulated"
    capabilities = frozenset({"translate", "tlb", "act", "run", "kernel"})

    def __init__(
        self,
        config: MachineConfig,
        program_file: str = "",
        resident: bool = False,
        machine: Machine | None = None,
        approve: Callable[[str], str] = os.path.expanduser,
    ) -> None:
        if program_file:
            config = config.with_({"machine.program": program_file, "machine.warm": 0, "kernel.swapped": ""})
        self.machine = machine or Machine(config)
        self.notation = Notation(self.machine.format)
        self.make_scope: Callable[[Simulated], Any] | None = None
        self._scope: Any = None
        self.resident, self.approve = resident, approve
        self.origin = config.name  # what `machine` takes: a name or a file
        self.loaded_from = ""  # the file that the machine came from as a whole
        if machine is None:
            boot_program(self.machine, resident, approve)

    @property
    def m(self) -> Any:
        """The machine's tables."""
        return self.machine.m

    @property
    def format(self) -> Any:
        """The record of the machine's format."""
        return self.machine.format

    @property
    def scope(self) -> Any:
        """What expressions see of the machine, made when it is first asked; None without a maker."""
        if self._scope is None and self.make_scope is not None:
            self._scope = self.make_scope(self)
        return self._scope

    # -- words of the prompt

    def check_address(self, value: int) -> int:
        """A virtual address, unsigned.  UserError if it does not fit the machine."""
        form = self.machine.format
        unsigned = value & WORD_MASK
        if not form.sign_extended and unsigned >> form.va_bits:
            last = (1 << form.va_bits) - 1
            show = self.notation.va
            raise UserError(
                f"Address {unsigned:#x} does not fit in {form.va_bits} bits ({show(0)}..{show(last)})."
            )
        return unsigned

    def names(self) -> list[str]:
        """Registers and functions, with their `$`, and symbols: for completion."""
        return list(self.scope.names()) if self.scope is not None else []

    def complete(self, what: str) -> list[str]:
        """All words of a sort, for completion."""
        from vmdbg.inspect.completions import offered

        return offered(self.machine, what)

    @property
    def event_kinds(self) -> list[str]:
        """Names of the kinds of events."""
        from vmdbg.state.events import EVENTS

        return [event.name for event in EVENTS]

    def greeting(self) -> Iterator[str]:
        """What the prompt says first."""
        from vmdbg.inspect.completions import greeting

        return greeting(self.machine)

    def place(
        self,
        pid: int | None = None,
        root: int | None = None,
        cpu: int | None = None,
        asid: int | None = None,
        mode: int | None = None,
    ) -> Place:
        """Where a looking command looks; see `targets.place`."""
        from vmdbg.inspect.context import find_place

        return find_place(self.machine, pid, root, cpu, asid, mode)

    # -- looking

    def translate(self, va: int, access: str = "r", place: Place | None = None) -> Any:
        """Where an access goes now: an `Outcome`."""
        from vmdbg.inspect.cached import translate

        return translate(self.machine, place or self.place(), va, ACCESS[access])

    def walk(self, va: int, access: str = "r", place: Place | None = None) -> tuple[Any, Any]:
        """What the tables say: a `Walk`, and the `Outcome` if every right were there."""
        from vmdbg.inspect.translate import outcome_of, walk_tables

        place = place or self.place()
        walk = walk_tables(self.machine, place.root, va, place.cpu)
        return walk, outcome_of(self.machine, place, walk, ACCESS[access], check=False)

    def remarks(self, walk: Any) -> list[str]:
        """What stands in the flags column of each step of a walk."""
        from vmdbg.inspect.translate import remark

        return [remark(self.machine, step) for step in walk.steps]

    def walk_data(self, walk: Any, found: Any) -> dict[str, Any]:
        """A walk as JSON shows it."""
        from vmdbg.inspect.notation import kind_word, rights_text

        data = found.data()
        for key in ("access", "mode", "via", "walk_cache", "stale"):
            del data[key]
        steps = [
            {
                "level": step.level,
                "index": step.index,
                "entry_address": step.address,
                "entry": step.entry,
                "kind": kind_word(step.kind, step.entry),
                "linux": self.machine.format.levels[step.depth].linux,
                "flags": step.flags,
                "rights": rights_text(step.rights),
            }
            for step in walk.steps
        ]
        head = {"va": walk.va, "format": self.machine.format.name, "root": walk.root & WORD_MASK}
        if self.machine.format.bounded:
            head["bound"] = self.bound
        return {**head, "steps": steps, **data}

    def linux_names(self) -> list[str]:
        """Linux's five levels; a dash before those that the format lacks."""
        own = [level.linux for level in self.machine.format.levels]
        return [name if name in own else f"-{name}" for name in ("pgd", "p4d", "pud", "pmd", "pte")]

    def byte_at(self, pa: int) -> int:
        """A byte of physical memory; 255 outside every bank."""
        return int(self.machine.k.load(self.machine.m, pa, 1)) & 255

    def deciding_fields(self) -> list[Any]:
        """The fields of entries that the format's rules speak of."""
        from vmdbg.inspect.why import deciding_fields

        return deciding_fields(self.machine.format)

    def why(self, va: int, access: str = "r", place: Place | None = None) -> Any:
        """Which rule decides about an access: a `Verdict`."""
        from vmdbg.inspect.why import why

        return why(self.machine, place or self.place(), va, ACCESS[access])

    def regions(self, place: Place) -> Iterator[Any]:
        """The regions of a place's process, measured: `Space`s."""
        from vmdbg.inspect.address_space import measured

        assert place.pid is not None
        return measured(self.machine, place.pid, place.root)

    def runs(self, place: Place) -> Iterator[tuple[Any, str]]:
        """The mapped pages of a place with the kind of their region."""
        from vmdbg.inspect.address_space import named_runs

        return named_runs(self.machine, place.root, place.pid)

    def kernel_runs(self, place: Place) -> Iterator[tuple[Any, str]]:
        """What of a place only the kernel may use."""
        from vmdbg.inspect.address_space import kernel_runs

        return ((run, "") for run in kernel_runs(self.machine, place.root))

    def map_notes(self, place: Place) -> Iterator[str]:
        """What `map` says below the regions."""
        from vmdbg.inspect.address_space import map_notes

        assert place.pid is not None
        return map_notes(self.machine, place.root, place.pid)

    def processes(self, ended: bool = False) -> list[dict[str, Any]]:
        """A row for each process."""
        from vmdbg.inspect.processes import processes

        return processes(self.machine, ended)

    def scores(self) -> list[dict[str, Any]]:
        """The out-of-memory score of each process."""
        from vmdbg.inspect.processes import scores

        return scores(self.machine)

    def current_pid(self) -> int:
        """The process on the current CPU; 0 if there is none."""
        from vmdbg.inspect.context import current_pid

        return current_pid(self.machine)

    def running_pid(self) -> int:
        """The process that is on the current CPU; 0 while it is idle."""
        from vmdbg.inspect.context import current_cpu, running_pid

        return running_pid(self.machine, current_cpu(self.machine))

    def current_process(self) -> dict[str, Any] | None:
        """The row of the current process, with its CPU; None without one."""
        from vmdbg.inspect.context import current_cpu

        pid = self.current_pid()
        row = next((row for row in self.processes() if row["pid"] == pid), None)
        return None if row is None else {**row, "cpu": current_cpu(self.machine)}

    def tlb(
        self,
        level: int | None = None,
        cpu: int | None = None,
        asid: int | None = None,
        walk: bool = False,
    ) -> Iterator[Any]:
        """The entries of the TLB, or of the page-walk caches, checked: `Cached`s."""
        from vmdbg.inspect.context import check_asid, check_cpu
        from vmdbg.inspect.tlb import cached_entries

        if level not in (None, 1, 2):
            raise UserError(f"No TLB level {level}: expected 1 or 2.")
        if cpu is not None:
            check_cpu(self.machine, cpu)
        if asid is not None:
            check_asid(asid)
        return cached_entries(self.machine, level, cpu, asid, walk)

    def look_up(self, va: int, access: str, place: Place) -> list[Any]:
        """The look-ups that an access makes in the TLB: `Probe`s.  Of no access: in all of its arrays."""
        from vmdbg.inspect.tlb import look_up

        return look_up(self.machine, place, va, ACCESS[access] if access else None)

    @staticmethod
    def look_up_data(va: int, probes: list[Any]) -> dict[str, Any]:
        """Look-ups as JSON shows them."""
        from vmdbg.inspect.tlb import probe_data

        return probe_data(va, probes)

    def facts(self) -> dict[str, Any]:
        """The machine in numbers."""
        from vmdbg.inspect.machine import facts

        return facts(self.machine)

    def registers(self, cpu: int | None = None, names: Sequence[str] = ()) -> list[dict[str, Any]]:
        """The registers of a CPU, or of all; those with a name, or all.  UserError if there is none."""
        from vmdbg.inspect.context import check_cpu
        from vmdbg.inspect.machine import registers

        chosen = range(self.machine.config["machine.cpus"]) if cpu is None else [check_cpu(self.machine, cpu)]
        rows = [row for number in chosen for row in registers(self.machine, number)]
        for name in names:
            if all(row["register"] != name for row in rows):
                raise UserError(f"Invalid register `{name}'")
        return [row for row in rows if not names or row["register"] in names]

    def counters(self, pid: int | None = None) -> tuple[list[Any], list[str]]:
        """Rows of counters, and a line that sums up; of a process that ended, too."""
        from vmdbg.inspect.context import check_process, check_row
        from vmdbg.inspect.processes import counters, rates

        if pid is not None:
            check_row(self.machine, pid)
        if pid is not None:
            check_process(self.machine, pid, ended=True)
        return counters(self.machine, pid), rates(self.machine, pid)

    def frames(self) -> tuple[Iterator[Any], list[str]]:
        """Rows of frames, and a line that sums up."""
        from vmdbg.inspect.machine import frame_runs
        from vmdbg.inspect.processes import frame_states

        states = frame_states(self.machine)
        total = ", ".join(f"{count} {state}" for state, count in states.items() if count)
        return frame_runs(self.machine), [f"{sum(states.values())} frames: {total}."]

    def all_regions(self, pid: int | None = None) -> Iterator[dict[str, Any]]:
        """Rows of regions, of all processes or of one."""
        from vmdbg.inspect.context import check_process
        from vmdbg.inspect.processes import all_regions

        return all_regions(self.machine, None if pid is None else check_process(self.machine, pid))

    def slots(self, pid: int | None = None) -> tuple[list[Any], list[str]]:
        """Rows of slots, and a line that sums up."""
        from vmdbg.inspect.processes import slot_summary, slots

        rows = [row for row in slots(self.machine) if pid in (None, row["pid"])]
        return rows, [slot_summary(self.machine)]

    def branches(self, place: Place) -> Iterator[Any]:
        """The tree of tables below a place's root: `Branch`es."""
        from vmdbg.inspect.page_tables import branches

        return branches(self.machine, place.root)

    def valid_entries(self, place: Place) -> Iterator[tuple[int, int, int, int]]:
        """Depth, index, entry and the address it names, of every entry that a walk could use."""
        from vmdbg.inspect.page_tables import valid_entries

        return valid_entries(self.machine, place.root)

    def overhead(self, place: Place) -> tuple[list[Any], dict[str, Any]]:
        """What the tables below a place's root take: `Cost`s, and the same as JSON shows it."""
        from vmdbg.inspect.page_tables import overhead_data, table_costs

        found = table_costs(self.machine, place.root, own=place.pid is not None)
        return found, overhead_data(self.machine, place.pid, found)

    def partitions(self) -> list[dict[str, Any]]:
        """A row for each partition; none where memory is not cut into partitions."""
        from vmdbg.inspect.base_and_bounds import partitions

        return list(partitions(self.machine)) if self.machine.format.bounded else []

    @property
    def bound(self) -> int:
        """The bound register of the CPU in use, where there is one."""
        from vmdbg.inspect.base_and_bounds import bound_of

        return bound_of(self.machine)

    def mappers(self, pfn: int | None, root: int | None = None) -> list[dict[str, Any]]:
        """A row for each entry that maps a frame; without one, of every frame that several entries map.

        By the kernel's reverse map, or by the entries of the tree below a root.
        """
        from vmdbg.inspect.page_tables import frame_number, mappers, shared_frames, tree_mappers

        if root is not None:
            return tree_mappers(self.machine, root, pfn)
        frames = shared_frames(self.machine, 2) if pfn is None else [frame_number(self.machine, pfn)]
        return [row for frame in frames for row in mappers(self.machine, frame)]

    def aliases(self, pa: int, root: int | None = None) -> Iterator[dict[str, Any]]:
        """Every address of a process, or of the tree below a root, that leads to a physical address."""
        from vmdbg.inspect.page_tables import aliases

        return aliases(self.machine, pa, root)

    def entry(self, entry: int, level: str) -> tuple[str, list[dict[str, Any]]]:
        """An entry in a line, and its fields; UserError if it is too wide."""
        from vmdbg.inspect.pte import fields, find_level, title

        form = self.machine.format
        depth = find_level(self.machine, level) if level else len(form.levels) - 1
        entry &= WORD_MASK
        if entry >> 8 * form.entry_bytes:
            raise UserError(f"Entry {entry:#x} does not fit in {form.entry_bytes} bytes.")
        return title(self.machine, self.notation, entry, depth), fields(self.machine, entry, depth)

    def describe(self) -> str:
        """The machine in a line."""
        from vmdbg.inspect.machine import describe

        return describe(self.machine.config, self.machine)


def open_machine(name: str = "default", program_file: str = "") -> Simulated:
    """Boot the machine of that preset or TOML file."""
    return Simulated(load_config(name), program_file)


def boot_program(
    machine: Machine, resident: bool = False, approve: Callable[[str], str] = os.path.expanduser
) -> None:
    """Load the program that the configuration names, run its warm-up, swap out what it names.

    `resident`: the pages of a trace are in memory from the start.  `approve` as `Simulated`.
    """
    config = machine.config
    if config["machine.program"]:
        from vmdbg.programs import read_program

        form = machine.format
        file, bits, size = config["machine.program"], form.va_bits, form.grain
        program = read_program(
            file, va_bits=bits, page_size=size, resident=resident, approve=approve, user_end=form.user_end
        )
        machine.load(program)
        if config["machine.warm"]:
            machine.first = machine.snapshot()
        machine.run(config["machine.warm"])
    for item in config["kernel.swapped"].split():
        machine.swap_out(*listed_page(machine, item))


def listed_page(machine: Machine, text: str) -> tuple[int, int]:
    """The process and the address of an item of `kernel.swapped`.  UserError if there is no such process."""
    from vmdbg.kernel.calls.processes import live_processes

    pid, _, address = text.partition(":")
    try:
        found = int(pid), s64(int(address, 0))
    except ValueError:
        raise UserError(f'kernel.swapped: expected PID:ADDRESS, not "{text:.40}".') from None
    if found[0] not in live_processes(machine.k):
        raise UserError(f"kernel.swapped: there is no process {found[0]}.")
    return found
