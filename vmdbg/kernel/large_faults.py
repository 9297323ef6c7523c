"""Faults on pages larger than base pages, as far as hot code serves them: those that come back from swap.

What else there is to do the run loop does (`kernel.calls.huge_pages`).
"""

from __future__ import annotations

from vmdbg.engine import reads, writes
from vmdbg.formats.contract import (
    ENTRY_BYTES,
    ENTRY_LEAF,
    ENTRY_SWAPPED,
    LEVELS,
    PAGE_BITS,
    classify,
    make_leaf,
    swapped_slot,
    touched,
)
from vmdbg.hardware.memory import load_entry, store_entry, zero_frame
from vmdbg.hardware.tlb import size_shift
from vmdbg.hardware.walk import table_index
from vmdbg.kernel.address_space import map_frame
from vmdbg.kernel.evictable import may_leave
from vmdbg.kernel.exits import REASON_LARGE, REASON_MEMORY
from vmdbg.kernel.frames import (
    FRAME_IS_TAIL,
    LARGE_LEAVES,
    frame_address,
    frames_of,
    is_free,
    large_pool,
    mark_frame,
    pool_of,
    run_of_free,
    table_give,
    take_run,
    user_frames_free,
    wake_if_low,
)
from vmdbg.kernel.policies import policy_load
from vmdbg.kernel.reclaim import reclaim
from vmdbg.kernel.shootdown import shoot_down
from vmdbg.kernel.swap import PAYLOAD, copy_in, slot_release
from vmdbg.state.events import ENTRY_WRITE, FAULT_MAJOR, SWAP_IN, emit
from vmdbg.state.tables import (
    CONTROL_STEPS,
    CONTROL_VALUE,
    FRAME,
    FRAME_DEPTH,
    FRAME_PID,
    FRAME_STATE,
    KERNEL_RESIDENT,
    KERNEL_USER_POOL,
    PATH,
    PATH_ADDRESS,
    PATH_ENTRY,
    PROCESS,
    PROCESS_LIMIT,
    PROCESS_MAJOR,
    PROCESS_RSS,
    PROCESS_SWAPPED,
    REGION,
    REGION_END,
    REGION_KIND,
    REGION_RIGHTS,
    REGION_SIZE,
    REGION_START,
    SLOT,
)

PROMOTE = 0  # base pages of a trace that a larger page takes the place of; 0: never; bound at build
SPARED = 16  # a part of memory: where less would stay free, nothing is promoted
KIND_TRACE = 0  # of a region: its place in REGION_KINDS (kernel/calls/regions.py); bound at build


@reads(rare=True)
def in_swap(m, region):
    """Does the walk in `path` end at a slot, of a region of pages of the size above base pages?"""
    if m.region[region * REGION + REGION_SIZE] != 1 or m.control[CONTROL_STEPS] != LEVELS:
        return False
    return classify(m.path[(LEVELS - 1) * PATH + PATH_ENTRY], LEVELS - 1) == ENTRY_SWAPPED


@reads(rare=True)
def is_damaged(m, region, va):
    """Is the page of `va` in swap (`in_swap`), and does one of its entries name a slot that there is not?"""
    if not in_swap(m, region):
        return False
    address = m.path[(LEVELS - 1) * PATH + PATH_ADDRESS] - table_index(va, LEVELS - 1) * ENTRY_BYTES
    end = address + (1 << ((size_shift(1) - PAGE_BITS) & 63)) * ENTRY_BYTES
    while address < end:
        entry = load_entry(m, address)
        if classify(entry, LEVELS - 1) == ENTRY_SWAPPED and swapped_slot(entry) * SLOT >= len(m.slot):
            return True
        address += ENTRY_BYTES
    return False


@writes(rare=True)
def large_in(m, pid, region, va):
    """`page_in` for a page larger than a base page: brought back from swap, or a reason for the run loop."""
    if LARGE_LEAVES and in_swap(m, region):
        return swap_in_large(m, pid, region, va)
    m.control[CONTROL_VALUE] = va
    return REASON_LARGE


@writes(rare=True)
def swap_in_large(m, pid, region, va):
    """Bring a page of the size above base pages back whole.  `path` has to be that of a walk to `va`.

    Its slots, which there have to be, go back: it counts as written, for there is no other copy of it.
    Returns 0 or a reason.
    """
    count = 1 << ((size_shift(1) - PAGE_BITS) & 63)
    page = (va >> PAGE_BITS & -count) << PAGE_BITS
    first = m.path[(LEVELS - 1) * PATH + PATH_ADDRESS] - table_index(va, LEVELS - 1) * ENTRY_BYTES
    above = m.path[(LEVELS - 2) * PATH + PATH_ADDRESS]
    why = swapped_slot(m.path[(LEVELS - 1) * PATH + PATH_ENTRY])
    frame = make_run(m, count)
    if frame < 0:
        return REASON_MEMORY
    take_run(m, large_pool(m, count), frame, count)
    wake_if_low(m, large_pool(m, count))
    number = 0
    while number < count:
        row = (frame + number) * FRAME
        mark_frame(m, frame + number)
        m.frame[row + FRAME_STATE] = FRAME_IS_TAIL
        m.frame[row + FRAME_PID] = pid
        entry = load_entry(m, first + number * ENTRY_BYTES)
        if classify(entry, LEVELS - 1) == ENTRY_SWAPPED:
            slot = swapped_slot(entry)
            copy_in(m, frame + number, slot)
            emit(
                m, SWAP_IN, slot, frame_address(m, frame + number) >> PAGE_BITS, page + (number << PAGE_BITS)
            )
            store_entry(m, first + number * ENTRY_BYTES, 0)
            emit(m, ENTRY_WRITE, first + number * ENTRY_BYTES, entry, 0)
            slot_release(m, slot)
            m.process[pid * PROCESS + PROCESS_SWAPPED] -= 1
        elif PAYLOAD:
            zero_frame(m, frame + number)
        number += 1
    table_give(m, pid, first, LEVELS - 1)
    m.frame[frame * FRAME + FRAME_DEPTH] = 1
    leaf = make_leaf(frame_address(m, frame), m.region[region * REGION + REGION_RIGHTS], LEVELS - 2)
    map_frame(m, pid, page, frame, above, touched(leaf, 1))
    shoot_down(m, pid, page)  # a page-walk cache may know the table
    m.process[pid * PROCESS + PROCESS_RSS] += count - 1
    policy_load(m, frame)
    m.kernel[KERNEL_RESIDENT] += count
    m.process[pid * PROCESS + PROCESS_MAJOR] += 1
    emit(m, FAULT_MAJOR, va, m.region[region * REGION + REGION_KIND], why)
    return 0


@writes(rare=True)
def make_run(m, count):
    """The first of `count` free frames in a row for user pages; pages leave memory for it as the policy says.

    -1 if they cannot make such a run.  Then none leaves, unless swap or the frames for tables end on the way.
    """
    pool = large_pool(m, count)
    frame = run_of_free(m, pool, count)
    if frame < 0 and may_make_run(m, pool, count):
        while frame < 0 and reclaim(m, count) == 0:
            frame = run_of_free(m, pool, count)
    return frame


@reads(rare=True)
def may_make_run(m, pool, count):
    """Is there an aligned run of frames of a pool that are all free, or in pages that may leave?"""
    first = 0
    frames = len(m.frame) // FRAME
    while first + count <= frames:
        frame = first
        while frame < first + count:
            step = 1
            if not is_free(m, pool, frame):
                step = 0
                if pool_of(m, frame) == pool and may_leave(m, frame, 0):
                    step = frames_of(m, frame)
            if step == 0:
                break
            frame += step
        if frame >= first + count:
            return True
        first += count
    return False


@reads(cold=True)
def leaves_around(m, va):
    """How many base pages in the range of the larger page around `va` are in memory; -1 if one is in swap.

    CONTROL_STEPS and `path` have to be those of a walk to `va`, which ended without a leaf.
    """
    if m.control[CONTROL_STEPS] < LEVELS:
        return 0
    address = m.path[(LEVELS - 1) * PATH + PATH_ADDRESS] - table_index(va, LEVELS - 1) * ENTRY_BYTES
    last = address + (1 << ((size_shift(1) - PAGE_BITS) & 63)) * ENTRY_BYTES
    count = 0
    while address < last:
        kind = classify(load_entry(m, address), LEVELS - 1)
        if kind == ENTRY_SWAPPED:
            return -1
        if kind == ENTRY_LEAF:
            count += 1
        address += ENTRY_BYTES
    return count


@reads(cold=True)
def promotes(m, pid, region, va):
    """Shall a fault of a trace bring a larger page in place of the base pages around `va`?

    It does when PROMOTE of them would be there, all of the range lies in the region, the process's limit
    allows it, and memory has such a run of frames, after which a sixteenth stays free (Linux: khugepaged and
    its max_ptes_none, mm/khugepaged.c; FreeBSD: reservations, vm/vm_reserv.c).
    """
    r = region * REGION
    size = 1 << (size_shift(1) & 63)
    start = va & ~(size - 1)
    outside = start < m.region[r + REGION_START] or start + size > m.region[r + REGION_END]
    if outside or m.region[r + REGION_KIND] != KIND_TRACE:
        return False
    there = leaves_around(m, va)
    if there < 0 or there + 1 < PROMOTE:
        return False
    count = size >> PAGE_BITS
    limit = m.process[pid * PROCESS + PROCESS_LIMIT]
    if limit and m.process[pid * PROCESS + PROCESS_RSS] + count - there > limit:
        return False
    if user_frames_free(m) < count + len(m.frame) // FRAME // SPARED:
        return False
    return run_of_free(m, m.kernel[KERNEL_USER_POOL], count) >= 0
