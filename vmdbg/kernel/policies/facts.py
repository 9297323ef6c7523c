"""What a policy says of itself; tests, `check` and the documentation read it."""

from __future__ import annotations

from collections import namedtuple

#: What a policy can look at when it chooses: nothing, that pages come, A bits, every access of a program,
#: what a program is going to access.  No hardware tells a kernel of the last two: such a policy is an oracle.
NOTHING, ARRIVALS, ACCESSED_BITS, ACCESSES = "nothing", "arrivals", "accessed bits", "every access"
FUTURE = "the future"


class Facts(
    namedtuple(
        "Facts",
        "leaves sees queue hand drops counters lists ghosts",
        defaults=(False, False, True, False, (), ()),
    )
):
    """The declaration `FACTS` of a policy's module.

    `leaves`: which page leaves, in a few words.  `sees`: what it looks at, one of the constants above.
    `queue`: the frames that may be evicted, and no others, are in the queue `oldest .. newest`
    (`kernel.policies.queue`).  `hand`: KERNEL_HAND names the frame at which it goes on, one that user pages
    may have.  `drops`: it drops a page from the TLBs when it clears the page's A bit, so that the next
    access sets the bit again.  `counters`: it notes numbers of pages in the table node.  `lists`: its lists,
    by name, from FIRST_LIST on (`kernel.policies.nodes`); each frame that may be evicted is in one.
    `ghosts`: the lists behind them, of pages that left.
    """

    __slots__ = ()

    @property
    def oracle(self) -> bool:
        """Does it need to know what no hardware tells a kernel?"""
        return self.sees in (ACCESSES, FUTURE)

    @property
    def kept(self) -> str:
        """What it remembers, in words; `nothing`."""
        words = [f"a {word}" for word in ("queue", "hand") if getattr(self, word)]
        words += ["a counter for each page"] if self.counters else []
        words += [f"lists {', '.join(self.lists)}"] if self.lists else []
        words += [f"page numbers {', '.join(self.ghosts)}"] if self.ghosts else []
        return " and ".join(words) or "nothing"
