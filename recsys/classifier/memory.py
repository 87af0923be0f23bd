"""Memory for training on the processor."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next step of a training.

    Large activations are otherwise handed back to the system after every step and mapped anew,
    page by page, in the next: half of the time of a convolution over large pictures.

    Returns
    -------
    bool
        Whether it could be done; only glibc can be told.

    Notes
    -----
    The process keeps the most that it ever used at a time until it ends.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
