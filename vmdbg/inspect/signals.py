"""The signals that the kernel sends, by their names."""

from __future__ import annotations

SIGNAL_NAMES = {
    7: ("SIGBUS", "Bus error"),
    9: ("SIGKILL", "Killed"),
    11: ("SIGSEGV", "Segmentation fault"),
}
SEGV_CODES = {1: "MAPERR", 2: "ACCERR", 4: "PKUERR"}


def signal_name(number: int) -> str:
    """`SIGSEGV`; `signal 4` for one that the kernel does not send."""
    return SIGNAL_NAMES[number][0] if number in SIGNAL_NAMES else f"signal {number}"


def signal_help(number: int) -> str:
    """`Segmentation fault`; empty for a signal that the kernel does not send."""
    return SIGNAL_NAMES[number][1] if number in SIGNAL_NAMES else ""


def signal_text(number: int, code: int) -> str:
    """`SIGSEGV (ACCERR)`, with the code that says why, where there is one."""
    known = SIGNAL_NAMES.get(number, ("",))[0] == "SIGSEGV" and code in SEGV_CODES
    return signal_name(number) + (f" ({SEGV_CODES[code]})" if known else "")
