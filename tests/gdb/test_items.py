"""Every habit of the fingers that has a meaning here has commands that gdb runs too."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

ITEMS = [*range(1, 5), *range(7, 20), 21, 24, *range(28, 31)]
# What only a terminal shows: the tests of test_terminal.py that run with gdb as well.
TERMINAL = {
    9: "test_an_empty_line_repeats_even_what_failed_and_a_comment_forgets",
    11: "test_tab_completes_and_a_second_tab_lists",
    12: "test_ctrl_c_ends_a_loop",
    13: "test_the_pager",
    14: "test_questions",
    28: "test_a_definition_over_several_lines",
}
HERE = Path(__file__).parent


def commands(case: object) -> int:
    """How many commands a case has: lines, or the lines of its scripts."""
    if isinstance(case, dict):
        return sum(commands(text) for text in case.values())
    return len(case.splitlines()) if isinstance(case, str) else len(case)  # type: ignore[arg-type]


def counted() -> Counter[int]:
    """The commands of each item, of all tables of cases beside this file."""
    found: Counter[int] = Counter()
    for path in HERE.glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict):
                for name, case in ast.literal_eval(node.value).items():
                    for item in str(name).partition(":")[0].split():
                        found[int(item)] += commands(case)
    return found


def test_every_item_has_commands() -> None:
    found = counted()
    terminal = (HERE.parent / "shell" / "test_terminal.py").read_text()
    for item, name in TERMINAL.items():
        assert f"def {name}(either: Start" in terminal
        found[item] += 5
    assert [item for item in ITEMS if found[item] < 5] == []
    assert sum(found[item] for item in ITEMS) >= 500
