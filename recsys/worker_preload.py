"""Imported once by the server that worker processes are forked from.

Everything a worker needs is loaded and used once here, so that each of them starts at once and
shares the memory.
"""

from pathlib import Path

import numpy as np
import soxr

from recsys import audio, library
from recsys.mel import CompressedMel

_MEL = CompressedMel()
_MEL.compute(np.zeros((1, _MEL.window_length), dtype=np.float32))
library.read_tags(Path(__file__))

__all__ = ["audio", "library", "soxr"]
