"""First in, first out: the page that has been in memory longest leaves."""

from __future__ import annotations

from vmdbg.hot import reads, writes
from vmdbg.state.tables import FRAME, FRAME_NEXT, FRAME_PREVIOUS, KERNEL_NEWEST, KERNEL_OLDEST


@writes(fills=True)
def policy_load(m, frame):
    newest = m.kernel[KERNEL_NEWEST]
    m.frame[frame * FRAME + FRAME_PREVIOUS] = newest
    m.frame[frame * FRAME + FRAME_NEXT] = -1
    if newest < 0:
        m.kernel[KERNEL_OLDEST] = frame
    else:
        m.frame[newest * FRAME + FRAME_NEXT] = frame
    m.kernel[KERNEL_NEWEST] = frame


@writes(fills=True)
def policy_unload(m, frame):
    previous = m.frame[frame * FRAME + FRAME_PREVIOUS]
    following = m.frame[frame * FRAME + FRAME_NEXT]
    if previous < 0:
        m.kernel[KERNEL_OLDEST] = following
    else:
        m.frame[previous * FRAME + FRAME_NEXT] = following
    if following < 0:
        m.kernel[KERNEL_NEWEST] = previous
    else:
        m.frame[following * FRAME + FRAME_PREVIOUS] = previous
    m.frame[frame * FRAME + FRAME_PREVIOUS] = -1
    m.frame[frame * FRAME + FRAME_NEXT] = -1


@reads(fills=True)
def victim(m):
    return m.kernel[KERNEL_OLDEST]
