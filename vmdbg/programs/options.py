"""Rights, and options such as `limit=16` and `populate`, at the end of a line."""

from __future__ import annotations

from vmdbg.formats.contract import RIGHT_U
from vmdbg.programs.operations import RIGHT_LETTERS
from vmdbg.programs.scanner import WORD, shorten
from vmdbg.units import format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.programs.scanner import LineCursor

#: Letters of rights.  Pages are always the user's, with and without `u`.
LETTERS = {**RIGHT_LETTERS, "u": RIGHT_U, "-": 0}
OPTION_TEXTS = {
    "limit": "limit=N",
    "cpu": "cpu=N",
    "oom": "oom=N",
    "page": "page=SIZE",
    "populate": "populate",
    "fixed": "fixed",
    "file": 'file="PATH"',
    "offset": "offset=N",
    "shared": "shared[=NAME]",
    "count": "count=N",
    "seed": "seed=N",
    "step": "step=N",
}
#: Options with their limits, or None for a flag.
Known = dict[str, "tuple[int, int] | None"]


def rights(cursor: LineCursor) -> int:
    """Rights at the cursor, such as `rw`, `r-x`, `rw-u` or `none`; pages are always the user's."""
    start, end = cursor.at, cursor.at
    while end < len(cursor.text) and cursor.text[end] in WORD + "-":
        end += 1
    word = cursor.text[start:end]
    letters = word.replace("-", "")
    if not word or (word != "none" and (set(letters) - set(LETTERS) or len(set(letters)) < len(letters))):
        what = f', not "{shorten(word)}"' if word else ""
        cursor.fail(f"expected rights such as rw, r-x or none{what}", start, max(end, start + 1))
    cursor.take(word)
    if word == "none":
        return RIGHT_U
    return RIGHT_U | sum(LETTERS[letter] for letter in set(letters) - {"u"})


def options(cursor: LineCursor, known: Known) -> dict[str, int]:
    """`NAME=EXPR` and flags up to the end of the line."""
    found: dict[str, int] = {}
    while not cursor.done():
        read_option(cursor, known, found, "the end of the line")
    return found


def read_option(cursor: LineCursor, known: Known, found: dict[str, int], end: str) -> None:
    """One option at the cursor, put into `found`; `end` is what might stand there instead."""
    start = cursor.at
    word = cursor.peek_word()
    if word not in known:
        wanted = ", ".join(OPTION_TEXTS[name] for name in known)
        cursor.expected(f"{wanted} or {end}" if end else wanted)
    if word in found:
        cursor.fail(f"{word} is there already", start, start + len(word))
    cursor.take(word)
    limits = known[word]
    if limits is None:
        found[word] = 1
        return
    if not cursor.take("="):
        cursor.expected('"="')
    value_at = cursor.at
    found[word] = cursor.expression("a number")
    if word == "page" and (found[word] < limits[0] or found[word] & (found[word] - 1)):
        cursor.fail(f"expected a power of two from {format_size(limits[0])}", value_at, cursor.trimmed())
    if not limits[0] <= found[word] <= limits[1]:
        cursor.fail(f"expected a number from {limits[0]} to {limits[1]}", value_at, cursor.trimmed())
