"""Lists of pages, and ghosts: what policies remember beyond one queue, in the tables node, list and bucket.

A node with the number of a frame stands for the page in that frame; the nodes behind them are ghosts, which
stand for pages that left memory.  A node is in one list at most; lists have numbers: FREE_GHOSTS, then the
policy's own from FIRST_LIST on, those of frames first.  Ghosts are found by process and page number.
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import PAGE_BITS
from vmdbg.hardware.tlb import size_shift
from vmdbg.kernel.address_space import region_find
from vmdbg.kernel.evictable import may_leave
from vmdbg.kernel.frames import LARGE_LEAVES
from vmdbg.state.tables import (
    CPU,
    CPU_ADDRESS,
    CPU_PID,
    FRAME,
    FRAME_RMAP,
    KERNEL_CPU,
    KERNEL_OPERATIONS,
    KERNEL_RESIDENT,
    KERNEL_USER_END,
    KERNEL_USER_FIRST,
    LIST,
    LIST_NEWEST,
    LIST_OLDEST,
    LIST_SIZE,
    NODE,
    NODE_CHAIN,
    NODE_COUNT,
    NODE_LIST,
    NODE_NEXT,
    NODE_PID,
    NODE_PREVIOUS,
    NODE_TIME,
    NODE_VA,
    REGION,
    REGION_SIZE,
    RMAP,
    RMAP_PID,
    RMAP_VA,
)

FREE_GHOSTS, FIRST_LIST, LISTS = 1, 2, 8
GHOSTS_A_FRAME = 2  # ghosts that there are at most, for each frame


@writes
def node_append(m, node, number):
    """Put a node that is in no list at the newest end of list `number`."""
    head = number * LIST
    newest = m.list[head + LIST_NEWEST]
    m.node[node * NODE + NODE_LIST] = number
    m.node[node * NODE + NODE_PREVIOUS] = newest
    m.node[node * NODE + NODE_NEXT] = -1
    if newest < 0:
        m.list[head + LIST_OLDEST] = node
    else:
        m.node[newest * NODE + NODE_NEXT] = node
    m.list[head + LIST_NEWEST] = node
    m.list[head + LIST_SIZE] += 1


@writes
def node_remove(m, node):
    """Take a node out of its list, if it is in one."""
    at = node * NODE
    head = m.node[at + NODE_LIST] * LIST
    if head == 0:
        return
    previous = m.node[at + NODE_PREVIOUS]
    following = m.node[at + NODE_NEXT]
    if previous < 0:
        m.list[head + LIST_OLDEST] = following
    else:
        m.node[previous * NODE + NODE_NEXT] = following
    if following < 0:
        m.list[head + LIST_NEWEST] = previous
    else:
        m.node[following * NODE + NODE_PREVIOUS] = previous
    m.list[head + LIST_SIZE] -= 1
    m.node[at + NODE_LIST] = 0
    m.node[at + NODE_PREVIOUS] = -1
    m.node[at + NODE_NEXT] = -1


@reads
def list_size(m, number):
    """Nodes in a list."""
    return m.list[number * LIST + LIST_SIZE]


@reads
def pages_that_fit(m, first, second):
    """How many pages memory has room for, if they are as large as those that are there: in two lists."""
    frames = m.kernel[KERNEL_USER_END] - m.kernel[KERNEL_USER_FIRST]
    pages = list_size(m, first) + list_size(m, second)
    if LARGE_LEAVES and m.kernel[KERNEL_RESIDENT] > pages and pages > 0:
        return frames * pages // m.kernel[KERNEL_RESIDENT]
    return frames


@reads
def oldest_of(m, number, pid):
    """The oldest frame of a list whose page may leave, of process `pid` (0: of all); -1 if there is none."""
    node = m.list[number * LIST + LIST_OLDEST]
    while node >= 0 and not may_leave(m, node, pid):
        node = m.node[node * NODE + NODE_NEXT]
    return node


@writes
def node_load(m, frame):
    """Note which page came into a frame, and in which operation."""
    at = frame * NODE
    row = m.frame[frame * FRAME + FRAME_RMAP] * RMAP
    m.node[at + NODE_PID] = m.rmap[row + RMAP_PID]
    m.node[at + NODE_VA] = m.rmap[row + RMAP_VA]
    m.node[at + NODE_TIME] = m.kernel[KERNEL_OPERATIONS]


@writes
def node_unload(m, frame):
    """Forget the page that was in a frame."""
    at = frame * NODE
    node_remove(m, frame)
    m.node[at + NODE_COUNT] = 0
    m.node[at + NODE_TIME] = 0
    m.node[at + NODE_PID] = 0
    m.node[at + NODE_VA] = 0


@reads
def is_hit(m, frame):
    """Was the page there before the operation that accesses it?  The access that faulted is none to count."""
    at = frame * NODE
    return m.node[at + NODE_LIST] > 0 and m.node[at + NODE_TIME] != m.kernel[KERNEL_OPERATIONS]


@reads
def bucket_of(m, pid, va):
    """The bucket of a page; their number is a power of two."""
    page = va >> PAGE_BITS
    return (page ^ (page >> 9) ^ (pid << 4)) & (len(m.bucket) - 1)


@reads
def ghost_of(m, pid, va):
    """The ghost of a page of a process; -1 if it has none."""
    node = m.bucket[bucket_of(m, pid, va)]
    while node >= 0 and (m.node[node * NODE + NODE_PID] != pid or m.node[node * NODE + NODE_VA] != va):
        node = m.node[node * NODE + NODE_CHAIN]
    return node


@reads
def ghost_of_fault(m):
    """The ghost of the page whose fault the kernel serves; -1 if it has none."""
    cpu = m.kernel[KERNEL_CPU] * CPU
    pid = m.cpu[cpu + CPU_PID]
    shift = PAGE_BITS
    if LARGE_LEAVES and m.region[region_find(m, pid, m.cpu[cpu + CPU_ADDRESS]) * REGION + REGION_SIZE] == 1:
        shift = size_shift(1)
    return ghost_of(m, pid, (m.cpu[cpu + CPU_ADDRESS] >> (shift & 63)) << (shift & 63))


@writes
def ghost_drop(m, ghost):
    """Forget a page that left."""
    at = ghost * NODE
    place = bucket_of(m, m.node[at + NODE_PID], m.node[at + NODE_VA])
    following = m.node[at + NODE_CHAIN]
    other = m.bucket[place]
    if other == ghost:
        m.bucket[place] = following
    else:
        while m.node[other * NODE + NODE_CHAIN] != ghost:
            other = m.node[other * NODE + NODE_CHAIN]
        m.node[other * NODE + NODE_CHAIN] = following
    node_remove(m, ghost)
    m.node[at + NODE_CHAIN] = -1
    m.node[at + NODE_PID] = 0
    m.node[at + NODE_VA] = 0
    m.node[at + NODE_TIME] = 0
    node_append(m, ghost, FREE_GHOSTS)


@writes
def drop_oldest_ghost(m, number):
    """Forget the page of a list of ghosts that left first, if there is one."""
    ghost = m.list[number * LIST + LIST_OLDEST]
    if ghost >= 0:
        ghost_drop(m, ghost)


@writes
def leave_ghost(m, frame, number):
    """The page in a frame leaves: the frame is in no list any more, a ghost of its page in list `number`."""
    pid = m.node[frame * NODE + NODE_PID]
    va = m.node[frame * NODE + NODE_VA]
    node_remove(m, frame)
    old = ghost_of(m, pid, va)
    if old >= 0:
        ghost_drop(m, old)
    if list_size(m, FREE_GHOSTS) == 0:
        drop_oldest_ghost(m, number)
    ghost = m.list[FREE_GHOSTS * LIST + LIST_OLDEST]
    if ghost < 0:
        return
    node_remove(m, ghost)
    place = bucket_of(m, pid, va)
    m.node[ghost * NODE + NODE_PID] = pid
    m.node[ghost * NODE + NODE_VA] = va
    m.node[ghost * NODE + NODE_CHAIN] = m.bucket[place]
    m.bucket[place] = ghost
    node_append(m, ghost, number)
