"""What a replacement policy of the TLB says of itself; the run loop, messages and tests read it."""

from __future__ import annotations

from collections import namedtuple

MOST_WAYS = 1 << 20  # of any set


class Facts(
    namedtuple(
        "Facts", "leaves ordered keeps_ways set_words most_ways", defaults=(False, False, 0, MOST_WAYS)
    )
):
    """The declaration `FACTS` of a policy's module.

    `leaves`: which entry of a full set leaves, in a few words.  `ordered`: each set is in the policy's
    order, way 0 the newest.  `keeps_ways`: a row stays in its way, empty ways are anywhere, and each hit is
    told.  `set_words`: words that it keeps for each set, behind the rows of the arrays (0 or 1).
    `most_ways`: ways of the largest set that it can manage.
    """

    __slots__ = ()
