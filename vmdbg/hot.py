"""Hot code: one source, two engines.

Everything that runs on every access is a plain function over the tables, marked `@reads` (it changes
nothing but the scratch tables of the `control` group) or `@writes`.  `@slot` marks a hole in that
code: a function or a constant that a format, a policy or the configuration fills.

`link(bindings)` copies all of them into fresh namespaces in which every hole already *is* what fills
it; the result is the interpreted engine.  `compile_engine(...)` hands the copies to Numba.  The
originals are never registered with Numba, and never called with a hole open.

What hot code may use: ints, buffers of the tables, `if`, `while`, calls to other hot functions.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

F = TypeVar("F", bound="Callable[..., Any]")

#: Hot functions by name; names are unique over all modules.
FUNCTIONS: dict[str, Callable[..., Any]] = {}
#: Names of the holes, with the placeholder that documents each.
SLOTS: dict[str, Callable[..., Any]] = {}


@overload
def reads(function: F) -> F: ...
@overload
def reads(*, cold: bool = False, fills: bool = False) -> Callable[[F], F]: ...
def reads(function: Any = None, *, cold: bool = False, fills: bool = False) -> Any:
    """Mark a hot function that reads only.  `cold`: not inlined.  `fills`: it fills a slot."""
    return _mark(function, writes=False, cold=cold, fills=fills)


@overload
def writes(function: F) -> F: ...
@overload
def writes(*, cold: bool = False, fills: bool = False) -> Callable[[F], F]: ...
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


def link(bindings: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """Copies of all hot functions with the holes filled by `bindings`: the interpreted engine.

    `bindings` gives a function for every slot that is reachable, and ints for the constants of the
    contract modules.  Raises ValueError if a slot stays open.
    """
    open_slots = SLOTS.keys() - bindings.keys()
    if open_slots:
        raise ValueError(f"nothing fills the slots {', '.join(sorted(open_slots))}")
    originals = dict(FUNCTIONS)
    constants: dict[str, int] = {}
    for name, bound in bindings.items():
        if callable(bound):
            originals[name] = bound
        else:
            constants[name] = bound
    spaces: dict[str, dict[str, Any]] = {}
    copies: dict[str, Callable[..., Any]] = {}
    for name, original in originals.items():
        module = original.__module__
        space = spaces.get(module)
        if space is None:
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
        # Names that the module imports or defines, and the holes; nothing else leaks in.
        space.update(constants)
        space.update(copies)
    return copies


def fingerprint(bindings: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """A key for compiled code: all hot sources, what is bound and its sources, options, versions, CPU.

    Two builds with the same key compile to the same code; anything else must not share a cache.
    """
    import hashlib
    import platform
    import sys

    import llvmlite.binding
    import numba
    import numpy

    digest = hashlib.blake2b(digest_size=16)

    def add(*parts: object) -> None:
        digest.update(("\0".join(map(str, parts)) + "\1").encode())

    originals = {**FUNCTIONS, **{name: bound for name, bound in bindings.items() if callable(bound)}}
    seen = set()
    for name, function in sorted(originals.items()):
        code = function.__code__
        add("function", name, function.__module__, sorted(function.hot.items()), code.co_filename)
        if code.co_filename not in seen:
            seen.add(code.co_filename)
            with open(code.co_filename, "rb") as source:
                digest.update(source.read())
        add(code.co_code.hex(), code.co_consts, code.co_names, code.co_varnames)
        names = (value for value in sorted(code.co_names) if type(function.__globals__.get(value)) is int)
        add(*(f"{value}={function.__globals__[value]}" for value in names))
    add("constants", *sorted((k, v) for k, v in bindings.items() if not callable(v)))
    add("options", *sorted(options.items()))
    add(numba.__version__, numpy.__version__, sys.version, platform.machine())
    add(llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten())
    return digest.hexdigest()


def jit(copies: Mapping[str, Callable[..., Any]], entry: str, cache: str, nrt: bool = False) -> Any:
    """The compiled engine: Numba's dispatcher of `copies[entry]`; nothing is compiled before its call.

    `cache` is a folder that belongs to one `fingerprint`, or empty for none.  `nrt=False` leaves out
    Numba's reference counts (`_nrt` is a private option of Numba: True is the fallback without it).
    """
    import os

    import numba
    from numba.extending import register_jitable

    bounds = bool(int(os.environ.get("NUMBA_BOUNDSCHECK", "0") or "0"))
    options: dict[str, Any] = {"error_model": "numpy", "boundscheck": bounds}
    if not nrt:
        options["_nrt"] = False
    for name, copy in copies.items():
        if name != entry:
            register_jitable(forceinline=not copy.hot["cold"], **options)(copy)  # type: ignore[attr-defined]
    dispatcher = numba.njit(no_cfunc_wrapper=True, **options)(copies[entry])
    if cache:
        numba.config.CACHE_DIR = cache
        dispatcher.enable_caching()
    return dispatcher
