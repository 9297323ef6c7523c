"""A page for each family of formats, drawn from its records: the walk, the entries, registers, rules."""

from __future__ import annotations

from importlib import import_module

from vmdbg import formats
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.formats.record import Format, Level, Register

GENERATED = "<!-- Made by scripts/docs from vmdbg/formats/{}.py; edit that. -->"
CELL = 12  # characters that a level has in a drawing
WIDEST = 100  # of a drawing of an entry with blanks inside its cells
#: Kinds of entries, by the letters of `Field.where`.
KINDS = {"t": "a table", "h": "a large page", "l": "a page", "s": "absent, with a slot"}
RESERVED, IGNORED = "0", "-"


def family_pages() -> dict[str, str]:
    """File name to text, for each module that declares formats."""
    modules = sorted({module for module, _ in formats.NAMES.values()})
    return {f"formats/{module}.md": family_page(module) for module in modules}


def family_page(module: str) -> str:
    """The page of a family."""
    found = [formats.find(name) for name, (owner, _) in formats.NAMES.items() if owner == module]
    head, _, more = (import_module(f"vmdbg.formats.{module}").__doc__ or module).partition("\n")
    title, _, source = head.partition(": ")
    out = [f"# {title}", "", GENERATED.format(module), ""]
    out += f"{source[:1].upper()}{source[1:]}\n{more}".rstrip().split("\n")
    out += ["", "`vmdbg -m NAME` starts a machine of a name below."]
    if not found[0].bounded:
        out += ["In the drawings of entries 0 is a bit that must be 0, - one that has no meaning;"]
        out += ["registers may reserve more."]
    out += [""]
    known: dict[str, str] = {}
    for form in found:
        out += format_section(form, known)
    if not found[0].bounded:
        out += ["## Fields", "", *fields_table(found), ""]
    out += ["## Registers", "", *registers_table(found), ""]
    out += ["## Rules", "", *rules_list(found), ""]
    return "\n".join(out).rstrip() + "\n"


def format_section(form: Format, known: dict[str, str]) -> Iterator[str]:
    """One format: what it is, its walk, its entries, unless they are `known` as those of another one."""
    yield f"## {form.name}"
    yield ""
    names = ", ".join(f"{level.name} ({level.linux})" for level in form.levels)
    halves = ", those below each root 48" if form.split else ""
    if form.bounded:
        yield f"{form.manual}. Addresses of {form.va_bits} bits; no tables."
    else:
        yield f"{form.manual}. Addresses of {form.va_bits} bits{halves}; entries of {form.entry_bytes} bytes."
        yield f"Levels, with Linux's names: {names}."
    yield ""
    drawn = "\n".join(bounded_drawing(form) if form.bounded else drawings(form))
    if drawn in known:
        yield f"Walk and entries are those of `{known[drawn]}`."
    else:
        yield f"```text\n{drawn}\n```"
    known.setdefault(drawn, form.name)
    yield ""


def drawings(form: Format) -> Iterator[str]:
    """The walk, and each kind of entry."""
    yield from walk_drawing(form)
    for drawing, kinds in entry_drawings(form).items():
        yield ""
        yield "; ".join(f"{', '.join(levels)}: {kind}" for kind, levels in kinds.items())
        yield drawing


def bounded_drawing(form: Format) -> Iterator[str]:
    """An address, compared and added."""
    size = format_size(form.page_size)
    yield "            no"
    yield "address < $bound ? ----> fault: bounds"
    yield "            | yes"
    yield f"            +--------> address + ${form.root_register}, in a partition of {size}"


def walk_drawing(form: Format) -> Iterator[str]:
    """An address cut into indexes, and the tables that they choose entries of."""
    levels = form.levels
    offset = levels[-1].shift

    def row(cells: list[str], last: str, mark: str = " ", start: str = " ") -> str:
        return f"{start}{mark.join(f'{cell:^{CELL - 1}}' for cell in cells)}{mark}{last}".rstrip()

    def numbers(level: Level) -> str:
        high, low = str(level.shift + level.bits - 1), str(level.shift)
        return f"{high}{low:>{CELL - 2 - len(high)}}" if level.bits > 1 else high

    line = "-" * (CELL - 1)
    yield row([numbers(level) for level in levels], f"{f' {offset - 1}':<6}{0:>4}")
    yield row([line] * len(levels), f"{line}+", "+", "+")
    yield row(
        [f"{level.name} {level.bits} bits" for level in levels],
        f"{f'offset {offset}':^{CELL - 1}}|",
        "|",
        "|",
    )
    yield row([line] * len(levels), f"{line}+", "+", "+")
    yield row(["|"] * (len(levels) + 1), "")
    yield row(["+---v---+"] * (len(levels) + 1), "")
    boxes = [f"|{level.name:^7}|" for level in levels]
    yield row([f" {box}-" for box in boxes], " | byte  |", ">")
    yield row(["+-------+"] * (len(levels) + 1), "")
    large = [format_size(1 << level.shift) if level.leaf else "" for level in levels[:-1]]
    yield row(["^", *("|" if size else "" for size in large[1:]), *[""] * (len(levels) > 1), "in"], "")
    base = format_size(form.page_size)
    yield row([form.root_register, *large[1:], *[""] * (len(levels) > 1), base], "")
    if large and large[0]:
        yield f"An entry of {levels[0].name} may map {large[0]} too."


def entry_drawings(form: Format) -> dict[str, dict[str, list[str]]]:
    """The drawings of entries, and of what: by kind the levels at which they are alike."""
    found: dict[str, dict[str, list[str]]] = {}
    last = len(form.levels) - 1
    for kind, text in KINDS.items():
        for depth, level in enumerate(form.levels):
            right = {
                "t": depth < last,
                "h": depth < last and level.leaf,
                "l": depth == last,
                "s": depth == last,
            }
            if right[kind] and (kind != "s" or form.role("slot")):
                kinds = found.setdefault(entry_drawing(form, depth, kind), {})
                kinds.setdefault(text, []).append(level.name)
    return found


def entry_drawing(form: Format, depth: int, kind: str) -> str:
    """The fields of an entry, highest bit first."""
    cells = [(high, low, name) for high, low, name in entry_cells(form, depth, kind)]
    labels = [str(high) if high == low else f"{high}:{low}" for high, low, _ in cells]
    widths = [max(len(label), len(cell[2])) for label, cell in zip(labels, cells, strict=True)]
    pad = 2 if sum(widths) + 3 * len(widths) < WIDEST else 0
    top = " ".join(f"{label:^{width + pad}}" for label, width in zip(labels, widths, strict=True))
    line = "+".join("-" * (width + pad) for width in widths)
    names = "|".join(f"{cell[2]:^{width + pad}}" for cell, width in zip(cells, widths, strict=True))
    return f" {top.rstrip()}\n+{line}+\n|{names}|\n+{line}+"


def entry_cells(form: Format, depth: int, kind: str) -> Iterator[tuple[int, int, str]]:
    """High bit, low bit and name of each field, and of the bits between them."""
    reserved = form.reserved
    if kind == "t":
        reserved |= form.reserved_table
        rights = ("readable", "writable", "executable") if form.leaf_by_rights else ()
        reserved |= sum(field.put(0, 1) for field in map(form.role, rights) if field is not None)
    if depth == 0:
        reserved |= form.reserved_root
    if kind == "s":
        reserved = 0
    standing = [f for f in form.standing(kind, depth) if f.put(0, -1) & ~reserved]
    fields = {field.low + field.width - 1: field for field in standing}
    bit = 8 * form.entry_bytes - 1
    while bit >= 0:
        if bit in fields:
            field = fields[bit]
            yield bit, field.low, field.name
            bit = field.low - 1
            continue
        low, name = bit, RESERVED if reserved >> bit & 1 else IGNORED
        while low and low - 1 not in fields and (RESERVED if reserved >> low - 1 & 1 else IGNORED) == name:
            low -= 1
        yield bit, low, name
        bit = low - 1


def of_which(found: list[Format], having: list[str]) -> str:
    """The names of formats that have something; `all` if all have."""
    return "all" if len(having) == len(found) else ", ".join(f"`{name}`" for name in having)


def fields_table(found: list[Format]) -> Iterator[str]:
    """Every field of every format, once."""
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    words = {"t": "tables", "l": "pages", "h": "large pages", "s": "absent"}
    for form in found:
        for field in form.fields:
            high = field.low + field.width - 1
            bits = str(field.low) if field.width == 1 else f"{high}:{field.low}"
            where = "all" if set("tlh") <= set(field.where) else ", ".join(words[at] for at in field.where)
            if field.levels:
                where += f" of {', '.join(field.levels)}"
            rows.setdefault((field.name, bits, where, field.help), []).append(form.name)
    yield "| field | bits | of entries | meaning | formats |"
    yield "| --- | --- | --- | --- | --- |"
    for (name, bits, where, text), having in rows.items():
        yield f"| {name} | {bits} | {where} | {text} | {of_which(found, having)} |"


def registers_table(found: list[Format]) -> Iterator[str]:
    """Every register that says what tables mean, and every field of one, once."""
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for form in found:
        alone = "" if form.root_fields else form.root_register
        if alone:
            what = "partition" if form.bounded else "root table"
            rows.setdefault((alone, "", "", f"where the {what} is"), []).append(form.name)
        for register in (*form.root_fields, *form.registers):
            rows.setdefault(register_row(register), []).append(form.name)
        fault = (form.fault_register, "", "", "address of the last fault")
        rows.setdefault(fault, []).append(form.name)
    yield "| register | bits | at boot | meaning | formats |"
    yield "| --- | --- | --- | --- | --- |"
    for (name, bits, initial, text), having in rows.items():
        yield f"| `${name}` | {bits} | {initial} | {text} | {of_which(found, having)} |"


def register_row(register: Register) -> tuple[str, str, str, str]:
    """Name, bits, value at boot, meaning."""
    high = register.low + register.width - 1
    bits = str(high) if register.width == 1 else f"{high}:{register.low}"
    initial = f"`{register.setting}`" if register.setting else str(register.initial)
    return register.name, bits, initial, register.help


def rules_list(found: list[Format]) -> Iterator[str]:
    """Every rule in words, once."""
    texts: dict[str, list[str]] = {}
    for form in found:
        for _, text in form.rules.values():
            texts.setdefault(text, []).append(form.name)
    for text, having in texts.items():
        which = "" if len(having) == len(found) else f" ({of_which(found, having)})"
        yield f"- {text}{which}"
