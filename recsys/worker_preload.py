"""Imported once by the server that worker processes are forked from.

Everything a worker needs is loaded and used once here, so that each of them starts at once and
shares the memory.
"""

import numpy as np

from recsys import audio, library
from recsys.features import MEL, log_mel

log_mel(np.zeros((1, MEL.window_length), dtype=np.float32))

__all__ = ["audio", "library"]
