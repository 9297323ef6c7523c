"""Page replacement: one file a policy, four functions each, and `FACTS` (`kernel.policies.facts`).

`policy_load(m, frame)` a user page came into the frame · `policy_unload(m, frame)` it leaves ·
`policy_use(m, frame)` a program accessed it · `victim(m, pid)` the frame to evict next, of those for which
`may_leave(m, frame, pid)` holds; -1 if there is none (it may age pages: it writes).

A file that declares `FACTS` is a policy: it is listed, documented and tested by being here.  Its name is that
of the file, with hyphens: `two-list` is `two_list.py`.
"""

from __future__ import annotations

import os

from vmdbg.engine import hole
from vmdbg.engine.declarations import declaring
from vmdbg.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from vmdbg.kernel.policies.facts import Facts

#: The policies that come with vmdbg, by name.
POLICIES = declaring(os.path.dirname(__file__), "FACTS")
#: What a function of a policy in a file may raise when it runs.
MISTAKES = (IndexError, OverflowError, TypeError, ValueError, ZeroDivisionError)
HOLES = ("policy_load", "policy_unload", "policy_use", "victim")


@hole
def policy_load(m: object, frame: int) -> None:
    """A user page came into the frame."""


@hole
def policy_unload(m: object, frame: int) -> None:
    """The page in the frame leaves it."""


@hole
def policy_use(m: object, frame: int) -> None:
    """A program accessed the page in the frame."""


@hole
def victim(m: object, pid: int) -> int:
    """The frame to evict next, of those for which `may_leave(m, frame, pid)` holds; -1 if there is none."""


def module_of(name: str) -> ModuleType:
    """The module of a policy that comes with vmdbg."""
    from importlib import import_module

    return import_module(f"vmdbg.kernel.policies.{name.replace('-', '_')}")


def facts_of(name: str) -> Facts | None:
    """What a policy says of itself; None for one in a file of the user's."""
    if name not in POLICIES:
        return None
    facts: Facts = module_of(name).FACTS
    return facts


def bindings(name: str) -> dict[str, Any]:
    """What a policy binds: the functions that fill the slots, more from a file of the user's, constants.

    Where a file has none for a slot nothing happens.  UserError or InputError if the file is no policy.
    """

    def functions(policy: str) -> dict[str, Any]:
        module = module_of(policy)
        return {hole: getattr(module, hole) for hole in HOLES}

    facts = facts_of(name)
    if facts is not None:
        return functions(name) | {"DROPS": int(facts.drops)}
    from vmdbg.kernel.policies.user_file import load

    known = {policy: functions(policy) for policy in POLICIES}
    return {**known["clock"], **load(name), "OWN_POLICY": 1}  # a clock does nothing at the other three


def blame(error: Any, path: str) -> InputError | None:
    """What a function of a policy in a file raised, as a mistake in the file; None if it was another's."""
    if getattr(error, "caller", None):  # compiled code says where it failed
        file, line = error.caller
        return InputError(error.said, file, line) if file == path else None
    trace, line, function = error.__traceback__, 0, ""
    while trace is not None:
        function = trace.tb_frame.f_code.co_name
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    what = "division by zero" if isinstance(error, ZeroDivisionError) else str(error)
    return InputError(getattr(error, "said", f"{what}, in {function}"), path, line) if line else None
