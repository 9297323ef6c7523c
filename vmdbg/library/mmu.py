"""An MMU on memory of the caller's: `Mmu`."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vmdbg.errors import UserError
from vmdbg.formats import NAMES
from vmdbg.formats.contract import BARE_ROOT, ENTRY_LEAF
from vmdbg.hardware.page_tables import entries
from vmdbg.inspect.context import KERNEL, USER, check_address, find_context, in_machine_mode
from vmdbg.inspect.notation import code_words
from vmdbg.inspect.translate import outcome_of, translate
from vmdbg.inspect.walk import ACCESS_WORDS, ACCESSES, READ, Walk, page_of, rows_read, walk_tables, where
from vmdbg.inspect.why import why
from vmdbg.library.memory import Memory, memory_of
from vmdbg.library.values import RIGHTS, Access, Fault, Page, Steps, Translation, Update, Verdict, verdict_of
from vmdbg.machine import registers
from vmdbg.machine.bare import BareMachine
from vmdbg.machine.boot import set_allowed
from vmdbg.state.tables import CPU, CPU_MODE, CPU_RESERVED
from vmdbg.units import WORD_MASK, s64

if TYPE_CHECKING:
    from vmdbg.formats.record import Format
    from vmdbg.inspect.context import Context
    from vmdbg.inspect.walk import Outcome

#: The names of the page-table formats.
FORMATS = tuple(NAMES)
MACHINE = 3  # the number of machine mode
HOW = {word: number for number, word in enumerate(ACCESS_WORDS)} | ACCESSES


class Registers(MutableMapping[str, int]):
    """The registers of an `Mmu` by the names of the manual, `cr3`, `satp`, and their fields, `cr0.wp`.

    A field may also be spelled with an underscore, `cr0_wp`, as keywords need it.  UserError for a value that
    the CPU would refuse, or a register that it has not.
    """

    def __init__(self, machine: BareMachine, changed: Callable[[], None]) -> None:
        self._machine, self._changed = machine, changed

    def _name(self, given: str) -> str:
        known = registers.names(self._machine.format)
        name = given.lower()
        if name in known:
            return name
        spelled = next((field for field in known if field.replace(".", "_") == name), None)
        if spelled is None:
            form = self._machine.format
            raise UserError(f"{form.name} has no register {given}; expected one of {', '.join(known)}.")
        return spelled

    def __getitem__(self, name: str) -> int:
        try:
            value = registers.read(self._machine, 0, self._name(name))
        except UserError:
            value = None
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: int) -> None:
        registers.write(self._machine, 0, self._name(name), value)
        self._changed()

    def __delitem__(self, name: str) -> None:
        raise TypeError("registers cannot be taken out")

    def __iter__(self) -> Iterator[str]:
        return iter(registers.names(self._machine.format))

    def __len__(self) -> int:
        return len(registers.names(self._machine.format))

    def __repr__(self) -> str:
        whole = [name for name in self if "." not in name]
        return f"<Registers {', '.join(f'{name}={self[name]:#x}' for name in whole)}>"


class Mmu:
    """A memory management unit that walks page tables in memory of the caller's.

    There is no kernel and no TLB: each access walks the tables as the hardware would, by the same code as
    the machines of vmdbg, and ends in a `Translation` or a `Fault`.

    `format` is the name of a page-table format (see `vmdbg.FORMATS`), or a TOML file that declares one.
    `memory` is physical memory:

    - a buffer (`bytes`, `bytearray`, `mmap`, an array), whose first byte has the address `ram_base`;
    - a mapping from addresses to entries, `{0x1000: 0x2003}`; what it does not have is 0;
    - a mapping from addresses to buffers, such as the segments of a dump;
    - a function of an address and a size in bytes, which returns an int, bytes in the order of memory, or
      None where there is no memory; `store`, a function of address, size and word, writes.

    Registers are keywords: the root (`cr3`, `satp`), others and their fields (`cr4`, `cr0_wp`); `registers`
    changes them later.  `page_size` is for formats of one level, which can be cut for other pages.

    UserError for a format, a register or an address that there is not.
    """

    def __init__(
        self,
        format: str | os.PathLike[str],
        memory: Memory,
        *,
        ram_base: int = 0,
        page_size: int = 0,
        store: Callable[[int, int, int], object] | None = None,
        **registers: int,
    ) -> None:
        self._memory = memory_of(memory, ram_base, store)
        self._machine = BareMachine(os.fspath(format), self._memory, page_size)
        self._cpus: dict[int, Any] = {}  # the row of the CPU by mode, since registers changed last
        self._contexts: dict[int, Context] = {}
        self.registers = Registers(self._machine, self._forget)
        self.registers.update(registers)

    @property
    def format(self) -> Format:
        """The record of the format: levels, fields, registers."""
        return self._machine.format

    def __repr__(self) -> str:
        root = self.format.root_register
        return f"<Mmu {self.format.name} {root}={self.registers[root]:#x}>"

    # -- what it answers

    def access(
        self, va: int, access: Access = "read", user: bool = True, size: int = 8, *, machine: bool = False
    ) -> Translation | Fault:
        """Make an access of `size` bytes as user code or as the kernel (`user=False`).

        With `machine` it is RISC-V's machine mode that makes it, as mstatus.MPRV and MPP say.

        It sets A and D as the architecture does it; memory that cannot be written stays as it is, and
        `updates` says what would have been written.  An access that crosses into the next page is made in two
        parts, the lower one first; the second is `rest`, or the fault.
        """
        return self._perform(va, access, mode_of(user, machine), size, writes=True)

    def translate(
        self, va: int, access: Access = "read", user: bool = True, size: int = 1, *, machine: bool = False
    ) -> Translation | Fault:
        """What `access` would answer.  Nothing is written."""
        return self._perform(va, access, mode_of(user, machine), size, writes=False)

    def walk(self, va: int) -> Translation | Fault:
        """Read the tables for an address, whoever may use it: rights play no role, and nothing is written.

        A fault has the code that a user's read would get.
        """
        machine, context = self._machine, self._enter(USER)
        found = walk_tables(machine, context.root, self._address(va), 0)
        if found.kind == ENTRY_LEAF and found.rows and machine.k.canonical(machine.m, s64(va)):
            page, size = page_of(machine, found)
            pa = page + (found.va & (size - 1))
            return Translation(found.va, pa, size, RIGHTS[found.rights], steps=Steps(machine, found))
        return self._answer(found, outcome_of(machine, context, found, READ, check=False))

    def map(self, start: int | None = None, end: int | None = None) -> Iterator[Page]:
        """Every page that the tables map, by address; only those from `start` to before `end`.

        Tables are read as the iterator comes to them.  One to which several entries lead is read for each of
        them, so that a table which points to itself maps all tables, as it does for the CPU.
        """
        machine, context = self._machine, self._enter(USER)
        form, reserved = machine.format, machine.m.cpu[CPU_RESERVED]
        found = entries(
            machine.k, form, context.root, start, end, follow=lambda entry: not entry.entry & reserved
        )
        for entry in found:
            if entry.kind == ENTRY_LEAF and not entry.entry & reserved:
                level = form.levels[entry.depth]
                yield Page(
                    entry.va & WORD_MASK,
                    entry.target,
                    1 << level.shift,
                    RIGHTS[entry.rights],
                    level.name,
                    entry.address,
                    entry.entry & WORD_MASK,
                    tuple(form.flags(entry.entry, where(form, entry.depth, entry.kind), entry.depth)),
                )

    def why(self, va: int, access: Access = "read", user: bool = True, *, machine: bool = False) -> Verdict:
        """Why an access may be made, or not: the rule, the entry that decides, the smallest change."""
        outcome = self.translate(va, access, user, machine=machine)
        context = self._context(access, mode_of(user, machine))
        return verdict_of(self._machine, outcome, why(self._machine, context, va & WORD_MASK, HOW[access]))

    # -- how

    def _forget(self) -> None:
        """Drop what was derived from the registers, which have changed."""
        self._cpus.clear()
        self._contexts.clear()

    def _enter(self, mode: int) -> Context:
        """Put the CPU in a mode; how it looks at memory then."""
        machine = self._machine
        m = machine.m
        if m.cpu[CPU_MODE] != mode:
            row = self._cpus.get(mode)
            if row is None:
                m.cpu[CPU_MODE] = mode
                set_allowed(m, 0, machine.format)
            else:
                m.cpu[:CPU] = row
        context = self._contexts.get(mode)
        if context is None:
            self._cpus[mode] = array("q", m.cpu[:CPU])
            context = self._contexts[mode] = find_context(machine, cpu=0, mode=mode)
        return context

    def _context(self, access: str, mode: int) -> Context:
        """Put the CPU in the mode in which it makes an access; how it looks at memory then."""
        context = self._enter(mode & KERNEL)
        if mode != MACHINE:
            return context
        asked = in_machine_mode(self._machine, context, HOW[access])
        return asked if asked.root == BARE_ROOT else self._enter(asked.mode)

    def _address(self, va: int) -> int:
        """An address, unsigned.  UserError if it has more bits than the format's."""
        if not -(1 << 63) <= va <= WORD_MASK:
            raise UserError(f"Address {va:#x} does not fit in 64 bits.")
        return check_address(self._machine, va)

    def _perform(self, va: int, access: str, mode: int, size: int, writes: bool) -> Translation | Fault:
        """The parts of an access, page by page."""
        if access not in HOW:
            raise ValueError(f"access: expected {', '.join(ACCESS_WORDS)}, not {access!r}")
        if size < 1:
            raise ValueError(f"size: expected a number of bytes from 1, not {size}")
        memory, context = self._memory, self._context(access, mode)
        memory.writes = writes
        first, last_byte = self._address(va), self._machine.format.page_size - 1
        at, parts = first, list[Translation | Fault]()
        try:
            while True:
                parts.append(self._part(context, at & WORD_MASK, HOW[access]))
                last = min(at | last_byte, first + size - 1)
                if self._machine.format.bounded and parts[-1].ok and last > at:
                    end = self._part(context, last & WORD_MASK, HOW[access])
                    parts[-1] = parts[-1] if end.ok else end  # what begins inside ends outside
                at = (at | last_byte) + 1
                if not parts[-1].ok or at - first >= size:
                    return joined(parts)
        finally:
            memory.writes = False

    def _part(self, context: Context, va: int, access: int) -> Translation | Fault:
        """An access within a page."""
        machine = self._machine
        k, m, form = machine.k, machine.m, machine.format
        self._memory.updates.clear()
        if machine.bindings["BARE"] and context.root == BARE_ROOT:
            same = translate(machine, context, va, access)
            return self._answer(Walk(form, va, context.root, ENTRY_LEAF, []), same)
        pa = k.translate(m, 0, s64(va), access)
        if pa < 0 or form.bounded:
            found = walk_tables(machine, context.root, va, 0)
            return self._answer(found, outcome_of(machine, context, found, access))
        first = k.first_step(m)
        found = Walk(form, va, context.root, ENTRY_LEAF, rows_read(machine, first), first)
        return Translation(
            va,
            pa,
            page_of(machine, found)[1],
            RIGHTS[found.rights],
            ACCESS_WORDS[access],
            context.mode == USER,
            Steps(machine, found),
            tuple(self._memory.updates.values()),
        )

    def _answer(self, walk: Walk, found: Outcome) -> Translation | Fault:
        """What the commands of the prompt have found, as a value."""
        machine, fault = self._machine, found.fault
        access, user, steps = ACCESS_WORDS[found.access], found.mode == USER, Steps(machine, walk)
        if fault is None:
            assert found.pa is not None
            return Translation(found.va, found.pa, found.page_size, RIGHTS[found.rights], access, user, steps)
        meaning = code_words(machine.format, fault.code)
        return Fault(
            found.va,
            fault.kind,
            fault.code,
            fault.reason,
            fault.level,
            fault.index,
            meaning,
            access,
            user,
            steps,
        )


def mode_of(user: bool, machine: bool) -> int:
    """The number of a mode."""
    return MACHINE if machine else USER if user else KERNEL


def joined(parts: list[Translation | Fault]) -> Translation | Fault:
    """The parts of an access as one answer: the first of them with what became of the rest, or the fault."""
    *before, answer = parts
    for part in reversed(before):
        updates = merged(part.updates, answer.updates)
        if isinstance(answer, Fault) or isinstance(part, Fault):
            answer = replace(answer, updates=updates)
        else:
            answer = replace(part, updates=updates, rest=answer)
    return answer


def merged(first: tuple[Update, ...], later: tuple[Update, ...]) -> tuple[Update, ...]:
    """What two parts of an access changed, an entry once."""
    found = {update.address: update for update in first}
    for update in later:
        old = found[update.address].old if update.address in found else update.old
        found[update.address] = Update(update.address, old, update.new)
    return tuple(found.values())
