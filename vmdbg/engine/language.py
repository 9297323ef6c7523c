"""The language of hot code: Python that means the same interpreted and compiled (docs/policies.md).

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
PLAIN = "it takes plain parameters: no defaults, no stars"
READS, WRITES = "reads", "writes"
#: Rounds that the loops of one call of a user's function may make, in both engines.
MOST_ROUNDS = 1 << 25


class NotHotError(Exception):
    """A hot function uses what the language does not have: a mistake in vmdbg, or in a policy of a user's."""

    def __init__(self, wrong: str, function: str, path: str, line: int) -> None:
        super().__init__(f"{path}:{line}: {function}: {wrong}")
        self.wrong, self.function, self.path, self.line = wrong, function, path, line


def decorator_of(node: ast.FunctionDef) -> str:
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
    node: ast.FunctionDef,
    known: Mapping[str, bool],
    shifts: Container[tuple[str, str]] = (),
    constants: Mapping[str, int] | None = None,
) -> Iterator[tuple[ast.AST, str]]:
    """The mistakes in a function with the decorator `reads` or `writes`: each with its node and a sentence.

    `known` has the functions that it may call, and whether each writes; `shifts` are shift counts, by
    function and text, that are known to be 0 to 63; `constants` are values of names of ints.
    """
    if not is_plain(node.args):
        yield node, PLAIN
    values = {name: value for name, value in (constants or {}).items() if name not in names_of(node)}
    for statement in body_of(node):
        for part in ast.walk(statement):
            wrong = mistake(node, part, known) or wrong_place(part) or wrong_shift(node, part, shifts, values)
            if wrong:
                yield part if hasattr(part, "lineno") else statement, wrong
    for early in unassigned(node):
        yield early, f"{early.id} may have no value yet"


def is_plain(arguments: ast.arguments) -> bool:
    """Are all parameters of a function plain ones?"""
    more = (arguments.posonlyargs, arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    return not any(more) and not arguments.defaults


def mistake(function: ast.FunctionDef, node: ast.AST, known: Mapping[str, bool]) -> str:
    """What is wrong with one node; empty if nothing is."""
    reads = decorator_of(function) == READS
    if isinstance(node, ast.Constant):
        if not isinstance(node.value, int):
            return f"a constant that is no int: {node.value!r}"
        return "" if node.value <= 1 << 63 else f"a constant that needs more than 64 bits: {node.value:#x}"
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
    return ""


def wrong_place(node: ast.AST) -> str:
    """Is a name in a wrong position: the machine used as a number, or a number as a table?"""
    if isinstance(node, ast.Assign) and len(node.targets) > 1:
        return "several names that get one value"
    if isinstance(node, ast.While) and node.orelse:
        return "an else of a while"
    if isinstance(node, ast.Name) and node.id == "m" and not isinstance(node.ctx, ast.Load):
        return "m is the machine, no variable"
    if isinstance(node, ast.Subscript) and not isinstance(node.value, (ast.Attribute, ast.Name)):
        return f"no table: {ast.unparse(node.value)}"
    match node:
        case ast.Call(ast.Name("len"), [taken]) if not isinstance(taken, (ast.Attribute, ast.Name)):
            return "len takes a table"
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Load):
            if not (isinstance(node, ast.Subscript) and child is node.value or is_passed(child, node)):
                return f"a table is no number: {ast.unparse(child)}"
        if isinstance(child, ast.Name) and child.id == "m" and isinstance(child.ctx, ast.Load):
            if not (isinstance(node, ast.Attribute) or is_passed(child, node)):
                return "m is the machine, no number"
    return ""


def is_passed(child: ast.expr, node: ast.AST) -> bool:
    """Is `child` an argument of the call `node`, so that it may be a table or the machine?"""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and child in node.args:
        return node.func.id != "int" and (node.func.id != "len" or isinstance(child, ast.Attribute))
    return False


def wrong_shift(
    function: ast.FunctionDef, node: ast.AST, shifts: Container[tuple[str, str]], constants: Mapping[str, int]
) -> str:
    """Does a node shift by a count that may be below 0 or above 63?"""
    count = shift_count(node)
    if count is None or (function.name, ast.unparse(count)) in shifts:
        return ""
    low, high = span(count, constants, names_of(function)) or (-1, 64)
    if 0 <= low <= high <= 63:
        return ""
    return f"a shift by {ast.unparse(count)}, which may be below 0 or above 63"


def shift_count(node: ast.AST) -> ast.expr | None:
    """The shift count of a node; None if it is no shift."""
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, (ast.LShift, ast.RShift)):
        return node.right if isinstance(node, ast.BinOp) else node.value
    return None


def span(count: ast.expr, constants: Mapping[str, int], names: Container[str]) -> tuple[int, int] | None:
    """The least and the greatest value that an expression can have; None if it is not known.

    `names` are variables; any other name in capitals is a constant, of 0 to 63 if nothing else is known.
    """
    match count:
        case ast.Constant(int() as value):
            return value, value
        case ast.Name(name) if name in constants:
            return constants[name], constants[name]
        case ast.Name(name) if name.isupper() and name not in names:
            return 0, 63
        case ast.BinOp(left, ast.Add() | ast.Sub() as op, right):
            first, second = span(left, constants, names), span(right, constants, names)
            if first is None or second is None:
                return None
            if isinstance(op, ast.Add):
                return first[0] + second[0], first[1] + second[1]
            return first[0] - second[1], first[1] - second[0]
        case ast.BinOp(_, ast.BitAnd(), mask):
            if isinstance(mask, ast.Name) and mask.id not in (*constants, *MASKS):
                return None
            most = span(mask, constants, names)
            return (0, most[1]) if most is not None and most[0] >= 0 else None
    return None


def names_of(node: ast.FunctionDef) -> set[str]:
    """A function's parameters, and the names to which it assigns."""
    return assigned(node) | {argument.arg for argument in node.args.args}


def assigned(node: ast.FunctionDef) -> set[str]:
    """The names to which a function assigns."""
    parts = ast.walk(node)
    return {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def unassigned(node: ast.FunctionDef) -> list[ast.Name]:
    """The nodes at which a function may read a local name before it has a value, on any way through it."""
    return Assignments(node).early


class Assignments:
    """Follows the ways through a function with the names that have a value on all of them."""

    def __init__(self, node: ast.FunctionDef) -> None:
        self.early: list[ast.Name] = []
        self.locals = assigned(node)
        self.breaks: list[list[set[str] | None]] = []
        self.block(body_of(node), {argument.arg for argument in node.args.args})

    def block(self, body: list[ast.stmt], known: set[str] | None) -> set[str] | None:
        """The names that have a value after the statements; None if nothing is executed after them."""
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
        """The names that have a value on both ways; None stands for a way that does not go on."""
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
