"""The syntax trees of linked functions, read from where Python read them."""

from __future__ import annotations

import ast
import copy
import os
import sys
import time

from vmdbg.engine.language import body_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Function = Callable[..., Any]

STARTED = time.time()


class SourceError(Exception):
    """There is no source of a hot function, or it is not what was imported: it cannot be compiled."""


def text(function: Function) -> bytes:
    """The source of the file that defines a hot function.

    What it was made from, if its marks keep that (`source`: a policy of a user's); else what the file
    holds, or what the loader of its module finds in a package.  SourceError.
    """
    kept = function.__dict__["hot"].get("source")
    if kept is not None:
        return bytes(kept)
    path = function.__code__.co_filename
    try:
        if os.stat(path).st_mtime > STARTED:
            raise SourceError(f"{path} was changed after vmdbg had started")
        with open(path, "rb") as file:
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
        """The definition of a function, without docstring.  SourceError."""
        function = self.functions[name]
        path, line = function.__code__.co_filename, function.__code__.co_firstlineno
        if path not in self.files:
            tree = ast.parse(text(function), path)
            found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
            self.files[path] = {first_line(node): node for node in found}
        node = self.files[path].get(line)
        if node is None or node.name != function.__code__.co_name:
            raise SourceError(f"{path}:{line}: {function.__code__.co_name} is not there any more")
        bare = copy.copy(node)
        bare.body = body_of(node)
        return bare


def first_line(node: ast.FunctionDef) -> int:
    """The line at which the definition begins, as code objects count: with its decorators."""
    return min([node.lineno, *[item.lineno for item in node.decorator_list]])
