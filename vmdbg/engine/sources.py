"""The syntax trees of linked functions, from the source files that Python imported."""

from __future__ import annotations

import ast
import copy
import sys
import types

from vmdbg.engine.language import body_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Function = Callable[..., Any]


class SourceError(Exception):
    """A hot function cannot be compiled: its source is missing or has changed since the import."""


def text(function: Function) -> bytes:
    """The source of the file that defines a hot function.

    What it was made from, if its decorator keeps that (`source`: a policy of a user's); else what the file
    holds, or what the loader of its module finds in a package.  SourceError.
    """
    kept = function.__dict__["hot"].get("source")
    if kept is not None:
        return bytes(kept)
    try:
        with open(function.__code__.co_filename, "rb") as file:
            return file.read()
    except OSError:
        return loaded(function)


def loaded(function: Function) -> bytes:
    """The source by the loader of the function's module.  SourceError."""
    module = sys.modules.get(function.__module__)
    reader = getattr(getattr(module, "__loader__", None), "get_source", None)
    try:
        found = reader(function.__module__) if reader is not None else None
    except (ImportError, OSError):
        found = None
    if found is None:
        raise SourceError(f"there is no source of {function.__code__.co_filename}")
    return str(found).encode()


class Sources:
    """The definitions of linked functions by name; each file is parsed once."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self.functions = functions
        self.files: dict[str, dict[int, ast.FunctionDef]] = {}

    def definition(self, name: str) -> ast.FunctionDef:
        """The definition of a function, without docstring.

        SourceError if it is not what the interpreted engine runs: the file has changed since it was imported.
        """
        function = self.functions[name]
        path, line = function.__code__.co_filename, function.__code__.co_firstlineno
        if path not in self.files:
            try:
                tree = ast.parse(text(function), path)
            except (SyntaxError, ValueError) as error:
                raise SourceError(f"{path} has changed, and is no Python: {error}") from None
            found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
            self.files[path] = {first_line(node): node for node in found}
        node = self.files[path].get(line)
        if node is None or not ("source" in function.__dict__["hot"] or is_made_from(function, node)):
            raise SourceError(f"{path} has changed since vmdbg read it: {function.__code__.co_name}")
        bare = copy.copy(node)
        bare.body = body_of(node)
        return bare


def first_line(node: ast.FunctionDef) -> int:
    """The line at which the definition begins, as code objects count: with its decorators."""
    return min([node.lineno, *[item.lineno for item in node.decorator_list]])


def is_made_from(function: Function, node: ast.FunctionDef) -> bool:
    """Does the definition compile to the function's code?"""
    path = function.__code__.co_filename
    made = compile(ast.Module([node], []), path, "exec", dont_inherit=True)
    found = next((part for part in made.co_consts if isinstance(part, types.CodeType)), None)
    return found is not None and meaning(found) == meaning(function.__code__)


def meaning(code: types.CodeType) -> tuple[object, ...]:
    """The parts of a code object that decide what it does: instructions, constants, names."""
    return code.co_name, code.co_code, code.co_consts, code.co_names, code.co_varnames
