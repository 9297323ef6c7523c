"""The functions that GDB has in expressions: `$_streq`, `$_isvoid`, `$_regex`, `$_gdb_setting` and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vmdbg.errors import UserError
from vmdbg.expressions.c_types import ARRAY, CHAR
from vmdbg.expressions.values import Value, make_integer, make_string, make_truth, text_of
from vmdbg.regex import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.expressions.evaluator import Evaluator

Function = Callable[["Evaluator", Sequence[Value]], Value]
COUNTS = {1: "one argument", 2: "two arguments", 3: "three arguments"}


def demand(name: str, arguments: Sequence[Value], count: int) -> None:
    """UserError unless there are `count` arguments."""
    if len(arguments) != count:
        raise UserError(f"You must provide {COUNTS[count]} for ${name}.")


def is_void(_: Evaluator, arguments: Sequence[Value]) -> Value:
    """`$_isvoid(value)`: whether the value is void."""
    demand("_isvoid", arguments, 1)
    return make_truth(arguments[0].is_void)


def strings_equal(evaluator: Evaluator, arguments: Sequence[Value]) -> Value:
    """`$_streq(a, b)`: whether two strings are equal."""
    demand("_streq", arguments, 2)
    read = evaluator.scope.read_memory
    first, second = (text_of(argument, read) for argument in arguments)
    return make_truth(first == second)


def string_length(evaluator: Evaluator, arguments: Sequence[Value]) -> Value:
    """`$_strlen(text)`: the length of a string in bytes."""
    demand("_strlen", arguments, 1)
    text = text_of(arguments[0], evaluator.scope.read_memory)
    return make_integer(len(text.encode("utf-8", "surrogateescape")))


def matches(evaluator: Evaluator, arguments: Sequence[Value]) -> Value:
    """`$_regex(text, expression)`: whether the regular expression matches from the text's start."""
    demand("_regex", arguments, 2)
    read = evaluator.scope.read_memory
    text, form = (text_of(argument, read) for argument in arguments)
    return make_truth(Pattern(form).begins(text))


def memory_equal(evaluator: Evaluator, arguments: Sequence[Value]) -> Value:
    """`$_memeq(a, b, size)`: whether two stretches of memory hold the same bytes."""
    demand("_memeq", arguments, 3)
    size = arguments[2].as_integer()
    if size < 0:
        raise UserError("length must be non-negative")
    if size == 0:
        return make_truth(True)
    first, second = (bytes_of(evaluator, argument, size) for argument in arguments[:2])
    return make_truth(first == second)


def bytes_of(evaluator: Evaluator, value: Value, size: int) -> bytes:
    """The first bytes of an array, or of what a pointer points to."""
    if value.type.code == ARRAY and value.address is None:
        return value.data[:size]
    return evaluator.scope.read_memory(value.as_address(), size)


def setting(evaluator: Evaluator, arguments: Sequence[Value]) -> Value:
    """`$_gdb_setting("name")`: the value of a setting."""
    value = setting_named(evaluator, arguments, "_gdb_setting")
    return make_string(value) if isinstance(value, str) else make_integer(int(value))


def setting_text(evaluator: Evaluator, arguments: Sequence[Value]) -> Value:
    """`$_gdb_setting_str("name")`: the value of a setting as a string."""
    return make_string(str(setting_named(evaluator, arguments, "_gdb_setting_str", as_text=True)))


def setting_named(
    evaluator: Evaluator, arguments: Sequence[Value], name: str, as_text: bool = False
) -> str | int | bool:
    """The setting that the only argument names."""
    if len(arguments) != 1:
        raise UserError(f"You must provide an argument to ${name}")
    kind = arguments[0].type
    if kind.code != ARRAY or kind.pointed().size != CHAR.size:
        raise UserError(f"First argument of ${name} must be a string.")
    value = evaluator.scope.setting(text_of(arguments[0], evaluator.scope.read_memory), as_text)
    if value is None:
        raise UserError(f"First argument of ${name} must be a valid setting of the 'show' command.")
    return value


FUNCTIONS: dict[str, Function] = {
    "_gdb_setting": setting,
    "_gdb_setting_str": setting_text,
    "_isvoid": is_void,
    "_memeq": memory_equal,
    "_regex": matches,
    "_streq": strings_equal,
    "_strlen": string_length,
}

#: Name to arguments and meaning: of these functions and of those that the scope of a machine has.
HELP: dict[str, tuple[str, str]] = {
    "count": (
        '"KIND"[, PID]',
        'how often a kind of event, or a family of them ("fault", "syscall"), happened',
    ),
    "entry": ("ADDRESS", "physical address of the last entry on the way to a virtual address"),
    "offset": ("ADDRESS", "offset of a virtual address in its base page"),
    "pa": ("ADDRESS", "physical address of a virtual one; an error if it is not mapped"),
    "pfn": ("ADDRESS", "number of the frame behind a virtual address; an error if it is not mapped"),
    "pte": ("ADDRESS", "last entry on the way to a virtual address, 0 if it is empty"),
    "slot": ("ADDRESS", "number of the slot that holds a page that is swapped out, else 0"),
    "sym": ('"NAME"', "address of a name of the program, for names that an expression cannot have"),
    "vpn": ("ADDRESS", "number of the base page of a virtual address"),
    "_gdb_setting": ('"NAME"', "value of a setting, 0 for unlimited"),
    "_gdb_setting_str": ('"NAME"', "value of a setting as a string"),
    "_isvoid": ("EXPR", "1 if the expression is void, else 0"),
    "_memeq": ("A, B, SIZE", "1 if two stretches of memory hold the same bytes, else 0"),
    "_regex": ('"TEXT", "REGEX"', "1 if the text matches from its start, else 0"),
    "_streq": ('"A", "B"', "1 if two strings are equal, else 0"),
    "_strlen": ('"TEXT"', "length of a string in bytes"),
}
