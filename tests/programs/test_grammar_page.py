"""The grammar on the page of the language, read and held against the parser.

Sentences that it makes are never refused for their form, and programs that the parser takes are sentences.
"""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path

import pytest

from vmdbg.errors import InputError
from vmdbg.programs.operations import KINDS, OPERATIONS, PATTERNS
from vmdbg.programs.options import OPTION_TEXTS
from vmdbg.programs.vmp import KEYWORDS, parse_vmp

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
PROGRAMS = [
    *(ROOT / "vmdbg" / "machine" / "presets").glob("*.vmp"),
    *(ROOT / "docs" / "examples").glob("*.vmp"),
]
#: A node of the grammar: ("text", "let"), ("name", "EXPR"), ("all" | "one" | "any" | "option", [nodes]).
Node = tuple[str, object]
TOKEN = re.compile(r'"[^"]*"|[A-Za-z]+|[{}\[\]()|]')
DEPTH = 3  # of expressions in expressions
#: What the errors of the form of a line look like; others are about what it means.
FORM = re.compile(
    r'(expected .*(, not ".*"|, but the line ends)|unknown operation .*|.* is a word of the language.*)$'
)


def read_grammar(text: str) -> dict[str, Node]:
    rules: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        head, found, tail = line.partition("=") if not line.startswith(" ") else ("", "", line)
        name = head.strip() or name
        if found or tail.strip():
            rules[name] = rules.get(name, "") + " " + (tail if found else line)
    return {name: Reader(body).alternatives() for name, body in rules.items()}


class Reader:
    """Reads the right side of a rule."""

    def __init__(self, text: str) -> None:
        self.tokens = TOKEN.findall(text)
        assert re.sub(r"\s", "", TOKEN.sub("", text)) == "", text
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        self.at += 1
        return str(self.tokens[self.at - 1])

    def alternatives(self) -> Node:
        found = [self.sequence()]
        while self.peek() == "|":
            self.take()
            found.append(self.sequence())
        return found[0] if len(found) == 1 else ("one", found)

    def sequence(self) -> Node:
        found: list[Node] = []
        while self.peek() and self.peek() not in "|)]}":
            token = self.take()
            closing = {"(": ")", "[": "]", "{": "}"}.get(token)
            if closing:
                inside = self.alternatives()
                assert self.take() == closing
                found.append({")": inside, "]": ("option", [inside]), "}": ("any", [inside])}[closing])
            else:
                found.append(("text", token.strip('"')) if token[0] == '"' else ("name", token))
        return "all", found


GRAMMAR = read_grammar(PAGE.split("```text\n")[1].split("```")[0])
WORDS = {
    "NUMBER": r"(?:0[xX][0-9a-fA-F]+|0[bB][01]+[KMGTPE]?|[0-9]+(?:[KMGTPEkmgtpe](?:i?[bB])?|[bB])?)",
    "NAME": r"(?!(?:" + "|".join(KEYWORDS) + r")\b)[A-Za-z_][A-Za-z0-9_]*",
    "WORD": r"[A-Za-z_][A-Za-z0-9_]*",
    "RIGHTS": r"(?:none|(?=[rwxu-]+\b|[rwxu-]+(?![A-Za-z0-9_]))[rwxu-]+)",
    "KIND": "(?:" + "|".join(KINDS) + ")",
    "TEXT": '"[^"]+"',
    "COMMENT": ".*",
}


def pattern(node: Node, depth: int = DEPTH) -> str:
    """A regular expression for the sentences of a node; expressions inside one another up to a depth."""
    kind, inside = node
    if kind == "text":
        text = str(inside)
        return re.escape(text) + (r"\b" if text.isalpha() else "") + r"[ \t]*"
    if kind == "name":
        if inside in WORDS:
            return WORDS[str(inside)] + r"(?![A-Za-z0-9_])[ \t]*" if inside != "COMMENT" else WORDS["COMMENT"]
        if inside == "EXPR":
            depth -= 1
        return "(?!)" if depth < 0 else pattern(GRAMMAR[str(inside)], depth)
    assert isinstance(inside, list)
    parts = [pattern(child, depth) for child in inside]
    joined = {"all": "".join, "one": "|".join, "option": "".join, "any": "".join}[kind](parts)
    return f"(?:{joined})" + {"option": "?", "any": "*"}.get(kind, "")


def sentence(node: Node, rng: random.Random, depth: int = 0) -> list[str]:
    """Random tokens of a node."""
    kind, inside = node
    if kind == "text":
        return [str(inside)]
    if kind == "name":
        samples = {
            "NUMBER": ("0", "1", "8", "0x1000", "4K", "2M", "0b11K", "017", "64K"),
            "WORD": ("first", "loop", "_"),
            "NAME": ("buf", "a", "_x1", "mend"),
            "RIGHTS": ("r", "rw", "r-x", "none", "rwx"),
            "KIND": KINDS,
            "TEXT": ('"nothing.bin"', '"a # b"'),
            "COMMENT": ("", "anything at all ( , ["),
        }
        if inside in samples:
            return [rng.choice(samples[str(inside)])]
        if inside == "EXPR" and depth == DEPTH - 1:
            return ["1"]
        return sentence(GRAMMAR[str(inside)], rng, depth + (inside == "EXPR"))
    assert isinstance(inside, list)
    if kind == "one":
        return sentence(rng.choice(inside), rng, depth)
    times = {"all": 1, "option": rng.randint(0, 1), "any": rng.choice((0, 0, 1, 2))}[kind]
    return [token for _ in range(times) for child in inside for token in sentence(child, rng, depth)]


def written(tokens: list[str], rng: random.Random) -> str:
    """The tokens with blanks where words meet, and now and then elsewhere."""
    text = ""
    for token in tokens:
        word = text[-1:].isalnum() or text[-1:] in ("_", "-")
        text += " " * (rng.random() < 0.3 or (word and (token[0].isalnum() or token[0] in "_-"))) + token
    return text


@cache
def line_pattern() -> re.Pattern[str]:
    return re.compile(r"[ \t]*" + pattern(GRAMMAR["line"]))


def test_the_grammar_has_all_words() -> None:
    texts = set(re.findall(r'"([a-z]+)"', PAGE.split("```text\n")[1].split("```")[0]))
    assert texts == {"process", "region", "let", "loop", "end", *OPERATIONS, *PATTERNS, *OPTION_TEXTS}


@pytest.mark.parametrize("seed", range(20))
def test_its_sentences_have_the_form_that_the_parser_wants(seed: int) -> None:
    rng = random.Random(seed)
    meant = 0
    for _ in range(200):
        tokens = sentence(GRAMMAR["line"], rng)
        if tokens[:1] == ["region"] or "region" in tokens[:3]:
            at = tokens.index("region")
            tokens[at + 2 :] = ["4K", "8K", rng.choice(("rw", "none"))]  # a size with a sign is none
        text = f"let buf = 0x10000\nlet _x1 = 2\n{written(tokens, rng)}"
        assert line_pattern().fullmatch(text.split("\n")[2]), text
        refusal = ""
        try:
            parse_vmp(text.encode(), "t.vmp", va_bits=48, page_size=1 << 12)
        except InputError as error:
            refusal = error.message
        assert not FORM.match(refusal), (text, refusal)
        meant += not refusal
    assert meant > 20


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_programs_that_come_with_it_are_sentences(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        assert line_pattern().fullmatch(line), line


@pytest.mark.long
def test_what_the_parser_takes_is_a_sentence() -> None:
    """One-line programs with a word taken out, doubled or exchanged."""
    seeds = ["read 4K..8K step 8, 2", "write random(0, 4K, count=3, seed=1), 7, 8", "let a = (1 + 2) * -3",
             "region heap 0 4K rw page=4K populate", "process a limit=3 cpu=1", "loop 3", "exit 2",
             "mmap 4K, 8K, r-x populate", "fork", "x: read 1"]  # fmt: skip
    pieces = sorted({token for seed in seeds for token in re.findall(r"\w+|\.\.|\S", seed)})
    rng, taken = random.Random(1), 0
    for _ in range(4000):
        tokens = re.findall(r"\w+|\.\.|\S", rng.choice(seeds))
        at = rng.randrange(len(tokens))
        tokens[at : at + rng.randint(0, 1)] = rng.choice(([], [rng.choice(pieces)], tokens[at : at + 1] * 2))
        line = written(tokens, rng)
        ending = {"loop": "\nread 0\nend", "x": "\nread 0"}.get(tokens[0] if tokens else "", "\nread 0")
        if tokens[:1] in (["region"], ["process"]):
            ending = "\nread 0"
        try:
            parse_vmp((line + ending).encode(), "t.vmp", va_bits=48, page_size=1 << 12)
        except InputError:
            continue
        taken += 1
        assert line_pattern().fullmatch(line), line
    assert taken > 200
