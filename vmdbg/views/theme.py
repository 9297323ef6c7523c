"""Roles as a terminal shows them.  Views speak of `address` or `fault`; only this file knows ANSI."""

from __future__ import annotations

import os

from vmdbg.debugger.styles import COLOURS, ROLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

    from vmdbg.debugger.settings import Settings

    Fragments = Sequence[tuple[str, str]]

RESET = "\x1b[0m"
OWN = 8  # colours below this are the terminal's own
INTENSITY = {"bold": "1", "dim": "2"}
FOREGROUND, BACKGROUND = 3, 4


def colour_code(name: str, ground: int) -> str:
    """The parameters of SGR (ECMA-48, 8.3.117; 256 colours: ISO 8613-6) for a colour, or nothing."""
    number = COLOURS[name]
    if number < 0:
        return ""
    return f"{ground}{number}" if number < OWN else f"{ground}8;5;{number}"


def codes(settings: Settings) -> dict[str, str]:
    """The parameters of SGR for each role, as the settings have it."""
    found = {}
    for role in ROLES:
        parts = [
            colour_code(settings.string(f"style {role} foreground"), FOREGROUND),
            colour_code(settings.string(f"style {role} background"), BACKGROUND),
            INTENSITY.get(settings.string(f"style {role} intensity"), ""),
        ]
        found[role] = ";".join(part for part in parts if part)
    return found


def painter(settings: Settings) -> Callable[[Fragments], str]:
    """What turns fragments into text with colours; unknown roles are plain."""
    of_roles = codes(settings)

    def paint(fragments: Fragments) -> str:
        out = []
        for role, text in fragments:
            code = of_roles.get(role, "")
            out.append(f"\x1b[{code}m{text}{RESET}" if code and text else text)
        return "".join(out)

    return paint


def prompt_styles(settings: Settings) -> dict[str, str]:
    """The roles in the notation of prompt_toolkit."""
    found = {}
    for role in ROLES:
        words = []
        for which, lead in (("foreground", "fg:"), ("background", "bg:")):
            name = settings.string(f"style {role} {which}")
            if COLOURS[name] >= OWN:
                words.append(lead + "#{:02x}{:02x}{:02x}".format(*rgb(COLOURS[name])))
            elif COLOURS[name] >= 0:
                words.append(lead + "ansi" + {"white": "gray"}.get(name, name))
        intensity = settings.string(f"style {role} intensity")
        found[role] = " ".join([*words, *([intensity] if intensity == "bold" else [])])
    return found


def rgb(number: int) -> tuple[int, int, int]:
    """Red, green and blue of one of the fixed colours, 16 to 255: a cube of 6 steps, then greys."""
    if number >= 232:
        level = 8 + 10 * (number - 232)
        return level, level, level
    steps = (0, 95, 135, 175, 215, 255)
    number -= 16
    return steps[number // 36], steps[number // 6 % 6], steps[number % 6]


def wants_colour(stream: IO[str], choice: str = "auto") -> bool:
    """Whether a stream is to be coloured: `always`, `never`, or `auto`: a terminal that can, and no
    NO_COLOR (https://no-color.org) in the environment."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()
