"""Memory that the C library keeps between uses."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1

LARGE_BYTES = 32 * 2**20
"""The largest threshold that glibc accepts."""


def keep_freed_memory(*, large: bool = True) -> bool:
    """Let the C library keep freed memory for its next use.

    Large arrays are otherwise handed back to the system as soon as they are freed and mapped again,
    page by page, a moment later: half of the time of a convolution over large spectrograms, and a
    tenth of decoding a track.

    Parameters
    ----------
    large : bool
        Keep everything, as training needs. False returns arrays of ``LARGE_BYTES`` or more to the
        system as before, and twice that at the end of the kept memory.

    Returns
    -------
    bool
        Whether it could be done: only with glibc.

    Notes
    -----
    The process keeps its peak memory, in pieces of the kept kind, until it ends.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    if large:
        return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
    kept = bool(mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES))
    return kept and bool(mallopt(_M_TRIM_THRESHOLD, 2 * LARGE_BYTES))
