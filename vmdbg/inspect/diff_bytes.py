"""The bytes in which two states of a machine differ: of memory, slots, files, pages, entries of tables."""

from __future__ import annotations

from vmdbg.inspect.diff_facts import Key, Said
from vmdbg.inspect.notation import Notation
from vmdbg.machine.diff import CONTENT, content, joined, spans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.inspect.diff_facts import State
    from vmdbg.machine.diff import Span
    from vmdbg.machine.machine import Machine

    #: Key, and what is said before and after.
    Found = tuple[Key, Said, Said]

SHOWN = 8  # bytes that are shown


def memory_changes(before: State, after: State) -> Iterator[Found]:
    """The bytes that differ, a row for each span; those of tables as entries."""
    if not (before.whole and after.whole):
        yield from pages_changed(before, after)
        return
    yield from entries_changed(before, after)
    for table in CONTENT:
        found = spans(after.machine, before.snapshot, after.snapshot, table)
        left = (span for span in found if not is_told(before, after, table, span))
        for span in joined(left, after.machine.recorder.chunk_size(table)):
            yield span_changed(before, after, table, span)


def is_told(before: State, after: State, table: str, span: Span) -> bool:
    """Do other rows tell of these bytes: those of a table, of a slot that was given or taken?"""
    page = span.start >> after.form.page_bits
    if table == "ram1":
        return page in before.tables or page in after.tables
    key = Key("slot", "", page, 1, "")
    return table == "swap8" and before.facts.get(key) != after.facts.get(key)


def span_text(machine: Machine, table: str, span: Span) -> str:
    """`1 byte (0x10a000)`, `16 bytes (slot 3+0x0..slot 3+0xf)`: how many, from where to where."""
    form, k = machine.format, machine.k

    def place(offset: int) -> str:
        page, rest = offset >> form.page_bits, offset & (form.page_size - 1)
        if table == "ram1":
            return Notation(form).pa(k.frame_address(machine.m, page) + rest)
        return f"{'slot' if table == 'swap8' else 'page of a file'} {page}+{rest:#x}"

    return count_text(span.count, place(span.start), place(span.end - 1))


def count_text(count: int, first: str, last: str) -> str:
    """`3 bytes (0x10a000..0x10a008)`."""
    where = first if first == last else f"{first}..{last}"
    return f"{count} byte{'' if count == 1 else 's'} ({where})"


def span_changed(before: State, after: State, table: str, span: Span) -> Found:
    """Bytes of memory, of slots or of files."""
    size, end = after.machine.recorder.chunk_size(table), min(span.end, span.start + SHOWN + 1)
    data = [content(state.snapshot, table, size, span.start, end) for state in (before, after)]
    return bytes_changed(span_text(after.machine, table, span), data)


def bytes_changed(name: str, data: list[bytes]) -> Found:
    """A row; `data` are the bytes, or more than SHOWN of them."""
    shown = [
        f"0x{int.from_bytes(part, 'little'):0{2 * len(part)}x}"
        if len(part) <= SHOWN
        else part[:SHOWN].hex(" ") + " .."
        for part in data
    ]
    return Key("memory", "", -1, 0, name), Said(shown[0], -1, ""), Said(shown[1], -1, "")


def pages_changed(before: State, after: State) -> Iterator[Found]:
    """The bytes of pages that both have, by virtual addresses."""
    show = after.words.show.va
    for (va, size), (table, start) in sorted(after.pages.items()):
        other = before.pages.get((va, size))
        if other is None or (other == (table, start) and before.snapshot is after.snapshot):
            continue
        one, two = (
            content(state.snapshot, name, state.machine.recorder.chunk_size(name), at, at + size)
            for state, (name, at) in ((before, other), (after, (table, start)))
        )
        if one != two:
            places = [at for at, (old, new) in enumerate(zip(one, two, strict=True)) if old != new]
            first, last = places[0], places[-1]
            end = min(last + 1, first + SHOWN + 1)
            name = count_text(len(places), show(va + first), show(va + last))
            yield bytes_changed(name, [one[first:end], two[first:end]])


def entries_changed(before: State, after: State) -> Iterator[Found]:
    """The entries that differ in tables that are in both, and of which no fact tells."""
    form, machine, size = after.form, after.machine, after.machine.recorder.chunk_size("ram1")
    known = {
        state.entries[key]
        for key in {*before.entries, *after.entries}
        if before.facts.get(key) != after.facts.get(key)
        for state in (before, after)
        if key in state.entries
    }
    width = form.entry_bytes
    for span in spans(machine, before.snapshot, after.snapshot, "ram1"):
        frame = span.start >> form.page_bits
        head, depth = after.tables.get(frame, (-1, 0))
        if head < 0 or before.tables.get(frame, (-1, 0))[0] != head:
            continue
        start, end = span.start // width * width, -(-span.end // width) * width
        old, new = (content(state.snapshot, "ram1", size, start, end) for state in (before, after))
        for at in range(0, end - start, width):
            index = (start + at - (head << form.page_bits)) // width
            address = machine.k.frame_address(machine.m, head) + index * width
            pair = old[at : at + width], new[at : at + width]
            if pair[0] != pair[1] and address not in known:
                name = f"{form.levels[depth].name}[{index}] {after.words.show.pa(address)}"
                said = [entry_said(after, int.from_bytes(word, "little"), depth) for word in pair]
                yield Key("entry", "", -1, 0, name), said[0], said[1]


def entry_said(state: State, word: int, depth: int) -> Said:
    """An entry, and what it says."""
    entry = word - (1 << 64) if word >> 63 else word
    return Said(f"{state.words.show.entry(word)} {state.words.entry_text(entry, depth)}", -1, "")
