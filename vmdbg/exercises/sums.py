"""Questions that need no machine of the user's: reference strings, and effective access time."""

from __future__ import annotations

from fractions import Fraction

from vmdbg.exercises.questions import Ask, Question
from vmdbg.inspect.calc import access_time
from vmdbg.inspect.policy import steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from random import Random

POLICIES = ("fifo", "lru", "opt", "clock")
SERVICES = (("100us", Fraction(100_000)), ("1ms", Fraction(1_000_000)), ("8ms", Fraction(8_000_000)))


def replace_question(rng: Random, hard: float) -> Question:
    """Hits and faults of a policy on a reference string; hard ones are longer, with more frames."""
    policy = rng.choice(POLICIES[: 1 + round(hard * 4)])
    frames = 2 + round(hard * rng.random() * 2) + (hard > 0.3)
    pages = [rng.randrange(frames + 2 + round(hard * 2)) for _ in range(8 + round(hard * 10))]
    for place in range(1, len(pages)):
        if pages[place] == pages[place - 1]:
            pages[place] = (pages[place] + 1) % (max(pages) + 1)
    found = list(steps(policy, frames, pages))
    row = "".join("F" if step.fault else "H" for step in found)
    texts = {page: str(page) for page in pages}
    string = " ".join(texts[page] for page in pages)
    asks = [
        Ask("F or H for each reference", row, " ".join(row), places=[texts[page] for page in pages]),
        Ask("number of faults", row.count("F"), str(row.count("F"))),
    ]
    text = f"{frames} frames, empty at first, {policy.upper()}.  How many faults has the reference string?"
    command = f"policy table {policy} -frames {frames} {string}"
    return Question("replace", text, asks, command, ("policy", policy, found, texts), [string])


def cost_question(rng: Random, hard: float) -> Question:
    """Effective access time: without a TLB, with one, with more levels, with page faults."""
    memory, tlb = Fraction(rng.randrange(5, 21) * 10), Fraction(rng.randrange(1, 21))
    levels = 1 if hard < 0.5 else rng.randrange(2, 5)
    percent = rng.randrange(80, 100)
    words = [f"A memory access takes {memory} ns, a walk reads {levels} table{'s' * (levels > 1)}."]
    command = f"calc eat -memory {memory}ns"
    if hard < 0.2 and rng.random() < 0.5:
        found = access_time(memory, levels, None, Fraction(0), None, Fraction(0), None)
        words.append("There is no TLB.")
        asks = [nanoseconds("effective access time", found.effective)]
    else:
        service_text, service = rng.choice(SERVICES)
        every = rng.choice((1000, 10_000, 100_000))
        faulty = hard > 0.7
        hit = Fraction(percent, 100)
        faults = Fraction(1, every) if faulty else None
        found = access_time(memory, levels, hit, tlb, faults, service if faulty else None, None)
        words.append(f"A look-up in the TLB takes {tlb} ns, and {percent} % of them hit.")
        command += f" -hit {percent}% -tlb {tlb}ns"
        assert found.hit is not None
        assert found.miss is not None
        asks = [
            nanoseconds("an access that hits", found.hit),
            nanoseconds("an access that misses", found.miss),
        ]
        if faulty:
            words.append(f"One access in {every} faults, which takes {service_text} all in all.")
            command += f" -faults 1/{every} -service {service_text}"
            asks.append(nanoseconds("mean without faults", found.access))
        asks.append(nanoseconds("effective access time", found.effective))
    command += f" -levels {levels}"
    return Question(
        "cost", " ".join([*words, "How long does an access take on average?"]), asks, command, ("cost", found)
    )


def nanoseconds(name: str, time: Fraction) -> Ask:
    """A step that asks for a time."""
    return Ask(f"{name}, in ns", time, f"{float(time):.10g} ns")
