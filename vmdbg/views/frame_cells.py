"""Physical memory drawn as cells, a letter for each frame, in rows that begin with a frame number."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.inspect.notation import Notation
    from vmdbg.views.result import Line

CELL = 2  # columns: what is beside the point, or a mark, and the letter
STYLES = {".": "metadata", "r": "metadata", "T": "entry", "u": "rights", "U": "rights"}
WRITTEN = "warning"  # of pages with D set
LEGEND = "T table  u page  w written (D)  capital: A set  . free  r reserved"
CHANGED, HAND = "!", ">"


def cell_lines(
    show: Notation, first: int, letters: str, hand: int | None, width: int, before: str = ""
) -> Iterator[tuple[bool, Line]]:
    """Rows of cells in so many columns, and whether something in them changed since `before`.

    `first` is the number of the first frame.  As in a hex dump a `*` stands for rows that are as the row
    before.  `!` marks a frame that changed, `>` the one at which the hand stands.
    """
    label = max(len(show.pfn(first)), len(show.pfn(first + len(letters) - 1)))
    count = cells_in_row(width - label)
    last, starred = "", False
    for start in range(0, len(letters), count):
        row, old = letters[start : start + count], before[start : start + count]
        changed = bool(old) and row != old
        held = hand is not None and start <= hand < start + count
        if row == last and not changed and not held:
            if not starred:
                yield False, [("metadata", "*")]
            starred = True
            continue
        last, starred = row, False
        line: list[tuple[str, str]] = [("address", f"{show.pfn(first + start):{label}}")]
        for place, letter in enumerate(row):
            if old and letter != old[place]:
                line.append(("changed", CHANGED + letter))
            elif start + place == hand:
                line.append(("decides", HAND + letter))
            else:
                line.append((STYLES.get(letter, WRITTEN), " " + letter))
        yield changed, line


def cells_in_row(width: int) -> int:
    """How many cells so many columns hold: a power of two, at least eight."""
    count = 8
    while 2 * count * CELL <= width:
        count *= 2
    return count


def cells_text(show: Notation, first: int, letters: str, hand: int | None, width: int) -> Iterator[Line]:
    """The rows and what the letters stand for: `info frames -cells`."""
    yield from (line for _, line in cell_lines(show, first, letters, hand, width))
    yield [("metadata", LEGEND)]
