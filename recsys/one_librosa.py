"""librosa, loaded by one process at a time.

numba compiles some functions of librosa when they are first imported and keeps the result on the
disk. Two processes that do so at once may write halves that do not match, and then every later
process that calls such a function crashes (https://github.com/numba/numba/issues/10128). So all
code takes librosa from this module, ``from recsys.one_librosa import librosa``, inside of the
function that needs it, because it takes a second or two.
"""

from __future__ import annotations

import contextlib
import importlib

import librosa
from filelock import FileLock
from platformdirs import user_cache_path

__all__ = ["librosa"]

_COMPILED = ("librosa.util.utils", "librosa.core.audio", "librosa.core.pitch")
"""The modules, among those in use here, whose import compiles."""

_PATIENCE_S = 120.0
"""Compiling takes seconds; a process that holds the lock longer has stopped working."""


def _load() -> None:
    with contextlib.ExitStack() as stack:
        # Without a folder to write to there is no lock; most likely nothing is kept either.
        with contextlib.suppress(OSError):
            folder = user_cache_path("recsys", ensure_exists=True)
            stack.enter_context(FileLock(folder / "librosa.lock", timeout=_PATIENCE_S))
        for name in _COMPILED:
            importlib.import_module(name)


_load()
