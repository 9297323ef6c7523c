"""why: the verdict, the fields that decide, the rule, the smallest edit, the near miss."""

from __future__ import annotations

from vmdbg.inspect.fault_codes import AGREES, agreement
from vmdbg.inspect.notation import rights_text
from vmdbg.inspect.why import access_words
from vmdbg.views.result import NUMBER, RIGHTS, Column, Table
from vmdbg.views.translate import brief_outcome, fault_words, outcome_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from vmdbg.formats.record import Format
    from vmdbg.inspect.notation import Notation
    from vmdbg.inspect.why import Verdict
    from vmdbg.views.result import Line

WIDTH, INDENT = 80, 7


def why_rows(verdict: Verdict) -> Iterator[list[Any]]:
    """Level, entry, a value or None for each deciding field, rights so far."""
    for step, values in zip(verdict.walk.steps, verdict.values, strict=True):
        entry = None if step.outside else step.entry
        yield [step.level, entry, *values, rights_text(step.rights)]


def mark(verdict: Verdict, depth: int) -> str:
    """What stands beside the row that decides."""
    cause, step = verdict.cause, verdict.walk.steps[depth]
    fault = verdict.outcome.fault
    if cause is not None and cause.step is step:
        index = f" (index {step.index})" if fault is not None and fault.kind == "not-present" else ""
        return f"<- {cause.field} = {cause.value} decides{index}"
    if fault is not None and cause is None and step is verdict.walk.last:
        return f"<- decides: {fault.reason}"
    return ""


def why_lines(show: Notation, form: Format, verdict: Verdict) -> Iterator[Line]:
    """All that `why` says."""
    found = verdict.outcome
    words = access_words(verdict.context, found.access)
    if found.fault is None:
        yield [("ok", "Yes"), ("", f": {words} "), *outcome_line(show, found)]
    else:
        yield [
            ("error", "No"),
            ("", f": {words} "),
            ("address", show.va(found.va)),
            ("", " -> "),
            ("fault", fault_words(form, found)),
        ]
    if verdict.walk.steps and verdict.canonical:
        yield from table(show, verdict).lines()
    yield from remarks(show, verdict)


def table(show: Notation, verdict: Verdict) -> Table:
    """The fields that decide, level by level."""
    columns = [
        Column("level"),
        Column("entry", format=lambda entry: "-" if entry is None else show.entry(entry), style="entry"),
        *[Column(name, kind=NUMBER) for name in verdict.fields],
        Column("so_far", kind=RIGHTS),
        Column("mark", header="", style="decides"),
    ]
    rows = [[*row, mark(verdict, depth)] for depth, row in enumerate(why_rows(verdict))]
    return Table(columns, rows)


def remarks(show: Notation, verdict: Verdict) -> Iterator[Line]:
    """Rule, swap, edit, near miss, TLB: a word, then the sentence."""
    for sentence in verdict.sentences:
        yield from wrapped("rule", sentence)
    fault = verdict.outcome.fault
    if not verdict.rules and fault is not None and fault.kind == "non-canonical":
        yield from wrapped("rule", fault.reason)
    if fault is not None and fault.slot:
        yield f"swap   {fault.reason}: the next touch brings the page back"
    for edit in verdict.cause.edits if verdict.cause else []:
        step = edit.step
        change = f"{show.entry(edit.old)} -> {show.entry(edit.new)} ({edit.what})"
        yield from wrapped("edit", f"{step.name} {show.pa(step.address)}: {change}")
    for register, value in verdict.registers:
        if found_fault(verdict):
            when = f"while it is {value}," if value else "then"
            yield from wrapped("or", f"set ${register.name} = {1 - value}: {when} {register.help}")
        else:
            text = f"{register.name} = {value}; with {1 - value} it would be refused: {register.help}"
            yield from wrapped("since", text)
    if verdict.near is not None:
        step, va, alone = verdict.near
        which = "the one entry in use" if alone else "the nearest entry in use"
        yield f"near   {which} is {step.name}, {show.pa(step.address)}: it maps {show.va(va)}"
    if verdict.reported is not None:
        yield from wrapped(
            "code", f"{verdict.reported.code:#x}: {verdict.reported.sentence[:-1]}, {agrees(verdict)}"
        )
    if verdict.tlb is not None:
        brief = brief_outcome(show, verdict.tlb)
        yield [
            ("", "tlb    " if verdict.tlb.cached else "cache  "),
            *([("", brief)] if brief else outcome_line(show, verdict.tlb)),
        ]


def wrapped(word: str, text: str) -> Iterator[str]:
    """A remark, its sentence in as many lines as it needs."""
    line = f"{word:{INDENT}}"
    for part in text.split(" "):
        if len(line) + len(part) > WIDTH and line.strip():
            yield line.rstrip()
            line = " " * INDENT
        line += part + " "
    yield line.rstrip()


def agrees(verdict: Verdict) -> str:
    """Whether the tables say what the CPU has reported."""
    fault = verdict.outcome.fault
    assert verdict.reported is not None
    return agreement(verdict.reported, None if fault is None else fault.code)


def found_fault(verdict: Verdict) -> bool:
    """Is the access refused?"""
    return verdict.outcome.fault is not None


def why_data(verdict: Verdict) -> dict[str, Any]:
    """What JSON shows."""
    cause = verdict.cause
    near = verdict.near
    return {
        **verdict.outcome.data(),
        "allowed": verdict.outcome.fault is None,
        "steps": [
            {
                "level": step.level,
                "index": step.index,
                "entry_address": step.address,
                "entry": row[1],
                "fields": dict(zip(verdict.fields, row[2:-1], strict=True)),
                "rights": row[-1],
            }
            for step, row in zip(verdict.walk.steps, why_rows(verdict), strict=True)
        ],
        "decides": None
        if cause is None or cause.step is None
        else {
            "level": cause.step.level,
            "index": cause.step.index,
            "field": cause.field,
            "value": cause.value,
        },
        "rules": verdict.sentences,
        "edits": [
            {
                "level": edit.step.level,
                "index": edit.step.index,
                "entry_address": edit.step.address,
                "entry": edit.old,
                "new": edit.new,
                "change": edit.what,
            }
            for edit in (cause.edits if cause else [])
        ],
        "registers": [{"register": register.name, "value": value} for register, value in verdict.registers],
        "near": None
        if near is None
        else {
            "level": near[0].level,
            "index": near[0].index,
            "entry_address": near[0].address,
            "va": near[1],
        },
        "reported": None
        if verdict.reported is None
        else {
            "code": verdict.reported.code,
            "sentence": verdict.reported.sentence,
            "agrees": agrees(verdict) == AGREES,
        },
    }
