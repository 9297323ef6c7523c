"""Formats that somebody invents: random `[format]` tables, and what docs/formats.md says they mean."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

RIGHTS = ("readable", "writable", "executable", "user")


class Walk(NamedTuple):
    """`kind` is table, leaf, empty, swapped, reserved or bus; `entries` are the addresses that were read."""

    kind: str
    pa: int
    rights: int
    entries: list[int]


# Long: what may stand in such a table, key by key.
@st.composite
def documents(draw: st.DrawFn, least: int = 3, most: int = 9) -> dict[str, Any]:
    """A `[format]` table that is right, small enough for a memory of some hundred pages.

    Their offsets have `least` to `most` bits.
    """
    width = draw(st.sampled_from((1, 2, 4, 8)))
    levels = draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    offset = draw(st.integers(least, most))
    top = 8 * width
    free = list(draw(st.permutations(range(top))))

    def bit() -> int:
        return free.pop() if len(free) > 1 else -1

    frame_width = min(draw(st.integers(5, 12)), top - 1, 56 - offset)
    low = draw(st.integers(0, min(top, 63) - frame_width))
    free = [place for place in free if not low <= place < low + frame_width]
    fields: dict[str, Any] = {"frame": {"low": low, "width": frame_width}, "valid": free.pop()}
    by_rights = draw(st.booleans())
    wanted = draw(st.lists(st.sampled_from((*RIGHTS, "accessed", "dirty", "global")), unique=True))
    if by_rights:
        wanted = ["readable", *(role for role in wanted if role != "readable")]
    for role in wanted:
        if free:
            fields[role] = free.pop()
    by_rights = by_rights and "readable" in fields
    leaves = draw(st.lists(st.booleans(), min_size=len(levels), max_size=len(levels)))
    if not by_rights and any(leaves[:-1]):
        if free:
            fields["huge"] = free.pop()
        else:
            leaves = [False] * len(levels)
    if draw(st.booleans()):
        slots = [place for place in range(top) if place != fields["valid"]]
        fields["slot_mark"] = mark = draw(st.sampled_from(slots))
        runs = longest_run([place for place in slots if place != mark and place < 63])
        if len(runs) > 1:
            fields["slot"] = {"low": runs[0], "width": min(len(runs), 40)}
        else:
            del fields["slot_mark"]
    document: dict[str, Any] = {
        "name": "own",
        "va_bits": sum(levels) + offset,
        "entry_bytes": width,
        "levels": [
            {"name": f"T{place}", "bits": bits, "leaf": leaf}
            for place, (bits, leaf) in enumerate(zip(levels, leaves, strict=True))
        ],
        "fields": fields,
    }
    if not by_rights:
        limit_levels(draw, document)
    for level in document["levels"][:-1]:
        if not level["leaf"] and draw(st.integers(0, 2)) == 0:
            level["fields"] = draw_own(draw, top, frame_width)
    return document | draw_rules(draw, document, by_rights)


def draw_own(draw: st.DrawFn, top: int, least: int) -> dict[str, Any]:
    """The fields of a level whose entries, of `top` bits, have others than leaves have."""
    width = draw(st.integers(least, min(least + 2, top - 1)))
    low = draw(st.integers(0, min(top, 63) - width))
    free = [place for place in range(top) if not low <= place < low + width]
    return {"valid": draw(st.sampled_from(free)), "frame": {"low": low, "width": width}}


def draw_rules(draw: st.DrawFn, document: dict[str, Any], by_rights: bool) -> dict[str, Any]:
    """The keys beside levels and fields: those that are not the usual."""
    fields = document["fields"]
    inverted = [role for role in RIGHTS if role in fields and draw(st.booleans())]
    rules = {
        "inverted": [role for role in inverted if role == "user" or not by_rights],
        "leaf_by_rights": by_rights,
        "hierarchical": not by_rights and draw(st.booleans()),
        "sign_extended": draw(st.booleans()),
        "software_walk": draw(st.integers(0, 3)) == 0,
        "kernel_sets_ad": "accessed" in fields and draw(st.booleans()),
        "table_accessed": not by_rights and draw(st.booleans()),
        "big_endian": draw(st.integers(0, 2)) == 0,
    }
    return {key: value for key, value in rules.items() if value}


def order(document: dict[str, Any]) -> Any:
    """Of the bytes of an entry."""
    return "big" if document.get("big_endian") else "little"


def limit_levels(draw: st.DrawFn, document: dict[str, Any]) -> None:
    """Let some fields stand at some levels only: at those that may map a page, and others that are drawn."""
    levels = document["levels"]
    leaves = [level["name"] for level in levels if level["leaf"] or level is levels[-1]]
    for role in (*RIGHTS, "accessed", "dirty", "global"):
        if role in document["fields"] and draw(st.integers(0, 2)) == 0:
            others = [level["name"] for level in levels if level["name"] not in leaves]
            kept = leaves + [name for name in others if draw(st.booleans())]
            document["fields"][role] = {"low": document["fields"][role], "levels": kept}
    if "huge" in document["fields"] and leaves[:-1] and draw(st.booleans()):
        document["fields"]["huge"] = {"low": document["fields"]["huge"], "levels": leaves[:-1]}


def stands(document: dict[str, Any], role: str, depth: int) -> bool:
    """Do entries at a depth have the field?  The last level's do, if it stands anywhere."""
    field = document["fields"].get(role)
    if "fields" in document["levels"][depth]:
        return False
    if isinstance(field, dict) and "levels" in field:
        return document["levels"][depth]["name"] in field["levels"]
    return field is not None


def longest_run(places: list[int]) -> list[int]:
    """The longest run of numbers that follow one another, in sorted ones."""
    best: list[int] = []
    run: list[int] = []
    for place in places:
        run = [*run, place] if run and place == run[-1] + 1 else [place]
        best = max(best, run, key=len)
    return best


def toml(value: Any) -> str:
    """A TOML value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def text(document: dict[str, Any]) -> str:
    """The document as a file."""
    return "[format]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in document.items())


def shifts(document: dict[str, Any]) -> list[int]:
    """The lowest bit of an address that each level translates, root first."""
    found, shift = [], document["va_bits"]
    for level in document["levels"]:
        shift -= level["bits"]
        found.append(shift)
    return found


def has(document: dict[str, Any], entry: int, role: str) -> bool:
    """Is the bit of a role set?"""
    field = document["fields"].get(role)
    low = field["low"] if isinstance(field, dict) else field
    return low is not None and bool(entry >> low & 1)


def rights_of(document: dict[str, Any], entry: int, depth: int = -1) -> int:
    """r 1, w 2, x 4, u 8: what an entry at a depth grants."""
    granted = 0
    for place, role in enumerate(RIGHTS):
        if not stands(document, role, depth) or has(document, entry, role) != (
            role in document.get("inverted", [])
        ):
            granted |= 1 << place
    return granted


def number(document: dict[str, Any], entry: int, role: str, depth: int = -1) -> int:
    """The value of `frame` or `slot`."""
    field = document["levels"][depth].get("fields", document["fields"])[role]
    return int(entry >> field["low"] & (1 << field["width"]) - 1)


def kind_of(document: dict[str, Any], entry: int, depth: int) -> str:
    """What an entry is."""
    own = document["levels"][depth].get("fields")
    if own:
        return "table" if entry >> own["valid"] & 1 else "empty"
    if not has(document, entry, "valid"):
        return "swapped" if has(document, entry, "slot_mark") else "empty"
    places = shifts(document)
    last = depth == len(places) - 1
    aligned = number(document, entry, "frame") % (1 << places[depth] - places[-1]) == 0
    may = last or document["levels"][depth]["leaf"]
    if document.get("leaf_by_rights"):
        r, w, x = (has(document, entry, role) for role in RIGHTS[:3])
        if r or w or x:
            return "leaf" if may and aligned and (r or not w) else "reserved"
        return "reserved" if last else "table"
    if last:
        return "leaf"
    if has(document, entry, "huge"):
        return "leaf" if may and aligned else "reserved"
    return "table"


def walk(document: dict[str, Any], memory: bytes, root: int, va: int) -> Walk:
    """Translate `va` in a memory that starts at 0."""
    table, rights, entries, width = root, 15, [], document["entry_bytes"]
    places = shifts(document)
    for depth, shift in enumerate(places):
        index = va >> shift & (1 << document["levels"][depth]["bits"]) - 1
        address = table + index * width
        entries.append(address)
        if address + width > len(memory):
            return Walk("bus", 0, 0, entries)
        entry = int.from_bytes(memory[address : address + width], order(document))
        kind = kind_of(document, entry, depth)
        if kind == "leaf" or (kind == "table" and document.get("hierarchical")):
            rights &= rights_of(document, entry, depth)
        table = number(document, entry, "frame", depth) << places[-1]
        if kind == "leaf":
            return Walk("leaf", table | va & (1 << shift) - 1, rights, entries)
        if kind != "table":
            return Walk(kind, 0, 0, entries)
    raise AssertionError
