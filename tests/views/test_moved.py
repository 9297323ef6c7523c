"""Pages that move in a row are one line, by what they have in common."""

from __future__ import annotations

import pytest

from vmdbg.debugger.access_story import MOVES, Moved
from vmdbg.inspect.event_words import EventWords
from vmdbg.inspect.target import boot
from vmdbg.machine.config import load_config
from vmdbg.views.accesses import FOLDED, MOVED_RUN_TEXTS, MOVED_TEXTS, moved_run_line, runs_of

WORDS = EventWords(boot(load_config("default")).machine)


def moved(how: str, number: int, entries: int = 1) -> Moved:
    """A page: frame 0x200 and address 0x40000000 and what follows."""
    one = Moved.__new__(Moved)
    one.how, one.place, one.pfn, one.va = how, 700 - number, 0x200 + number, 0x40000000 + number * 4096
    one.dirty, one.entries, one.entry, one.name = True, entries, 0, "PT[0]"
    return one


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("swap-out", "vpn 0x40000 to 0x4000f: pfn 0x200 to 0x20f -> 16 slots, written (dirty)"),
        ("swap-in", "vpn 0x40000 to 0x4000f: 16 slots -> pfn 0x200 to 0x20f, read"),
        ("file-drop", "vpn 0x40000 to 0x4000f: pfn 0x200 to 0x20f dropped, 16 pages of its file have them"),
    ],
)
def test_a_run_is_one_line(how: str, line: str) -> None:
    (run,) = runs_of([moved(how, number) for number in range(16)], 4096)
    assert len(run) >= FOLDED
    assert moved_run_line(WORDS, run) == line


def test_what_differs_begins_another_run() -> None:
    """The way, the number of entries, a gap."""
    pages = [
        *(moved("swap-out", at) for at in range(3)),
        moved("swap-in", 3),
        moved("swap-in", 4, 2),
        moved("swap-in", 6, 2),
    ]
    assert [len(run) for run in runs_of(pages, 4096)] == [3, 1, 1, 1]


def test_every_way_has_both_texts() -> None:
    assert set(MOVES) == set(MOVED_TEXTS) == set(MOVED_RUN_TEXTS)
