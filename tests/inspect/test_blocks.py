"""Runs of pages that are told again in blocks: the same runs, and the same text, JSON and CSV."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tests.hardware.test_page_tables import BASE, bare
from vmdbg.debugger.output import LineBlock, Output, line_text
from vmdbg.errors import LimitReached
from vmdbg.formats.contract import ALL_RIGHTS, RIGHT_U
from vmdbg.hardware.page_tables import Bounded
from vmdbg.inspect.address_space import Run, RunBlock, blocks, named_runs, runs
from vmdbg.inspect.notation import Notation
from vmdbg.views.address_space import runs_table
from vmdbg.views.result import render

PAGE = 0x1000
#: Of a last table: index, how many leaves from there on, frame, step between frames, rights.
LEAVES = st.lists(
    st.tuples(
        st.sampled_from((0, 1, 60, 200, 409, 471, 500, 511)),
        st.integers(1, 40),
        st.sampled_from((0, 40, 99)),
        st.sampled_from((0, 1, 3)),
        st.sampled_from((ALL_RIGHTS, ALL_RIGHTS & ~RIGHT_U)),
    ),
    min_size=2, max_size=12,
)  # fmt: skip
#: Of the table above, and of the one above that: index and which table of the next level.
LINKS = st.lists(
    st.tuples(st.sampled_from((0, 1, 2, 3, 255, 256, 511)), st.integers(0, 2)), min_size=3, max_size=9
)


def machine_of(form_name: str, leaves: list[Any], links: list[Any]) -> Any:
    """A machine of which there are only tables: three of the last level, the rest point to one another."""
    k, form = bare(form_name)
    depths = len(form.levels)
    last, above, top = ([BASE + PAGE * (number + 3 * row) for number in range(3)] for row in range(3))
    for table, runs_of in zip(last, leaves, strict=True):
        for index, count, frame, step, rights in runs_of:
            for place in range(index, min(512, index + count)):
                entry = k.make_leaf((frame + step * (place - index)) << 12, rights, depths - 1)
                k.store(k.m, table + 8 * place, 8, entry)
    for tables, below, depth in ((above, last, depths - 2), (top, above, depths - 3)):
        for number, table in enumerate(tables):
            for index, to in links[number]:
                k.store(k.m, table + 8 * index, 8, k.make_table(below[to], depth))
    for depth in range(depths - 3):
        root = BASE + 0x9000 + PAGE * depth
        for index in (0, 1, 2, 255, 256, 511):
            target = top[index % 3] if depth == depths - 4 else root + PAGE
            k.store(k.m, root + 8 * index, 8, k.make_table(target, depth))
    root = BASE + 0x9000 if depths > 3 else top[0]
    return SimpleNamespace(k=k, format=form, symbols=None), root


@pytest.mark.parametrize("name", ["sv39", "x86_64"])
@settings(max_examples=25)
@given(st.lists(LEAVES, min_size=3, max_size=3), st.lists(LINKS, min_size=3, max_size=3), st.booleans())
def test_blocks_are_the_same_runs(name: str, leaves: list[Any], links: list[Any], merge: bool) -> None:
    machine, root = machine_of(name, leaves, links)
    told = []
    for run in blocks(machine, root, merge, Bounded()):
        told += [run] if isinstance(run, Run) else [
            Run(one.start + run.base, one.end + run.base, one.pa, one.page_size, one.rights)
            for one in run.runs
        ]  # fmt: skip
    wanted = list(runs(machine, root, merge=merge, follow=Bounded()))
    assert [parts(run) for run in told] == [parts(run) for run in wanted]


def parts(run: Run) -> tuple[int, ...]:
    return run.start, run.end, run.pa, run.page_size, run.rights


#: Eleven runs in each of 24 times 24 places.
OFTEN = [[(0, 2, 7, 1, ALL_RIGHTS)] + [(place * 9, 1, place, 1, ALL_RIGHTS) for place in range(1, 11)]] * 3
EVERY = [[(index, 0) for index in range(24)]] * 3


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("hexadecimal", [False, True])
def test_every_form_is_the_same(merge: bool, hexadecimal: bool) -> None:
    machine, root = machine_of("sv39", OFTEN, EVERY)
    show = Notation(machine.format)
    made = [(run, "") for run in blocks(machine, root, merge, Bounded())]
    assert sum(isinstance(run, RunBlock) for run, _ in made) > 400
    for form in ("json", "csv", ""):
        ours, wanted = (
            "\n".join(map(line_text, render(runs_table(show, found, ""), form, hex_addresses=hexadecimal)))
            for found in (made, named_runs(machine, root, None, merge=merge, follow=Bounded()))
        )
        assert ours == wanted
        assert ours.count("\n") > 5_000


def test_a_block_of_lines_is_written_line_by_line_where_pages_or_limits_are() -> None:
    for pager in (None, lambda: "c"):
        stream = io.StringIO()
        output = Output(stream, stream)
        output.pager, output.height = pager, 3
        output.lines(["one", LineBlock("two\nthree"), [("", "four")], LineBlock("five")])
        assert stream.getvalue() == "one\ntwo\nthree\nfour\nfive\n"
    output.limit = 12
    with pytest.raises(LimitReached):
        output.lines([LineBlock("a\n" * 9 + "b")])
