"""Which entry, and which field of it, decides about an access, by the rules of a format."""

from __future__ import annotations

from itertools import combinations

from vmdbg.formats.contract import (
    ALL_RIGHTS,
    ENTRY_TABLE,
    FAULT_KEY,
    RIGHT_R,
    RIGHT_U,
    RIGHT_W,
    RIGHT_X,
)
from vmdbg.inspect.walk import Step, Walk, allows, key_of, refusal
from vmdbg.units import WORD_MASK, s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.formats.record import Field, Format
    from vmdbg.inspect.context import Context
    from vmdbg.machine.machine import Machine

RIGHT_OF_RULE = {"u": RIGHT_U, "k": RIGHT_U, "r": RIGHT_R, "w": RIGHT_W, "x": RIGHT_X}


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


def field_named(form: Format, name: str, depth: int = -1) -> Field | None:
    """A field of the entries by name: that of a level, if levels have several of the name."""
    found = [field for field in form.fields if field.name == name]
    level = form.levels[depth].name
    return next((field for field in found if field.stands_at(level)), found[0] if found else None)


def missing_rights(machine: Machine, context: Context, rights: int, access: int) -> Iterator[list[str]]:
    """Sets of keys of rules by which the access is refused on a page with these rights, fewest first.

    One empty set if it is allowed.
    """
    bits = (RIGHT_U, RIGHT_R, RIGHT_W, RIGHT_X)
    for count in range(len(bits) + 1):
        for changed in combinations(bits, count):
            if allows(machine, context, access, rights ^ sum(changed)):
                yield [rule_of(rights, bit) for bit in changed]


def rule_of(rights: int, bit: int) -> str:
    """The key of the rule that wants a right changed."""
    if bit == RIGHT_U:
        return "k" if rights & RIGHT_U else "u"
    return {RIGHT_R: "r", RIGHT_W: "w", RIGHT_X: "x"}[bit]


def decide(machine: Machine, context: Context, walk: Walk, access: int) -> Cause | None:
    """What decides against an access to a page that a walk found; None if nothing does.

    Its edits are the fewest that make the access possible, none if the format has no such entry.
    """
    first: Cause | None = None
    key = key_of(machine, walk.last.entry)
    if refusal(machine, context, access, walk.last.rights, key) == FAULT_KEY:
        return Cause("y", machine.format.by_role["key"].name, key, walk.last, [])
    for rules in missing_rights(machine, context, walk.last.rights, access):
        if not rules:
            return None
        cause = cause_of(machine, walk, rules)
        if cause is not None and suffices(machine, context, walk, access, cause):
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
            own = form.role(f"table_{field.role}") if step.kind == ENTRY_TABLE else None
            field = own or field
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


def suffices(machine: Machine, context: Context, walk: Walk, access: int, cause: Cause) -> bool:
    """Would the access be allowed after the edits of a cause?"""
    k, rights = machine.k, ALL_RIGHTS
    new = {edit.step.address: edit.new for edit in cause.edits}
    for step in walk.steps:
        entry = s64(new.get(step.address, step.entry))
        if k.classify(entry, step.depth) != step.kind:
            return False
        rights = k.combine(rights, entry, step.kind, step.depth)
    return allows(machine, context, access, rights)


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
