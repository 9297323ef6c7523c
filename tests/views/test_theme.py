"""Every theme can be read: contrast of each role against the grounds that the theme is for (WCAG 1.4.3)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.sources import tree_of
from vmdbg.debugger.settings import Settings
from vmdbg.debugger.styles import BOLD, COLOURS, ROLES, THEMES, theme_values
from vmdbg.shell.startup import make_session
from vmdbg.views.theme import OWN, codes, painter, prompt_styles, rgb

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
#: Theme to the least contrast, and the grounds.
WANTED = {
    "default": (4.0, (BLACK, WHITE)),
    "light": (4.5, (WHITE,)),
    "dark": (7.0, (BLACK,)),
    "projector": (7.0, (WHITE,)),
    "mono": (21.0, (WHITE, BLACK)),  # no colours: the terminal's own
}
DECIDING = ("decides", "fault", "error", "ok", "changed")


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance, 0 to 1."""
    parts = [level / 255 for level in colour]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    """The contrast ratio, 1 to 21."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_every_role_can_be_read(theme: str) -> None:
    least, grounds = WANTED[theme]
    for role, (colour, _) in THEMES[theme].items():
        if COLOURS[colour] < 0:
            continue  # the terminal's own, which its owner reads
        assert COLOURS[colour] >= OWN, f"{role}: {colour} differs from terminal to terminal"
        for ground in grounds:
            assert contrast(rgb(COLOURS[colour]), ground) >= least, (role, colour)


def test_mono_has_no_colours() -> None:
    assert {colour for colour, _ in THEMES["mono"].values()} == {"none"}


@pytest.mark.parametrize("theme", THEMES)
def test_what_decides_is_bright_and_nothing_is_dim(theme: str) -> None:
    intensities = {role: intensity for role, (_, intensity) in THEMES[theme].items()}
    assert "dim" not in intensities.values()
    assert all(intensities[role] == "bold" for role in DECIDING)
    assert set(BOLD) <= set(ROLES)


def test_a_theme_sets_the_roles_and_a_role_can_be_changed() -> None:
    session = make_session()
    settings = session.settings
    settings.set("style theme", "dark")
    assert {name: settings.get(name) for name in theme_values("dark")} == theme_values("dark")
    settings.set("style address foreground", "red")
    settings.set("style address background", "sky")
    settings.set("style address intensity", "dim")
    assert codes(settings)["address"] == "31;48;5;81;2"
    assert prompt_styles(settings)["address"] == "fg:ansired bg:#5fd7ff"
    settings.set("style theme", "default")
    assert codes(settings)["address"] == "38;5;31"


def test_paint_leaves_unknown_roles_plain() -> None:
    paint = painter(Settings())
    assert paint([("decides", "x"), ("nonsense", "y"), ("", "z")]) == "\x1b[1mx\x1b[0myz"


@pytest.mark.long
def test_no_colour_outside_the_theme() -> None:
    """Code names roles: no ANSI sequence and no role that is not declared."""
    root = Path(__file__).parent.parent.parent / "vmdbg"
    for path in root.rglob("*.py"):
        if path.name in ("theme.py", "styles.py"):
            continue
        text = path.read_text(encoding="utf-8")
        assert "\\x1b[3" not in text, path
        assert "\\x1b[1m" not in text, path
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.keyword) and node.arg == "style" and isinstance(node.value, ast.Constant):
                assert node.value.value in ("", *ROLES), (path, node.value.value)
