"""Questions about the address space of a machine: the user's own, or one on paper."""

from __future__ import annotations

from itertools import islice

from vmdbg.errors import UserError
from vmdbg.exercises.questions import Ask, Question
from vmdbg.formats.contract import ENTRY_BUS
from vmdbg.inspect.address_space import pages
from vmdbg.inspect.notation import Notation
from vmdbg.inspect.rules import RIGHT_OF_RULE, deniers
from vmdbg.inspect.split import split
from vmdbg.inspect.tlb import Probe, cached_entries, look_up
from vmdbg.inspect.translate import outcome_of, translate, walk
from vmdbg.inspect.walk import ACCESS_WORDS, READ, WRITE, Step, remark, walk_tables
from vmdbg.inspect.why import why
from vmdbg.units import WORD_MASK, format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from vmdbg.inspect.address_space import Run
    from vmdbg.inspect.context import Context
    from vmdbg.inspect.tlb import Cached
    from vmdbg.inspect.walk import Outcome, Walk
    from vmdbg.machine.machine import Machine

MOST_PAGES = 4096  # Architecture: a count of mapped pages that are looked at, not a size
TRIES = 200  # addresses until one has a question of the kind that is wanted
FAULT, MISS, NONE = "fault", "miss", "none"
LETTERS = "rwx"


class Source:
    """A machine and the tables that questions are about.  `paper` is the name of a machine on paper, and
    `listing` gives its memory, or the frames that are named, as lines."""

    def __init__(
        self,
        machine: Machine,
        context: Context,
        paper: str = "",
        listing: Callable[[list[int]], list[str]] | None = None,
    ) -> None:
        if machine.format.bounded:
            raise UserError("Base and bounds have no tables: quiz replace and quiz cost need none.")
        self.machine, self.context, self.paper, self.listing = machine, context, paper, listing
        self.show = Notation(machine.format)
        self.mapped = list(islice(self._pages(), MOST_PAGES))
        if not self.mapped:
            raise UserError("Nothing is mapped here.", '"start" and some steps give a program pages.')

    def _pages(self) -> list[Run]:
        """The pages of the user's part that are mapped."""
        end = self.machine.format.user_end
        return list(islice(pages(self.machine, self.context.root, 0, end), MOST_PAGES))

    def address(self, rng: Random, absent: float) -> int:
        """An address in a page that is mapped, or with that likelihood in one near it or anywhere."""
        form, page = self.machine.format, rng.choice(self.mapped)
        if rng.random() >= absent:
            return page.start + rng.randrange(min(page.page_size, page.end - page.start))
        if rng.random() < 0.6:
            near = page.start + rng.choice((-2, -1, 1, 2, 3)) * form.page_size + rng.randrange(form.page_size)
            return near % form.user_end
        return rng.randrange(form.user_end)


def make(source: Source, kind: str, rng: Random, hard: float) -> Question:
    """A question of a kind.  UserError if the machine has none."""
    for _ in range(TRIES):
        found = MAKERS[kind](source, rng, hard)
        if found is not None:
            found.paper = source.paper
            return found
    raise UserError(f"This machine has no question of the kind {kind}.", MISSING.get(kind, ""))


def entries_given(source: Source, walked: Walk, rng: Random) -> list[str]:
    """The root and what stands in memory: the entries that the walk reads, among neighbours of theirs."""
    show, machine, width = source.show, source.machine, source.machine.format.entry_bytes
    if source.listing is not None:
        frames = [step.address >> machine.format.page_bits for step in walked.steps]
        return [f"The root table is at {show.pa(walked.root)}.", *source.listing(frames)]
    rows: dict[int, int] = {}
    for step in walked.steps:
        if step.kind == ENTRY_BUS:
            continue
        rows[step.address] = step.entry
        for index in (step.index - 1, step.index + 1 + rng.randrange(3)):
            if 0 <= index < 1 << machine.format.levels[step.depth].bits:
                at = step.table + index * width
                rows[at] = int(machine.k.load(machine.m, at, width)) & WORD_MASK
    lines = [f"{show.pa(at)}: {show.entry(entry)}" for at, entry in sorted(rows.items())]
    return [f"The root table is at {show.pa(walked.steps[0].table)}; entries have {width} bytes.", *lines]


def goes_to(source: Source, found: Outcome) -> Ask:
    """The last step of a translation."""
    if found.pa is None:
        return Ask("physical address, or fault", FAULT, FAULT)
    return Ask("physical address, or fault", found.pa, source.show.pa(found.pa), other=FAULT)


def translate_question(source: Source, rng: Random, hard: float) -> Question | None:
    """Where does an address go?  Indexes, offset, physical address."""
    machine, show = source.machine, source.show
    walked, found = walk(machine, source.context, source.address(rng, 0.15 + 0.4 * hard))
    if not machine.k.canonical(machine.m, walked.va):
        return None
    parts = split(machine.format, walked.va, found.page_size)
    asks = [Ask(f"index into {level}", value, str(value)) for level, _, value in parts.indexes]
    asks += [Ask("offset", parts.offset, f"{parts.offset} ({parts.offset:#x})"), goes_to(source, found)]
    text = f"Where does {show.va(walked.va)} go?"
    return Question(
        "translate", text, asks, f"walk {show.va(walked.va)}", proof_of(source, walked, found),
        entries_given(source, walked, rng),
    )  # fmt: skip


def walk_question(source: Source, rng: Random, hard: float) -> Question | None:
    """Which entries does the walk read?  The address of each, then where it leads."""
    machine, show = source.machine, source.show
    walked, found = walk(machine, source.context, source.address(rng, 0.1 + 0.4 * hard))
    if not machine.k.canonical(machine.m, walked.va):
        return None
    asks = [
        Ask(f"address of the entry of {step.level}", step.address, show.pa(step.address))
        for step in walked.steps
    ]
    text = f"Which entries does a walk for {show.va(walked.va)} read, and where does it lead?"
    return Question(
        "walk", text, [*asks, goes_to(source, found)], f"walk {show.va(walked.va)}",
        proof_of(source, walked, found), entries_given(source, walked, rng),
    )  # fmt: skip


def proof_of(source: Source, walked: Walk, found: Outcome) -> tuple[object, ...]:
    """What a drawing of a walk needs."""
    return "walk", source.show, walked, found, [remark(source.machine, step) for step in walked.steps]


def fault_question(source: Source, rng: Random, hard: float) -> Question | None:
    """Does an access fault, how, and at which level?"""
    machine, show = source.machine, source.show
    va = source.address(rng, 0.3)
    access = rng.choice((READ, WRITE, WRITE, 2)) if hard > 0.2 else rng.choice((READ, WRITE))
    walked = walk_tables(machine, source.context.root, va, source.context.cpu)
    if not machine.k.canonical(machine.m, va):
        return None
    found = outcome_of(machine, source.context, walked, access)
    level = found.fault.level if found.fault is not None and found.fault.level else NONE
    kind = found.fault.kind if found.fault is not None else NONE
    asks = [
        Ask("level whose entry decides, or none", level, level),
        Ask("kind of the fault (such as not-present or protection), or none", kind, kind),
    ]
    mode = ("user", "kernel")[source.context.mode]
    text = f"Does a {mode} {ACCESS_WORDS[access]} at {show.va(va)} fault?"
    command = f"why {show.va(va)} {LETTERS[access]}"
    proof = ("why", show, machine.format, why(machine, source.context, va, access))
    return Question("fault", text, asks, command, proof, entries_given(source, walked, rng))


def why_question(source: Source, rng: Random, hard: float) -> Question | None:
    """Which field of which entry refuses an access?"""
    machine, show = source.machine, source.show
    va, access = source.address(rng, 0.5 - 0.3 * hard), rng.choice((READ, WRITE, 2))
    verdict = why(machine, source.context, va, access)
    cause = verdict.cause
    if verdict.outcome.fault is None or cause is None or cause.step is None or not verdict.canonical:
        return None
    if (
        cause.rule in RIGHT_OF_RULE
        and verdict.walk.maps
        and len(deniers(machine, verdict.walk, cause.rule)) > 1
    ):
        return None  # more than one entry would have to change
    step = cause.step
    asks = [
        Ask("entry that decides, such as PT[3]", name_of(step), name_of(step)),
        Ask("its field that decides", cause.field, f"{cause.field} = {cause.value}"),
    ]
    mode = ("user", "kernel")[source.context.mode]
    text = f"A {mode} {ACCESS_WORDS[access]} at {show.va(va)} faults.  By which entry, and which field of it?"
    command = f"why {show.va(va)} {LETTERS[access]}"
    given = entries_given(source, verdict.walk, rng)
    return Question("why", text, asks, command, ("why", show, machine.format, verdict), given)


def name_of(step: Step) -> str:
    """`PT[12]`."""
    return step.name


def tlb_question(source: Source, rng: Random, hard: float) -> Question | None:
    """Which set and tag has an address, and does it hit?"""
    machine, show, context = source.machine, source.show, source.context
    cached = [
        found for found in cached_entries(machine, 1, context.cpu) if found.asid in (None, context.asid)
    ]
    va = source.address(rng, 0.2 + 0.3 * hard)
    if cached and rng.random() < 0.55:
        found = rng.choice(cached)
        va = found.va + rng.randrange(found.page_size)
    probes = look_up(machine, context, va, READ)
    if not probes or not machine.k.canonical(machine.m, va):
        return None
    first = [probe for probe in probes if probe.array == probes[0].array]
    probe = next((probe for probe in first if probe.way >= 0), first[0])
    size = "" if len(machine.format.page_shifts) == 1 else f", for pages of {format_size(probe.page_size)}"
    asks = [Ask(f"virtual page number{size}", probe.page_number, f"{probe.page_number:#x}")]
    if probe.sets > 1:
        asks += [Ask("set", probe.set, str(probe.set)), Ask("tag", probe.tag, f"{probe.tag:#x}")]
    word = "hit" if probe.way >= 0 else MISS
    asks.append(Ask("hit or miss", word, word))
    if probe.way >= 0:
        through = translate(machine, context, va, READ)
        if through.pa is None:
            return None
        asks.append(Ask("physical address, or miss", through.pa, show.pa(through.pa), other=MISS))
    else:
        asks.append(Ask("physical address, or miss", MISS, MISS))
    text = f"{probe.array} has {probe.sets} sets of {probe.ways} ways.  Does {show.va(va)} hit in it?"
    if probe.sets == 1:
        text = f"{probe.array} has {probe.ways} entries.  Does {show.va(va)} hit in it?"
    return Question(
        "tlb", text, asks, f"tlb lookup {show.va(va)}", ("tlb", show, probes), rows_of(source, probe, cached)
    )


def rows_of(source: Source, probe: Probe, cached: list[Cached]) -> list[str]:
    """What the array holds in the set of a look-up and the sets beside it, or all if it is one set."""
    near = {(probe.set + shift) % probe.sets for shift in (-1, 0, 1)} if probe.sets > 4 else range(probe.sets)
    lines = []
    for found in cached:
        if found.array == probe.array and found.set in near:
            page = found.va // found.page_size & (1 << source.machine.format.va_bits) - 1
            page &= (1 << source.machine.format.va_bits) // found.page_size - 1
            where = f"set {found.set}  tag {page // found.sets:#x}" if found.sets > 1 else f"vpn {page:#x}"
            size = "" if len(source.machine.format.page_shifts) == 1 else f"  {format_size(found.page_size)}"
            lines.append(f"{where}  frame {source.show.pfn(found.pfn)}{size}")
    return lines or ["It is empty."]


MAKERS = {
    "translate": translate_question,
    "walk": walk_question,
    "fault": fault_question,
    "why": why_question,
    "tlb": tlb_question,
}
MISSING = {
    "tlb": "It has no TLB, or no address-space number.",
    "why": "No access that was tried is refused.",
}
