"""What hot code may say: what interpreted and compiled mean the same (docs/policies.md).

The tests hold the package's own hot functions to these rules; a policy in a file of the user's is read by
them before it is used.
"""

from __future__ import annotations

import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

OPERATORS = (
    ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift,
    ast.RShift, ast.USub, ast.Invert, ast.Not, ast.And, ast.Or, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt,
    ast.GtE,
)  # fmt: skip
NODES = (
    ast.Expr, ast.Assign, ast.AugAssign, ast.If, ast.While, ast.Return, ast.Break, ast.Continue, ast.Pass,
    ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.IfExp, ast.Subscript, ast.Name, ast.Load,
    ast.Store,
)  # fmt: skip
SYMBOLS = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
SCRATCH = ("path", "control")  # the tables that readers may fill
MASKS = ("KEY_SIZE", "WORD_ALLOWED", "WORD_RIGHTS")  # constants below 64
READS, WRITES = "reads", "writes"


def mark_of(node: ast.FunctionDef) -> str:
    """The name of its first decorator that is a plain name or a call of one; empty without."""
    for item in node.decorator_list:
        called = item.func if isinstance(item, ast.Call) else item
        if isinstance(called, ast.Name):
            return called.id
    return ""


def body_of(node: ast.FunctionDef) -> list[ast.stmt]:
    """The statements without the docstring."""
    first = node.body[0]
    docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return node.body[1:] if docstring else node.body


def mistakes(
    node: ast.FunctionDef, known: Mapping[str, bool], shifts: Container[tuple[str, str]] = ()
) -> Iterator[tuple[ast.AST, str]]:
    """What a function that is marked `reads` or `writes` must not say, and where.

    `known` has the functions that it may call, and whether each writes; `shifts` are shift counts, by
    function and text, that are known to be 0 to 63.
    """
    for statement in body_of(node):
        for part in ast.walk(statement):
            wrong = mistake(node, part, known, shifts)
            if wrong:
                yield part if hasattr(part, "lineno") else statement, wrong


def mistake(
    function: ast.FunctionDef,
    node: ast.AST,
    known: Mapping[str, bool],
    shifts: Container[tuple[str, str]],
) -> str:
    """What is wrong with one node; empty if nothing is."""
    reads = mark_of(function) == READS
    if isinstance(node, ast.Constant):
        return "" if isinstance(node.value, int) else f"a constant that is no int: {node.value!r}"
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id == "m":
            return "" if isinstance(node.ctx, ast.Load) else "a table is replaced"
        return f"an attribute of something else than m: {ast.unparse(node)}"
    if isinstance(node, SYMBOLS):
        return "" if isinstance(node, OPERATORS) else f"the operator {type(node).__name__}"
    if not isinstance(node, NODES):
        return f"a {type(node).__name__}"
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in known or node.keywords:
            return f"a call of no hot function: {ast.unparse(node)}"
        if reads and known[node.func.id]:
            return f"a reader calls the writer {node.func.id}"
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and reads:
        if not (isinstance(node.value, ast.Attribute) and node.value.attr in SCRATCH):
            return f"a reader writes {ast.unparse(node)}"
    count = shift_count(node)
    if count is not None and not bounded(count) and (function.name, ast.unparse(count)) not in shifts:
        return f"a shift by {ast.unparse(count)}, which may be below 0 or above 63"
    return ""


def shift_count(node: ast.AST) -> ast.expr | None:
    """By how much a node shifts; None if it does not."""
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, (ast.LShift, ast.RShift)):
        return node.right if isinstance(node, ast.BinOp) else node.value
    return None


def bounded(count: ast.expr) -> bool:
    """Is a shift count a constant, or masked to at most 6 bits or to 8 (a byte of SHIFTS, BITS, SIZES)?"""
    if isinstance(count, ast.Constant):
        return isinstance(count.value, int) and 0 <= count.value <= 63
    if isinstance(count, ast.Name):
        return count.id.isupper()
    if isinstance(count, ast.BinOp) and isinstance(count.op, (ast.Sub, ast.Add)):
        return all(isinstance(side, ast.Constant) or bounded(side) for side in (count.left, count.right))
    if isinstance(count, ast.BinOp) and isinstance(count.op, ast.BitAnd):
        mask = count.right
        if isinstance(mask, ast.Name):
            return mask.id in MASKS
        return isinstance(mask, ast.Constant) and (mask.value in range(64) or mask.value == 255)
    return False
