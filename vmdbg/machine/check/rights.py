"""`check` of the rights in entries: those of the region, without the right to write if the page is shared."""

from __future__ import annotations

from vmdbg.formats.contract import ALL_RIGHTS, ENTRY_LEAF, RIGHT_R, RIGHT_U, RIGHT_W, RIGHT_X
from vmdbg.state.tables import FRAME, FRAME_MAPS, FRAME_SLOT, REGION, REGION_RIGHTS, REGION_SHARE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmdbg.machine.check.survey import Leaf, Survey

LETTERS = ((RIGHT_R, "r"), (RIGHT_W, "w"), (RIGHT_X, "x"), (RIGHT_U, "u"))


def check_rights(s: Survey) -> Iterator[str]:
    """An entry gives the rights of its region.  An entry of a private region may lack the right to write; it
    has to lack it while the frame is shared, as the first write makes a copy."""
    m = s.m
    for leaf in s.leaves.values():
        region = s.region_of(leaf.pid, leaf.va)
        if leaf.kernel or leaf.frame < 0 or not region:
            continue  # other checks report it
        given, protected = allowed(s, leaf, m.region[region * REGION + REGION_RIGHTS])
        private = not m.region[region * REGION + REGION_SHARE]
        name = f"process {leaf.pid}: the entry at {leaf.address:#x} for {leaf.va:#x}"
        if leaf.rights not in ((given, protected) if private else (given,)):
            yield f"{name} is {letters(leaf.rights)}, its region {letters(given)}"
        elif private and leaf.rights & RIGHT_W and shared(s, leaf.frame):
            yield f"{name} may be written, but others need what frame {leaf.frame} holds"


def allowed(s: Survey, leaf: Leaf, rights: int) -> tuple[int, int]:
    """The rights of an entry that the kernel makes for a region with these rights; and of a protected one."""
    depth = len(s.form.levels) - 1 - leaf.size
    entry = s.k.make_leaf(s.k.leaf_frame(leaf.entry, depth), rights, depth)
    return (
        s.k.combine(ALL_RIGHTS, entry, ENTRY_LEAF, depth),
        s.k.combine(ALL_RIGHTS, s.k.protected(entry), ENTRY_LEAF, depth),
    )


def shared(s: Survey, frame: int) -> bool:
    """Does more than one entry map a frame, or is its page in the page cache?"""
    return bool(s.m.frame[frame * FRAME + FRAME_MAPS] > 1 or s.m.frame[frame * FRAME + FRAME_SLOT] < 0)


def letters(rights: int) -> str:
    """`rw-u`."""
    return "".join(letter if rights & bit else "-" for bit, letter in LETTERS)
