"""The source of hot functions with the constants of one build put in, and without what they rule out.

What a machine does not have is a branch on a constant; compiled, it would cost as much time as one that
is taken, and so would every function that is called only there.
"""

from __future__ import annotations

import ast
import copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class Sources:
    """The definitions of linked functions; each file is read once."""

    def __init__(self, copies: Mapping[str, Callable[..., Any]]) -> None:
        self.copies = copies
        self.files: dict[str, dict[int, ast.FunctionDef]] = {}

    def definition(self, name: str) -> ast.FunctionDef | None:
        """The definition of a linked function, without decorators and docstring; None if there is none."""
        linked = self.copies[name]
        file, line = linked.__code__.co_filename, linked.__code__.co_firstlineno
        if file not in self.files:
            with open(file, encoding="utf-8") as text:
                tree = ast.parse(text.read())
            found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
            self.files[file] = {first_line(node): node for node in found}
        node = self.files[file].get(line)
        if node is None or node.name != linked.__code__.co_name:
            return None
        bare = copy.copy(node)
        bare.name = name  # what fills a slot may be called otherwise
        bare.body = [item for item in node.body if not is_docstring(item)] or [ast.Pass()]
        bare.decorator_list = []
        return bare

    def tree(self, name: str) -> ast.FunctionDef | None:
        """The definition with constants in; None if there is none."""
        found = self.definition(name)
        if found is None:
            return None
        tree = copy.deepcopy(found)
        for argument in tree.args.args:
            argument.annotation = None
        tree.returns = None
        locals_ = {argument.arg for argument in tree.args.args} | assigned(tree.body)
        tree.body = fold(tree.body, self.copies[name].__globals__, locals_) or [ast.Pass()]
        return tree


def ends(body: list[ast.stmt]) -> bool:
    """Does every way through the statements return?"""
    last = body[-1]
    if isinstance(last, ast.If):
        return ends(last.body) and bool(last.orelse) and ends(last.orelse)
    return isinstance(last, ast.Return)


def fold(body: list[ast.stmt], constants: Mapping[str, Any], locals_: set[str]) -> list[ast.stmt]:
    """The statements with bound constants put in and branches that they rule out left out."""
    out: list[ast.stmt] = []
    for item in body:
        item = Fold(constants, locals_).visit(item)
        if isinstance(item, ast.If) and isinstance(item.test, ast.Constant):
            out += fold(item.body if item.test.value else item.orelse, constants, locals_)
            if out and ends(out):
                break
            continue
        if isinstance(item, (ast.If, ast.While)):
            item.body = fold(item.body, constants, locals_) or [ast.Pass()]
            item.orelse = fold(item.orelse, constants, locals_)
        out.append(item)
        if isinstance(item, ast.Return):
            break
    return out


class Fold(ast.NodeTransformer):
    """Puts constants in and computes what consists of them."""

    def __init__(self, constants: Mapping[str, Any], locals_: set[str]) -> None:
        self.constants, self.locals = constants, locals_

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.constants.get(node.id)
        if isinstance(node.ctx, ast.Load) and node.id not in self.locals and type(value) is int:
            return ast.Constant(value)
        return node

    def computed(self, node: ast.expr, *parts: ast.expr) -> ast.expr:
        if not all(isinstance(part, ast.Constant) for part in parts):
            return node
        code = compile(ast.fix_missing_locations(ast.Expression(node)), "<constant>", "eval")
        return ast.Constant(eval(code, {"__builtins__": {}}))  # noqa: S307 -- operators on ints only

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if (
            isinstance(node.right, ast.Constant)
            and node.right.value == 0
            and isinstance(node.op, (ast.Add, ast.Sub))
        ):
            return node.left
        return self.computed(node, node.left, node.right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        return self.computed(node, node.operand)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        return self.computed(node, node.left, *node.comparators)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        decides = isinstance(node.op, ast.Or)
        left: list[ast.expr] = []
        for value in node.values:
            if not isinstance(value, ast.Constant):
                left.append(value)
            elif bool(value.value) == decides:
                left.append(value)
                break
        if not left:
            return ast.Constant(not decides)
        if len(left) == 1:
            return left[0]
        return ast.BoolOp(op=node.op, values=left)


def first_line(node: ast.FunctionDef) -> int:
    """The line at which the definition begins, as code objects count: with its decorators."""
    return min([node.lineno, *[item.lineno for item in node.decorator_list]])


def is_docstring(item: ast.stmt) -> bool:
    """Is the statement a string alone?"""
    return (
        isinstance(item, ast.Expr)
        and isinstance(item.value, ast.Constant)
        and isinstance(item.value.value, str)
    )


def assigned(body: list[ast.stmt]) -> set[str]:
    """The names that the statements assign to."""
    nodes = (node for item in body for node in ast.walk(item))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
