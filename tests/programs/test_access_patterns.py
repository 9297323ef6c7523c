"""Patterns of addresses: the sequences that docs/programs.md describes, by a model that reads no table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdbg.debugger.time.event_log import read_log, start_log, stop_log
from vmdbg.errors import InputError
from vmdbg.machine.config import MachineConfig
from vmdbg.machine.machine import Machine
from vmdbg.programs.vmp import parse_vmp

ROOT = Path(__file__).resolve().parents[2]
BASE, PAGE = 0x400000, 1 << 12
LOW31 = (1 << 31) - 1
LOOKED = ("tlb-hit", "tlb-l2-hit", "tlb-miss")


# --- the model


def mix(x: int) -> int:
    x = (x ^ x >> 16) * 73244475 % (1 << 31)
    x = (x ^ x >> 15) * 739982445 % (1 << 31)
    return x ^ x >> 16


def model(pattern: str, places: int, seed: int, number: int) -> int:
    """The place of an access, from the sentences of the page."""
    number %= 1 << 31
    if pattern == "stride":
        return number % places
    if pattern == "chase":
        return chase(number % places, places, seed)
    x = mix((mix(number) + seed) % (1 << 31))
    return zipf(x, places) if pattern == "zipf" else x * places // (1 << 31)


def chase(x: int, places: int, seed: int) -> int:
    bits = (places - 1).bit_length()
    half = (bits + 1) // 2
    keys = [mix(seed)]
    keys.append(mix(keys[0] ^ 506952113))
    keys.append(mix(keys[1] ^ 506952113))
    while True:
        for factor, key in zip((73244475, 739982445, 506952113), keys, strict=True):
            x = (x * factor + key) % (1 << bits)
            x ^= x >> half
        if x < places:
            return x


def zipf(x: int, places: int) -> int:
    def draw() -> int:
        nonlocal x
        x = (x + 506952113) % (1 << 31)
        return mix(x)

    while True:
        group = draw() * places.bit_length() // (1 << 31)
        rank = (1 << group) + draw() // (1 << 31 - group)
        if draw() * rank // (1 << 31) < 1 << group and rank <= places:
            return rank - 1


# --- what a machine does


def boot(text: str) -> Machine:
    program = parse_vmp(
        f"region heap {BASE} 1M rw populate\n{text}\n".encode(), "t.vmp", va_bits=48, page_size=PAGE
    )
    machine = Machine(MachineConfig({"machine.ram": 8 << 20}))
    machine.load(program)
    return machine


def visited(machine: Machine, operations: int, compiled: bool = False) -> list[int]:
    """The addresses of the next accesses, as offsets from BASE."""
    machine.grow("log", 8 * operations + 64)
    start_log(machine.m)
    machine.run(machine.operations + operations, compiled)
    stop_log(machine.m)
    return [row.a - BASE for row in read_log(machine.m) if row.name in LOOKED]


@pytest.mark.long
@given(
    st.sampled_from(("random", "zipf", "chase", "stride")),
    st.integers(1, 5000) | st.integers(1, 20),
    st.sampled_from((1, 8, 100)),
    st.integers(0, LOW31),
)
def test_addresses_are_those_of_the_model(pattern: str, places: int, step: int, seed: int) -> None:
    size = (places - 1) * step + 1 if pattern != "stride" else places * step
    chosen = f", seed={seed}" if pattern != "stride" else ""
    machine = boot(f"read {pattern}({BASE}, {size}, count=50, step={step}{chosen})")
    assert visited(machine, 50) == [step * model(pattern, places, seed, n) for n in range(50)]


LOOPS = """
loop 3
  read 0x400000..0x400005
  loop 2
    read chase(0x400000, 64, count=3, seed=5)
    read random(0x400000, 4K, count=2, seed=1)
    loop 2
      read zipf(0x400000, 1000, count=2, seed=9)
    end
  end
end
"""


def expected_of_loops() -> list[int]:
    numbers: Counter[str] = Counter()
    found: list[int] = []

    def some(pattern: str, places: int, seed: int, count: int) -> None:
        for _ in range(count):
            found.append(model(pattern, places, seed, numbers[pattern]))
            numbers[pattern] += 1

    for _ in range(3):
        found.extend(range(5))
        for _ in range(2):
            some("chase", 64, 5, 3)
            some("random", 4096, 1, 2)
            for _ in range(2):
                some("zipf", 1000, 9, 2)
    return found


def test_a_pattern_goes_on_in_the_next_round(engine: str, ready: Callable[[Machine], Machine]) -> None:
    machine = boot(LOOPS)
    if engine == "compiled":
        ready(machine)
    expected = expected_of_loops()
    assert visited(machine, len(expected), engine == "compiled") == expected


def test_endless_loops_count_their_rounds() -> None:
    machine = boot(f"loop\nloop 2\nread chase({BASE}, 100, count=7)\nend\nend")
    assert visited(machine, 300) == [model("chase", 100, 0, n) for n in range(300)]


def test_a_child_goes_on_where_its_parent_is() -> None:
    machine = boot(f"loop 2\nread random({BASE}, 4K, count=3)\nfork\nend\n")
    found = Counter(visited(machine, 100))
    first, second = ([model("random", 4096, 0, n) for n in numbers] for numbers in ((0, 1, 2), (3, 4, 5)))
    counted = Counter(first)
    for _ in range(2):  # the parent and its child
        counted.update(second)
    # The fork took rights away: the child's first access to each page may miss, but reads repeat nothing.
    assert found == counted


# --- what the sequences are like


def counts(pattern: str, places: int, seed: int, number: int) -> list[int]:
    found = Counter(model(pattern, places, seed, n) for n in range(number))
    assert set(found) <= set(range(places))
    return [found[place] for place in range(places)]


def chi_square(found: list[int], weights: list[float]) -> float:
    """Distance from what the weights let expect, in standard deviations of the chi-square distribution."""
    expected = [weight * sum(found) / sum(weights) for weight in weights]
    square = sum((o - e) ** 2 / e for o, e in zip(found, expected, strict=True))
    freedom = len(found) - 1
    return (square - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("seed", [0, 1, 12345, LOW31])
def test_random_places_are_equally_frequent(seed: int) -> None:
    assert abs(chi_square(counts("random", 100, seed, 100_000), [1.0] * 100)) < 4
    pairs = Counter(
        model("random", 10, seed, n) * 10 + model("random", 10, seed, n + 1) for n in range(20_000)
    )
    assert abs(chi_square([pairs[pair] for pair in range(100)], [1.0] * 100)) < 4


@pytest.mark.long
@pytest.mark.parametrize(("places", "seed"), [(2, 1), (3, 1), (100, 7), (1000, 0), (1024, 5)])
def test_zipf_places_have_the_weights_of_their_ranks(places: int, seed: int) -> None:
    found = counts("zipf", places, seed, 60_000)
    assert abs(chi_square(found, [1 / (place + 1) for place in range(places)])) < 4


@pytest.mark.parametrize("places", [1, 2, 3, 5, 64, 100, 1000, 4097])
def test_a_chase_visits_every_place_once_a_round(places: int) -> None:
    order = [model("chase", places, 3, n) for n in range(2 * places)]
    assert sorted(order[:places]) == list(range(places))
    assert order[places:] == order[:places]


@pytest.mark.parametrize("seed", [0, 1, 2, 999])
def test_a_chase_jumps_about(seed: int) -> None:
    places = 4096
    order = [model("chase", places, seed, n) for n in range(places)]
    jumps = [abs(after - before) for before, after in pairwise(order)]
    assert abs(sum(jumps) / len(jumps) - places / 3) < places / 30  # of two random places: a third
    assert sum(jump == 1 for jump in jumps) < 20
    assert len(set(jumps)) > places / 4
    assert order != [model("chase", places, seed + 1, n) for n in range(places)]


def test_seeds_are_different_sequences_not_different_starts() -> None:
    first = [model("random", 1 << 30, 1, n) for n in range(5000)]
    second = {model("random", 1 << 30, 2, n) for n in range(5000)}
    assert len(second & set(first)) < 3


# --- the language


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("random(4K, 64)", [(64, 1, 64, 0)]),
        ("random(4K, 64, count=1M, seed=7), 8", [(1 << 20, 8, 8, 7)]),
        ("stride(4K, 4K, step=1K, count=3)", [(3, 1024, 4, 0)]),
        ("chase(4K, 4096, step=4K), 8", [(1, 4096, 1, 0)]),
        ("zipf(4K, 10, step=4), 4", [(2, 4, 2, 0)]),
        ("chase( 4K , 1G * 1K , step = 4K )", [(1 << 28, 4096, 1 << 28, 0)]),
    ],
)
def test_rows_of_patterns(text: str, rows: list[tuple[int, ...]]) -> None:
    words = parse_vmp(f"read {text}".encode(), "t.vmp", va_bits=48, page_size=PAGE).processes[0].rows
    assert [tuple(words[4:8])] == rows
    assert len(words) == 4 * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("read random", '1:12: expected "(", but the line ends'),
        ("read random(4K)", '1:15: expected "," and a size, not ")"'),
        ("read random(4K, 0)", "1:17: expected a size of at least one byte"),
        ("read random(4K, 4K", '1:19: expected "," or ")", but the line ends'),
        ("read random(4K, 4K, 5)", '1:21: expected count=N, seed=N, step=N, not "5"'),
        ("read stride(4K, 4K, seed=5)", '1:21: expected count=N, step=N, not "seed"'),
        ("read zipf(4K, 4K, seed=1, seed=2)", "1:27: seed is there already"),
        ("read zipf(4K, 4K, seed=-1)", "1:24: expected a number from 0 to 2147483647"),
        ("read zipf(4K, 4K, count=0)", "1:25: expected a number from 1 to 4611686018427387904"),
        ("read zipf(4K, 4), 8", "1:6: 4 bytes hold no access of 8"),
        ("read zipf(0, 2G)", "1:6: more than 1073741824 places; expected a larger step"),
        (
            "read zipf(0xffffffffffff, 4K)",
            "1:6: address 0x1000000000ffe does not fit in 48 bits (0x0..0xffffffffffff)",
        ),
        ("let zipf = 1", '1:5: "zipf" is a word of the language; expected a name'),
    ],
)
def test_mistakes_in_patterns(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_vmp(text.encode(), "t.vmp", va_bits=48, page_size=PAGE)
    assert str(caught.value) == f"t.vmp:{message}"
