"""Sources of lines, and blocks of lines: `if while define document commands` down to `end`."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.command import ALONE
from vmdbg.shell.grammar import is_comment
from vmdbg.units import decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmdbg.shell.registry import Registry

MAX_BLOCK_DEPTH = 254
AS_THEY_ARE = ("document", "load hex")  # whose lines are no commands


class LoopBreak(Exception):
    """`loop_break` inside a `while`."""


class LoopContinue(Exception):
    """`loop_continue` inside a `while`."""


class BadBlock(Exception):
    """A block that cannot be read, such as one with two `else`: it is dropped with a warning."""


class Source:
    """Lines of a file, counted from 1; `interactive` sources show prompts and headers."""

    interactive = False

    def __init__(self, name: str, lines: Sequence[str]) -> None:
        self.name, self.line_number = name, 0
        self._lines = lines

    def raw_line(self, prompt: str) -> str | None:
        """The next line without its newline; None at the end."""
        if self.line_number >= len(self._lines):
            return None
        self.line_number += 1
        return self._lines[self.line_number - 1]

    def read(self, prompt: str = "") -> str | None:
        """The next line, with the lines that a backslash at the end continues."""
        line = self.raw_line(prompt)
        if line is None or not ends_open(line):
            return line
        parts = [line]
        while ends_open(parts[-1]):
            following = self.raw_line("")
            if following is None:
                break
            parts[-1] = parts[-1][:-1]
            parts.append(following)
        return "".join(parts)


def ends_open(line: str) -> bool:
    """A backslash at the end of a line joins the next one to it, in comments too."""
    return line.endswith("\\")


class StreamSource(Source):
    """Lines of a stream such as piped standard input; prompts are written by `show_prompt`."""

    def __init__(self, name: str, readline: Callable[[], str], show_prompt: Callable[[str], None]) -> None:
        super().__init__(name, ())
        self._readline, self._show_prompt = readline, show_prompt

    def raw_line(self, prompt: str) -> str | None:
        if prompt:
            self._show_prompt(prompt)
        line = self._readline()
        if not line:
            return None
        self.line_number += 1
        return line.rstrip("\n").rstrip("\r")


class Statement:
    """One line of a block."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def lines(self, indent: int) -> list[str]:
        """As `show user` lists it."""
        return ["  " * indent + self.text]


class Block(Statement):
    """`if`, `while` or a command with a body; an `if` has one body or two."""

    __slots__ = ("bodies", "keyword")

    def __init__(self, keyword: str, text: str, bodies: list[list[Statement]]) -> None:
        super().__init__(text)
        self.keyword, self.bodies = keyword, bodies

    def lines(self, indent: int) -> list[str]:
        out = ["  " * indent + self.text]
        for number, body in enumerate(self.bodies):
            if number:
                out.append("  " * indent + "else")
            for statement in body:
                out += statement.lines(indent + 1)
        return [*out, "  " * indent + "end"]


def block_keyword(registry: Registry, text: str) -> str:
    """`if`, `while`, `define` ... if the line opens a block, else nothing."""
    try:
        node, rest = registry.resolve(text)
    except UserError:
        return ""
    if node.user:
        return ""
    command = node.declared()
    opens = command is not None and command.block and not (command.block == ALONE and rest.strip())
    return command.name if command is not None and opens else ""


def read_block(source: Source, registry: Registry, keyword: str, depth: int = 0) -> list[list[Statement]]:
    """The bodies of a block whose first line was read: up to its `end` or the end of the source.

    `document` and `load hex` keep their lines as they are; `if` may have an `else`.
    """
    if depth > MAX_BLOCK_DEPTH:
        raise UserError("Control nesting too deep!")
    prompt = " " * depth + ">" if source.interactive or isinstance(source, StreamSource) else ""
    bodies: list[list[Statement]] = [[]]
    while (line := source.read(prompt)) is not None:
        text = line.strip()
        if text == "end":
            break
        if keyword in AS_THEY_ARE:
            bodies[-1].append(Statement(line.rstrip()))
            continue
        if is_comment(text):
            continue
        if text == "else":
            if keyword != "if" or len(bodies) == 2:
                raise BadBlock
            bodies.append([])
            continue
        inner = block_keyword(registry, text)
        if inner in ("if", "while") and len(text.split()) == 1:
            raise UserError(f"{inner} command requires an argument.")
        if not inner:
            bodies[-1].append(Statement(text))
            continue
        bodies[-1].append(Block(inner, text, read_block(source, registry, inner, depth + 1)))
    return bodies


class UserArguments:
    """The arguments of a user-defined command, for `$argc`, `$arg0` and `$arg*`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = split_user_words(text)

    def insert(self, line: str) -> str:
        """`line` with its `$argN` replaced; GDB's error for one that is missing."""
        if "$arg" not in line:
            return line
        out, position = [], 0
        while (found := line.find("$arg", position)) >= 0:
            end = found + 4
            digits = end
            while digits < len(line) and line[digits] in "0123456789":
                digits += 1
            if line[end : end + 1] == "c":
                value, stop = str(len(self.words)), end + 1
            elif line[end : end + 1] == "*":
                value, stop = self.text, end + 1
            elif digits > end:
                number = decimal(line[end:digits].lstrip("0") or "0")
                if number is None or number >= len(self.words):
                    raise UserError(f"Missing argument {line[end:digits]} in user function.")
                value, stop = self.words[number], digits
            else:
                value, stop = line[found:end], end
            out += [line[position:found], value]
            position = stop
        return "".join(out) + line[position:]


def split_user_words(text: str) -> list[str]:
    """Words parted by blanks; quotes keep blanks inside and stay, so does a backslash."""
    words, position, length = [], 0, len(text)
    while position < length:
        if text[position] in " \t":
            position += 1
            continue
        start, quote = position, ""
        while position < length and (quote or text[position] not in " \t"):
            char = text[position]
            if char == "\\":
                position += 1
            elif quote:
                quote = "" if char == quote else quote
            elif char in "\"'":
                quote = char
            position += 1
        words.append(text[start : min(position, length)])
        position = min(position, length)
    return words
