"""What a policy says of itself; tests, `check` and the documentation read it."""

from __future__ import annotations

from collections import namedtuple

#: What a policy can look at when it chooses: nothing, that pages come, A bits, every access of a program.
NOTHING, ARRIVALS, ACCESSED_BITS, ACCESSES = "nothing", "arrivals", "accessed bits", "every access"


class Facts(namedtuple("Facts", "leaves sees queue hand drops", defaults=(False, False, True))):
    """The declaration `FACTS` of a policy's module.

    `leaves`: which page leaves, in a few words.  `sees`: what it looks at, one of the constants above.
    `queue`: the frames that may be evicted, and no others, are in the queue `oldest .. newest`
    (`kernel.policies.queue`).  `hand`: KERNEL_HAND names the frame at which it goes on, one that user pages
    may have.  `drops`: it drops a page from the TLBs when it clears the page's A bit, so that the next
    access sets the bit again.
    """

    __slots__ = ()
