"""What a page-replacement policy does with a reference string or a trace: a machine of its own runs it.

The machine that a session looks at takes no part.  The page that a textbook numbers 7 is some page of the
machine; its number plays no role for any policy.
"""

from __future__ import annotations

import ast
import os
from array import array
from collections import namedtuple

from vmdbg import progress
from vmdbg.engine import link
from vmdbg.errors import UserError
from vmdbg.inspect.counts import accesses, instructions
from vmdbg.inspect.target import load, read_for
from vmdbg.kernel.calls.processes import live_processes
from vmdbg.kernel.faults import CAUSE_POLICY
from vmdbg.kernel.policies import HOLES, facts_of
from vmdbg.kernel.policies.facts import ACCESSED_BITS
from vmdbg.kernel.scheduler import OP_EXIT
from vmdbg.machine.boot import MOST_FRAMES as MOST_SLOTS
from vmdbg.machine.config import MachineConfig, load_config
from vmdbg.machine.long_run import run_until
from vmdbg.machine.machine import Machine
from vmdbg.programs.program import ProcessSpec, Program, RegionSpec
from vmdbg.state.tables import (
    FRAME,
    FRAME_RMAP,
    KERNEL_HAND,
    KERNEL_USER_END,
    KERNEL_USER_FIRST,
    PROCESS,
    PROCESS_CAUSE,
    RMAP,
    RMAP_ENTRY,
    RMAP_VA,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

#: One reference: its page, whether it was a fault, the page that left (None), the page in each frame after it
#: (None: empty), whether the accessed bit of each is set, and the frame at which the hand stands (None).  Of
#: a stretch of a run also the operation.
Step = namedtuple("Step", "page fault victim frames accessed hand time", defaults=(None,))
#: A policy with a number of frames: faults, those that no policy avoids (each page's first), references, and
#: instructions among them.
Count = namedtuple("Count", "policy frames faults cold references instructions")

#: A policy in a file of the user's: the file, its functions by name in their order there, what the first line
#: of its docstring says (empty: nothing), and the text that the machine has of it.
PolicyFile = namedtuple("PolicyFile", "path functions summary source")

START, SPARE, ALL_RIGHTS = 0x400000, 16, 15
PAGE = 4096  # Architecture: what the preset "trace" has
MOST_FRAMES, MOST_REFERENCES = 1 << 16, 100_000


def is_oracle(policy: str) -> bool:
    """Does a policy need to know what no hardware tells a kernel?  Of one in a file nobody knows."""
    facts = facts_of(policy)
    return facts is not None and facts.oracle


def looks_at_bits(policy: str, bound: Mapping[str, Any]) -> bool:
    """Does a policy look at accessed bits?  `bound`: what it binds, for one in a file (`kernel.policies`)."""
    facts = facts_of(policy)
    if facts is not None:
        return bool(facts.sees == ACCESSED_BITS)
    own = {name: value for name, value in bound.items() if callable(value)}
    functions = {**link.FUNCTIONS, **link.HOLES, **own}
    return any("is_accessed" in link.reachable(functions, name) for name in HOLES if name in own)


def policy_file(machine: Machine) -> PolicyFile | None:
    """The policy in a file that a machine has, as the file was when it was read; None for one of vmdbg's."""
    own = machine.bindings["victim"]
    source = own.__dict__["hot"].get("source")
    if source is None:
        return None
    path = own.__code__.co_filename
    tree = ast.parse(source, path)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    said = (ast.get_docstring(tree) or "").partition("\n")[0]
    return PolicyFile(path, functions, said, source)


def check_frames(frames: int) -> None:
    """UserError for a number of frames that is too large, or none."""
    if not 1 <= frames <= MOST_FRAMES:
        raise UserError(f"{frames} frames: expected 1 to {MOST_FRAMES}.")


def small_machine(policy: str, frames: int, pages: Sequence[int]) -> Machine:
    """A machine with so many frames for pages, at the begin of a program that reads these pages in turn.

    UserError for numbers of frames and references that are too large, or none.
    """
    check_frames(frames)
    if len(pages) > MOST_REFERENCES:
        raise UserError(f"{len(pages)} references: at most {MOST_REFERENCES} are possible.", "Make a trace.")
    places = {page: place for place, page in enumerate(sorted(set(pages)))}
    config = load_config("trace")
    tables = SPARE + (len(places) + frames) // 256  # those of the kernel's map of memory, too
    config = config.with_(
        {
            "machine.ram": (frames + tables) * PAGE,
            "machine.swap.size": (len(places) + 1) * PAGE,
            "kernel.first_frame": 1,
            "kernel.user_frames": frames,
            "kernel.policy": policy,
            "kernel.zero_drop": False,  # so that each page's first fault is minor, the others are major
        }
    )
    machine = Machine(config)
    rows = array("q")
    for page in pages:
        rows.extend((0, START + places[page] * PAGE, 0, 0))
    rows.extend((OP_EXIT, 0, 0, 0))
    region = RegionSpec("heap", START, len(places) * PAGE, ALL_RIGHTS)
    machine.load(Program("references", "", [], [ProcessSpec("references", None, -1, [region], rows)]))
    return machine


def steps(policy: str, frames: int, pages: Sequence[int]) -> Iterator[Step]:
    """What happens at each reference.  UserError as for `small_machine`."""
    machine = small_machine(policy, frames, pages)
    names = sorted(set(pages))
    facts = facts_of(policy)
    before: list[int | None] = [None] * frames
    for place, page in enumerate(pages):
        machine.run(place + 1)
        require_alive(policy, machine, frames, len(pages))
        held, accessed = held_pages(machine, names)
        gone = {old for old in before if old is not None and old not in held}
        hand = machine.m.kernel[KERNEL_HAND] - machine.m.kernel[KERNEL_USER_FIRST]
        shown = facts is not None and facts.hand
        yield Step(page, page not in before, min(gone, default=None), held, accessed, hand if shown else None)
        before = held


def require_alive(policy: str, machine: Machine, frames: int, references: int) -> None:
    """UserError if the process was killed before its last reference: what is counted would be too little."""
    if not live_processes(machine.k):
        done = accesses(machine.counts())
        own = machine.m.process[PROCESS + PROCESS_CAUSE] == CAUSE_POLICY
        why = "the policy names no page that can leave" if own else "memory and swap are full"
        raise UserError(
            f"{os.path.basename(policy)}, {frames} frame{'s' * (frames != 1)}: "
            f"it ended after {done} of {references} references: {why}."
        )


def held_pages(machine: Machine, names: Sequence[int]) -> tuple[list[int | None], list[bool]]:
    """The page in each frame for pages, and whether its accessed bit is set."""
    m, k, form = machine.m, machine.k, machine.format
    held: list[int | None] = []
    accessed = []
    for frame in range(m.kernel[KERNEL_USER_FIRST], m.kernel[KERNEL_USER_END]):
        row = m.frame[frame * FRAME + FRAME_RMAP] * RMAP
        held.append(names[(m.rmap[row + RMAP_VA] - START) >> form.page_bits] if row else None)
        accessed.append(bool(row) and bool(k.is_accessed(k.load_entry(m, m.rmap[row + RMAP_ENTRY]))))
    return held, accessed


def counted(policy: str, machine: Machine, frames: int, references: int) -> Count:
    """Run a machine to the end of its program: the faults of the policy."""
    run_until(machine, references)
    require_alive(policy, machine, frames, references)
    counts = machine.counts()
    cold = counts.get("fault-minor", 0)
    faults = cold + counts.get("fault-major", 0)
    return Count(policy, frames, faults, cold, references, instructions(counts))


def count_references(policy: str, frames: int, pages: Sequence[int]) -> Count:
    """The faults of a policy on a reference string.  UserError as for `small_machine`."""
    return counted(policy, small_machine(policy, frames, pages), frames, len(pages))


def trace_config(policy: str, frames: int) -> MachineConfig:
    """The machine that runs a trace with so many frames for pages."""
    check_frames(frames)
    config = load_config("trace")
    if frames > MOST_FRAMES // 2:  # beside them there is room for tables
        config = config.with_({"machine.ram": 2 * config["machine.ram"]})
    return config.with_({"kernel.policy": policy, "kernel.user_frames": frames, "kernel.zero_drop": False})


def with_swap(config: MachineConfig, program: Program) -> MachineConfig:
    """The same machine with a slot for each page that a program of one process has, if that can be."""
    regions = program.processes[0].regions
    pages = min(
        sum(region.size for region in regions) // PAGE, 2 * (program.length or 0)
    )  # two if it straddles
    size = min(pages + 1, MOST_SLOTS) * PAGE
    return config.with_({"machine.swap.size": max(size, config["machine.swap.size"])})


def count_trace(policy: str, frames: int, read: Callable[[bool], Program]) -> Count:
    """The faults of a policy on a program of one process whose rows alone tell what it does.  UserError.

    `read` reads it, with feeds (`programs.read_program`) if it is given True.
    """
    config = trace_config(policy, frames)
    program = read_for(config, read)
    if program.length is None or len(program.processes) != 1:
        raise UserError(f"{program.name} is no trace.", 'Load it, and see "info stats".')
    machine = Machine(with_swap(config, program))
    load(machine, program)
    return counted(policy, machine, frames, program.length - 1)


def compare(
    policies: Sequence[str],
    sizes: Sequence[int],
    pages: Sequence[int],
    read: Callable[[bool], Program] | None,
) -> list[Count]:
    """The faults of each policy with each number of frames, of a reference string or of what `read` reads."""
    found = []
    with progress.task("Comparing", "runs", len(policies) * len(sizes)) as task:
        for frames in sizes:
            for policy in policies:
                found.append(
                    count_references(policy, frames, pages)
                    if read is None
                    else count_trace(policy, frames, read)
                )
                task.at(len(found))
    return found
