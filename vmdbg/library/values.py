"""What an `Mmu` answers, as values: where an access goes, why it faults, what the tables map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, overload

from vmdbg.debugger.output import line_text
from vmdbg.formats.contract import FAULT_KINDS
from vmdbg.inspect.base_and_bounds import registers_of
from vmdbg.inspect.context import KERNEL, USER
from vmdbg.inspect.notation import Notation, kind_word, rights_text
from vmdbg.inspect.walk import ACCESS_WORDS, READ, Outcome, remark
from vmdbg.inspect.walk import Fault as FaultFound
from vmdbg.views.html import html_of
from vmdbg.views.pictures import picture_of_walk
from vmdbg.views.translate import bounded_lines, coded_line, walk_lines, walk_rows, walk_table
from vmdbg.views.why import why_data, why_lines

if TYPE_CHECKING:
    from vmdbg.inspect.walk import Walk
    from vmdbg.inspect.why import Verdict as VerdictFound
    from vmdbg.machine.machine import Machine
    from vmdbg.views.drawing import Drawing
    from vmdbg.views.result import Line

Access = Literal["read", "write", "fetch"]
#: The texts of the nibbles of rights: `r-xu`, without any `-`.
RIGHTS = tuple(rights_text(rights) for rights in range(32))


class Update(NamedTuple):
    """An entry that the hardware changed: its physical address, the word before and after, unsigned."""

    address: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Step:
    """An entry that a walk read.

    `level` is the manual's name of its level and `linux` Linux's; `kind` is one of `table`, `leaf`, `empty`,
    `not-valid`, `swapped`, `reserved` and `bus`; `flags` are the names of the bits that are set; `rights` are
    those so far: `r`, `w`, `x` or `-`, then `u` where user code may access and `k` where only the kernel may.
    """

    level: str
    linux: str
    index: int
    entry_address: int
    entry: int
    kind: str
    flags: tuple[str, ...]
    rights: str


class Steps(Sequence[Step]):
    """The entries that a walk read, the root's first.  As text it is the table that the prompt shows."""

    __slots__ = ("_machine", "_registers", "_steps", "_walk")

    def __init__(self, machine: Machine, walk: Walk) -> None:
        self._machine, self._walk = machine, walk
        self._registers = registers_of(machine, walk.root, walk.cpu) if machine.format.bounded else []
        self._steps: tuple[Step, ...] | None = None

    def _made(self) -> tuple[Step, ...]:
        if self._steps is None:
            self._steps = tuple(
                Step(
                    step.level,
                    step.form.levels[step.depth].linux,
                    step.index,
                    step.address,
                    0 if step.outside else step.entry,
                    kind_word(step.kind, step.entry),
                    tuple(step.flags),
                    RIGHTS[step.rights],
                )
                for step in self._walk.steps
            )
        return self._steps

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | Sequence[Step]:
        return self._made()[index]

    def __len__(self) -> int:
        return len(self._made())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._made() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._made())

    def __repr__(self) -> str:
        return f"<Steps {' '.join(f'{step.level}[{step.index}]' for step in self)}>"

    def __str__(self) -> str:
        return "\n".join(line_text(line) for line in self.table())

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy, also one in another process, is a plain tuple."""
        return tuple, (self._made(),)

    def table(self) -> Iterator[Line]:
        """A line for each entry, under a header."""
        show, walk = Notation(self._machine.format), self._walk
        rows = walk_rows(show, walk, Outcome(walk.va, None, READ, USER), self._remarks())
        return walk_table(rows, has_page=False)

    def _remarks(self) -> list[str]:
        return [remark(self._machine, step) for step in self._walk.steps]

    def lines(self, found: Outcome) -> Iterator[Line]:
        """The table of the walk and where it ends, as the prompt shows them."""
        show, walk = Notation(self._machine.format), self._walk
        if self._machine.format.bounded:
            return bounded_lines(show, self._registers, found)
        return walk_lines(show, walk, found, self._remarks())

    def pictures(self, found: Outcome) -> list[Drawing]:
        """The tables of the walk, drawn, if it read any."""
        return [picture_of_walk(self._machine, self._walk, found, reads=False)] if self._walk.steps else []

    def line(self, found: Outcome) -> str:
        """Where the walk ends, in a line."""
        form = self._machine.format
        return line_text(coded_line(form, Notation(form), found))


def asked(answer: Answer) -> Outcome:
    """The access of an answer, without what became of it."""
    return Outcome(answer.va, None, ACCESS_WORDS.index(answer.access), USER if answer.user else KERNEL)


class Answer:
    """What `Translation` and `Fault` share."""

    __slots__ = ()

    va: int
    access: Access
    user: bool
    steps: Sequence[Step]
    updates: tuple[Update, ...]

    def _found(self) -> Outcome:
        """The same as the commands of the prompt have it."""
        return asked(self)

    def data(self) -> dict[str, Any]:
        """A dictionary that can be written as JSON, with the keys of the command `walk`."""
        found = self._found().data()
        steps = [
            {name: getattr(step, name) for name in Step.__slots__} | {"flags": list(step.flags)}
            for step in self.steps
        ]
        wanted = ("va", "access", "mode", "outcome", "pa", "page_size", "rights", "fault")
        return {
            **{key: found[key] for key in wanted},
            "steps": steps,
            "updates": [update._asdict() for update in self.updates],
        }

    def __str__(self) -> str:
        steps = self.steps
        return steps.line(self._found()) if isinstance(steps, Steps) else repr(self)

    def _repr_html_(self) -> str:
        steps = self.steps
        if not isinstance(steps, Steps):
            return html_of([repr(self)])
        return html_of(steps.lines(self._found()), steps.pictures(self._found()))


@dataclass(frozen=True, slots=True)
class Translation(Answer):
    """An access, or a walk, that arrives.

    `va` and `pa` are the virtual and the physical address, `page_size` the bytes of the page, `rights` what
    all entries together give (`r-xu`; see `Step`), `steps` the entries as they are afterwards.  `updates`
    are the entries in which the hardware set A or D, as (address, old, new).  Of an access that crosses into
    the next page `rest` is where its other bytes go.
    """

    ok: ClassVar[Literal[True]] = True

    va: int
    pa: int
    page_size: int
    rights: str
    access: Access = "read"
    user: bool = True
    steps: Sequence[Step] = ()
    updates: tuple[Update, ...] = ()
    rest: Translation | None = None

    def _found(self) -> Outcome:
        """The same as the commands of the prompt have it."""
        found = asked(self)
        found.pa, found.page_size, found.rights = self.pa, self.page_size, RIGHTS.index(self.rights)
        return found

    __str__ = Answer.__str__


@dataclass(frozen=True, slots=True)
class Fault(Answer):
    """An access, or a walk, that does not arrive.

    `va` is the address that the CPU reports; `kind` is one of `not-present`, `protection`, `reserved`,
    `non-canonical`, `bus`, `bounds`, `refill`, `access-flag` and `protection-key`; `code` is what the
    architecture reports, an error code or a cause, and `meaning` that in the manual's words; `level` and
    `index` name the entry that decides, None if none does; `reason` is a sentence.  `steps` and `updates` are
    as in `Translation`.
    """

    ok: ClassVar[Literal[False]] = False

    va: int
    kind: str
    code: int
    reason: str
    level: str | None = None
    index: int | None = None
    meaning: str = ""
    access: Access = "read"
    user: bool = True
    steps: Sequence[Step] = ()
    updates: tuple[Update, ...] = ()

    def _found(self) -> Outcome:
        """The same as the commands of the prompt have it."""
        found = asked(self)
        found.fault = FaultFound(FAULT_KINDS.index(self.kind), self.reason, self.code, self.level, self.index)
        return found

    __str__ = Answer.__str__


@dataclass(frozen=True, slots=True)
class Page:
    """A page that the tables map: its virtual and physical address and size, the rights that all entries
    together give, and its leaf: level, address, the word and the names of the flags set in it."""

    va: int
    pa: int
    size: int
    rights: str
    level: str
    entry_address: int
    entry: int
    flags: tuple[str, ...]

    @property
    def readable(self) -> bool:
        """Is some mode allowed to read it?"""
        return "r" in self.rights

    @property
    def writable(self) -> bool:
        """Is some mode allowed to write it?"""
        return "w" in self.rights

    @property
    def executable(self) -> bool:
        """Is some mode allowed to execute it?"""
        return "x" in self.rights

    @property
    def user(self) -> bool:
        """Is it user code's?"""
        return self.rights.endswith("u")

    def __contains__(self, va: int) -> bool:
        return self.va <= va < self.va + self.size


@dataclass(frozen=True, slots=True)
class Decision:
    """The field of the entry that decides about an access, and its value."""

    level: str
    index: int
    field: str
    value: int


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of an entry that would let an access pass: the words now and then, and the change in words."""

    level: str
    index: int
    entry_address: int
    entry: int
    new: int
    change: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why an access may be made, or not.

    `rules` are the rules of the architecture that decide, with their sections; `decides` is the field that
    does, None if no single one does; `edits` are the fewest changes that would let it pass; `registers` are
    the control bits each of which would reverse the verdict, with their values now.  As text it is what the
    command `why` says.
    """

    allowed: bool
    outcome: Translation | Fault
    rules: tuple[str, ...]
    decides: Decision | None
    edits: tuple[Edit, ...]
    registers: dict[str, int]
    text: str = field(repr=False, compare=False)
    _found: Any = field(repr=False, compare=False)
    _form: Any = field(repr=False, compare=False)

    def data(self) -> dict[str, Any]:
        """A dictionary that can be written as JSON, with the keys of the command `why`."""
        return why_data(self._found)

    def __bool__(self) -> bool:
        return self.allowed

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return html_of(why_lines(Notation(self._form), self._form, self._found))


def verdict_of(machine: Machine, outcome: Translation | Fault, found: VerdictFound) -> Verdict:
    """The answer to `why` as a value."""
    data, form = why_data(found), machine.format
    return Verdict(
        data["allowed"],
        outcome,
        tuple(data["rules"]),
        Decision(**data["decides"]) if data["decides"] else None,
        tuple(Edit(**edit) for edit in data["edits"]),
        {row["register"]: row["value"] for row in data["registers"]},
        "\n".join(line_text(line) for line in why_lines(Notation(form), form, found)),
        found,
        form,
    )
