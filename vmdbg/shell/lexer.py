"""Colours for typed commands, from the registry: one scanner for the prompt and for the docs."""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.shell.grammar import first_word, split_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pygments.lexer import Lexer

    from vmdbg.shell.registry import Registry


def styled_words(registry: Registry, line: str) -> list[tuple[str, str]]:
    """A line in pieces `(style, text)` that join to the line: `command form option number variable
    string comment unknown` or nothing."""
    text = line.lstrip(" \t")
    out = [("", line[: len(line) - len(text)])] if len(text) < len(line) else []
    if not text:
        return out
    if text.startswith("#"):
        return [*out, ("comment", text)]
    try:
        _, rest = registry.resolve(text)
        out.append(("command", text[: len(text) - len(rest)]))
    except UserError:
        length = len(first_word(text))
        out.append(("unknown", text[:length]))
        rest = text[length:]
    if rest.startswith("/"):
        end = len(first_word(rest))
        out.append(("form", rest[:end]))
        rest = rest[end:]
    position = 0
    for start, word in split_words(rest):
        if start > position:
            out.append(("", rest[position:start]))
        out.append((word_style(word), word))
        position = start + len(word)
    if position < len(rest):
        out.append(("", rest[position:]))
    return out


def word_style(word: str) -> str:
    """The style of one argument."""
    if word[0].isdigit():
        return "number"
    if word[0] == "$":
        return "variable"
    if word[0] in "\"'":
        return "string"
    return "option" if len(word) > 1 and word[0] == "-" and word[1].isalpha() else ""


def pygments_lexer(registry: Registry, prompt: str = "(vmdbg) ") -> Lexer:
    """A pygments lexer for scripts and transcripts: lines after the prompt are commands; in a text
    without any prompt every line is one."""
    from pygments.lexer import Lexer
    from pygments.token import Comment, Generic, Keyword, Name, Number, String, Text

    kinds = {
        "command": Keyword,
        "form": Keyword.Type,
        "option": Name.Attribute,
        "number": Number,
        "variable": Name.Variable,
        "string": String,
        "comment": Comment,
    }

    class CommandLexer(Lexer):  # type: ignore[misc]  # pygments has no annotations
        """vmdbg's command language."""

        name = "vmdbg"
        aliases = ("vmdbg",)
        filenames = ("*.vmdbg",)

        def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, object, str]]:
            position = 0
            transcript = any(line.startswith(prompt) for line in text.splitlines())
            for line in text.splitlines(keepends=True):
                start = position
                position += len(line)
                body = line
                if transcript:
                    if not line.startswith(prompt):
                        yield start, Generic.Output, line
                        continue
                    yield start, Generic.Prompt, prompt
                    start, body = start + len(prompt), line[len(prompt) :]
                typed = body.rstrip("\n")
                for style, piece in [*styled_words(registry, typed), ("", body[len(typed) :])]:
                    yield start, kinds.get(style, Text), piece
                    start += len(piece)

    return CommandLexer()
