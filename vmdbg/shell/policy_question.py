"""What `policy table` and `policy compare` are asked: policies, numbers of frames, pages or a file."""

from __future__ import annotations

import re

from vmdbg.errors import UserError
from vmdbg.inspect.policy import check_frames
from vmdbg.kernel.policies import POLICIES
from vmdbg.shell.kinds import Kind
from vmdbg.shell.text_completion import complete_file
from vmdbg.units import MOST_DIGITS, decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmdbg.shell.session import Session

LETTER = re.compile("[A-Za-z][0-9]{0,8}")  # a page as textbooks name some: A, b, p1
LETTERS = 1 << 200  # added to what stands for one; above all numbers of MOST_DIGITS digits


def complete_question(session: Session, text: str) -> list[str]:
    """Policies, the option, and files, for the word at the end of `text`."""
    start = text.rfind(" ") + 1
    word = text[start:]
    names = [name for name in (*POLICIES, "-frames") if name.startswith(word)]
    return [text[:start] + name for name in names or complete_file(session, word)]


QUESTION = Kind("policies and references", lambda session, text: text, complete_question, rest=True)


class Question:
    """What is asked: policies, numbers of frames, and pages as they were typed or a file."""

    def __init__(self, session: Session, text: str) -> None:
        given = text.split()
        if "-frames" not in given:
            raise UserError("Argument required (-frames N).")
        place = given.index("-frames")
        self.sizes = sizes_of("".join(given[place + 1 : place + 2]))
        first = " ".join(given[:place]).replace(",", " ").split()
        words = first + " ".join(given[place + 2 :]).replace(",", " ").split()
        policies: list[str] = []
        while words and page_of(words[0]) is None and (words[0] in POLICIES or words[0].endswith(".py")):
            policies.append(policy_of(session, words.pop(0)))
        unknown = len(words) > 1 and len(policies) < len(first) and page_of(words[0]) is None
        if not policies or unknown:
            named = unknown or (first and page_of(words[0]) is None)
            wrong = f'Undefined policy: "{words[0]}".' if named else "Argument required (a policy)."
            raise UserError(wrong, f"Policies are {', '.join(POLICIES)}.")
        if not words:
            raise UserError("Argument required (pages).")
        self.policies = list(dict.fromkeys(policies))
        self.file = words[0] if len(words) == 1 and page_of(words[0]) is None else ""
        self.texts: dict[int, str] = {}
        self.pages = [] if self.file else [self.page(word) for word in words]

    def page(self, word: str) -> int:
        """A page; how it was typed first is kept.  UserError if the word is none."""
        found = page_of(word)
        if found is None:
            raise no_page(word)
        self.texts.setdefault(found, word)
        return found


def sizes_of(text: str) -> list[int]:
    """Numbers of frames with commas between them, in order.  UserError."""
    sizes = set()
    for word in text.split(","):
        size = decimal(word)
        if size is None:
            raise UserError("-frames: expected a number of frames, or several with commas between them.")
        check_frames(size)
        sizes.add(size)
    return sorted(sizes)


def page_of(word: str) -> int | None:
    """What stands for a page: its number, decimal or with 0x; for a letter, with digits or without, a number
    that no other has.  None if the word is no page."""
    if LETTER.fullmatch(word):
        return LETTERS + int.from_bytes(word.encode())
    try:
        found = int(word, 16 if word[:2].lower() == "0x" else 10) if len(word) <= MOST_DIGITS else -1
    except ValueError:
        return None
    return found if found >= 0 else None


def no_page(word: str) -> UserError:
    """The error for a word that is no page."""
    return UserError(f'"{word}" is no page: expected a number, decimal or hex with 0x, or a letter.')


def policy_of(session: Session, word: str) -> str:
    """A policy, or a file that has one, which a restricted session may not run."""
    if word in POLICIES:
        return word
    session.permissions.require_open("A file as kernel.policy")
    return str(session.permissions.path(word))
