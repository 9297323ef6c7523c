"""Random numbers of policies: a linear congruential generator of 31 bits (the example of ISO C, 7.22.2)."""

from __future__ import annotations

from vmdbg.engine import reads

MULTIPLIER, INCREMENT, MASK = 1103515245, 12345, 0x7FFFFFFF


@reads
def lcg_next(state):
    """The state after `state`; its lowest bits repeat soon, those from 8 on are good to use."""
    return (state * MULTIPLIER + INCREMENT) & MASK
