"""The roles of coloured text, the colours, and the themes: what each role looks like.

Views name a role ("address", "decides"), never a colour; `set style ROLE foreground|background|intensity`
changes one as in GDB, `set style theme` all of them.
"""

from __future__ import annotations

from vmdbg.machine.setting import ENUM, Setting

ROLES: dict[str, str] = {
    "address": "virtual and physical addresses",
    "entry": "page-table entries",
    "rights": "rights such as rwxu",
    "flags": "flags of entries",
    "fault": "faults",
    "decides": "what decides in an answer",
    "changed": "what has changed",
    "ok": "the word of a good answer",
    "error": "the word of a bad answer",
    "warning": "what is suspect, such as stale entries",
    "event": "names of events",
    "time": "times",
    "number": "numbers",
    "title": "headers of tables",
    "metadata": "what is beside the point, and the line below the prompt",
    "command": "commands as they are typed, and their names in help",
    "option": "options and slash forms",
    "variable": "$names as they are typed",
    "string": "strings as they are typed",
    "comment": "comments",
}
#: GDB's colours are the terminal's own; the others are fixed ones of the 256 that terminals share.
COLOURS: dict[str, int] = {
    "none": -1,
    **{
        name: number
        for number, name in enumerate(("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"))
    },
    # of middle brightness: on black and on white
    "teal": 31,
    "violet": 98,
    "leaf": 28,
    "jade": 29,
    "lagoon": 30,
    "crimson": 161,
    "ochre": 130,
    "grey": 243,
    # dark, for white
    "ink": 24,
    "indigo": 19,
    "plum": 54,
    "aubergine": 53,
    "forest": 22,
    "pine": 23,
    "blood": 124,
    "maroon": 88,
    "umber": 94,
    "bark": 52,
    "slate": 240,
    "charcoal": 236,
    # bright, for black
    "sky": 81,
    "ice": 117,
    "lilac": 141,
    "mint": 114,
    "lime": 156,
    "coral": 203,
    "amber": 215,
    "gold": 221,
    "silver": 249,
}
INTENSITIES = ("normal", "bold", "dim")
BOLD = ("fault", "decides", "changed", "ok", "error", "title", "command")  # in every theme


def theme(*groups: tuple[str, str]) -> dict[str, tuple[str, str]]:
    """Role to colour and intensity, from pairs of a colour and the roles that have it."""
    colours = {role: colour for colour, roles in groups for role in roles.split()}
    return {role: (colours.get(role, "none"), "bold" if role in BOLD else "normal") for role in ROLES}


THEMES: dict[str, dict[str, tuple[str, str]]] = {
    "default": theme(
        ("teal", "address command"),
        ("violet", "entry variable"),
        ("leaf", "rights ok string"),
        ("jade", "flags"),
        ("crimson", "fault error"),
        ("ochre", "warning time changed"),
        ("lagoon", "event option"),
        ("grey", "metadata comment"),
    ),
    "light": theme(
        ("ink", "address command"),
        ("plum", "entry variable"),
        ("forest", "rights ok string"),
        ("pine", "flags event option"),
        ("blood", "fault error"),
        ("umber", "warning time changed"),
        ("slate", "metadata comment"),
    ),
    "dark": theme(
        ("sky", "address command"),
        ("lilac", "entry variable"),
        ("mint", "rights string"),
        ("lime", "flags ok"),
        ("coral", "fault error"),
        ("amber", "warning changed"),
        ("gold", "time"),
        ("ice", "event option"),
        ("silver", "metadata comment"),
    ),
    "projector": theme(
        ("indigo", "address command event option"),
        ("aubergine", "entry variable"),
        ("forest", "rights ok string flags"),
        ("maroon", "fault error"),
        ("bark", "warning time changed"),
        ("charcoal", "metadata comment"),
    ),
    "mono": theme(),  # what counts is bold
}


def role_settings() -> list[Setting]:
    """`style ROLE foreground`, `background` and `intensity` of each role, as the default theme has them."""
    found = []
    for role, (colour, intensity) in THEMES["default"].items():
        for which, default in (("foreground", colour), ("background", "none")):
            found.append(
                Setting(
                    f"style {role} {which}",
                    ENUM,
                    default,
                    f"the {which} color for this property",
                    choices=tuple(COLOURS),
                    sentence=f'The "{role}" style {which} color is: {{}}',
                )
            )
        found.append(
            Setting(
                f"style {role} intensity",
                ENUM,
                intensity,
                "the display intensity for this property",
                choices=INTENSITIES,
                sentence=f'The "{role}" style display intensity is: {{}}',
            )
        )
    return found


def theme_values(name: str) -> dict[str, str]:
    """The settings of the roles, as a theme has them."""
    found: dict[str, str] = {}
    for role, (colour, intensity) in THEMES[name].items():
        found |= {
            f"style {role} foreground": colour,
            f"style {role} background": "none",
            f"style {role} intensity": intensity,
        }
    return found
