"""Which translation leaves a full set of a TLB array: one file a policy, three functions each, and `FACTS`.

`tlb_touch(m, array, cpu, row)` a look-up found the row · `tlb_insert(m, array, cpu, key, word)` a
translation comes · `tlb_take_out(m, array, cpu, row)` one is invalidated.  The holes are declared, with
what fills them, in `hardware.tlb`.

A file that declares `FACTS` (`hardware.replacement.facts`) is a policy: it is listed, documented and tested
by being here, under the name of the file, with hyphens.
"""

from __future__ import annotations

import os

from vmdbg.engine.declarations import declaring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from vmdbg.hardware.replacement.facts import Facts

REPLACEMENTS = declaring(os.path.dirname(__file__), "FACTS")
HOLES = ("tlb_touch", "tlb_insert", "tlb_take_out")


def module_of(name: str) -> ModuleType:
    """The module of a policy."""
    from importlib import import_module

    return import_module(f"vmdbg.hardware.replacement.{name.replace('-', '_')}")


def facts_of(name: str) -> Facts:
    """What a policy says of itself."""
    facts: Facts = module_of(name).FACTS
    return facts


def bindings(name: str) -> dict[str, Any]:
    """The functions of a policy by hole, and the constant that says what its sets look like."""
    module = module_of(name)
    return {hole: getattr(module, hole) for hole in HOLES} | {"KEEPS_WAYS": int(module.FACTS.keeps_ways)}
