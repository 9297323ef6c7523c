"""Why an access may or may not be made: the entry and the field that decide, and the smallest edit."""

from __future__ import annotations

from itertools import combinations

from vmdbg.formats.contract import (
    ALL_RIGHTS,
    ENTRY_BUS,
    ENTRY_EMPTY,
    ENTRY_LEAF,
    ENTRY_RESERVED,
    ENTRY_SWAPPED,
    RIGHT_R,
    RIGHT_U,
    RIGHT_W,
    RIGHT_X,
)
from vmdbg.inspect.address_space import canonical_form
from vmdbg.inspect.cached import translate
from vmdbg.inspect.context import controls
from vmdbg.inspect.translate import (
    ACCESS_WORDS,
    Outcome,
    Step,
    Walk,
    allows,
    outcome_of,
    reserving,
    walk_tables,
    where,
)
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.formats.record import Field, Format, Register
    from vmdbg.inspect.context import Place
    from vmdbg.machine.machine import Machine

RIGHT_OF_RULE = {"u": RIGHT_U, "k": RIGHT_U, "r": RIGHT_R, "w": RIGHT_W, "x": RIGHT_X}
NEAR_ENTRIES = 1 << 12  # a table with more entries is not searched for near ones


class Edit:
    """A change of the entry of a step: unsigned words, and what it does in words, `set RW`."""

    __slots__ = ("new", "old", "step", "what")

    def __init__(self, step: Step, old: int, new: int, what: str) -> None:
        self.step, self.old, self.new, self.what = step, old, new & WORD_MASK, what


class Cause:
    """What decides against an access: `field` of the entry of `step` is `value`; `rule` is its key."""

    __slots__ = ("edits", "field", "rule", "step", "value")

    def __init__(self, rule: str, field: str, value: int, step: Step | None, edits: list[Edit]) -> None:
        self.rule, self.field, self.value, self.step, self.edits = rule, field, value, step, edits


class Verdict:
    """The answer to `why`.  `near` is the nearest entry in use in the table where a walk ended:
    (its step, the first address that it maps, whether it is the only one), or None; `registers` are the
    bits of control registers that alone would turn the verdict, with their values now."""

    __slots__ = ("cause", "near", "outcome", "place", "registers", "rules", "tlb", "walk")

    def __init__(self, place: Place, walk: Walk, outcome: Outcome) -> None:
        self.place, self.walk, self.outcome = place, walk, outcome
        self.cause: Cause | None = None
        self.rules: list[str] = []
        self.near: tuple[Step, int, bool] | None = None
        self.tlb: Outcome | None = None
        self.registers: list[tuple[Register, int]] = []


def field_named(form: Format, name: str) -> Field | None:
    """A field of the entries by name."""
    return next((field for field in form.fields if field.name == name), None)


def missing_rights(machine: Machine, place: Place, rights: int, access: int) -> Iterator[list[str]]:
    """Sets of keys of rules by which the access is refused on a page with these rights, fewest first.

    One empty set if it is allowed.
    """
    bits = (RIGHT_U, RIGHT_R, RIGHT_W, RIGHT_X)
    for count in range(len(bits) + 1):
        for changed in combinations(bits, count):
            if allows(machine, place, access, rights ^ sum(changed)):
                yield [rule_of(rights, bit) for bit in changed]


def rule_of(rights: int, bit: int) -> str:
    """The key of the rule that wants a right changed."""
    if bit == RIGHT_U:
        return "k" if rights & RIGHT_U else "u"
    return {RIGHT_R: "r", RIGHT_W: "w", RIGHT_X: "x"}[bit]


def decide(machine: Machine, place: Place, walk: Walk, access: int) -> Cause | None:
    """What decides against an access to a page that a walk found; None if nothing does.

    Its edits are the fewest that make the access possible, none if the format has no such entry.
    """
    first: Cause | None = None
    for rules in missing_rights(machine, place, walk.last.rights, access):
        if not rules:
            return None
        cause = cause_of(machine, walk, rules)
        if cause is not None and suffices(machine, place, walk, access, cause):
            return cause
        first = first or cause
    if first is not None:
        first.edits = []
    return first


def cause_of(machine: Machine, walk: Walk, rules: list[str]) -> Cause | None:
    """The first entry that withholds something by one of the rules, and the edits that would grant it."""
    form, first = machine.format, None
    edits: list[Edit] = []
    now = {step.address: step.entry for step in walk.steps}
    for rule in rules:
        field = field_named(form, form.rules[rule][0]) if rule in form.rules else None
        if field is None:
            continue
        steps = deniers(machine, walk, rule)
        for step in steps:
            value = field.get(step.entry)
            new = field.put(now[step.address], 1 - value)
            add_edit(edits, step, new, f"{'clear' if value else 'set'} {field.name}")
            now[step.address] = new
        if steps and first is None:
            first = Cause(rule, field.name, field.get(steps[0].entry), steps[0], edits)
    return first


def add_edit(edits: list[Edit], step: Step, new: int, what: str) -> None:
    """One more change; an entry that is changed already is changed once, further."""
    for edit in edits:
        if edit.step is step:
            edit.new, edit.what = new & WORD_MASK, f"{edit.what}, {what}"
            return
    edits.append(Edit(step, step.entry, new, what))


def suffices(machine: Machine, place: Place, walk: Walk, access: int, cause: Cause) -> bool:
    """Would the access be allowed after the edits of a cause?"""
    k, rights = machine.k, ALL_RIGHTS
    new = {edit.step.address: edit.new for edit in cause.edits}
    for step in walk.steps:
        entry = s64(new.get(step.address, step.entry))
        if k.classify(entry, step.depth) != step.kind:
            return False
        rights = k.combine(rights, entry, step.kind, step.depth)
    return allows(machine, place, access, rights)


def deniers(machine: Machine, walk: Walk, rule: str) -> list[Step]:
    """The entries of a walk that withhold the right of a rule; the one to change for rule k."""
    right = RIGHT_OF_RULE[rule]
    if rule == "k":
        return [walk.last]
    k = machine.k
    return [
        step
        for step in walk.steps
        if not k.combine(ALL_RIGHTS, s64(step.entry), step.kind, step.depth) & right
    ]


def why(machine: Machine, place: Place, va: int, access: int) -> Verdict:
    """Which hardware rule decides about an access, by the tables."""
    walk = walk_tables(machine, place.root, va, place.cpu)
    verdict = Verdict(place, walk, outcome_of(machine, place, walk, access))
    through = translate(machine, place, va, access)
    if through.stale:
        verdict.tlb = through
    rules = machine.format.rules
    if machine.format.bounded:
        verdict.rules = list(rules)
        return verdict
    if not machine.k.canonical(s64(va)):
        verdict.rules = [key for key in ("c",) if key in rules]
    elif not walk.maps:
        decide_absent(machine, verdict)
    elif verdict.outcome.fault is not None:
        verdict.cause = decide(machine, place, walk, access)
        verdict.rules = [verdict.cause.rule] if verdict.cause else []
    else:
        held = next(missing_rights(machine, place, 0, access), [])
        verdict.rules = [key for key in held if key in rules and not deniers(machine, walk, key)]
    if machine.k.canonical(s64(va)):
        verdict.registers = list(turning(machine, place, va, access))
    return verdict


def turning(machine: Machine, place: Place, va: int, access: int) -> Iterator[tuple[Register, int]]:
    """The one-bit control registers that alone would turn the verdict, with their values now.

    That one reserves bits is said only of an access that it forbids.
    """
    form, control = machine.format, controls(machine, place.cpu)
    walk = walk_tables(machine, place.root, va)
    entries = [s64(step.entry) for step in walk.steps if step.kind <= ENTRY_LEAF]

    def verdict(words: list[int]) -> int:
        reserved, _ = form.masks(words)
        if any(entry & reserved for entry in entries):
            return 0
        return form.allowed(words, place.mode)[access] >> walk.last.rights & 1

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
        field = field_named(form, form.rules["p"][0])
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
    by = reserving(machine, step, verdict.place.cpu)
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
    """Would the access be allowed with this entry in place of the one at which the walk ended?"""
    form, m, k, walk = machine.format, machine.m, machine.k, verdict.walk
    rights = walk.steps[-2].rights if len(walk.steps) > 1 else ALL_RIGHTS
    for depth in range(walk.last.depth, len(form.levels)):
        kind = k.classify(s64(entry), depth)
        if kind > ENTRY_LEAF:
            return False
        rights = k.combine(rights, s64(entry), kind, depth)
        if kind == ENTRY_LEAF or depth == len(form.levels) - 1:
            break
        address = k.next_table(s64(entry)) + form.index(walk.va, depth + 1) * form.entry_bytes
        if k.ram_offset(m, address, form.entry_bytes) < 0:
            return False
        entry = k.load(m, address, form.entry_bytes)
    return allows(machine, verdict.place, verdict.outcome.access, rights)


def suspects(machine: Machine, step: Step) -> Iterator[tuple[str, int]]:
    """What may be wrong with a reserved entry, as a name and a mask to flip: bits without a name that are
    set, one by one and then those of the frame below the page's size; flags that are set, and not."""
    form, entry = machine.format, step.entry
    letter = where(machine, step.depth, step.kind)
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
    for index in range(1 << level.bits):
        address = step.table + index * form.entry_bytes
        entry = k.load(machine.m, address, form.entry_bytes)
        if entry and k.ram_offset(machine.m, address, form.entry_bytes) >= 0:
            kind = k.classify(entry, step.depth)
            if kind <= ENTRY_LEAF:
                found = Step(step.depth, level.name, step.table, index, address, entry & WORD_MASK, kind, 0)
                used.append(found)
    if not used:
        return None
    best = min(used, key=lambda found: abs(found.index - step.index))
    size = 1 << level.shift
    va = walk.va + (best.index - step.index) * size & -size & (1 << form.va_bits) - 1
    return best, canonical_form(machine, va), len(used) == 1


def deciding_fields(form: Format) -> list[Field]:
    """The fields that the format's rules speak of, by bit."""
    names = {name for name, _ in form.rules.values()}
    return sorted((field for field in form.fields if field.name in names and field.width == 1), key=_low)


def _low(field: Field) -> int:
    return field.low


def has_field(machine: Machine, step: Step, field: Field) -> bool:
    """Does the entry of a step have this field, and does it mean something?"""
    if step.kind > ENTRY_LEAF:
        return step.kind != ENTRY_BUS and machine.format.rules.get("p", ("",))[0] == field.name
    return field in machine.format.standing(where(machine, step.depth, step.kind), step.depth)


def rule_text(machine: Machine, verdict: Verdict, key: str) -> str:
    """A rule in words, with the section of the manual."""
    form = machine.format
    text = form.rules[key][1]
    if key in ("r", "w", "x"):
        text = f"{('user', 'kernel')[verdict.place.mode]} {text}"
    return text if "(" in text else f"{text} ({form.manual})"


def access_words(place: Place, access: int) -> str:
    """`user write`."""
    return f"{('user', 'kernel')[place.mode]} {ACCESS_WORDS[access]}"
