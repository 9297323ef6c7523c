"""Times as they are typed: `12:4`, `+3`, `begin`, the name of a bookmark."""

from __future__ import annotations

from vmdbg.errors import UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.session import Session


def operations_of(session: Session, text: str, end: int) -> tuple[int, int]:
    """`FROM..TO` as operations, both included, or `TIME` as one; what is left out on the left is where the
    record begins, and on the right `end`.  UserError."""
    low, dots, high = (part.strip() for part in text.partition(".."))
    first = position_of(session, low)[0] if low else session.timeline.begin
    last = position_of(session, high)[0] if high else end if dots else first
    if last < first and high:
        raise UserError("inverted range")
    return first, last


def position_of(session: Session, text: str) -> tuple[int, int]:
    """`12:4`, `12`, `+N`, `-N`, `begin`, `end` or the name of a bookmark as operations and events."""
    timeline, words = session.timeline, text.strip()
    if words in ("begin", "start"):
        return timeline.begin, 0
    if words == "end":
        return timeline.end, 0
    if words in timeline.bookmarks:
        return timeline.bookmarks[words]
    now = timeline.position.operations
    if words[:1] in ("+", "-"):
        distance = session.integer(words[1:]) if words[1:] else 1
        return (now + distance if words[0] == "+" else now - distance), 0
    first, colon, second = words.partition(":")
    try:
        return session.integer(first), session.integer(second) if colon else 0
    except UserError:
        elsewhere = timeline.branches.holding(words)
        if elsewhere is not None:
            raise UserError(
                f'Bookmark "{words}" is in branch {elsewhere[0]}.', f'"branch {elsewhere[0]}" goes there.'
            ) from None
        raise UserError(
            f'No time or bookmark "{words}".', 'Times: 12, 12:4, +N, -N, begin, end; "info checkpoints".'
        ) from None
