"""Files of sound that a player can play, many of which take the place of one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile


def linked_music(folder: Path, names: list[str], duration_s: float = 120.0) -> list[Path]:
    """Make files of one sound, which takes its place on disk once."""
    first = folder / names[0]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    time_s = np.arange(int(8000 * duration_s)) / 8000
    soundfile.write(first, 0.1 * np.sin(2 * np.pi * 220 * time_s), 8000)
    for name in names[1:]:
        os.link(first, folder / name)
    return [folder / name for name in names]
