"""What two states of a machine differ in: facts, spans of memory, and what no fact tells.

Two whole states have no row here exactly if their digests are equal.
"""

from __future__ import annotations

from collections import namedtuple

from vmdbg.inspect.diff_bytes import memory_changes
from vmdbg.inspect.diff_facts import Key, Said
from vmdbg.machine.diff import row_tables, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmdbg.inspect.diff_facts import State
    from vmdbg.machine.diff import Word

#: A row, or as many as `count` facts with keys of one span: what is said of the first before and after (None:
#: nothing).  `scattered`: the numbers of the others do not follow.
Change = namedtuple("Change", "key before after count scattered", defaults=(1, False))

MANY = 32  # rows of a sort from which on those are joined that only have other numbers
NAMED = 4  # columns of a table that are named
SORTS = ("machine", "time", "cpu", "process", "region", "entry", "frame", "slot", "tlb", "memory", "inside")
#: The sorts that tell of a table: where one of them has a row, the table's other columns are not told.
TOLD = {
    "cpu": ("cpu",),
    "array": ("tlb",),
    "tlb": ("tlb",),
    "frame": ("frame", "entry"),
    "rmap": ("frame", "entry"),
    "region": ("region",),
    "process": ("process",),
    "slot": ("slot", "entry"),
    "object": ("region",),
    "cache": ("frame", "entry", "region"),
    "kernel": ("process", "region", "frame", "slot"),
}


def changes_between(before: State, after: State) -> list[Change]:
    """A change for each run of facts that differ, in the order of SORTS."""
    changes = list(facts_changed(before, after))
    if before.form.name == after.form.name:
        changes += (Change(*found) for found in memory_changes(before, after))
        if before.whole and after.whole:
            changes += untold(before, after, {change.key.sort for change in changes})
            changes = changes or list(untold(before, after, set()))
    return sorted(changes, key=lambda change: (SORTS.index(change.key.sort), change.key.owner))


def lone(sort: str, name: str, before: str, after: str) -> Change:
    """A change of something that stands alone."""
    return Change(Key(sort, "", -1, 0, name), Said(before, -1, ""), Said(after, -1, ""))


# -- facts


def facts_changed(before: State, after: State) -> Iterator[Change]:
    """The facts that are not in both, those joined that go on from one another."""
    if before.form.name != after.form.name:
        yield lone("machine", "format", before.form.name, after.form.name)
    old, new = before.facts, after.facts
    runs: dict[tuple[str, str], list[Change]] = {}
    for key in [*old, *(key for key in new if key not in old)]:
        change = Change(key, old.get(key), new.get(key))
        if change.before == change.after:
            continue
        if key.at < 0:
            yield change
        else:
            runs.setdefault((key.sort, key.owner), []).append(change)
    for members in runs.values():
        members.sort(key=lambda change: (change.key.at, change.key.span))
        joined = list(fold(after, members, strict=True))
        yield from joined if len(joined) <= MANY else fold(after, members, strict=False)


def fold(state: State, changes: Iterable[Change], strict: bool) -> Iterator[Change]:
    """Changes in order, those joined that follow one another; if `strict` only where their numbers do."""
    held: Change | None = None
    for change in changes:
        if held is not None and follows(state, held, change, strict):
            scattered = held.scattered or not follows(state, held, change, strict=True)
            held = held._replace(count=held.count + 1, scattered=scattered)
            continue
        if held is not None:
            yield held
        held = change
    if held is not None:
        yield held


def follows(state: State, held: Change, new: Change, strict: bool) -> bool:
    """Is a change the next one of a run, of something equally large?"""
    if new.key.span != held.key.span or new.key.at != held.key.at + held.count * held.key.span:
        return False
    for was, now in ((held.before, new.before), (held.after, new.after)):
        if was is None or now is None:
            if was is not now:
                return False
            continue
        if (was.head, was.tail, was.number < 0) != (now.head, now.tail, now.number < 0):
            return False
        if strict and was.number >= 0 and now.number != was.number + held.count * step(state, held, was):
            return False
    return True


def step(state: State, change: Change, said: Said) -> int:
    """How far the numbers of two facts that follow one another are apart: frames of a page, or 1."""
    return max(1, change.key.span >> state.form.page_bits) if said.head == "pfn " else 1


def last_number(state: State, change: Change, said: Said) -> int:
    """The number of the last frame or slot of a run that is said to begin with `said`."""
    return int(said.number + change.count * step(state, change, said) - 1)


# -- what no fact tells


def untold(before: State, after: State, sorts: set[str]) -> Iterator[Change]:
    """The time, the counts of events, and each table of which none of the `sorts` that have rows tells."""
    for table in row_tables():
        found = list(words(before.snapshot, after.snapshot, table))
        if table == "kernel":
            yield from (
                lone("time", "operations", str(word.before), str(word.after))
                for word in found
                if word.column == "operations"
            )
            found = [word for word in found if word.column != "operations"]
        if table == "count" and found:
            totals = sum(word.before for word in found), sum(word.after for word in found)
            kinds = f"counts of {len(found)} event{'' if len(found) == 1 else 's'}"
            yield lone("time", kinds, str(totals[0]), str(totals[1]))
        elif found and not sorts.intersection(TOLD.get(table, ())):
            yield inside(table, found)


def inside(table: str, found: list[Word]) -> Change:
    """Words of a table: its columns, how many words, and what the first of them was and is."""
    columns = list(dict.fromkeys(word.column for word in found))
    named = ", ".join(columns[:NAMED]) + (", .." if columns[NAMED:] else "")
    count, more = (f" ({len(found)} words)", " ..") if found[1:] else ("", "")
    return lone("inside", f"{table}: {named}{count}", f"{found[0].before}{more}", f"{found[0].after}{more}")
