"""Reads and checks the arguments of an operation, and makes the words of its rows."""

from __future__ import annotations

from vmdbg.kernel.calls.syscalls import MMAP_PAGE_SHIFT
from vmdbg.kernel.scheduler import OP_EXIT, OP_KIND, OP_WIDTH
from vmdbg.programs.mappings import Options
from vmdbg.programs.operations import ARGUMENTS
from vmdbg.programs.options import rights
from vmdbg.programs.ranges import AddressOperand
from vmdbg.state.tables import OP_VA, OP_VALUE, OP_WORD
from vmdbg.units import s64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.programs.addresses import Space
    from vmdbg.programs.mappings import Objects
    from vmdbg.programs.operations import Operation
    from vmdbg.programs.scanner import LineCursor

WIDTHS = (1, 2, 4, 8)


def phrase(name: str) -> str:
    """An argument's name in an error."""
    return ("an " if name[0] in "AEIO" else "a ") + name.lower()


def read_arguments(
    cursor: LineCursor, operation: Operation, space: Space, objects: Objects
) -> tuple[list[int], str, int]:
    """The rest of an operation's line: its rows, the label that it names (or ""), the label's column."""
    spans: dict[str, tuple[int, int]] = {}
    values: dict[str, int] = {}
    operand: AddressOperand | None = None
    label, label_at = "", 0
    for number, (name, required) in enumerate(operation.arguments):
        if number == 0 or name == "OPTIONS":
            if not required and cursor.done():
                break
        elif not cursor.take(","):
            if required:
                cursor.expected(f'"," and {phrase(name)}')
            break
        start = cursor.at
        if name == "PLACE":
            operand = AddressOperand(cursor, space)
        elif name == "LABEL":
            label, label_at = cursor.name("a label"), start
        elif name == "RIGHTS":
            values[name] = rights(cursor)
        elif name == "OPTIONS":
            chosen = Options(cursor, space, objects, fixed=True)
            chosen.settle(objects, values["SIZE"])
            values[name] = chosen.word(cursor, objects, space.page_size)
        else:
            values[name] = cursor.expression(phrase(name))
        spans[name] = start, cursor.trimmed()
    cursor.finish(
        '"," or the end of the line' if len(spans) < len(operation.arguments) else "the end of the line"
    )
    row = [operation.kind, 0, 0, 0]
    if operation.kind & OP_KIND < OP_EXIT:
        assert operand is not None
        return access_rows(cursor, space, row, operand, values, spans), "", 0
    if ("LABEL", False) in operation.arguments:
        row[OP_VA] = -1
    check_call(cursor, operation, space, values, spans)
    for name, value in values.items():
        row[ARGUMENTS[name][0]] |= s64(value)
    return row, label, label_at


def access_rows(
    cursor: LineCursor,
    space: Space,
    row: list[int],
    operand: AddressOperand,
    values: dict[str, int],
    spans: dict[str, tuple[int, int]],
) -> list[int]:
    """The rows of an access."""
    width = values.get("WIDTH", 1)
    if width not in WIDTHS:
        cursor.fail("expected a width of 1, 2, 4 or 8 bytes", *spans["WIDTH"])
    value = values.get("VALUE", 0)
    bits = 8 * width
    if not -(1 << (bits - 1)) <= value < 1 << bits:
        cursor.fail(f"the value does not fit in {width} byte{'s' if width > 1 else ''}", *spans["VALUE"])
    row[OP_WORD] |= width << OP_WIDTH
    row[OP_VALUE] = s64(value & ((1 << bits) - 1))
    return operand.extend(row, cursor, space, width)


def check_call(
    cursor: LineCursor,
    operation: Operation,
    space: Space,
    values: dict[str, int],
    spans: dict[str, tuple[int, int]],
) -> None:
    """Refuse arguments of a system call that this kind of machine cannot take."""
    if "STATUS" in values and not 0 <= values["STATUS"] <= 255:
        cursor.fail("expected a status from 0 to 255", *spans["STATUS"])
    if "ADDRESS" in values:
        space.check_address(cursor, values["ADDRESS"], *spans["ADDRESS"])
    if "SIZE" in values:
        if values["SIZE"] <= 0:
            cursor.fail("expected a size of at least one page", *spans["SIZE"])
        shift = values.get("OPTIONS", 0) >> MMAP_PAGE_SHIFT & 0xFF
        page = 1 << shift if shift else space.page_size
        for name in ("ADDRESS", "SIZE"):
            space.check_aligned(cursor, values[name], page, *spans[name])
        space.check_region(cursor, values["ADDRESS"], values["SIZE"], spans["ADDRESS"][0], spans["SIZE"][1])
