"""The texts of --version, `show version`, --help and the banner."""

from __future__ import annotations

from vmdbg import __version__

VERSION_TEXT = """\
vmdbg {version}, a debugger for virtual memory
Licence MIT.  There is no warranty, to the extent permitted by law.

For help, type "help".
Type "apropos word" to search for commands related to "word"."""

BANNER = 'vmdbg {version}, a debugger for virtual memory.  "help" lists commands; "quit" leaves.'


def version_text() -> str:
    """What `show version` says."""
    return VERSION_TEXT.format(version=__version__)


def banner() -> str:
    """What a session begins with, unless -q; it fits 80 columns."""
    return BANNER.format(version=__version__.removesuffix(".0"))
