"""The compiled engine: Numba, and where its compiled code is kept.

Numba compiles each callee to a library of its own: optimised, linked into its caller and optimised
again, down to machine code that nobody runs.  `whole_program` makes it do that once, for the entry,
and leaves out the wrap-around of negative indices (hot code has none; the interpreted engine and
`NUMBA_BOUNDSCHECK=1` would show one).  It marks what is to be inlined there, too: as an option of
Numba's, callers that differ in it would each have copies of their callees compiled.  All this touches
Numba's internals, so it is optional: where an internal is missing, or compiling with them fails, the
plain way is taken.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

SERIAL = itertools.count()  # of builds in this process


def available() -> bool:
    """Can this Python compile?  Imports Numba if it is there: one that cannot be imported is none."""
    try:
        import numba  # noqa: F401
    except Exception:  # whatever a broken installation raises
        return False
    return True


def cache_root() -> str:
    """The folder for compiled code: `VMDBG_CACHE`, else the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("VMDBG_CACHE") or os.path.join(home, "vmdbg")


def writable(folder: str) -> bool:
    """Make the folder; False if that or writing to it is impossible."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


class Compiled:
    """One compiled entry.  Calling it compiles at the first call, or loads from the cache."""

    def __init__(
        self, copies: Mapping[str, Callable[..., Any]], entry: str, cache: str = "", private: bool = True
    ) -> None:
        self.copies, self.entry, self.cache, self.private = copies, entry, cache, private
        self.dispatcher = build(copies, entry, cache, private)
        self.ready = False

    def __call__(self, tables: Any) -> int:
        if not self.ready:
            self.compile(tables)
        return int(self.dispatcher(tables))

    def compile(self, tables: Any) -> None:
        """Compile for these tables (their types count, not their sizes), or load from the cache."""
        import numba

        signature = (numba.typeof(tables),)
        with no_collections():
            self.compile_signature(signature)
        self.ready = True

    def compile_signature(self, signature: Any) -> None:
        """Compile for one signature, the private way if that works."""
        if not self.private:
            self.dispatcher.compile(signature)
        else:
            try:
                with whole_program(self.copies, self.entry):
                    self.dispatcher.compile(signature)
            except Exception:  # whatever Numba's internals do in a version that was not tried
                self.private = False
                self.dispatcher = build(self.copies, self.entry, self.cache, private=False)
                self.dispatcher.compile(signature)

    @property
    def from_cache(self) -> bool:
        """Was the code loaded instead of compiled?"""
        return bool(sum(self.dispatcher.stats.cache_hits.values()))


def build(copies: Mapping[str, Callable[..., Any]], entry: str, cache: str, private: bool) -> Any:
    """Hand the copies to Numba; nothing is compiled yet.

    Their names are made unique to the build: code that is loaded from a cache keeps the symbols that
    Numba made of them, and in one process equal symbols would be one function.
    """
    import numba
    from numba.extending import register_jitable

    bounds = numba.config.BOUNDSCHECK == 1
    options: dict[str, Any] = {"error_model": "numpy", "boundscheck": bounds, "no_rewrites": True}
    if private:
        options["_nrt"] = False  # no reference counts: hot code allocates nothing
    inner = {**options, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    unit = os.path.basename(cache)[:16] or f"{os.getpid():x}_{next(SERIAL)}"
    for name, copy in copies.items():
        copy.__qualname__ = f"{name}_{unit}" if private else f"{name}_{unit}_plain"
        if name != entry:
            inner["boundscheck"] = bounds or copy.hot.get("checked", False)
            if not private:
                inner["forceinline"] = not copy.hot["cold"]
            register_jitable(**inner)(copy)
    dispatcher = numba.njit(no_cfunc_wrapper=True, **options)(copies[entry])
    if cache:
        previous, numba.config.CACHE_DIR = numba.config.CACHE_DIR, cache
        try:
            dispatcher.enable_caching()
        finally:
            numba.config.CACHE_DIR = previous
    return dispatcher


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """While this holds, Python looks for no garbage: compiling makes millions of objects and keeps them.

    A sixth faster, for 150 MB more.
    """
    import gc

    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextlib.contextmanager
def whole_program(copies: Mapping[str, Callable[..., Any]], entry: str) -> Iterator[None]:
    """While this holds, Numba optimises and emits code for the entry alone (see the head of the file)."""
    import ctypes

    from numba.core import codegen, types
    from numba.np import arrayobj

    whole = copies[entry].__qualname__
    inlined = [copy.__qualname__ for copy in copies.values() if not copy.hot["cold"]]
    library, jit = codegen.CPUCodeLibrary, codegen.JITCPUCodegen
    optimize, finalize = library._optimize_final_module, library._finalize_final_module
    set_env, fix_index = jit.set_env, arrayobj.fix_integer_index

    def optimize_entry(self: Any) -> None:
        if self.name == whole:
            marks = [f"{len(name)}{name}B" for name in inlined]  # as Numba mangles a name
            for function in self._final_module.functions:
                if not function.is_declaration and any(mark in function.name for mark in marks):
                    function.add_function_attribute("alwaysinline")
            passes, builder = self._codegen._module_pass_manager(loop_vectorize=False, slp_vectorize=False)
            passes.run(self._final_module, builder)

    def finalize_entry(self: Any) -> None:
        if self.name == whole:
            finalize(self)
        else:
            self._finalize_dynamic_globals()
            self._finalized = True

    def set_emitted_env(self: Any, name: str, env: object) -> None:
        address = self._engine.get_global_value_address(name)
        if address:  # a callee that was inlined has none
            (ctypes.c_void_p * 1).from_address(address)[0] = ctypes.c_void_p(id(env))

    def plain_index(context: Any, builder: Any, kind: Any, index: Any, size: Any) -> Any:
        return context.cast(builder, index, kind, types.intp if kind.signed else types.uintp)

    library._optimize_final_module, library._finalize_final_module = optimize_entry, finalize_entry
    jit.set_env, arrayobj.fix_integer_index = set_emitted_env, plain_index
    try:
        yield
    finally:
        library._optimize_final_module, library._finalize_final_module = optimize, finalize
        jit.set_env, arrayobj.fix_integer_index = set_env, fix_index


def fingerprint(
    functions: Mapping[str, Callable[..., Any]],
    bindings: Mapping[str, Any],
    options: Mapping[str, Any],
    tools: Sequence[str] = (),
) -> str:
    """A key for compiled code: all hot sources, what is bound and its sources, options, versions, CPU.

    `tools` are files that decide how the sources are compiled.

    Two builds with the same key compile to the same code; anything else must not share a cache.
    """
    import hashlib
    import sys

    import llvmlite.binding
    import numba
    import numpy

    digest = hashlib.blake2b(digest_size=16)

    def add(*parts: object) -> None:
        digest.update(("\0".join(map(str, parts)) + "\1").encode())

    seen = set()
    for name, function in sorted(functions.items()):
        code = function.__code__
        add("function", name, sorted(function.hot.items()), code.co_filename)
        if code.co_filename not in seen:
            seen.add(code.co_filename)
            with open(code.co_filename, "rb") as source:
                digest.update(source.read())
        add(code.co_code.hex(), code.co_consts, code.co_names, code.co_varnames)
        values = function.__globals__
        add(*(f"{key}={values[key]}" for key in sorted(code.co_names) if type(values.get(key)) is int))
    add("constants", *sorted((key, value) for key, value in bindings.items() if not callable(value)))
    for tool in (__file__, *tools):
        with open(tool, "rb") as source:
            digest.update(source.read())
    add("options", *sorted(options.items()), numba.config.BOUNDSCHECK, numba.config.OPT)
    add(numba.__version__, numpy.__version__, llvmlite.__version__, sys.version)
    add(llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten())
    return digest.hexdigest()
