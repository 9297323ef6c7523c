"""Clock as real kernels have it: the TLBs keep a page whose A bit it clears, and in use it looks unused."""

from __future__ import annotations

from vmdbg.kernel.policies.clock import policy_load, policy_unload, policy_use, victim
from vmdbg.kernel.policies.facts import ACCESSED_BITS, Facts

__all__ = ["policy_load", "policy_unload", "policy_use", "victim"]

FACTS = Facts(
    "the same, but TLBs keep a page whose bit is cleared, as with real kernels: in use, it looks unused",
    ACCESSED_BITS,
    hand=True,
    drops=False,
)
