"""Hot code: one source, two engines.

Every function that runs on each access is a plain function over the tables.  It has the decorator `@reads`
(it changes nothing but the scratch tables of the group `control`) or `@writes`.  A function with `@hole` is a
hole in that code: a format, a policy or the configuration fills it with a function or a constant.

`link(bindings)` copies all hot functions into new namespaces, in which the name of each hole is the function
that fills it.  These copies are the interpreted engine, and the compiled engine is made from them.  The
original functions are never called.

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
HOLES: dict[str, Callable[..., Any]] = {}
#: Bodies that only the interpreted engine uses; each does the same as the function of its name.
TWINS: dict[str, Callable[..., Any]] = {}


def reads(function: Any = None, **options: bool) -> Any:
    """Declare a hot function that reads only.

    Options: `apart`: it is not inlined, and its callers keep their registers.  `cold`: it also lies out of
    the way.  `rare`: nor is it optimised, so that full code is made sooner.  `fills`: it fills a hole.
    """
    return _declare(function, writes=False, **options)


def writes(function: Any = None, **options: bool) -> Any:
    """Declare a hot function that changes the machine.  Options as for `reads`."""
    return _declare(function, writes=True, **options)


def _declare(
    function: Any,
    writes: bool,
    apart: bool = False,
    cold: bool = False,
    rare: bool = False,
    fills: bool = False,
) -> Any:
    cold |= rare
    options = {"writes": writes, "apart": apart or cold, "cold": cold, "rare": rare, "fills": fills}

    def declare(target: Any) -> Any:
        target.hot = options
        if not fills:
            known = FUNCTIONS.get(target.__name__)
            if known is not None and known.__module__ != target.__module__:
                raise ValueError(f"two hot functions named {target.__name__}")
            FUNCTIONS[target.__name__] = target
        return target

    return declare if function is None else declare(function)


def hole(function: F) -> F:
    """Declare a hole; the function's signature and docstring are the contract of what fills it."""
    HOLES[function.__name__] = function
    return function


def twin(function: F) -> F:
    """Give the interpreted engine a body of its own for the hot function of the same name."""
    same: Any = FUNCTIONS[function.__name__]
    function.__dict__["hot"] = same.hot
    TWINS[function.__name__] = function
    return function


def stand_in(function: F) -> F:
    """Declare a body for the hot function of the same name that a machine may bind in its place, if it runs
    interpreted only."""
    same: Any = FUNCTIONS[function.__name__]
    function.__dict__["hot"] = same.hot
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


def link(bindings: Mapping[str, Any], twins: bool = True, entry: str = "") -> dict[str, Callable[..., Any]]:
    """Copies of all hot functions with the holes filled by `bindings`: the interpreted engine.

    Without `twins` they are what the compiled engine is made from.  `bindings` gives a function for
    every hole, and ints for the constants of the contract modules.  With an `entry`: only what that calls,
    and its holes.  Raises ValueError if a hole stays open.
    """
    originals = FUNCTIONS | TWINS if twins else dict(FUNCTIONS)
    fills = {name: bound for name, bound in bindings.items() if callable(bound)}
    if entry:
        originals = reachable(HOLES | originals | fills, entry)
        fills = {name: bound for name, bound in fills.items() if name in originals}
    open_holes = (HOLES.keys() & originals.keys() if entry else HOLES.keys()) - bindings.keys()
    if open_holes:
        raise ValueError(f"nothing fills the holes {', '.join(sorted(open_holes))}")
    originals |= fills
    constants = {name: bound for name, bound in bindings.items() if not callable(bound)}
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
