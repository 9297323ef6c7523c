"""Questions and keys as text; the reason of an answer is drawn by the view of the command that gives it."""

from __future__ import annotations

from vmdbg.debugger.output import line_text
from vmdbg.inspect.policy import looks_at_bits
from vmdbg.views.calc import access_lines
from vmdbg.views.policy import table_lines
from vmdbg.views.tlb import probe_lines
from vmdbg.views.translate import walk_lines
from vmdbg.views.why import why_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Protocol

    from vmdbg.views.result import Line

    class Ask(Protocol):
        """A step of a question."""

        name: str
        shown: str

    class Question(Protocol):
        """A question."""

        kind: str
        text: str
        asks: list[Any]
        command: str
        proof: tuple[Any, ...]
        given: list[str]
        paper: str


def question_lines(question: Question, head: str) -> Iterator[Line]:
    """What is asked, and what is given."""
    yield [("title", head), ("", question.text)]
    yield from (f"  {line}" for line in question.given)


def proof_lines(question: Question) -> Iterator[Line]:
    """Why the answer is what it is: what the command says."""
    yield f'"{question.command}" says:'
    kind, *rest = question.proof
    yield from PROOFS[kind](*rest)


def policy_lines(policy: str, steps: Any, texts: Any) -> Iterator[Line]:
    """The textbook's table."""
    yield from table_lines(policy, steps, texts, {}, False, looks_at_bits(policy, {}))


def cost_lines(found: Any) -> Iterator[Line]:
    """The sums, in nanoseconds."""
    yield from access_lines(found, "ns")


PROOFS: dict[str, Any] = {
    "walk": walk_lines,
    "why": why_lines,
    "tlb": probe_lines,
    "policy": policy_lines,
    "cost": cost_lines,
}


def plain_lines(lines: Iterable[Line]) -> list[str]:
    """Lines without their styles."""
    return [line_text(line) for line in lines]
