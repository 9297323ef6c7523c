"""dump, append, restore: memory to files and back."""

from __future__ import annotations

import os

from vmdbg.debugger.memory_images import BINARY, IHEX, SREC, check_range, read_records, written
from vmdbg.errors import UserError
from vmdbg.shell.command import ACTING, NO_REPEAT, SHELL, Argument, Option, command, prefix
from vmdbg.shell.grammar import split_words, unquote
from vmdbg.shell.kinds import REST_FILE
from vmdbg.units import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from vmdbg.shell.command import Args
    from vmdbg.shell.session import Session

DUMP = prefix("dump", group="data", summary="Dump target code/data to a local file.")
DUMP_BINARY = prefix("dump binary", group="data", summary="Write target code/data to a raw binary file.")
DUMP_IHEX = prefix("dump ihex", group="data", summary="Write target code/data to an intel hex file.")
DUMP_SREC = prefix("dump srec", group="data", summary="Write target code/data to an srec file.")
APPEND = prefix("append", group="data", summary="Append target code/data to a local file.")
APPEND_BINARY = prefix("append binary", group="data", summary="Append target code/data to a raw binary file.")
PIECE = 1 << 16  # bytes that are read at once
MEMORY_HELP = """
Arguments are FILE START STOP: the contents of memory from START to before STOP, as the tables of the current
process map it, or of physical memory: with -phys, and on a machine without a kernel.  If a byte cannot be
read, the file stays as it was."""
VALUE_HELP = "\nArguments are FILE EXPRESSION: the bytes of its value."


def words_of(text: str | None) -> list[str]:
    """The words of the arguments; quotes and brackets keep blanks."""
    words = [word for _, word in split_words(text or "")]
    if not words:
        raise UserError("Missing filename.")
    return words


def memory_range(session: Session, words: list[str]) -> tuple[int, int]:
    """START and the length up to STOP.  GDB's errors."""
    for word, name in zip(("", "start", "stop"), range(3), strict=True):
        if word and len(words) <= name:
            raise UserError(f"Missing {word} address.")
    start, stop = (session.evaluate(word).as_address() for word in words[1:3])
    if start >= stop:
        raise UserError("Invalid memory address range (start >= end).")
    return start, stop - start


def is_physical(session: Session, args: Args) -> bool:
    """Are the addresses physical: with -phys, and where there is no kernel that would have made tables?"""
    return bool(args.phys) or not session.machine.config["machine.kernel"]


def memory_pieces(session: Session, start: int, length: int, physical: bool) -> Iterator[bytes]:
    """The bytes of memory, some at a time."""
    read = session.scope.read_physical if physical else session.scope.read_memory
    for address in range(start, start + length, PIECE):
        yield read(address, min(PIECE, start + length - address))


def kind_of(args: Args) -> str:
    """The format that the command names: raw bytes where it names none."""
    word = args.declared.split()[1]
    return word if word in (IHEX, SREC) else BINARY


def write(session: Session, args: Args, name: str, start: int, length: int, pieces: Iterable[bytes]) -> None:
    """Writes or appends in the format that the command names; a file that cannot be filled is as before."""
    kind = kind_of(args)
    check_range(kind, start, length)
    path = session.permissions.path(unquote(name))
    content = written(kind, path, start, length, pieces)
    try:
        if args.declared.startswith("append"):
            append(path, content)
        else:
            replace(path, content)
    except OSError as error:
        raise UserError(f"{unquote(name)}: {error.strerror}.") from None


def replace(path: str, content: Iterable[bytes]) -> None:
    """Fills a new file, which then takes the place of the old one."""
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:  # a device or pipe has no past to keep
            file.writelines(content)
        return
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "xb") as file:
            file.writelines(content)
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise


def append(path: str, content: Iterable[bytes]) -> None:
    """Adds to the end of a file; what was added is cut off again if it is not whole."""
    with open(path, "ab") as file:
        before = file.tell()
        try:
            file.writelines(content)
        except BaseException:
            file.truncate(before)
            raise


PHYSICAL = Option("-phys", help="addresses are physical, as they always are without a kernel")
FILE_ARGUMENT = [Argument("what", REST_FILE, optional=True)]
RAW, HEX, RECORDS = "a raw binary file", "an intel hex file", "an srec file"


def of_memory(name: str, file: str) -> dict[str, Any]:
    """The declaration of a command that takes FILE START STOP."""
    verb = "Append contents of memory to" if name.startswith("append") else "Write contents of memory to"
    return {
        "group": "data",
        "needs": ("translate",),
        "effect": SHELL,
        "arguments": FILE_ARGUMENT,
        "options": [PHYSICAL],
        "usage": f"{name} [-phys] FILE START STOP",
        "summary": f"{verb} {file}.",
        "help": MEMORY_HELP,
        "repeat": NO_REPEAT,
    }


def of_value(name: str, file: str) -> dict[str, Any]:
    """The declaration of a command that takes FILE EXPR."""
    verb = "Append" if name.startswith("append") else "Write"
    return {
        "group": "data",
        "effect": SHELL,
        "arguments": FILE_ARGUMENT,
        "usage": f"{name} FILE EXPR",
        "summary": f"{verb} the value of an expression to {file}.",
        "help": VALUE_HELP,
        "repeat": NO_REPEAT,
    }


@command("dump memory", **of_memory("dump memory", RAW))
@command("dump binary memory", **of_memory("dump binary memory", RAW))
@command("dump ihex memory", **of_memory("dump ihex memory", HEX))
@command("dump srec memory", **of_memory("dump srec memory", RECORDS))
@command("append memory", **of_memory("append memory", RAW))
@command("append binary memory", **of_memory("append binary memory", RAW))
def memory_command(session: Session, args: Args) -> object:
    words = words_of(args.what)
    start, length = memory_range(session, words)
    write(
        session,
        args,
        words[0],
        start,
        length,
        memory_pieces(session, start, length, is_physical(session, args)),
    )
    return None


@command("dump value", **of_value("dump value", RAW))
@command("dump binary value", **of_value("dump binary value", RAW))
@command("dump ihex value", **of_value("dump ihex value", HEX))
@command("dump srec value", **of_value("dump srec value", RECORDS))
@command("append value", **of_value("append value", RAW))
@command("append binary value", **of_value("append binary value", RAW))
def value_command(session: Session, args: Args) -> object:
    words = words_of(args.what)
    if len(words) < 2:
        raise UserError("No value to dump.")
    text = (args.what or "")[len(words[0]) :].strip()
    value = session.evaluate(text)
    data = value.as_bytes()
    if value.address is None and kind_of(args) != BINARY:
        session.output.warning("value is not an lval: address assumed to be zero")
    write(session, args, words[0], value.address or 0, len(data), [data])
    return None


@command(
    "restore",
    group="data",
    needs=("act",),
    effect=ACTING,
    arguments=FILE_ARGUMENT,
    options=[PHYSICAL],
    usage=(
        "restore [-phys] FILE [OFFSET [START [END]]]",
        "restore [-phys] FILE binary [OFFSET [START [END]]]",
    ),
    summary="Restore the contents of FILE to target memory.",
    help="""
Hex files (Intel hex, S-records) hold addresses, to which OFFSET is added; "binary" is for raw bytes, which go
to OFFSET.  Only what lies from START to before END is taken: addresses of a hex file, places in a raw one.
With -phys, and on a machine without a kernel, all of them are physical.  All of it is one operation: a byte
that cannot be written leaves memory as it was.""",
    repeat=NO_REPEAT,
)
def restore_command(session: Session, args: Args) -> object:
    words = words_of(args.what)
    raw = len(words) > 1 and len(words[1]) > 1 and BINARY.startswith(words[1])
    numbers = [session.integer(word) & WORD_MASK for word in words[1 + raw : 4 + raw]]
    offset, low, high = (*numbers, 0, 0, 0)[:3] if numbers else (0, 0, 0)
    if len(numbers) > 2 and low >= high:
        raise UserError("Start must be less than end.")
    name = unquote(words[0])
    if session.settings.flag("verbose"):
        line = f"Restore file {name} offset {offset:#x} start {low:#x} end {high:#x}"
        session.output.line(line)
    path = session.permissions.path(name)
    try:
        found = read_binary(path, name, offset, low, high) if raw else read_hex(path, name, offset, low, high)
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}.") from None
    scope = session.scope
    put = scope.write_physical if is_physical(session, args) else scope.write_memory

    def store() -> None:
        for _, address, data in found:
            put(address, data)

    session.perform(f"restore {name}", store)
    session.output.lines(told for told, _, _ in found)
    return None


def read_binary(path: str, name: str, offset: int, low: int, high: int) -> list[tuple[str, int, bytes]]:
    """The bytes of a raw file with the address where they go, and the line that tells of it."""
    with open(path, "rb") as file:
        length = file.seek(0, 2)
        if length <= low:
            raise UserError(f"Start address is greater than length of binary file {name}.")
        end = min(high or length, length)
        file.seek(low)
        data = file.read(end - low)
    address = (offset + low) & WORD_MASK
    told = f"Restoring binary file {name} into memory ({address:#x} to {address + len(data):#x})"
    return [(told, address, data)]


def read_hex(path: str, name: str, offset: int, low: int, high: int) -> list[tuple[str, int, bytes]]:
    """The stretches of a hex file, cut to START and END, as `read_binary` gives one."""
    with open(path, "rb") as file:
        records = read_records(iter(lambda: file.readline(1 << 12), b""), name)
    found = []
    for number, (start, data) in enumerate(records, 1):
        first, last = max(start, low), min(start + len(data), high or start + len(data))
        if first >= last:
            continue
        told = f"Restoring section .sec{number} ({start:#x} to {start + len(data):#x})"
        address = (first + offset) & WORD_MASK
        if offset or (first, last) != (start, start + len(data)):
            told += f" into memory ({address:#x} to {address + last - first:#x})"
        found.append((told, address, bytes(data[first - start : last - start])))
    return found
