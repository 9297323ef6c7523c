"""One declaration of a setting, of the machine and of the shell alike.

A setting is plain data: `Setting(name, kind, default, help, unit, choices)`.  From it follow `set`,
`show`, completion, the TOML key and the reference page.  `help` is a noun phrase without a full
stop ("state of pagination"): it becomes `Set state of pagination.`, `Show state of pagination.` and
the sentence `State of pagination is on.`

    Setting("pagination", BOOLEAN, True, "state of pagination")
    Setting("history size", UINTEGER, 256, "the size of the command history")
    Setting("machine.swap.size", SIZE, 64 << 20, "size of the swap area", unit="bytes")
    Setting("kernel.policy", ENUM, "fifo", "replacement policy", choices=("fifo", "clock"))

Values are plain: bool, int, str; None stands for "unlimited" (UINTEGER, ZUINTEGER_UNLIMITED) and
"auto" (AUTO_BOOLEAN).  Nothing here imports anything of the machine.
"""

from __future__ import annotations

from vmdbg.errors import UserError
from vmdbg.units import format_size, parse_number, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BOOLEAN = "boolean"
AUTO_BOOLEAN = "auto-boolean"
INTEGER = "integer"  # any integer within low..high
UINTEGER = "uinteger"  # >= 1; 0 or "unlimited" is None
ZUINTEGER = "zuinteger"  # >= 0
ZUINTEGER_UNLIMITED = "zuinteger-unlimited"  # >= 0; -1 or "unlimited" is None
SIZE = "size"  # bytes: 4K, 2M, 0x1000
ADDRESS = "address"  # an integer that is shown in hex
ENUM = "enum"
ENUM_OR_FILE = "enum or file"  # a choice, or the name of a file that ends in `unit`
STRING = "string"  # escapes are processed
PLAIN_STRING = "plain-string"  # taken as it stands
FILENAME = "filename"
OPTIONAL_FILENAME = "optional-filename"
KINDS = (
    BOOLEAN,
    AUTO_BOOLEAN,
    INTEGER,
    UINTEGER,
    ZUINTEGER,
    ZUINTEGER_UNLIMITED,
    SIZE,
    ADDRESS,
    ENUM,
    ENUM_OR_FILE,
    STRING,
    PLAIN_STRING,
    FILENAME,
    OPTIONAL_FILENAME,
)
UNLIMITED_KINDS = (UINTEGER, ZUINTEGER_UNLIMITED)
INT_MAX = (1 << 31) - 1
UINT_MAX = (1 << 32) - 1


class Setting:
    """One setting: its name, kind and default value, and the sentences that speak of it.

    `details` is the longer help.  `sentence` replaces the sentence that `show` prints; `{}` stands for the
    value, and a boolean may have two sentences, "on ...|off ...".  An integer lies between `low` and `high`;
    `among` lists the only values that it may have.  `refusal` replaces GDB's sentence about a value that is
    not allowed, where `{}` stands for that value.  A person sees `announced` when the setting is set.  A
    setting that is `readonly` can only be shown.  `alias` is another name that sweeps know it by.
    """

    __slots__ = (
        "alias",
        "among",
        "announced",
        "choices",
        "default",
        "details",
        "help",
        "high",
        "kind",
        "low",
        "name",
        "phrase",
        "readonly",
        "refusal",
        "unit",
    )

    def __init__(
        self,
        name: str,
        kind: str,
        default: object,
        help: str,
        unit: str = "",
        choices: Sequence[str] = (),
        *,
        sentence: str = "",
        details: str = "",
        low: int | None = None,
        high: int | None = None,
        among: Sequence[int] = (),
        refusal: str = "",
        announced: str = "",
        readonly: bool = False,
        alias: str = "",
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"setting {name}: no kind {kind!r}")
        if help.endswith("."):
            raise ValueError(f"setting {name}: help is a noun phrase without a full stop")
        self.name, self.kind, self.default, self.help = name, kind, default, help
        self.unit, self.choices = unit, tuple(choices)
        self.details, self.low, self.high, self.readonly = details, low, high, readonly
        self.among, self.refusal, self.announced = tuple(among), refusal, announced
        self.phrase, self.alias = sentence, alias

    @property
    def words(self) -> tuple[str, ...]:
        """The name as the words of `set`: `history size` and `machine.swap.size` have two, three."""
        return tuple(self.name.replace(".", " ").split())

    def parse(self, text: str, number: Callable[[str], int] | None = None) -> object:
        """The value that `text` stands for; UserError with GDB's sentence if it is none.

        `number` evaluates an integer expression (the shell passes its evaluator); without it only
        literals are understood (TOML).
        """
        if self.kind == STRING:
            return unescape_setting(text.lstrip())
        text = text.strip()
        if self.kind == BOOLEAN:
            return parse_boolean(text)
        if self.kind == AUTO_BOOLEAN:
            return None if text and len(text) > 1 and "auto".startswith(text) else parse_auto(text)
        if self.kind == ENUM_OR_FILE and text.endswith(self.unit):
            return text
        if self.kind in (ENUM, ENUM_OR_FILE):
            return parse_choice(text, self.choices)
        if self.kind in (PLAIN_STRING, OPTIONAL_FILENAME):
            return text
        if self.kind == FILENAME:
            if not text:
                raise UserError("Argument required (filename to set it to.).")
            return text
        return self.parse_integer(text, number or (parse_size if self.kind == SIZE else parse_number))

    def parse_integer(self, text: str, number: Callable[[str], int]) -> int | None:
        """An integer of this setting's kind and limits; None is unlimited."""
        unlimited = self.kind in UNLIMITED_KINDS
        if not text:
            what = "size" if self.kind == SIZE else "integer"
            tail = ', or "unlimited"' if unlimited else "" if self.kind == ZUINTEGER else "."
            raise UserError(f"Argument required ({what} to set it to{tail}).")
        if unlimited and "unlimited".startswith(text):
            return None
        if self.kind == SIZE:
            try:
                value = parse_size(text)
            except UserError:
                value = number(text)
        else:
            value = number(text)
        if self.kind == ZUINTEGER_UNLIMITED:
            if value > INT_MAX:
                raise UserError(f"integer {value} out of range")
            if value < -1:
                raise UserError("only -1 is allowed to set as unlimited")
            return None if value == -1 else value
        if self.kind in (UINTEGER, ZUINTEGER):
            if not 0 <= value <= UINT_MAX:
                raise UserError(self.refused(value))
            if unlimited and value == 0:
                return None
        low, high = self.low, self.high
        if (low is not None and value < low) or (high is not None and value > high):
            raise UserError(self.refused(value), "" if self.refusal else self.range_hint())
        if self.among and value not in self.among:
            raise UserError(self.refused(value))
        return value

    def refused(self, value: int) -> str:
        """The sentence of an integer that is not allowed."""
        return self.refusal.format(value) if self.refusal else f"integer {value} out of range"

    def allows(self, value: object) -> bool:
        """Is a value of the right type within the limits, or among the choices?"""
        if self.kind == ENUM:
            return value in self.choices
        if isinstance(value, int) and not isinstance(value, bool):
            return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        return True

    def range_hint(self) -> str:
        """The limits in words, or nothing."""
        show = self.text
        if self.low is not None and self.high is not None:
            return f"Allowed: {show(self.low)} to {show(self.high)}."
        if self.low is not None:
            return f"Allowed: {show(self.low)} or more."
        return f"Allowed: {show(self.high)} or less."

    def text(self, value: object) -> str:
        """The value as `set` takes it: `on`, `unlimited`, `64 MiB`, `0x1000`, `fifo`."""
        if self.kind == BOOLEAN:
            return "on" if value else "off"
        if self.kind == AUTO_BOOLEAN:
            return "auto" if value is None else "on" if value else "off"
        if value is None:
            return "unlimited" if self.kind in UNLIMITED_KINDS else "none"
        if self.kind == SIZE and isinstance(value, int):
            return format_size(value)
        if self.kind == ADDRESS and isinstance(value, int):
            return f"{value:#x}"
        return str(value)

    def sentence(self, value: object) -> str:
        """What `show` says: `State of pagination is on.`"""
        text = self.text(value)
        if "|" in self.phrase:
            return self.phrase.split("|")[0 if value else 1]
        if self.phrase:
            return self.phrase.replace("{}", text)
        if self.kind in (STRING, PLAIN_STRING, FILENAME, OPTIONAL_FILENAME, ENUM, ENUM_OR_FILE):
            text = f'"{text}"'
        without = (SIZE, BOOLEAN, ENUM_OR_FILE)
        unit = f" {self.unit}" if self.unit and self.kind not in without and value is not None else ""
        return f"{self.help[:1].upper()}{self.help[1:]} is {text}{unit}."

    def complete(self, text: str) -> list[str]:
        """What may follow `set NAME `, given what is typed."""
        if self.kind == BOOLEAN:
            words: tuple[str, ...] = ("off", "on")
        elif self.kind == AUTO_BOOLEAN:
            words = ("auto", "off", "on")
        elif self.kind in UNLIMITED_KINDS:
            words = ("unlimited",)
        else:
            words = self.choices
        return sorted(word for word in words if word.startswith(text))


def parse_boolean(text: str) -> bool:
    """`on off yes no enable disable 1 0`, abbreviated; nothing at all means on."""
    value = boolean_word(text) if text else True
    if value is None:
        raise UserError('"on" or "off" expected.')
    return value


def parse_auto(text: str) -> bool:
    """As `parse_boolean`, for a setting that may also be `auto`."""
    value = boolean_word(text)
    if value is None:
        raise UserError('"on", "off" or "auto" expected.')
    return value


def boolean_word(text: str) -> bool | None:
    """True or False for a word that GDB accepts as a boolean; None for any other word."""
    if text in ("1", "0"):
        return text == "1"
    if (
        len(text) >= 2
        and "on".startswith(text)
        or text
        and any(w.startswith(text) for w in ("yes", "enable"))
    ):
        return True
    if (
        len(text) >= 2
        and "off".startswith(text)
        or text
        and any(w.startswith(text) for w in ("no", "disable"))
    ):
        return False
    return None


def parse_choice(text: str, choices: Sequence[str]) -> str:
    """One of the choices, by a unique prefix.  GDB's errors."""
    if not text:
        raise UserError(f"Requires an argument. Valid arguments are {', '.join(choices)}.")
    word, _, rest = text.partition(" ")
    found = [word] if word in choices else [choice for choice in choices if choice.startswith(word)]
    if not found:
        raise UserError(f'Undefined item: "{text}".' if not rest else f'Undefined item: "{word}".')
    if len(found) > 1:
        raise UserError(f'Ambiguous item "{text}".')
    if rest.strip():
        raise UserError(f'Junk after item "{word}": {rest.strip()}')
    return found[0]


def unescape_setting(text: str) -> str:
    """The backslash escapes of a string setting (`set prompt a\\ `); a last lone `\\` is dropped."""
    if "\\" not in text:
        return text
    plain = {"n": "\n", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "r": "\r", "v": "\v", "e": "\x1b"}
    out: list[str] = []
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char != "\\":
            out.append(char)
            continue
        start = position
        while position < len(text) and position < start + 3 and text[position] in "01234567":
            position += 1
        if position > start:
            out.append(chr(int(text[start:position], 8) & 0xFF))
        elif position < len(text):
            out.append(plain.get(text[position], text[position]))
            position += 1
    return "".join(out)
