"""translate, walk, split, why: one address, drawn."""

from __future__ import annotations

from vmdbg.inspect.notation import code_text, rights_text
from vmdbg.units import format_size
from vmdbg.views.walk_drawing import Box

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vmdbg.formats.record import Format
    from vmdbg.inspect.notation import Notation
    from vmdbg.inspect.walk import Fault, Outcome, Walk
    from vmdbg.views.result import Line

    Cells = list[tuple[str, str]]

INDEX_WIDTH = 5
UNCODED = ("bounds", "non-canonical")  # faults that have no such code
SHORTEST = 6  # columns of an entry
FOLDED = "folded: this format has no such level"


def outcome_line(show: Notation, found: Outcome, cached: bool = True) -> Line:
    """`0x401234 -> 0x108234  pfn 0x108, 4 KiB, r-xu, cached in L1`."""
    line: Cells
    head: Cells = [("address", show.va(found.va)), ("", " -> ")]
    if found.fault is not None:
        line = [*head, ("fault", f"fault: {found.fault.kind}"), ("", f", {found.fault.reason}{hint(found)}")]
        if cached and found.stale and not found.cached:
            line += [("", ", "), ("warning", f"stale in {place_of(found)}: {found.stale}")]
        return line
    assert found.pa is not None
    where = f"pfn {show.pfn(found.pa >> show.page_bits)}, {format_size(found.page_size)}"
    if found.segment is not None:
        where = f"segment {found.segment}"
    line = [
        *head,
        ("address", show.pa(found.pa)),
        ("", f"  {where}, "),
        ("rights", rights_text(found.rights)),
    ]
    if cached and found.stale:
        line += [("", ", "), ("warning", f"stale in {place_of(found)}: {found.stale}")]
    elif cached and found.cached:
        line.append(("", f", cached in {found.via}"))
    return line


def coded_line(form: Format, show: Notation, found: Outcome) -> Line:
    """As `outcome_line`, with what the CPU reports: `..., PT[5] is empty, error code 0x4 (U)`."""
    line, fault = outcome_line(show, found, cached=False), found.fault
    if fault is None or isinstance(line, str) or not is_coded(form, fault):
        return line
    return [*line, ("", f", {code_text(form, fault.code, found.by_machine)}")]


def is_coded(form: Format, fault: Fault) -> bool:
    """Does the CPU report a code of such a fault?  Of a bus error RISC-V and AArch64 do, x86 does not."""
    if fault.kind == "bus":
        return bool(fault.code and (form.bus_causes or form.code_text))
    return fault.kind not in UNCODED


def brief_outcome(show: Notation, found: Outcome) -> str:
    """`0x0210 -> 0x1210 by L1, stale: PT[2] holds slot 1`; empty for a fault, whose line is short."""
    if found.pa is None:
        return ""
    stale = f", stale: {found.stale}" if found.stale else ""
    return f"{show.va(found.va)} -> {show.pa(found.pa)} by {place_of(found)}{stale}"


def place_of(found: Outcome) -> str:
    """`L1`, `the PD cache`, `walk`: what answered."""
    return f"the {found.walk_cache} cache" if found.walk_cache and not found.cached else found.via


def hint(found: Outcome) -> str:
    """What the kernel knows about the address of a fault: ` (heap, in swap)`."""
    fault = found.fault
    if fault is None or found.region is None or fault.kind == "non-canonical":
        return ""
    if not found.region:
        return " (no region)"
    if fault.slot:
        return f" ({found.region}, in swap)"
    waits = fault.kind == "not-present" and fault.blank and found.region != "guard"
    if waits and found.region in ("file", "shared"):
        return f" ({found.region}, not mapped yet)"
    return f" ({found.region}, never touched)" if waits else f" ({found.region})"


def walk_rows(show: Notation, walk: Walk, found: Outcome, remarks: list[str]) -> list[list[str]]:
    """The cells of a walk: level, table, index, address, entry, rights, flags; last the page."""
    rows = []
    for step, remark in zip(walk.steps, remarks, strict=True):
        entry = "-" if step.outside else show.entry(step.entry)
        rows.append(
            [
                step.level,
                show.pa(step.table),
                f"{step.index}*{show.entry_digits // 2}",
                show.pa(step.address),
                entry,
                rights_text(step.rights),
                remark,
            ]
        )
    if found.pa is not None:
        offset = found.pa & (found.page_size - 1)
        rows.append(["page", show.pa(found.pa - offset), f"{offset:#x}", show.pa(found.pa), "", "", ""])
    return rows


def walk_lines(
    show: Notation, walk: Walk, found: Outcome, remarks: list[str], names: Sequence[str] = ()
) -> Iterator[Line]:
    """The table of a walk, and where it ends.  With `names`, those instead of the levels' own names;
    a name that begins with a dash is a level that the format lacks."""
    if walk.steps:
        rows = walk_rows(show, walk, found, remarks)
        if names:
            rows = renamed(rows, names)
        yield from walk_table(rows, has_page=found.pa is not None)
    yield outcome_line(show, found, cached=False)


def narrow_walk_lines(
    show: Notation, walk: Walk, found: Outcome, remarks: list[str], width: int
) -> Iterator[Line]:
    """As `walk_lines` in fewer columns: a line is an entry, by level and index, and its flags.  Where they
    do not fit, the zeros at the head of entries are left out, and then other digits there: `..0cf067`."""
    names = [f"{step.level}[{step.index}]" for step in walk.steps]
    label = max([4, *map(len, names)])
    rows = [
        (name, "-" if step.outside else show.entry(step.entry), remark)
        for name, step, remark in zip(names, walk.steps, remarks, strict=True)
    ]
    short = any(label + len(entry) + len(remark) + 3 > width for _, entry, remark in rows)
    for name, entry, remark in rows:
        shown = hex(int(entry, 16)) if short and entry != "-" else entry
        room = max(SHORTEST, width - label - len(remark) - 3)
        if len(shown) > room:
            shown = f"..{shown[2 - room :]}"
        yield [("", f"{name:{label}}  "), ("entry", shown), ("", " "), ("flags", remark)]
    if found.pa is not None:
        yield [("", f"{'page':{label}}  "), ("address", show.pa(found.pa))]
    elif found.fault is not None:
        yield [("fault", f"fault: {found.fault.kind}"), ("", hint(found))]


def bounded_lines(
    show: Notation, registers: list[tuple[str, int, bool, str]], found: Outcome
) -> Iterator[Line]:
    """The registers that are compared and added instead of a walk, and where it ends."""
    texts = [show.pa(value) if physical else show.va(value) for _, value, physical, _ in registers]
    width = max(len(text) for text in (*texts, "value"))
    yield [("title", f"register  {'value':{width}}  meaning")]
    for text, (name, _, _, meaning) in zip(texts, registers, strict=True):
        yield [("", f"{name:10}"), ("address", f"{text:{width}}"), ("", f"  {meaning}")]
    yield outcome_line(show, found, cached=False)


def renamed(rows: list[list[str]], names: Sequence[str]) -> list[list[str]]:
    """The rows of a walk under other names, with a row for each folded level."""
    out, left = [], iter(rows)
    for name in names:
        if name.startswith("-"):
            out.append([name[1:], FOLDED, "", "", "", "", ""])
            continue
        row = next(left, None)
        if row is None or row[0] == "page":
            return [*out, *([row] if row else [])]
        out.append([name, *row[1:]])
    return [*out, *left]


def walk_boxes(
    show: Notation, walk: Walk, found: Outcome, counts: list[int], byte: int | None, names: Sequence[str] = ()
) -> list[Box]:
    """The tables of a walk and its page, for a drawing; `byte` is what the address holds, None if that is not
    known; `names` are as for `walk_lines`."""
    titles = [name for name in names if not name.startswith("-")] or [step.level for step in walk.steps]
    boxes = [
        Box(
            f"{title} {show.pa(step.table)}",
            step.index,
            count,
            "-" if step.outside else show.entry(step.entry),
            follows=True,
        )
        for step, count, title in zip(walk.steps, counts, titles, strict=False)
    ]
    if found.pa is None:
        boxes[-1].follows = False
    else:
        offset = found.pa & (found.page_size - 1)
        held = "" if byte is None else f"0x{byte:02x}"
        boxes.append(Box(f"page {show.pa(found.pa - offset)}", offset, found.page_size, held, follows=False))
    return boxes


def walk_table(rows: list[list[str]], has_page: bool) -> Iterator[Line]:
    """Rows of a walk under their header; a page's long address or offset does not push the columns."""
    header = ["level", "table", "index", "address", "entry", "so far", "flags"]
    whole = [row for row in (rows[:-1] if has_page else rows) if row[1] != FOLDED]
    widths = [max(len(row[place]) for row in [header, *whole]) for place in range(7)]
    widths[2] = max([INDEX_WIDTH, *(len(row[2]) for row in whole)])
    yield [("title", joined(header, widths))]
    for row in rows:
        level, table, index, address, entry, rights, flags = row
        if table == FOLDED:
            yield [("metadata", f"{level:{widths[0]}} {table}")]
            continue
        cells: Cells = [
            ("", f"{level:{widths[0]}} "),
            ("address", f"{table:{widths[1]}}"),
            ("", f" + {index:>{widths[2]}} = "),
            ("address", address),
        ]
        if entry:
            cells += [
                ("", " " * (widths[3] - len(address)) + "  "),
                ("entry", f"{entry:{widths[4]}}"),
                ("", "  "),
                ("rights", rights),
                ("", " " * (widths[5] - len(rights)) + "  "),
                ("flags", flags),
            ]
        while cells and not cells[-1][1].strip():
            cells.pop()
        yield cells


def joined(cells: list[str], widths: list[int]) -> str:
    """The header of a walk."""
    level, table, index, address, entry, rights, flags = (
        f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)
    )
    return f"{level} {table} + {index} = {address}  {entry}  {rights}  {flags}".rstrip()


def fault_words(form: Format, found: Outcome) -> str:
    """`fault: protection, error code 0x7 (P W U)`; a bus error of x86 has no such code."""
    fault = found.fault
    assert fault is not None
    if fault.kind == "non-canonical":
        name = fault.reason.partition(" (")[2]
        return f"fault: {fault.kind}" + (f" ({name}" if name else "")
    if fault.kind == "bus" and not is_coded(form, fault):
        return f"fault: {fault.kind}"
    return f"fault: {fault.kind}, {code_text(form, fault.code, found.by_machine)}"
