"""Why an access may or may not be made: the entry and the field that decide, and the smallest edit."""

from __future__ import annotations

from vmdbg.formats.contract import (
    ALL_RIGHTS,
    ENTRY_BUS,
    ENTRY_EMPTY,
    ENTRY_LEAF,
    ENTRY_RESERVED,
    ENTRY_SWAPPED,
    ENTRY_TABLE,
    FAULT_AD,
    FAULT_BOUNDS,
    FAULT_PROTECTION,
)
from vmdbg.hardware.page_tables import seen_by, table_entries
from vmdbg.inspect.context import controls
from vmdbg.inspect.rules import Cause, Edit, decide, deniers, field_named, missing_rights
from vmdbg.inspect.translate import outcome_of, translate
from vmdbg.inspect.walk import (
    ACCESS_WORDS,
    Outcome,
    Step,
    Walk,
    allows,
    key_of,
    lacking,
    reserving,
    walk_tables,
    where,
)
from vmdbg.state.tables import CONTROL_RIGHTS
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.formats.record import Field, Format, Register
    from vmdbg.inspect.context import Context
    from vmdbg.inspect.fault_codes import Reported
    from vmdbg.machine.machine import Machine

NEAR_ENTRIES = 1 << 12  # a table with more entries is not searched for near ones


class Verdict:
    """The answer to `why`.

    `near` is the nearest entry in use in the table where a walk ended: (its step, the first address that it
    maps, whether it is the only one), or None.  `registers` are the bits of control registers any one of
    which would reverse the verdict, with their values now.  `fields` are the names of the fields that the
    rules speak of, `values` what each has in the entry of each step (None: it has no meaning there).
    `reported` is what a CPU said of the access, if that was asked.
    """

    __slots__ = (
        "canonical",
        "cause",
        "context",
        "fields",
        "near",
        "outcome",
        "registers",
        "reported",
        "rules",
        "sentences",
        "tlb",
        "values",
        "walk",
    )  # fmt: skip

    def __init__(self, machine: Machine, context: Context, walk: Walk, outcome: Outcome) -> None:
        self.context, self.walk, self.outcome = context, walk, outcome
        self.canonical = bool(seen_by(machine.k, context.cpu, machine.k.canonical, s64(walk.va)))
        self.fields = list(dict.fromkeys(field.name for field in deciding_fields(machine.format)))
        self.values = [[value_of(machine, step, name) for name in self.fields] for step in walk.steps]
        self.sentences: list[str] = []  # the rules in words
        self.cause: Cause | None = None
        self.rules: list[str] = []
        self.near: tuple[Step, int, bool] | None = None
        self.tlb: Outcome | None = None
        self.registers: list[tuple[Register, int]] = []
        self.reported: Reported | None = None


def why(machine: Machine, context: Context, va: int, access: int) -> Verdict:
    """Which rule of the hardware allows or refuses an access, by the page tables and not by the TLB."""
    verdict = decided(machine, context, va, access)
    verdict.sentences = [rule_text(machine, verdict, key) for key in verdict.rules]
    return verdict


def decided(machine: Machine, context: Context, va: int, access: int) -> Verdict:
    """The answer to `why`, the rules by their keys only."""
    walk = walk_tables(machine, context.root, va, context.cpu)
    verdict = Verdict(machine, context, walk, outcome_of(machine, context, walk, access))
    through = translate(machine, context, va, access)
    if through.stale:
        verdict.tlb = through
    rules = machine.format.rules
    if machine.format.bounded:
        fault = verdict.outcome.fault
        decides = {FAULT_BOUNDS: "b", FAULT_PROTECTION: "s"}.get(fault.number) if fault else None
        verdict.rules = [key for key in rules if decides in (None, key)]
        return verdict
    if not verdict.canonical:
        verdict.rules = [key for key in (("b",) if machine.format.segments else ("c",)) if key in rules]
    elif not walk.maps:
        decide_absent(machine, verdict)
    elif verdict.outcome.fault is not None and verdict.outcome.fault.number == FAULT_AD:
        verdict.cause = ad_cause(machine, verdict)
        verdict.rules = [key for key in ("a",) if key in rules]
    elif verdict.outcome.fault is not None and machine.format.segments and not verdict.outcome.fault.level:
        verdict.rules = ["s"]
    elif verdict.outcome.fault is not None:
        verdict.cause = decide(machine, context, walk, access)
        verdict.rules = [verdict.cause.rule] if verdict.cause else []
    else:
        held = next(missing_rights(machine, context, 0, access), [])
        verdict.rules = [key for key in held if key in rules and not deniers(machine, walk, key)]
    if verdict.canonical:
        verdict.registers = list(reversing_bits(machine, context, va, access))
    return verdict


def ad_cause(machine: Machine, verdict: Verdict) -> Cause | None:
    """The A or D bit that the leaf lacks and that only the kernel sets, with the edit that sets it."""
    step = verdict.walk.last
    words = controls(machine, verdict.context.cpu)
    field = lacking(machine, words, verdict.outcome.access, step.entry)
    if field is None:
        return None
    edit = Edit(step, step.entry, field.put(step.entry, 1), f"set {field.name}")
    return Cause("a", field.name, 0, step, [edit])


def reversing_bits(
    machine: Machine, context: Context, va: int, access: int
) -> Iterator[tuple[Register, int]]:
    """The bits of control registers each of which would reverse the verdict, with their present values.

    A bit that reserves fields of entries is listed only if the access is forbidden because of that.
    """
    form, control = machine.format, controls(machine, context.cpu)
    walk = walk_tables(machine, context.root, va, context.cpu, reserves=False)
    entries = [s64(step.entry) for step in walk.steps if step.kind <= ENTRY_LEAF]
    large = walk.last.depth < len(form.levels) - 1

    def verdict(words: list[int]) -> bool:
        masks = form.masks(words)
        if any(entry & masks["reserved"] for entry in entries):
            return False
        if large and entries and entries[-1] & masks["reserved_large"]:
            return False
        key = key_of(machine, walk.last.entry)
        if lacking(machine, words, access, walk.last.entry) is not None:
            return False
        return not form.refusal(words, context.mode, access, walk.last.rights, key)

    now = verdict(control)
    for register in form.registers if walk.maps else ():
        if register.width == 1 and not (now and register.reserves):
            other = list(control)
            other[register.word] ^= 1 << register.low
            if verdict(other) != now:
                yield register, control[register.word] >> register.low & 1


def decide_absent(machine: Machine, verdict: Verdict) -> None:
    """The field that says that an entry maps nothing, and the nearest entry that does."""
    form, step = machine.format, verdict.walk.last
    if "p" in form.rules:
        field = field_named(form, form.rules["p"][0], step.depth)
        if field is not None and step.kind in (ENTRY_EMPTY, ENTRY_SWAPPED):
            verdict.cause = Cause("p", field.name, field.get(step.entry), step, [])
            verdict.rules = ["p"]
    if step.kind == ENTRY_EMPTY:
        verdict.near = nearest(machine, verdict.walk)
    if step.kind == ENTRY_RESERVED:
        verdict.cause = reserved_cause(machine, verdict)
        verdict.rules = [key for key in ("z",) if key in form.rules]


def reserved_cause(machine: Machine, verdict: Verdict) -> Cause | None:
    """The bits by which an entry is reserved, with the edit if that makes the access possible; None if no
    change of one field helps."""
    step, first = verdict.walk.last, None
    by = reserving(machine, step, verdict.context.cpu)
    if by is not None:
        return Cause("z", by[1].name, 1, step, [])
    for name, mask in suspects(machine, step):
        new = step.entry ^ mask
        if machine.k.classify(s64(new), step.depth) <= ENTRY_LEAF:
            value = (step.entry & mask) >> ((mask & -mask).bit_length() - 1)
            cause = Cause("z", name, value, step, [])
            if arrives(machine, verdict, new):
                cause.edits = [Edit(step, step.entry, new, f"{'clear' if value else 'set'} {name}")]
                return cause
            first = first or cause
    return first


def arrives(machine: Machine, verdict: Verdict, entry: int) -> bool:
    """Would the access be allowed if the walk ended at this entry instead?"""
    m, k, walk = machine.m, machine.k, verdict.walk
    depth, word = walk.last.depth, s64(entry)
    kind = k.classify(word, depth)
    before = ALL_RIGHTS if len(walk.steps) == 1 else walk.steps[-2].rights
    rights = k.combine(before, word, kind, depth)
    if kind == ENTRY_TABLE:
        table, cpu = k.next_table(word, depth), verdict.context.cpu
        kind = seen_by(k, cpu, k.walk_from, table, depth + 1, rights, s64(walk.va))
        rights = m.control[CONTROL_RIGHTS]
    return bool(kind == ENTRY_LEAF) and allows(machine, verdict.context, verdict.outcome.access, rights)


def suspects(machine: Machine, step: Step) -> Iterator[tuple[str, int]]:
    """What may be wrong with a reserved entry, as a name and a mask to flip.

    First set bits without a name, then the frame's bits below the page's size, then flags that are set, last
    flags that are clear.
    """
    form, entry = machine.format, step.entry
    letter = where(machine.format, step.depth, step.kind)
    standing = [field for field in form.standing(letter, step.depth) if field.width == 1]
    huge = form.role("huge")
    if huge is not None and letter in huge.where:  # reserved where it does not stand
        standing.append(huge)
    flags = {field.low: field.name for field in standing}
    present = form.rules.get("p", ("",))[0]
    for bit in range(8 * form.entry_bytes):
        if entry >> bit & 1 and bit not in flags:
            yield f"bit {bit}", 1 << bit
    for field in form.fields:
        low = form.levels[step.depth].shift - form.page_bits
        if field.role == "frame" and field.get(entry) & ((1 << low) - 1):
            yield f"bits {field.low + low - 1}:{field.low}", entry & field.put(0, (1 << low) - 1)
    for wanted in (1, 0):
        for bit, name in flags.items():
            if name != present and entry >> bit & 1 == wanted:
                yield name, 1 << bit


def nearest(machine: Machine, walk: Walk) -> tuple[Step, int, bool] | None:
    """The entry in use that is nearest to the one at which a walk ended, in the same table."""
    form, k, step = machine.format, machine.k, walk.last
    level = form.levels[step.depth]
    if 1 << level.bits > NEAR_ENTRIES:
        return None
    used = []
    for index, entry in table_entries(k, form, step.table, 0, 1 << level.bits):
        kind = k.classify(entry, step.depth)
        if kind <= ENTRY_LEAF:
            address = step.table + index * form.entry_bytes
            used.append(Step(form, step.depth, step.table, index, address, entry, kind, 0))
    if not used:
        return None
    best = min(used, key=lambda found: abs(found.index - step.index))
    size = 1 << level.shift
    va = walk.va + (best.index - step.index) * size & -size & (1 << form.va_bits) - 1
    return best, form.signed(va) & WORD_MASK, len(used) == 1


def deciding_fields(form: Format) -> list[Field]:
    """The fields that the format's rules speak of, by bit."""
    names = {name for name, _ in form.rules.values()}
    return sorted((field for field in form.fields if field.name in names and field.width == 1), key=_low)


def _low(field: Field) -> int:
    return field.low


def value_of(machine: Machine, step: Step, name: str) -> int | None:
    """The value of a field in the entry of a step; None if it means nothing there."""
    field = field_named(machine.format, name, step.depth)
    return None if field is None or not has_field(machine, step, field) else field.get(step.entry)


def has_field(machine: Machine, step: Step, field: Field) -> bool:
    """Does the entry of a step have this field, and does it mean something?"""
    if step.kind > ENTRY_LEAF:
        return step.kind != ENTRY_BUS and machine.format.rules.get("p", ("",))[0] == field.name
    return field in machine.format.standing(where(machine.format, step.depth, step.kind), step.depth)


def rule_text(machine: Machine, verdict: Verdict, key: str) -> str:
    """A rule in words, with the section of the manual."""
    form = machine.format
    text = form.rules[key][1]
    if key in ("r", "w", "x"):
        text = f"{('user', 'kernel')[verdict.context.mode]} {text}"
    return text if "(" in text else f"{text} ({form.manual})"


def access_words(context: Context, access: int) -> str:
    """`user write`."""
    return f"{('user', 'kernel')[context.mode]} {ACCESS_WORDS[access]}"
