"""The compiled engine of a machine: the hot functions that its build needs, and the folder of their code."""

from __future__ import annotations

import os

from vmdbg import flat, folding, jit
from vmdbg.engine import link, reads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@reads(fills=True)
def no_halt(number: int) -> None:
    """The compiled engine ends the operation: CONTROL_LIMIT is 0."""


def prepare(bindings: Mapping[str, Any], entry: str, cache: bool, private: bool) -> jit.Compiled:
    """The engine for what is bound, not yet compiled; its code is kept if `cache`."""
    bound = {**bindings, "halt": no_halt}
    functions = link.reachable(link.FUNCTIONS | {k: v for k, v in bound.items() if callable(v)}, entry)
    folder = ""
    if cache:
        key = jit.fingerprint(functions, bound, {"private": private}, [flat.__file__, folding.__file__])
        folder = os.path.join(jit.cache_root(), key)
        if not jit.writable(folder):
            folder = ""
    linked = link.link(bound, twins=False)
    try:
        needed = flat.flatten(linked, entry, small=0, hoists=False)
    except OSError:  # without sources all is compiled
        needed = {name: linked[name] for name in functions}
    return jit.Compiled(needed, entry, folder, private)
