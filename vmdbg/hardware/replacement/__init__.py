"""Which translation leaves a full set of a TLB array: one file a policy, three functions each.

`tlb_touch(m, array, cpu, row)` a look-up found the row · `tlb_insert(m, array, cpu, key, word)` a
translation comes · `tlb_take_out(m, array, cpu, row)` one is invalidated.  The holes are declared, with
what fills them, in `hardware.tlb`.

lru and fifo keep each set in order, with the newest row in way 0.  random and plru keep no order; plru keeps
each row in its way, as the bits of its tree refer to ways.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REPLACEMENTS = ("lru", "fifo", "random", "plru")
HOLES = ("tlb_touch", "tlb_insert", "tlb_take_out")


def bindings(name: str) -> dict[str, Any]:
    """The functions of a policy by hole, and the constant KEEPS_WAYS."""
    from importlib import import_module

    module = import_module(f"vmdbg.hardware.replacement.{name}")
    return {hole: getattr(module, hole) for hole in HOLES} | {"KEEPS_WAYS": int(name == "plru")}
