"""Cuts a line into command words, slash forms, words with quotes and brackets, arguments.

A command word is letters, digits, `-`, `_`, `.`; `!` and `|` are words by themselves.  Arguments are
parted by blanks and commas outside quotes and brackets; an operator that stands alone joins its
neighbours, so that `translate $pc + 4` has one argument.  `#` starts a comment only as the first
character of a line; a backslash at the end of a line continues it; there is no `;`.
"""

from __future__ import annotations

from vmdbg.errors import UsageError
from vmdbg.shell.command import FORM_NAMES, FORMAT_LETTERS, Args

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vmdbg.shell.command import Argument, Command, Option
    from vmdbg.shell.session import Session

WORD_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
OPERATORS = frozenset(
    ("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", ">", "<=", ">=", "==", "!=", "&&", "||")
    + ("=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "?", ":", "@")
)
OPENING = {"(": ")", "[": "]", "{": "}"}


def word_length(text: str, start: int = 0) -> int:
    """The length of the command word at `start`."""
    if text[start : start + 1] in ("!", "|"):
        return 1
    end = start
    while end < len(text) and text[end] in WORD_CHARS:
        end += 1
    return end - start


def first_word(text: str) -> str:
    """The text before the first blank."""
    return text.replace("\t", " ").partition(" ")[0]


def is_comment(line: str) -> bool:
    """A line that does nothing: blank or a comment."""
    stripped = line.lstrip(" \t")
    return not stripped or stripped.startswith("#")


def split_words(text: str, separators: str = " \t") -> list[tuple[int, str]]:
    """The words of `text` with their positions; quotes and brackets keep blanks inside."""
    words: list[tuple[int, str]] = []
    position, length = 0, len(text)
    while position < length:
        if text[position] in separators:
            position += 1
            continue
        start = position
        position = word_end(text, start, separators)
        words.append((start, text[start:position]))
    return words


def word_end(text: str, start: int, separators: str) -> int:
    """Where the word that begins at `start` ends."""
    position, length = start, len(text)
    closing: list[str] = []
    quote = ""
    while position < length:
        char = text[position]
        if quote:
            if char == "\\":
                position += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        elif closing and char == closing[-1]:
            closing.pop()
        elif char in OPENING:
            closing.append(OPENING[char])
        elif char in separators and not closing:
            break
        position += 1
    return min(position, length)


def join_operators(words: list[tuple[int, str]], text: str) -> list[tuple[int, str]]:
    """Words beside an operator that stands alone become one word, blanks included."""
    out: list[tuple[int, str]] = []
    join = False
    for start, word in words:
        alone = word in OPERATORS
        if out and (join or alone):
            first = out[-1][0]
            out[-1] = (first, text[first : start + len(word)])
        else:
            out.append((start, word))
        join = alone
    return out


def unquote(word: str) -> str:
    """A word without the quotes around it or inside it; `\\` takes the next character as it is."""
    if not any(char in word for char in "\"'\\"):
        return word
    out, quote, position = [], "", 0
    while position < len(word):
        char = word[position]
        if char == "\\" and quote != "'" and position + 1 < len(word):
            position += 1
            out.append(word[position])
        elif quote:
            if char == quote:
                quote = ""
            else:
                out.append(char)
        elif char in "\"'":
            quote = char
        else:
            out.append(char)
        position += 1
    return "".join(out)


def split_form(command: Command, rest: str) -> tuple[str, frozenset[str], str | None, str]:
    """Cuts the slash form off the rest of a line: form, flags, format letters (None without a slash),
    what is left.  The slash touches the command's last word, but GDB's letters may stand apart
    (`print /x 5`)."""
    if command.forms == FORMAT_LETTERS:
        rest = rest.lstrip()
    if not rest.startswith("/"):
        return "", frozenset(), None, rest.strip(" \t")
    if command.forms == FORMAT_LETTERS:
        end = format_end(rest)
        return "", frozenset(), rest[1:end], rest[end:].strip(" \t")
    if not command.forms:
        return "", frozenset(), None, rest.strip(" \t")
    end = 0
    names: list[str] = []
    while end < len(rest) and rest[end] == "/":
        start = end + 1
        end = start
        while end < len(rest) and not rest[end].isspace() and rest[end] != "/":
            end += 1
        names += form_names(command, rest[start:end])
    form = next((name for name in names if name in ("json", "csv")), "")
    return form, frozenset(name for name in names if name != form), None, rest[end:].strip(" \t")


def format_end(text: str) -> int:
    """Where GDB's format after a slash ends: a count, then letters.  What follows is the expression, so
    that no letter is swallowed (`p/x/d 5` is a mistake)."""
    end = 2 if text[1:2] == "-" else 1
    while end < len(text) and text[end] in "0123456789":
        end += 1
    while end < len(text) and text[end].isascii() and text[end].isalpha():
        end += 1
    return end


def form_names(command: Command, text: str) -> list[str]:
    """The forms that one slash word stands for: a name, or letters one by one (`/jv`)."""
    name = FORM_NAMES.get(text, text)
    if name in command.forms:
        return [name]
    names = [FORM_NAMES.get(letter, letter) for letter in text]
    if names and all(name in command.forms for name in names):
        return names
    allowed = ", ".join("/" + name for name in command.forms)
    raise UsageError(f'"{command.name}" has no form "/{text}".', f"Its forms are {allowed}.")


def parse_arguments(session: Session, command: Command, rest: str, invoked: str = "") -> Args:
    """The arguments of a command from what follows its words.  UserError for what does not fit."""
    form, flags, letters, text = split_form(command, rest)
    args = Args(form=form, flags=flags, format=letters, text=text, invoked=invoked or command.name)
    values = args.__dict__
    for name in command.forms if not isinstance(command.forms, str) else ():
        if name not in ("json", "csv"):
            values[name] = name in flags
    for option in command.options:
        values[option.target] = option.default
    for argument in command.arguments:
        values[argument.name] = [] if argument.many else argument.default
    if command.raw:
        argument = command.arguments[0]
        if argument.kind.among:
            text = " ".join(take_options(session, command, values, text))
        else:
            text = take_leading_options(session, command, values, text)
        args.text = text
        if not text and not argument.optional:
            raise missing(command, argument)
        values[argument.name] = argument.kind.parse(session, text) if text else argument.default
    else:
        assign(session, command, values, take_options(session, command, values, text))
    return args


def looks_like_option(word: str) -> bool:
    """`-pid`, but not `-5`, `-$x` or `-`."""
    return len(word) > 1 and word[0] == "-" and word[1].isalpha()


def take_leading_options(session: Session, command: Command, values: dict[str, Any], text: str) -> str:
    """Options before raw text, ended by `--` or by the first other word; the text after them.

    Before an expression they are options only if a `--` ends them, as in GDB: `p -elements` negates a name.
    """
    if command.arguments[0].kind.minus and not has_delimiter(text):
        return text
    while command.options and text.startswith("-"):
        end = word_end(text, 0, " \t")
        word = text[:end]
        if word == "--":
            return text[end:].strip()
        option = command.option(word)
        if option is None:
            if command.arguments[0].kind.minus:
                raise UsageError(f"Unrecognized option at: {text}")
            return text
        text = text[end:].strip()
        if option.kind is None:
            values[option.target] = True
            continue
        end = word_end(text, 0, " \t")
        if not end:
            raise UsageError(f"{option.name} requires an argument")
        values[option.target] = option.kind.parse(session, unquote(text[:end]))
        text = text[end:].strip()
    return text


def has_delimiter(text: str) -> bool:
    """Whether the text begins with an option and a word `--` ends the options."""
    return text.startswith("-") and "--" in text.split()


def take_options(session: Session, command: Command, values: dict[str, Any], text: str) -> list[str]:
    """Options anywhere among the words (until `--`); the other words, in order."""
    words = split_words(text, command.separators)
    plain: list[tuple[int, str]] = []
    options = True
    pending: Option | None = None
    for start, word in words:
        if pending is not None and pending.kind is not None:
            values[pending.target] = pending.kind.parse(session, unquote(word))
            pending = None
        elif options and word == "--":
            options = False
        elif options and (option := command.option(word)):
            if option.kind is None:
                values[option.target] = True
            else:
                pending = option
        elif options and looks_like_option(word) and command.options:
            raise UsageError(f"Unrecognized option at: {text[start:]}")
        else:
            plain.append((start, word))
    if pending is not None:
        raise UsageError(f"{pending.name} requires an argument")
    return [word for _, word in (join_operators(plain, text) if takes_operators(command) else plain)]


def takes_operators(command: Command) -> bool:
    """Is an operator that stands alone one?  Not if all arguments are names of files (`replay - x`)."""
    kinds = [argument.kind for argument in command.arguments]
    return any(kind.expression for kind in kinds) or all(kind.name != "file" for kind in kinds)


def assign(session: Session, command: Command, values: dict[str, Any], words: list[str]) -> None:
    """Gives the words to the arguments in order."""
    arguments = list(command.arguments)
    position = 0
    for index, argument in enumerate(arguments):
        if argument.many:
            last = len(words) - sum(not later.optional for later in arguments[index + 1 :])
            if last <= position and not argument.optional:
                raise missing(command, argument)
            values[argument.name] = [parse_word(session, argument, word) for word in words[position:last]]
            position = max(position, last)
            continue
        if position >= len(words):
            if not argument.optional:
                raise missing(command, argument)
            continue
        word = words[position]
        later = arguments[index + 1 :]
        if argument.optional and leaves_out(argument, word, later, len(words) - position):
            continue
        values[argument.name] = parse_word(session, argument, word)
        position += 1
    if position < len(words):
        raise UsageError(f'Junk at end of arguments: "{" ".join(words[position:])}".', usage_hint(command))


def leaves_out(argument: Argument, word: str, later: list[Argument], left: int) -> bool:
    """Whether an optional argument is left out: the word does not fit it, or a later argument needs it."""
    if left <= sum(not other.optional for other in later):
        return True
    if argument.kind.matches is not None and not argument.kind.matches(word):
        return bool(later)
    return argument.kind.matches is None and any(o.kind.matches and o.kind.matches(word) for o in later)


def parse_word(session: Session, argument: Argument, word: str) -> Any:
    """The value of one word; expressions keep their quotes."""
    return argument.kind.parse(session, word if argument.kind.expression else unquote(word))


def missing(command: Command, argument: Argument) -> UsageError:
    """GDB's sentence for a missing argument."""
    what = argument.help.rstrip(".") or argument.name.replace("_", " ")
    return UsageError(f"Argument required ({what}).")


def usage_hint(command: Command) -> str:
    """`Usage: translate ADDRESS [r|w|x]`."""
    return f"Usage: {command.usage[0]}"
