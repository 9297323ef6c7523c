"""policy load, policy table, policy compare, info replacements: what page-replacement policies did."""

from __future__ import annotations

import os
from collections import namedtuple

from vmdbg.inspect.policy import is_oracle
from vmdbg.views.document import Document
from vmdbg.views.result import ADDRESS, FLAG, NUMBER, WIDTH, Column, Record, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from vmdbg.debugger.time.references import Stretch
    from vmdbg.inspect.notation import Notation
    from vmdbg.inspect.policy import PolicyFile, Step


def percent(part: int, whole: int) -> str:
    """`70 %`; tenths where there are some."""
    return f"{100 * part / whole:.1f}".removesuffix(".0") + " %" if whole else "0 %"


def oracle_note(policies: Iterable[str]) -> list[str]:
    """Which of some policies are oracles, in a line; nothing if none is."""
    names = [policy for policy in dict.fromkeys(policies) if is_oracle(policy)]
    if not names:
        return []
    what = "is an oracle" if len(names) == 1 else "are oracles"
    return [f"{', '.join(names)} {what}: no hardware tells a kernel what that takes."]


def with_oracle(policy: str) -> str:
    """`opt (oracle)`, `clock`: a policy where there is no room for a line about it."""
    return f"{policy} (oracle)" if is_oracle(policy) else policy


# -- policy load

WHEN = {
    "now": "it has taken effect",
    "run": 'it takes effect at the next "run"',
    "unchanged": "nothing to do",
}


def loaded_policy(found: PolicyFile, again: bool, effect: str) -> Record:
    """What `policy load` did: `effect` is a key of WHEN, `again` says that the machine had an older text."""
    name = os.path.basename(found.path)
    verb = "has not changed" if effect == "unchanged" else "is loaded again" if again else "is loaded"
    data = {
        "file": found.path,
        "functions": found.functions,
        "summary": found.summary or None,
        "again": again,
        "effect": effect,
    }
    lines = [f"{name}: {found.summary}"] if found.summary and effect != "unchanged" else []
    return Record(data, [*lines, f"{name} {verb} ({', '.join(found.functions)}): {WHEN[effect]}."])


# -- policy table


def step_data(policy: str, steps: Sequence[Step], texts: Mapping[Any, str], others: Mapping[str, int]) -> Any:
    """The table as plain data; pages as they were typed."""

    def name(page: object) -> str | None:
        return None if page is None else texts[page]

    faults = sum(step.fault for step in steps)
    return {
        "policy": policy,
        "oracle": is_oracle(policy),
        "frames": len(steps[0].frames),
        "references": len(steps),
        "faults": faults,
        "hits": len(steps) - faults,
        "ratio": faults / len(steps),
        "others": dict(others),
        "steps": [
            {
                "page": name(step.page),
                "fault": step.fault,
                "victim": name(step.victim),
                "frames": [name(page) for page in step.frames],
                "accessed": step.accessed,
                "hand": step.hand,
                **({} if step.time is None else {"time": step.time}),
            }
            for step in steps
        ],
    }


def table_rows(
    steps: Sequence[Step],
    texts: Mapping[Any, str],
    victims: bool,
    bits: bool,
    numbers: Mapping[int, str] | None = None,
) -> list[list[str]]:
    """Rows of the drawing, the head of each first; the hand, if there is one, and accessed bits, if `bits`.

    `numbers`: what frames are called, those that are drawn first; without it they are counted from 0.
    """
    said = {frame: str(frame) for frame in range(len(steps[0].frames))} if numbers is None else numbers
    rows = [["page", *(texts[step.page] for step in steps)]]
    for frame, number in zip(range(len(steps[0].frames)), said.values(), strict=False):
        row = [f"frame {number}"]
        for step in steps:
            page = step.frames[frame]
            row.append("." if page is None else texts[page] + "*" * (bits and step.accessed[frame]))
        rows.append(row)
    if steps[0].hand is not None:
        rows.append(["hand", *(said[step.hand] for step in steps)])
    rows.append(["fault", *("F" if step.fault else "" for step in steps)])
    if victims:
        rows.append(["out", *("" if step.victim is None else texts[step.victim] for step in steps)])
        rows.append(["hit", *("" if step.fault else "H" for step in steps)])
        rows += [["time", *(str(step.time) for step in steps)]] if steps[0].time is not None else []
    return rows


def table_lines(
    policy: str,
    steps: Sequence[Step],
    texts: Mapping[Any, str],
    others: Mapping[str, int],
    victims: bool,
    bits: bool,
    numbers: Mapping[int, str] | None = None,
) -> Iterator[str]:
    """The textbook's drawing, cut where the screen ends, and the sum."""
    rows = table_rows(steps, texts, victims, bits, numbers)
    head = max(len(row[0]) for row in rows)
    cell = max(len(text) for row in rows for text in row[1:])
    room = max(1, (WIDTH - head) // (cell + 1))
    for first in range(0, len(steps), room):
        if first:
            yield ""
        for row in rows:
            cells = row[1 + first : 1 + first + room]
            yield " ".join([row[0].ljust(head), *(text.ljust(cell) for text in cells)]).rstrip()
    faults = sum(step.fault for step in steps)
    told = ", ".join(f"{name.upper()} {count}" for name, count in others.items())
    line = f"{faults} fault{'s' * (faults != 1)} in {len(steps)} reference{'s' * (len(steps) != 1)}"
    yield f"{line} ({percent(faults, len(steps))})." + (f"  {told}." if told else "")
    yield from oracle_note([policy, *others])


def policy_table(
    policy: str,
    steps: Sequence[Step],
    texts: Mapping[Any, str],
    others: Mapping[str, int],
    victims: bool,
    bits: bool,
    numbers: Mapping[int, str] | None = None,
) -> Document:
    """What a policy does with a reference string, reference by reference; `bits`, `numbers`: see
    `table_rows`."""
    columns = [Column("page"), Column("fault", kind=FLAG), Column("victim"), Column("hand", kind=NUMBER)]
    for frame in range(len(steps[0].frames)):
        columns += [Column(f"frame_{frame}"), Column(f"accessed_{frame}", kind=FLAG)]

    def cells() -> Iterator[list[Any]]:
        for step in steps:
            row = [texts[step.page], step.fault, texts.get(step.victim), step.hand]
            for page, accessed in zip(step.frames, step.accessed, strict=True):
                row += [texts.get(page), accessed]
            yield row

    return Document(
        lambda: (
            step_data(policy, steps, texts, others)
            | ({"pfns": list(numbers)[: len(steps[0].frames)]} if numbers else {})
        ),
        lambda: table_lines(policy, steps, texts, others, victims, bits, numbers),
        columns,
        cells,
    )


def stretch_table(policy: str, found: Stretch, show: Notation, victims: bool, bits: bool) -> Document:
    """What the policy of a machine did with the references of a stretch of its run."""
    several = len({step.page.pid for step in found.steps}) > 1
    texts: dict[Any, str] = {}
    for step in found.steps:
        for page in (step.page, *step.frames, *(step.victim or ())):
            if page is not None and page not in texts:
                texts[page] = f"{page.pid}:{show.vpn(page.vpn)}" if several else show.vpn(page.vpn)
        if step.victim is not None:
            texts[step.victim] = ",".join(texts[page] for page in step.victim)
    hands = [step.hand for step in found.steps if step.hand is not None]
    numbers = {pfn: show.pfn(pfn) for pfn in (*found.pfns, *hands)}
    return policy_table(os.path.basename(policy), found.steps, texts, {}, victims, bits, numbers)


# -- why victim


#: How a victim was chosen: when, by which policy (empty: by a command), by which rule, the frame whose page
#: was taken, and the page-frame numbers of those whose accessed bit was cleared before, in order.
Choice = namedtuple("Choice", "time policy rule taken cleared")
TOLD = 6  # frames that are named one by one


def search_line(show: Notation, choice: Choice, pages: Sequence[Mapping[str, Any]]) -> str:
    """`steps  A of 0x3ffd, 0x3ffe cleared; 0x3fff taken`: how the policy came to the victim; empty if it
    cleared no bits on its way."""
    if not choice.cleared:
        return ""
    cleared = [show.pfn(pfn) for pfn in choice.cleared]
    if len(cleared) > TOLD:
        cleared = [*cleared[: TOLD - 2], f"... {cleared[-1]} ({len(choice.cleared)} frames)"]
    taken = next((show.pfn(page["pfn"]) for page in pages if page["frame"] == choice.taken), "none")
    return f"steps  A of {', '.join(cleared)} cleared; {taken} taken"


def victim_document(show: Notation, choice: Choice, pages: Sequence[Mapping[str, Any]]) -> Document:
    """The pages that a policy could choose from at an eviction, and how it chose."""
    taken = choice.taken
    known = any(page["known"] for page in pages)
    best = max(pages, key=lambda page: page["next_use"] or 1 << 62) if known else None
    keys = ("pfn", "pid", "va", "accessed", "dirty", "hand", "age", "next_use")

    def note(page: Mapping[str, Any]) -> str:
        if page["frame"] != taken:
            return "A cleared" if page["pfn"] in choice.cleared else ""
        if best is None:
            return "<- taken"
        if (best["next_use"] or 1 << 62) == (page["next_use"] or 1 << 62):
            return "<- taken, as OPT would"
        return f"<- taken; OPT would take frame {show.pfn(best['pfn'])}"

    def lines() -> Iterator[Any]:
        for page in pages:
            if page["frame"] == taken:
                name = "in no process" if page["va"] is None else f"page {show.va(page['va'])}"
                said = f"{name}, A {int(page['accessed'])}, D {int(page['dirty'])}"
                by = f", by {with_oracle(os.path.basename(choice.policy))}" if choice.policy else ""
                yield f"{choice.time}  frame {show.pfn(page['pfn'])} ({said}){by}"
        yield f"rule   {choice.rule}"
        steps = search_line(show, choice, pages)
        yield from [steps] if steps else []
        rows = []
        for page in pages:
            use = "-" if not page["known"] else "never" if page["next_use"] is None else str(page["next_use"])
            mark = ">" if page["hand"] else ""
            bits = [str(int(page["accessed"])), str(int(page["dirty"]))]
            va = "-" if page["va"] is None else show.va(page["va"])
            age = "-" if page["age"] is None else str(page["age"])
            rows.append([mark, show.pfn(page["pfn"]), page["pid"], va, *bits, age, use, note(page)])
        columns = [Column("hand", ""), Column("frame"), Column("pid", kind=NUMBER), Column("page")]
        columns += [Column("A"), Column("D"), Column("age", align=">"), Column("next use", align=">")]
        yield from Table([*columns, Column("note", "")], rows).lines()

    def data() -> dict[str, Any]:
        return {
            "time": choice.time,
            "policy": choice.policy or None,
            "oracle": is_oracle(choice.policy),
            "rule": choice.rule,
            "cleared": choice.cleared,
            "candidates": [
                {**{key: page[key] for key in keys}, "taken": page["frame"] == taken} for page in pages
            ],
        }

    return Document(
        data,
        lines,
        [*(Column(key) for key in keys), Column("taken", kind=FLAG)],
        lambda: [[*(page[key] for key in keys), page["frame"] == taken] for page in pages],
        ("pfn", "va", "cleared"),
    )


# -- info replacements


def replacements_table(show: Notation, rows: Iterable[Sequence[Any]]) -> Table:
    """Evictions: time, process, frame, the page that left, the page that came, what became of the first."""
    page = show.va
    return Table(
        [
            Column("time"),
            Column("pid", kind=NUMBER),
            Column("pfn", "frame", kind=ADDRESS, format=show.pfn),
            Column("page_out", kind=ADDRESS, format=lambda va: "-" if va is None else page(va)),
            Column("page_in", kind=ADDRESS, format=lambda va: "-" if va is None else page(va)),
            Column("how"),
        ],
        rows,
        empty="No page has left memory.",
    )
