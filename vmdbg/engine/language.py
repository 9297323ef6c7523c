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


class NotHotError(Exception):
    """A hot function says what the language does not have: a mistake in vmdbg, or in a policy of a user's."""

    def __init__(self, wrong: str, function: str, path: str, line: int) -> None:
        super().__init__(f"{path}:{line}: {function}: {wrong}")
        self.wrong, self.function, self.path, self.line = wrong, function, path, line


def mark_of(node: ast.FunctionDef) -> str:
    """The name of its first decorator that is a plain name or a call of one; empty without."""
    for item in node.decorator_list:
        called = item.func if isinstance(item, ast.Call) else item
        if isinstance(called, ast.Name):
            return called.id
    return ""


def body_of(node: ast.FunctionDef) -> list[ast.stmt]:
    """The statements without the docstring."""
    match node.body:
        case [ast.Expr(ast.Constant(str())), *rest]:
            return rest
    return node.body


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
    for early in unassigned(node):
        yield early, f"{early.id} may have no value yet"


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


def assigned(node: ast.FunctionDef) -> set[str]:
    """The names to which a function assigns."""
    parts = ast.walk(node)
    return {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def unassigned(node: ast.FunctionDef) -> list[ast.Name]:
    """Where a function may read a local name before it has a value, as far as its branches tell."""
    return Assignments(node).early


class Assignments:
    """Follows the ways through a function with the names that have a value on all of them."""

    def __init__(self, node: ast.FunctionDef) -> None:
        self.early: list[ast.Name] = []
        self.locals = assigned(node)
        self.breaks: list[list[set[str] | None]] = []
        self.block(body_of(node), {argument.arg for argument in node.args.args})

    def block(self, body: list[ast.stmt], known: set[str] | None) -> set[str] | None:
        """The names with a value behind the statements; None where nothing goes on."""
        for item in body:
            if known is not None:
                known = self.statement(item, known)
        return known

    def statement(self, item: ast.stmt, known: set[str]) -> set[str] | None:
        """As `block`, for one statement."""
        if isinstance(item, ast.If):
            self.read(item.test, known)
            return self.both(self.block(item.body, set(known)), self.block(item.orelse, set(known)))
        if isinstance(item, ast.While):
            self.read(item.test, known)
            endless = isinstance(item.test, ast.Constant) and bool(item.test.value)
            self.breaks.append([None if endless else known])
            self.block(item.body, set(known))
            behind: set[str] | None = None
            for names in self.breaks.pop():
                behind = self.both(behind, names)
            return behind
        self.read(item, known)
        if isinstance(item, (ast.Return, ast.Break, ast.Continue)):
            if isinstance(item, ast.Break) and self.breaks:
                self.breaks[-1].append(known)
            return None
        if isinstance(item, ast.Assign):
            return known | {target.id for target in item.targets if isinstance(target, ast.Name)}
        return known

    @staticmethod
    def both(one: set[str] | None, other: set[str] | None) -> set[str] | None:
        """The names with a value whichever way was taken."""
        if one is None or other is None:
            return other if one is None else one
        return one & other

    def read(self, node: ast.AST, known: set[str]) -> None:
        """Note the names that an expression or statement reads too early; `x += 1` reads x."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in self.locals - known:
                reads = isinstance(part.ctx, ast.Load)
                if reads or (isinstance(node, ast.AugAssign) and part is node.target):
                    self.early.append(part)
