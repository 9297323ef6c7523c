"""The editing mode in readline's init file: `set editing-mode vi`.

`$INPUTRC`, else `~/.inputrc`, else `/etc/inputrc`, as readline looks for it (readline manual, "Readline
Init File").  Of its conditions `$if mode=`, `$if term=` and `$if NAME` are understood; `$include` is not.
"""

from __future__ import annotations

import os

APPLICATIONS = ("vmdbg", "gdb")  # names that `$if` may ask for
LONGEST = 1 << 16  # characters that are read


def editing_mode() -> str:
    """`emacs` or `vi`."""
    for path in (os.environ.get("INPUTRC"), os.path.expanduser("~/.inputrc"), "/etc/inputrc"):
        if not path:
            continue
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return mode_in(file.read(LONGEST))
        except OSError:
            continue
    return "emacs"


def mode_in(text: str) -> str:
    """The editing mode that an init file sets."""
    mode = "emacs"
    holds = [True]  # of the conditions around a line
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        word = words[0].lower()
        if word == "$if":
            holds.append(is_met(words[1] if len(words) > 1 else "", mode))
        elif word == "$else" and len(holds) > 1:
            holds[-1] = not holds[-1]
        elif word == "$endif" and len(holds) > 1:
            holds.pop()
        elif word == "set" and len(words) > 2 and words[1].lower() == "editing-mode" and all(holds):
            mode = "vi" if words[2].lower() == "vi" else "emacs"
    return mode


def is_met(test: str, mode: str) -> bool:
    """Whether the test of an `$if` holds."""
    name, equals, value = test.partition("=")
    if not equals:
        return name.lower() in APPLICATIONS
    if name == "mode":
        return value == mode
    return name == "term" and value in terminal_names()


def terminal_names() -> tuple[str, str]:
    """The terminal's name, whole and up to its first dash."""
    name = os.environ.get("TERM", "")
    return name, name.partition("-")[0]
