"""Formats of one's own, from a TOML file: see docs/formats.md for an example of every key."""

from __future__ import annotations

import os
import re
import tomllib

from vmdbg.errors import InputError, UserError
from vmdbg.formats.base_and_bounds import bounded
from vmdbg.formats.dataclass import replace
from vmdbg.formats.record import Field, Format, Level
from vmdbg.formats.segments import MOST_SEGMENTS, segment_registers, segmented
from vmdbg.formats.segments import RULES as SEGMENT_RULES
from vmdbg.formats.textbook import RULES, allowed
from vmdbg.units import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

KEYS = {
    "name": str,
    "va_bits": int,
    "entry_bytes": int,
    "levels": list,
    "fields": dict,
    "inverted": list,
    "leaf_by_rights": bool,
    "hierarchical": bool,
    "sign_extended": bool,
    "software_walk": bool,
    "kernel_sets_ad": bool,
    "table_accessed": bool,
    "scheme": str,
    "partition": str,
    "big_endian": bool,
    "segments": int,
    "grows_down": list,
    "rights": list,
}
REQUIRED = ("va_bits", "entry_bytes", "levels", "fields")
BOUNDED = "base-and-bounds"
SEGMENTED = "segments"
#: Schemes without tables: the keys that they must have, and those that they may have besides.
WITHOUT_TABLES = {
    BOUNDED: (("va_bits", "partition"), ("name", "scheme")),
    SEGMENTED: (("va_bits", "segments"), ("name", "scheme", "grows_down", "rights")),
}
ALONE = ("partition",)  # keys of no other scheme
OF_SEGMENTS = ("segments", "grows_down", "rights")
SCHEMES = ("tables", *WITHOUT_TABLES)
#: Roles of fields: their usual names, and help.
ROLES = {
    "valid": ("V", "the entry maps something"),
    "readable": ("R", "may be read"),
    "writable": ("W", "may be written"),
    "executable": ("X", "may be executed"),
    "user": ("U", "user may access"),
    "accessed": ("A", "accessed"),
    "dirty": ("D", "dirty"),
    "global": ("G", "global"),
    "huge": ("H", "this entry maps a page"),
    "frame": ("PFN", "frame"),
    "slot": ("slot", "swap slot"),
    "slot_mark": ("mark", "a slot is kept"),
}
WIDE = ("frame", "slot")
ABSENT = ("slot", "slot_mark")  # roles in entries that are not valid
MAX_LEVELS, MAX_BITS = 7, 22
MIN_PARTITION, MAX_PARTITION = 3, 36  # bits
TOP_BIT = 63  # of a word: its sign, a bit of its own
MAX_VA_BITS = 64
MAX_FRAME = 44  # bits that a word of the TLB has for the number of a frame
MAX_ADDRESS = 56  # bits of a physical address, and of one in the swap area
NAMES = "word of up to 16 letters, digits and _"
INVERTIBLE = ("readable", "writable", "executable", "user")
LEVELLED = (*INVERTIBLE, "accessed", "dirty", "global", "huge")  # roles whose field may stand at some levels
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,15}")
MAX_PAGE_NUMBER = 45  # bits that a TLB key has for the number of a page


def load_format(path: str) -> Format:
    """The format in the `[format]` table of a TOML file.  InputError names the key and what was expected."""
    shown = os.path.relpath(path)
    if shown.startswith(".."):
        shown = path
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise InputError(f"{error.strerror}", shown) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"not TOML: {error}", shown) from None
    table = document.get("format")
    if not isinstance(table, dict):
        raise InputError("expected a table [format]", shown)
    return make_format(table, shown)


def wrong(file: str, key: str, expected: str) -> InputError:
    """What to raise for a key whose value is not what was expected."""
    return InputError(f"format.{key}: expected {expected}", file)


def check_keys(table: Mapping[str, Any], file: str) -> None:
    """Every key is known and of its type, none is missing, sizes are possible."""
    for key, value in table.items():
        kind = KEYS.get(key)
        if kind is None:
            raise InputError(f"unknown key format.{key}; expected {', '.join(KEYS)}", file)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            names = {int: "an integer", bool: "true or false", str: "a string", list: "a list"}
            raise wrong(file, key, names.get(kind, "a table"))
    if table.get("scheme", SCHEMES[0]) not in SCHEMES:
        raise wrong(file, "scheme", " or ".join(SCHEMES))
    bounded = table.get("scheme") in WITHOUT_TABLES
    needed, more = WITHOUT_TABLES.get(str(table.get("scheme")), (REQUIRED, tuple(set(KEYS) - set(ALONE))))
    for key in needed:
        if key not in table:
            raise InputError(f"format.{key} is missing", file)
    for key in table:
        if key not in (*needed, *more):
            raise InputError(f"format.{key}: not with scheme = {table.get('scheme', SCHEMES[0])!r}", file)
    if not 2 <= table["va_bits"] <= MAX_VA_BITS:
        raise wrong(file, "va_bits", f"2 to {MAX_VA_BITS}")
    if table["va_bits"] == MAX_VA_BITS and not (bounded or table.get("sign_extended")):
        raise wrong(file, "va_bits", f"less than {MAX_VA_BITS} without sign_extended: words are signed")
    if not bounded and table["entry_bytes"] not in (1, 2, 4, 8):
        raise wrong(file, "entry_bytes", "1, 2, 4 or 8")


def make_format(table: Mapping[str, Any], file: str) -> Format:
    """The format that a table declares."""

    check_keys(table, file)
    if table.get("scheme") == BOUNDED:
        return make_bounded(table, file)
    if table.get("scheme") == SEGMENTED:
        return make_segmented(table, file)
    va_bits, width = table["va_bits"], table["entry_bytes"]
    before = segments_before(table, file)
    levels = read_levels(table["levels"], va_bits - before.get("bits", 0), file)
    if levels[-1].shift < 1:
        raise wrong(file, "levels", f"at most {va_bits - 1} index bits in all (a page has 2 bytes or more)")
    if va_bits - levels[-1].shift > MAX_PAGE_NUMBER:
        raise wrong(file, "levels", f"at most {MAX_PAGE_NUMBER} index bits in all")
    fields = read_fields(table["fields"], width * 8, levels, file)
    check_rules(table, levels, fields, file)
    check_widths(fields, levels[-1].shift, file)
    check_levels(table, levels, fields, file)
    fields = with_own(fields, table["levels"], width * 8, levels, file)
    return Format(
        table.get("name", "custom"),
        file.rpartition("/")[2],
        va_bits,
        tuple(levels),
        width,
        tuple(fields),
        allowed,
        inverted=tuple(table.get("inverted", [])),
        leaf_by_rights=table.get("leaf_by_rights", False),
        hierarchical=table.get("hierarchical", False),
        table_accessed=table.get("table_accessed", False),
        sign_extended=table.get("sign_extended", False),
        software_walk=table.get("software_walk", False),
        kernel_sets_ad=table.get("kernel_sets_ad", False),
        big_endian=table.get("big_endian", False),
        **{"rule_texts": {**RULES, "z": "reserved bits must be clear"}, **before.get("record", {})},
    )


def make_bounded(table: Mapping[str, Any], file: str) -> Format:
    """A machine without tables: base and bounds, partitions of one size."""
    try:
        size = parse_size(table["partition"])
    except UserError:
        size = 0
    bits = size.bit_length() - 1
    if size != 1 << max(bits, 0) or not MIN_PARTITION <= bits <= min(table["va_bits"], MAX_PARTITION):
        raise wrong(file, "partition", 'a power of two that addresses can name, such as "32K"')
    return bounded(table.get("name", "partitions"), bits, table["va_bits"], file)


def segments_before(table: Mapping[str, Any], file: str) -> dict[str, Any]:
    """What segments before the tables make of a format: how many bits choose one, and what the record has."""
    if "segments" not in table:
        lonely = next((key for key in OF_SEGMENTS if key in table), None)
        if lonely is not None:
            raise InputError(f"format.{lonely}: only with segments", file)
        return {}
    count, down, rights = read_segments(table, file)
    bits = count.bit_length() - 1
    registers = segment_registers(table["va_bits"] - bits, count, down, rights)
    texts = {**RULES, "z": "reserved bits must be clear", **SEGMENT_RULES}
    record = {"segments": count, "registers": tuple(registers), "root_register": "base0", "rule_texts": texts}
    return {"bits": bits, "record": record}


def make_segmented(table: Mapping[str, Any], file: str) -> Format:
    """A machine without tables: segments, chosen by the top bits of an address."""
    count, down, rights = read_segments(table, file)
    name = table.get("name", "segments")
    return segmented(name, table["va_bits"], count, down, file.rpartition("/")[2], rights)


def read_segments(table: Mapping[str, Any], file: str) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """How many segments there are, those that grow down, and the rights of each."""
    count, va_bits, down = table["segments"], table["va_bits"], table.get("grows_down", [])
    if count not in (2, MOST_SEGMENTS):
        raise wrong(file, "segments", f"2 or {MOST_SEGMENTS}")
    if not MIN_PARTITION + 2 <= va_bits <= MAX_PARTITION:
        raise wrong(file, "va_bits", f"{MIN_PARTITION + 2} to {MAX_PARTITION} with segments")
    if any(type(number) is not int or not 0 <= number < count for number in down):
        raise wrong(file, "grows_down", f"a list of numbers of segments, 0 to {count - 1}")
    rights = table.get("rights", ["rwx"] * count)
    if len(rights) != count or not all(type(text) is str and set(text) <= set("rwx-") for text in rights):
        raise wrong(file, "rights", f"{count} times letters of rwx, one for each segment")
    nibbles = (sum(1 << place for place, letter in enumerate("rwx") if letter in text) for text in rights)
    return count, tuple(down), tuple(nibbles)


def check_rules(table: Mapping[str, Any], levels: list[Level], fields: list[Field], file: str) -> None:
    """The rules that decide what an entry is do not contradict one another."""
    roles = {field.role for field in fields}
    inverted, by_rights = table.get("inverted", []), table.get("leaf_by_rights", False)
    for role in inverted:
        if role not in INVERTIBLE or role not in roles:
            raise wrong(file, "inverted", f"fields among {', '.join(INVERTIBLE)}, not {role!r:.40}")
    if by_rights and ("readable" not in roles or {"readable", "writable", "executable"} & set(inverted)):
        raise wrong(file, "leaf_by_rights", "a field readable, and rights that are not inverted")
    if by_rights and (table.get("hierarchical") or "huge" in roles):
        raise wrong(file, "leaf_by_rights", "neither hierarchical nor a field huge: tables have no rights")
    if any(level.leaf for level in levels[:-1]) and "huge" not in roles and not by_rights:
        raise wrong(file, "fields.huge", "a bit, because a level above the last one has leaves")
    if table.get("kernel_sets_ad") and "accessed" not in roles:
        raise wrong(file, "fields.accessed", "a bit, because of kernel_sets_ad")


def check_widths(fields: list[Field], page_bits: int, file: str) -> None:
    """Addresses that the fields make have as many bits as memory can have."""
    for field in fields:
        most = min(MAX_FRAME, MAX_ADDRESS - page_bits)
        if 1 < field.width > most:
            raise wrong(file, f"fields.{field.role}", f"a width of at most {most}")


def check_levels(table: Mapping[str, Any], levels: list[Level], fields: list[Field], file: str) -> None:
    """A field that stands at some levels only stands at all that may map a page; `huge`: at no others."""
    leaves = {level.name for level in levels if level.leaf}
    for field in (field for field in fields if field.levels):
        key = f"fields.{field.role}.levels"
        if field.role not in LEVELLED:
            raise InputError(f"format.{key}: only with {', '.join(LEVELLED)}", file)
        if table.get("leaf_by_rights") and field.role in INVERTIBLE:
            raise InputError(
                f"format.{key}: not with leaf_by_rights, as rights tell leaves from tables", file
            )
        wanted = leaves - {levels[-1].name} if field.role == "huge" else leaves
        if not wanted <= set(field.levels) or (field.role == "huge" and wanted != set(field.levels)):
            only = "just" if field.role == "huge" else "at least"
            raise wrong(file, key, f"{only} the levels that may map a page, {', '.join(sorted(wanted))}")


def is_name(value: object) -> bool:
    """May this be shown as the name of a level or a field?"""
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def read_levels(items: list[Any], va_bits: int, file: str) -> list[Level]:
    """The levels, root first: `{ name = "PD", bits = 5, leaf = true }` each, or just the bits."""
    if not 1 <= len(items) <= MAX_LEVELS:
        raise InputError(f"format.levels: expected 1 to {MAX_LEVELS} levels", file)
    levels: list[Level] = []
    shift = va_bits
    for place, item in enumerate(items):
        entry = {"bits": item} if isinstance(item, int) and not isinstance(item, bool) else item
        last = place == len(items) - 1
        if not isinstance(entry, dict) or set(entry) - {"name", "linux", "bits", "leaf", "fields"}:
            raise InputError(f"format.levels[{place}]: expected name, bits, leaf and fields", file)
        bits, name = entry.get("bits"), entry.get("name", f"L{len(items) - 1 - place}")
        if type(bits) is not int or not 1 <= bits <= MAX_BITS:
            raise InputError(f"format.levels[{place}].bits: expected 1 to {MAX_BITS}", file)
        if not is_name(name) or not is_name(entry.get("linux", "pte")):
            raise InputError(f"format.levels[{place}]: expected a {NAMES} as name", file)
        if not isinstance(entry.get("leaf", False), bool):
            raise InputError(f"format.levels[{place}].leaf: expected true or false", file)
        shift -= bits
        linux = str(entry.get("linux", ("pte", "pmd", "pud", "p4d", "pgd", "", "")[len(items) - 1 - place]))
        levels.append(Level(name, linux, shift, bits, last or entry.get("leaf", False)))
    return levels


def read_fields(table: Mapping[str, Any], bits: int, levels: list[Level], file: str) -> list[Field]:
    """The fields by their bits: `valid = 7`, `frame = { low = 0, width = 5, name = "PFN" }`."""
    fields: list[Field] = []
    used: dict[str, int] = {"present": 0, "absent": 0}
    names = [level.name for level in levels]
    for role, value in table.items():
        if role not in ROLES:
            raise InputError(f"unknown key format.fields.{role}; expected {', '.join(ROLES)}", file)
        field = read_field(role, value, bits, names, f"fields.{role}", file)
        mask = ((1 << field.width) - 1) << field.low
        for when in (
            ("present", "absent") if role == "valid" else ("absent" if role in ABSENT else "present",)
        ):
            if used[when] & mask:
                raise InputError(f"format.fields.{role}: overlaps another field", file)
            used[when] |= mask
        if any(other.name == field.name for other in fields):
            raise InputError(
                f"format.fields.{role}: the name {field.name} is taken; give it another one", file
            )
        fields.append(field)
    for role in ("valid", "frame"):
        if role not in table:
            raise InputError(f"format.fields.{role} is missing", file)
    if ("slot" in table) != ("slot_mark" in table):
        raise InputError("format.fields: slot and slot_mark go together", file)
    return sorted(fields, key=lambda field: field.low)


def with_own(fields: list[Field], items: list[Any], bits: int, levels: list[Level], file: str) -> list[Field]:
    """The fields, and those of levels that have fields of their own: `valid` and `frame`, elsewhere."""
    found: list[Field] = []
    for place, (item, level) in enumerate(zip(items, levels, strict=True)):
        if not isinstance(item, dict) or "fields" not in item:
            continue
        key, own = f"levels[{place}].fields", item["fields"]
        if level.leaf:
            raise InputError(f"format.{key}: not where entries may map a page", file)
        if not isinstance(own, dict) or set(own) != {"valid", "frame"}:
            raise wrong(file, key, "valid and frame; its entries have no other fields")
        valid, frame = (
            read_field(role, own[role], bits, [], f"{key}.{role}", file) for role in ("valid", "frame")
        )
        if frame.low <= valid.low < frame.low + frame.width:
            raise InputError(f"format.{key}.frame: overlaps another field", file)
        least = next(field.width for field in fields if field.role == "frame")
        if frame.width < least:
            raise wrong(file, f"{key}.frame", f"a width of at least {least}, as leaves have")
        found += [
            replace(field, role=f"table_{field.role}", where="t", levels=(level.name,))
            for field in (valid, frame)
        ]
    own_levels = {field.levels[0] for field in found}
    others = tuple(level.name for level in levels if level.name not in own_levels)
    if not found:
        return fields
    if len({level.name for level in levels}) < len(levels):
        raise wrong(file, "levels", "names that differ, as one has fields of its own")
    kept = [
        replace(field, levels=tuple(name for name in field.levels or others if name in others))
        for field in fields
    ]
    return sorted([*kept, *found], key=lambda field: field.low)


def read_field(role: str, value: object, bits: int, names: list[str], key: str, file: str) -> Field:
    """One field: a bit, or `{ low, width, name, levels }`; `names` are those of the levels."""
    entry = value if isinstance(value, dict) else {"low": value}
    if set(entry) - {"low", "width", "name", "levels"}:
        raise wrong(file, key, "low, width, name and levels")
    low: Any = entry.get("low")
    width: Any = entry.get("width", 1)
    name: Any = entry.get("name", ROLES[role][0])
    if type(low) is not int or type(width) is not int or low < 0 or width < 1 or low + width > bits:
        raise wrong(file, key, f"a bit, or low and width, inside {bits} bits")
    if width > 1 and role not in WIDE:
        raise wrong(file, key, "one bit")
    if role in WIDE and low + width > TOP_BIT:
        raise wrong(file, key, f"low and width below bit {TOP_BIT}")
    if not is_name(name):
        raise wrong(file, f"{key}.name", f"a {NAMES}")
    levels: Any = entry.get("levels")
    if levels is not None and not (isinstance(levels, list) and levels and all(at in names for at in levels)):
        raise wrong(file, f"{key}.levels", f"a list of some of {', '.join(names)}")
    return Field(
        name, low, role, width, "s" if role in ABSENT else "tlh", ROLES[role][1], tuple(levels or ())
    )
