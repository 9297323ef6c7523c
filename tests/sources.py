"""Python files of the project, each parsed once a process."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def ends_with(node: ast.expr, name: str) -> bool:
    """Is an expression a name, or an attribute of that name?"""
    match node:
        case ast.Name(found) | ast.Attribute(attr=found):
            return found == name
    return False
