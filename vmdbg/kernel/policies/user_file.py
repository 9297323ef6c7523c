"""A page-replacement policy in a file of the user's: read, held to the rules of hot code, bound.

The file defines `victim(m, pid)` and, where it needs them, `policy_load`, `policy_unload`, `policy_use`
and functions of its own, each marked `@reads` or `@writes`; besides these it may import names of vmdbg
and name ints.  (docs/policies.md has an example.)
"""

from __future__ import annotations

import ast

from vmdbg.engine import link
from vmdbg.engine.checked import count_rounds
from vmdbg.engine.language import PLAIN, READS, WRITES, decorator_of, is_plain, mistakes
from vmdbg.errors import InputError, UserError
from vmdbg.state.tables import COMPILED, RAM_VIEWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from typing import Any

    Function = Callable[..., Any]

PARAMETERS = {
    "policy_load": ["m", "frame"],
    "policy_unload": ["m", "frame"],
    "policy_use": ["m", "frame"],
    "victim": ["m", "pid"],
}
MARKS = (READS, WRITES)
MOST_SHOWN = 200  # characters of what is wrong
WRITABLE = ("frame", "kernel")  # tables in which policies remember things


def load(path: str) -> dict[str, Function]:
    """The functions of the policy in a file, by name.

    UserError if it cannot be read, InputError with its line if it breaks a rule.
    """
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
    try:
        return functions_of(ast.parse(source, path), path, source)
    except (RecursionError, MemoryError):  # the second is the parser's own limit
        raise InputError("it is nested too deeply", path) from None
    except (SyntaxError, ValueError) as error:
        line, column = getattr(error, "lineno", 0) or 0, getattr(error, "offset", 0) or 0
        raise InputError(f"not Python: {getattr(error, 'msg', error)}", path, line, column) from None


def functions_of(tree: ast.Module, path: str, source: bytes) -> dict[str, Function]:
    """The functions of a policy by name.  InputError, and SyntaxError for what no Python can run."""
    for statement in tree.body:
        wrong = wrong_statement(statement)
        if wrong:
            raise InputError(f"{wrong:.{MOST_SHOWN}}", path, statement.lineno)
    definitions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    names = named_ints(tree)
    if "victim" not in [node.name for node in definitions]:
        raise InputError("a policy needs a function victim(m, pid)", path)
    space = execute(tree, path, source)
    constants = {name: space[name] for name in names}
    known = {name: vars(function)["hot"]["writes"] for name, function in link.FUNCTIONS.items()}
    taken = set(known)
    for node in definitions:
        if node.name in taken:
            raise InputError(f"there is a function {node.name:.40}; choose another name", path, node.lineno)
        taken.add(node.name)
    for name, line in names.items():
        if name in taken or name in link.HOLES:
            raise InputError(f"there is a function {name}; choose another name", path, line)
    known |= {name: name in PARAMETERS for name in link.HOLES} | {"int": False, "len": False}
    known |= {node.name: decorator_of(node) == WRITES for node in definitions}
    takes = {name: function.__code__.co_argcount for name, function in (link.FUNCTIONS | link.HOLES).items()}
    takes |= {node.name: len(node.args.args) for node in definitions} | {"int": 1, "len": 1}
    tabled = {name for name, function in (link.FUNCTIONS | link.HOLES).items() if first_of(function) == "m"}
    tabled |= {node.name for node in definitions if [word.arg for word in node.args.args[:1]] == ["m"]}
    for node in definitions:
        for part, wrong in (
            *mistakes(node, known, constants=constants),
            *wrong_names(node, known, space),
            *wrong_calls(node, takes),
            *wrong_tables(node, tabled),
            *wrong_returns(node),
            *wrong_recursion(node, {definition.name: space[definition.name] for definition in definitions}),
        ):
            raise InputError(
                f"{node.name:.40}: {wrong:.{MOST_SHOWN}}", path, getattr(part, "lineno", node.lineno)
            )
    return {node.name: space[node.name] for node in definitions}


def wrong_statement(node: ast.stmt) -> str:
    """What is wrong with a statement of the file itself; empty if nothing is."""
    if isinstance(node, ast.FunctionDef):
        return wrong_definition(node)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return ""
    if isinstance(node, ast.ImportFrom) and not node.level:
        if node.module == "__future__" or (node.module or "").split(".")[0] == "vmdbg":
            return ""
        return f"a policy imports from vmdbg alone, not from {node.module}"
    if isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
        if isinstance(node.value, ast.Constant) and type(node.value.value) is int:
            return ""
        return "only ints can be named in a policy"
    return "a policy consists of imports from vmdbg, names of ints, and functions marked @reads or @writes"


def wrong_definition(node: ast.FunctionDef) -> str:
    """What is wrong with the head of a function; empty if nothing is."""
    arguments = node.args
    names = [argument.arg for argument in arguments.args]
    if len(node.decorator_list) != 1 or decorator_of(node) not in MARKS:
        return f"{node.name} is to be marked @reads or @writes"
    mark = node.decorator_list[0]
    if isinstance(mark, ast.Call) and (
        mark.args or [ast.unparse(word) for word in mark.keywords] != ["cold=True"]
    ):
        return f"@{decorator_of(node)} takes cold=True or nothing"
    if not is_plain(arguments) or any(argument.annotation for argument in arguments.args):
        return f"{node.name}: {PLAIN}, no annotations"
    wanted = PARAMETERS.get(node.name)
    if wanted and names != wanted:
        return f"expected {node.name}({', '.join(wanted)})"
    return f"{node.name} has an annotation" if node.returns else ""


def named_ints(tree: ast.Module) -> dict[str, int]:
    """The names that the file gives to ints, and the lines where it does."""
    return {
        target.id: statement.lineno
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def execute(tree: ast.Module, path: str, source: bytes) -> dict[str, Any]:
    """The names of the file.  Its functions are marked, but not made known to all of vmdbg.

    `source` is what is compiled of them: the file may change meanwhile.
    """
    names = frozenset(named_ints(tree))

    def marker(writes: bool) -> Function:
        def mark(function: Any = None, *, cold: bool = False) -> Any:
            def set_marks(target: Any) -> Any:
                marks = {"writes": writes, "cold": cold, "fills": True}
                target.hot = {**marks, "checked": True, "source": source, "names": names}
                return target

            return set_marks if function is None else set_marks(function)

        return mark

    marks = {READS: marker(False), WRITES: marker(True)}
    space: dict[str, Any] = {"__name__": f"policy {path}", **marks}
    for statement in ast.parse(source, path).body:  # a tree of its own: it is changed
        if isinstance(statement, ast.ImportFrom) and statement.module == "vmdbg.engine":
            continue  # of the marks
        count_rounds(statement)
        module = ast.Module(body=[statement], type_ignores=[])
        try:
            exec(compile(module, path, "exec"), space)  # noqa: S102 -- wrong_statement saw it
        except ImportError as error:
            raise InputError(
                f"{str(error).partition(' (')[0]:.{MOST_SHOWN}}", path, statement.lineno
            ) from None
    return space


def wrong_names(
    node: ast.FunctionDef, known: dict[str, bool], space: dict[str, Any]
) -> Iterator[tuple[ast.AST, str]]:
    """Names and tables that there are not, and writes to tables in which no policy has anything."""
    names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
    bound = {argument.arg for argument in node.args.args}
    bound |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
    for name in names:
        if name.id not in bound | known.keys() | set(MARKS) and type(space.get(name.id)) is not int:
            yield name, f'no name "{name.id}"'
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and part.attr not in (*COMPILED, *RAM_VIEWS):
            yield part, f"no table m.{part.attr}"
        if isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Store):
            if isinstance(part.value, ast.Attribute) and part.value.attr not in WRITABLE:
                yield part, f"a policy writes to m.frame and m.kernel, not to m.{part.value.attr}"


def wrong_calls(node: ast.FunctionDef, takes: dict[str, int]) -> Iterator[tuple[ast.AST, str]]:
    """Calls with too many or too few arguments."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in takes:
            if len(part.args) != takes[part.func.id]:
                yield part, f"{part.func.id} takes {takes[part.func.id]} arguments, not {len(part.args)}"


def first_of(function: Function) -> str:
    """The name of a function's first parameter; empty if it has none."""
    code = function.__code__
    return code.co_varnames[0] if code.co_argcount else ""


def wrong_tables(node: ast.FunctionDef, tabled: Container[str]) -> Iterator[tuple[ast.AST, str]]:
    """The tables, where a number is expected, and the other way round: `m` is the first argument of functions
    that begin with it, and nothing else is; `tabled` are their names."""
    if "m" in [argument.arg for argument in node.args.args[1:]]:
        yield node, "m is the machine, and the first parameter"
    right = {id(part.value) for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in tabled:
            first = part.args[0] if part.args else None
            if not (isinstance(first, ast.Name) and first.id == "m"):
                yield part, f"the first argument of {part.func.id} is m"
            right.add(id(first))
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id == "m" and id(part) not in right:
            yield part, "m is the machine, no number"


def wrong_recursion(node: ast.FunctionDef, own: dict[str, Function]) -> Iterator[tuple[ast.AST, str]]:
    """Calls that lead back to the function: nothing would bound the stack."""
    functions = {**link.FUNCTIONS, **own}
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in functions:
            if node.name in link.reachable(functions, part.func.id):
                yield part, f"it calls itself, by way of {part.func.id}"


def wrong_returns(node: ast.FunctionDef) -> Iterator[tuple[ast.AST, str]]:
    """A function that returns a number returns one on every way; `victim` does."""
    returns = [part for part in ast.walk(node) if isinstance(part, ast.Return)]
    if any(part.value for part in returns):
        if not all(part.value for part in returns) or not ends(node.body):
            yield node, "it returns a number on some ways and nothing on others"
    elif node.name == "victim":
        yield node, "it has to return a frame, or -1"


def ends(body: list[ast.stmt]) -> bool:
    """Does every way through the statements return, or go on for ever?"""
    last = body[-1]
    if isinstance(last, ast.If):
        return ends(last.body) and bool(last.orelse) and ends(last.orelse)
    if isinstance(last, ast.While) and isinstance(last.test, ast.Constant) and last.test.value:
        return not any(isinstance(part, ast.Break) for part in ast.walk(last))
    return isinstance(last, ast.Return)
