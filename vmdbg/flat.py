"""Hot code rewritten before it runs long: constants put in, branches that they rule out left out, and
functions written out at their calls.

A call costs Python as much as several accesses to a table, and Numba a tenth of a second for every
function that it has to compile.  Calls are written out of functions that are one expression, a few
statements without a result, or statements that return in tail position only.  Whatever does not fit
these forms stays a call.  Both engines' tests hold for the result too; without the sources (a zipped
package) there is nothing to rewrite, and nothing is lost but speed.
"""

from __future__ import annotations

import ast
import copy

from vmdbg.folding import Sources, assigned, ends

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

SMALL = 60  # nodes; a larger body stays a call, unless it is called once
OFTEN = 3  # uses of a table in a function that make a local name worth its while


def flatten(
    copies: Mapping[str, Callable[..., Any]], entry: str, small: int = SMALL, hoists: bool = True
) -> dict[str, Callable[..., Any]]:
    """`copies[entry]` (linked by `hot.link`) with calls written out, and the functions that it still calls.

    A function of more than `small` nodes is written out only if it is called once.  `hoists`: tables that
    are used often get local names, which is good for Python and bad for LLVM.  OSError if a source cannot be
    read.
    """
    flattener = Flattener(copies, small, hoists)
    flattener.function(entry)
    return dict(sorted(flattener.done.items()))


class Flattener:
    """Writes functions out; keeps the finished ones."""

    def __init__(self, copies: Mapping[str, Callable[..., Any]], small: int, hoists: bool) -> None:
        self.copies, self.small, self.hoists = copies, small, hoists
        self.trees: dict[str, ast.FunctionDef] = {}
        self.done: dict[str, Callable[..., Any]] = {}
        self.sources = Sources(copies)
        self.names = 0
        self.called: dict[str, int] = {}

    def tree(self, name: str) -> ast.FunctionDef | None:
        """The definition with constants in and small calls out."""
        if name not in self.trees:
            tree = self.sources.tree(name)
            if tree is None:
                return None
            self.trees[name] = tree  # a recursive call stays a call
            tree.body = self.expand(tree.body) or [ast.Pass()]
        return self.trees[name]

    def function(self, name: str) -> Callable[..., Any]:
        """The finished function; those that it still calls are finished too."""
        if name in self.done:
            return self.done[name]
        linked = self.copies[name]
        tree = self.tree(name)
        if tree is None:
            raise OSError(f"no source of {name}")
        space = {"__builtins__": linked.__globals__["__builtins__"]}
        tree.body = hoist(tree) if self.hoists else tree.body
        module = ast.fix_missing_locations(ast.Module(body=[tree], type_ignores=[]))
        exec(compile(module, linked.__code__.co_filename, "exec"), space)  # noqa: S102
        made: Any = space[name]
        made.__dict__.update(linked.__dict__)
        made.__module__ = linked.__module__
        self.done[name] = made
        for called in made.__code__.co_names:
            if called in self.copies:
                space[called] = self.function(called)
            elif called in linked.__globals__:
                space.setdefault(called, linked.__globals__[called])
        return made  # type: ignore[no-any-return]

    # -- writing out

    def expand(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements with calls written out, nested ones first."""
        out: list[ast.stmt] = []
        for item in body:
            for field in ("body", "orelse"):
                if isinstance(item, (ast.If, ast.While)):
                    setattr(item, field, self.expand(getattr(item, field)))
            item = Expressions(self).visit(item)
            written = None
            if isinstance(item, ast.Expr) and isinstance(item.value, ast.Call):
                written = self.write_out(item.value, None)
            elif isinstance(item, ast.Assign) and isinstance(item.value, ast.Call):
                target = item.targets[0]
                if isinstance(target, ast.Name):
                    written = self.write_out(item.value, target.id)
            out += [item] if written is None else written
        return out

    def calls(self, name: str) -> int:
        """How many calls of a function the hot code has."""
        if not self.called:
            for linked in self.copies:
                found = self.sources.definition(linked)
                for node in ast.walk(found) if found else ():
                    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                        self.called[node.func.id] = self.called.get(node.func.id, 0) + 1
        return self.called.get(name, 0)

    def callee(self, call: ast.Call) -> ast.FunctionDef | None:
        """What a call calls, if it is a hot function that may be written out."""
        if not isinstance(call.func, ast.Name) or call.func.id not in self.copies or call.keywords:
            return None
        marks = self.copies[call.func.id].hot  # type: ignore[attr-defined]
        if (
            marks["cold"] or "checked" in marks
        ):  # a checked one stays a function: only its indexes are checked
            return None
        return self.tree(call.func.id)

    def write_out(self, call: ast.Call, target: str | None) -> list[ast.stmt] | None:
        """Statements that do what the call does and assign its result to `target`; None: keep the call."""
        tree = self.callee(call)
        if tree is None or (size(tree.body) > self.small and self.calls(tree.name) > 1):
            return None
        body = copy.deepcopy(tree.body)
        if target is None:
            if contains(body, ast.Return):
                return None
        else:
            converted = assign_result(body, target)
            if converted is None and self.hoists:  # LLVM takes the loop for one
                converted = break_with_result(body)
            if converted is None:
                return None
            body = converted
        self.names += 1
        renamed: dict[str, ast.expr] = {}
        before: list[ast.stmt] = []
        changed = assigned(body) - {RESULT}
        for parameter, value in zip(tree.args.args, call.args, strict=True):
            simple = isinstance(value, (ast.Name, ast.Constant))
            if (
                simple
                and parameter.arg not in changed
                and not (isinstance(value, ast.Name) and value.id == target)
            ):
                renamed[parameter.arg] = value
            else:
                fresh = f"{parameter.arg}_{self.names}"
                before.append(ast.Assign(targets=[ast.Name(fresh, ast.Store())], value=value, lineno=1))
                renamed[parameter.arg] = ast.Name(fresh, ast.Load())
        for name in assigned(tree.body) - {RESULT} - {parameter.arg for parameter in tree.args.args}:
            renamed[name] = ast.Name(f"{name}_{self.names}", ast.Load())
        if target is not None:
            renamed.setdefault(RESULT, ast.Name(target, ast.Load()))
        return before + [Rename(renamed).visit(item) for item in body]

    def expression(self, call: ast.Call) -> ast.expr | None:
        """An expression with the call's value, if the callee is one expression of simple arguments."""
        tree = self.callee(call)
        if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Return):
            return None
        result = tree.body[0].value
        if result is None:
            return None
        uses = [node.id for node in ast.walk(result) if isinstance(node, ast.Name)]
        for parameter, value in zip(tree.args.args, call.args, strict=True):
            if not isinstance(value, (ast.Name, ast.Constant)) and uses.count(parameter.arg) > 1:
                return None
        values = {p.arg: value for p, value in zip(tree.args.args, call.args, strict=True)}
        written: ast.expr = Rename(values).visit(copy.deepcopy(result))
        return written


RESULT = "*result"


def assign_result(body: list[ast.stmt], target: str) -> list[ast.stmt] | None:
    """The statements with `return x` as an assignment; None if a return is not in tail position."""
    out: list[ast.stmt] = []
    for place, item in enumerate(body):
        if isinstance(item, ast.Return):
            value = item.value or ast.Constant(None)
            out.append(ast.Assign(targets=[ast.Name(RESULT, ast.Store())], value=value, lineno=1))
            return out
        if isinstance(item, ast.If) and contains([item], ast.Return):
            if not ends(item.body):
                return None
            first = assign_result(item.body, target)
            rest = assign_result(item.orelse + body[place + 1 :], target)
            if first is None or rest is None:
                return None
            return [*out, ast.If(test=item.test, body=first, orelse=rest)]
        if contains([item], ast.Return):
            return None
        out.append(item)
    return None  # falls off its end: no result


def break_with_result(body: list[ast.stmt]) -> list[ast.stmt] | None:
    """The statements in a loop that is left with the result; None if a return stands in a loop itself."""
    if any(
        isinstance(node, ast.While) and contains(node.body, ast.Return)
        for item in body
        for node in ast.walk(item)
    ):
        return None
    if not ends(body):
        return None
    return [
        ast.While(test=ast.Constant(True), body=[item for part in body for item in leave(part)], orelse=[])
    ]


def leave(item: ast.stmt) -> list[ast.stmt]:
    """The statement with each `return x` as an assignment and a break."""
    if isinstance(item, ast.Return):
        value = item.value or ast.Constant(None)
        return [ast.Assign(targets=[ast.Name(RESULT, ast.Store())], value=value, lineno=1), ast.Break()]
    if isinstance(item, ast.If):
        item.body = [inner for part in item.body for inner in leave(part)]
        item.orelse = [inner for part in item.orelse for inner in leave(part)]
    return [item]


def hoist(tree: ast.FunctionDef) -> list[ast.stmt]:
    """The body with the tables that it uses often in local names."""
    uses: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "m":
            uses[node.attr] = uses.get(node.attr, 0) + 1
    often = {name for name, count in uses.items() if count >= OFTEN}
    body = [Tables(often).visit(item) for item in tree.body]
    made: list[ast.stmt] = [
        ast.Assign(
            targets=[ast.Name(f"m_{name}", ast.Store())],
            value=ast.Attribute(ast.Name("m", ast.Load()), name, ast.Load()),
            lineno=1,
        )
        for name in sorted(often)
    ]
    return made + body


class Tables(ast.NodeTransformer):
    """Puts local names in the place of `m.table`."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id == "m" and node.attr in self.names:
            return ast.Name(f"m_{node.attr}", ast.Load())
        return node


class Expressions(ast.NodeTransformer):
    """Writes out calls of functions that are one expression, inside one statement."""

    def __init__(self, flattener: Flattener) -> None:
        self.flattener = flattener

    def visit_If(self, node: ast.If) -> ast.If:
        node.test = self.visit(node.test)
        return node

    def visit_While(self, node: ast.While) -> ast.While:
        node.test = self.visit(node.test)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        return self.flattener.expression(node) or node


class Rename(ast.NodeTransformer):
    """Puts expressions in the place of names."""

    def __init__(self, names: Mapping[str, ast.expr]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.names.get(node.id)
        if value is None:
            return node
        if isinstance(node.ctx, ast.Store):
            assert isinstance(value, ast.Name)
            return ast.Name(value.id, ast.Store())
        return copy.deepcopy(value)


def contains(body: list[ast.stmt], kind: type[ast.AST]) -> bool:
    """Is a node of that kind anywhere in the statements?"""
    return any(isinstance(node, kind) for item in body for node in ast.walk(item))


def size(body: list[ast.stmt]) -> int:
    """Statements and operations in the body."""
    return sum(
        isinstance(node, (ast.stmt, ast.BinOp, ast.Subscript, ast.Call))
        for item in body
        for node in ast.walk(item)
    )
