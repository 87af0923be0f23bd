"""Memory that the C library keeps between uses, and how much a process may have."""

from __future__ import annotations

import ctypes
import sys

from recsys.errors import RecsysError

_MIB = 2**20
_NEEDED_MIB = 190
_NEEDED_PER_PROCESSOR_MIB = 170
_NEEDED_PER_WORKER_MIB = 75
"""Address space of an indexing process; with less, the libraries that it loads may crash.

Threads have stacks, heaps and buffers of their own. Six clips take 394 MiB with one processor and
one worker, 633 with two and two, 464 and 560 with two of one kind: about 45 less than this.
"""

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
    tenth of decoding a track. The process then keeps its peak memory until it ends. Not `large`:
    arrays of ``LARGE_BYTES`` or more, and twice that at the end of the kept memory, go back as
    before. Returns whether it could be done: only with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    if large:  # nothing by mmap, which is always handed back, and no trimming
        return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
    kept = bool(mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES))
    return kept and bool(mallopt(_M_TRIM_THRESHOLD, 2 * LARGE_BYTES))


def check_address_space(processors: int, workers: int) -> None:
    """Raise RecsysError if this process may have less address space than indexing needs."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    threads = _NEEDED_PER_PROCESSOR_MIB * processors + _NEEDED_PER_WORKER_MIB * workers
    needed = _NEEDED_MIB + threads
    if limit != resource.RLIM_INFINITY and limit < needed * _MIB:
        raise RecsysError(
            f"too little memory: this process may have {limit // _MIB} MiB of address space, "
            f"and analysis needs {needed} MiB",
            "Nothing was analysed or recorded. Raise the limit: ulimit -v unlimited",
        )
