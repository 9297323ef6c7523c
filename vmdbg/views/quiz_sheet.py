"""A sheet of questions, and its key, as Markdown, HTML or LaTeX."""

from __future__ import annotations

from html import escape

from vmdbg.views.quiz import plain_lines, proof_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vmdbg.views.quiz import Question

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#111;background:#fff}"
    "pre{font-size:13px;line-height:1.25;overflow-x:auto;border-left:3px solid #999;padding-left:.8em}"
    ".blank{border-bottom:1px solid #111;display:inline-block;min-width:9em}"
    "li{margin:1em 0;break-inside:avoid}"
    "@media print{pre{font-size:9px}}"
)
TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    char: "\\" + char for char in "&%$#_{}"
}
PAPERS = {
    "two-levels": "Addresses have 15 bits, pages 32 bytes, and memory 128 pages, which follow.  Page tables "
    "have two levels, PD and PT, of 32 entries each; an entry is one byte: the valid bit on top, then seven "
    "bits of frame number.",
    "one-level": "Virtual addresses have 14 bits, physical ones 12, pages 64 bytes.  The first 32 entries of "
    "the page table and the whole TLB, of four sets of four ways, follow; numbers are in hex.",
}


class Part:
    """Questions about one thing: a machine on paper with its memory, or none."""

    def __init__(self, paper: str, listing: list[str], questions: Sequence[Question]) -> None:
        self.paper, self.listing, self.questions = paper, listing, questions


def sheet(form: str, parts: Sequence[Part], seed: int) -> str:
    """The questions, with room for the answers."""
    out = Writer(form)
    out.begin(f"Virtual memory: exercises (seed {seed})")
    count = 0
    for part in parts:
        if part.paper:
            out.text(PAPERS[part.paper])
            out.lines(part.listing)
        out.open_list(count)
        for question in part.questions:
            count += 1
            out.item(question.text)
            given = question.given[:1] if part.paper == "two-levels" else [] if part.paper else question.given
            if given:
                out.lines(given)
            out.blanks([ask.name for ask in question.asks])
        out.close_list()
    return out.end()


def key(form: str, parts: Sequence[Part], seed: int) -> str:
    """The answers, each with what the command says."""
    out = Writer(form)
    out.begin(f"Virtual memory: key (seed {seed})")
    count = 0
    for part in parts:
        out.open_list(count)
        for question in part.questions:
            count += 1
            out.item(question.text)
            out.answers({ask.name: ask.shown for ask in question.asks})
            out.lines(plain_lines(proof_lines(question)))
        out.close_list()
    return out.end()


class Writer:
    """Writes one of the three forms."""

    def __init__(self, form: str) -> None:
        self.form, self.out, self._number = form, list[str](), 0

    def begin(self, title: str) -> None:
        """The head."""
        if self.form == "html":
            self.out += [
                '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>",
            ]
        elif self.form == "tex":
            self.out += [
                r"\documentclass[11pt]{article}",
                r"\usepackage[a4paper,margin=2cm]{geometry}",
                r"\begin{document}",
                rf"\section*{{{tex(title)}}}",
            ]
        else:
            self.out += [f"# {title}", ""]

    def end(self) -> str:
        """All of it."""
        if self.form == "html":
            self.out.append("</body></html>")
        elif self.form == "tex":
            self.out.append(r"\end{document}")
        return "\n".join([*self.out, ""])

    def text(self, text: str) -> None:
        """A paragraph."""
        if self.form == "html":
            self.out.append(f"<p>{escape(text)}</p>")
        else:
            self.out += [tex(text) if self.form == "tex" else text, ""]

    def lines(self, lines: Iterable[str]) -> None:
        """Lines as they stand."""
        if self.form == "html":
            self.out += ["<pre>" + escape("\n".join(lines)) + "</pre>"]
        elif self.form == "tex":
            self.out += [r"{\scriptsize\begin{verbatim}", *lines, r"\end{verbatim}", "}"]
        else:
            indent = "   " if self._number else ""
            self.out += [*(f"{indent}{line}".rstrip() for line in ["```text", *lines, "```"]), ""]

    def open_list(self, count: int) -> None:
        """Questions follow; so many came before."""
        self._number = count
        if self.form == "html":
            self.out.append(f'<ol start="{count + 1}">')
        elif self.form == "tex":
            self.out += [r"\begin{enumerate}", rf"\setcounter{{enumi}}{{{count}}}"]

    def close_list(self) -> None:
        """No more questions for now."""
        self.out += {"html": ["</ol>"], "tex": [r"\end{enumerate}"]}.get(self.form, [])
        self._number = 0

    def item(self, text: str) -> None:
        """One question."""
        self._number += 1
        if self.form == "html":
            self.out.append(f"<li>{escape(text)}")
        else:
            self.out += [rf"\item {tex(text)}"] if self.form == "tex" else [f"{self._number}. {text}", ""]

    def blanks(self, names: list[str]) -> None:
        """Room for each answer."""
        if self.form == "html":
            rows = (f'{escape(name)}: <span class="blank">&nbsp;</span>' for name in names)
            self.out.append("<p>" + "<br>".join(rows) + "</p>")
        elif self.form == "tex":
            self.out += [rf"\par {tex(name)}: \rule{{4cm}}{{0.4pt}}" for name in names]
        else:
            self.out += [*(f"   - {name}: ________" for name in names), ""]

    def answers(self, found: Mapping[str, str]) -> None:
        """Each step with its answer."""
        if self.form == "html":
            rows = (f"{escape(name)}: <b>{escape(shown)}</b>" for name, shown in found.items())
            self.out.append("<p>" + "<br>".join(rows) + "</p>")
        elif self.form == "tex":
            self.out += [rf"\par {tex(name)}: \textbf{{{tex(shown)}}}" for name, shown in found.items()]
        else:
            self.out += [*(f"   - {name}: **{shown}**" for name, shown in found.items()), ""]


def tex(text: str) -> str:
    """Text for LaTeX."""
    return "".join(TEX.get(char, char) for char in text)
