"""Hot code: one source, two engines.

Everything that runs on every access is a plain function over the tables, marked `@reads` (it changes
nothing but the scratch tables of the `control` group) or `@writes`.  `@slot` marks a hole in that
code: a function or a constant that a format, a policy or the configuration fills.

`link(bindings)` copies all of them into fresh namespaces in which every hole already *is* what fills
it; the result is the interpreted engine, and what the compiled engine is made from.  The originals are never
called.

What hot code may use: ints, buffers of the tables, `if`, `while`, calls to other hot functions.
"""

from __future__ import annotations

import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping
    from typing import Any, TypeVar

    F = TypeVar("F", bound="Callable[..., Any]")


#: Hot functions by name; names are unique over all modules.
FUNCTIONS: dict[str, Callable[..., Any]] = {}
#: Names of the holes, with the placeholder that documents each.
SLOTS: dict[str, Callable[..., Any]] = {}
#: Bodies that only the interpreted engine uses; each does the same as the function of its name.
TWINS: dict[str, Callable[..., Any]] = {}


def reads(function: Any = None, *, cold: bool = False, fills: bool = False) -> Any:
    """Mark a hot function that reads only.  `cold`: not inlined.  `fills`: it fills a slot."""
    return _mark(function, writes=False, cold=cold, fills=fills)


def writes(function: Any = None, *, cold: bool = False, fills: bool = False) -> Any:
    """Mark a hot function that changes the machine.  Options as for `reads`."""
    return _mark(function, writes=True, cold=cold, fills=fills)


def _mark(function: Any, **marks: bool) -> Any:
    def mark(target: Any) -> Any:
        target.hot = marks
        if not marks["fills"]:
            known = FUNCTIONS.get(target.__name__)
            if known is not None and known.__module__ != target.__module__:
                raise ValueError(f"two hot functions named {target.__name__}")
            FUNCTIONS[target.__name__] = target
        return target

    return mark if function is None else mark(function)


def slot(function: F) -> F:
    """Declare a hole; the function's signature and docstring are the contract of what fills it."""
    SLOTS[function.__name__] = function
    return function


def twin(function: F) -> F:
    """Give the interpreted engine a body of its own for the hot function of the same name."""
    marks: Any = FUNCTIONS[function.__name__]
    function.__dict__["hot"] = marks.hot
    TWINS[function.__name__] = function
    return function


class Linked:
    """The interpreted engine: every hot function as an attribute, and the tables `m` they work on.

    Cold kernel code takes one of these (`k`) and says `k.emit(k.m, ...)`.  `recorder` knows which
    pieces of memory were ever written (`machine.snapshot.Recorder`).  `grow(rows, count)` gives the
    tables of a pool at least so many rows, `grow_rmap()` the reverse map more; `m` is another one then.
    """

    recorder: Any = None
    grow: Any = None
    grow_rmap: Any = None

    def __init__(self, copies: Mapping[str, Callable[..., Any]], m: Any) -> None:
        self.__dict__.update(copies)
        self.m = m

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def link(bindings: Mapping[str, Any], twins: bool = True) -> dict[str, Callable[..., Any]]:
    """Copies of all hot functions with the holes filled by `bindings`: the interpreted engine.

    Without `twins` they are what the compiled engine is made from.  `bindings` gives a function for
    every slot, and ints for the constants of the contract modules.  Raises ValueError if a slot stays
    open.
    """
    open_slots = SLOTS.keys() - bindings.keys()
    if open_slots:
        raise ValueError(f"nothing fills the slots {', '.join(sorted(open_slots))}")
    originals = FUNCTIONS | TWINS if twins else dict(FUNCTIONS)
    constants: dict[str, int] = {}
    for name, bound in bindings.items():
        if callable(bound):
            originals[name] = bound
        else:
            constants[name] = bound
    spaces: dict[str, dict[str, Any]] = {}
    own: dict[str, Container[str]] = {}  # names of ints that a user's file has itself
    copies: dict[str, Callable[..., Any]] = {}
    for name, original in originals.items():
        module = original.__module__
        space = spaces.get(module)
        if space is None:
            own[module] = original.__dict__["hot"].get("names", ())
            space = spaces[module] = {
                key: value for key, value in original.__globals__.items() if type(value) is int
            }
            space["__name__"] = module
            space["__builtins__"] = __builtins__
        copy = types.FunctionType(original.__code__, space, name)
        copy.__qualname__ = name
        copy.__module__ = module
        copy.__dict__.update(original.__dict__)
        copies[name] = copy
    for module, space in spaces.items():
        space.update({name: value for name, value in constants.items() if name not in own[module]})
        space.update(copies)
    return copies


def reachable(functions: Mapping[str, Callable[..., Any]], entry: str) -> dict[str, Callable[..., Any]]:
    """The functions that `entry` calls, directly or not, itself included."""
    found: dict[str, Callable[..., Any]] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = functions[name]
            waiting += [called for called in functions[name].__code__.co_names if called in functions]
    return dict(sorted(found.items()))
