"""Changing the past starts a branch; every branch can be gone to, and is as it was."""

from __future__ import annotations

import pytest

from vmdbg.debugger import accesses
from vmdbg.debugger.stops.stops import Stops
from vmdbg.debugger.time.branches import COPIES, MOST
from vmdbg.debugger.time.forward import forward
from vmdbg.debugger.time.timeline import Timeline
from vmdbg.errors import UserError
from vmdbg.inspect.target import boot_program
from vmdbg.machine.config import load_config
from vmdbg.machine.machine import Machine

PAGE = 0x409000


@pytest.fixture
def line() -> Timeline:
    machine = Machine(load_config("default"))
    boot_program(machine)
    found = Timeline(machine, Stops())
    forward(found, 500)
    return found


def write(line: Timeline, value: int) -> None:
    line.act(f"write {value}", lambda machine: accesses.access(machine, PAGE, 1, 1, value))


def test_each_branch_is_as_it_was_left(line: Timeline) -> None:
    digests = {1: line.machine.digest()}
    for number in (2, 3, 4):
        line.go(100 * number)
        write(line, number)
        forward(line, 500 + number)
        digests[number] = line.machine.digest()
    assert len(set(digests.values())) == 4
    assert [branch.parent for branch in line.branches.by_number.values()] == [0, 1, 2, 3]
    for number in (1, 3, 2, 4):
        line.switch(number)
        assert line.machine.digest() == digests[number]


def test_the_common_past_is_the_same_in_both(line: Timeline) -> None:
    line.go(200)
    digest = line.machine.digest()
    line.go(300)
    write(line, 1)
    for number in (1, 2):
        line.switch(number)
        line.go(200)
        assert line.machine.digest() == digest


def test_undo_of_what_began_a_branch_leads_to_the_other_one_and_redo_back(line: Timeline) -> None:
    line.go(300)
    before = line.machine.digest()
    write(line, 1)
    forward(line, 400)
    after = line.machine.digest()
    line.undo()
    assert (line.branches.current.number, line.position, line.end) == (1, (300, 0), 500)
    assert line.machine.digest() == before
    line.redo()
    assert (line.branches.current.number, line.position) == (2, (400, 0))
    assert line.machine.digest() == after


def test_undo_inside_a_branch_stays_there(line: Timeline) -> None:
    line.go(300)
    write(line, 1)
    write(line, 2)
    line.undo()
    assert (line.branches.current.number, line.position) == (2, (301, 0))


def test_no_branch_where_nothing_came_after(line: Timeline) -> None:
    write(line, 1)
    assert list(line.branches.by_number) == [1]
    line.go(501, 0)
    write(line, 2)
    assert list(line.branches.by_number) == [1]


def test_starting_again_keeps_what_commands_changed(line: Timeline) -> None:
    write(line, 1)
    digest = line.machine.digest()
    line.restart()
    assert (line.position, line.end, line.actions) == ((line.begin, 0), line.begin, [])
    line.switch(1)
    assert line.machine.digest() == digest


def test_there_is_room_for_so_many(line: Timeline) -> None:
    for value in range(MOST + 5):
        line.go(300)
        write(line, value)
    kept = line.branches.by_number
    assert len(kept) == MOST
    assert max(kept) == MOST + 6
    assert all(len(b.checkpoints.times) <= COPIES for b in kept.values() if b is not line.branches.current)
    with pytest.raises(UserError, match="No branch number 2"):
        line.switch(2)


def test_a_bookmark_knows_its_branch(line: Timeline) -> None:
    line.bookmarks["late"] = line.position
    line.go(300)
    write(line, 1)
    assert "late" not in line.bookmarks
    assert line.branches.holding("late") == (1, (500, 0))
