"""Paths of folders and audio files; all that asking for music needs of this package."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from recsys.errors import RecsysError

AUDIO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("aa3", "aac", "ac3", "adts", "aif", "aifc", "aiff", "alac", "amr", "ape", "at3", "au"),
        *("awb", "bwf", "caf", "dff", "dsf", "dts", "dtshd", "eac3", "flac", "m4a", "m4b", "m4r"),
        *("mka", "mlp", "mp1", "mp2", "mp3", "mpa", "mpc", "mpga", "oga", "ogg", "oma", "opus"),
        *("ra", "rf64", "shn", "snd", "spx", "tak", "thd", "tta", "voc", "w64", "wav", "wave"),
        *("weba", "wma", "wv"),
    )
)
"""Extensions of the files that a scan takes for sound by their names."""


CONTAINER_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("3g2", "3gp", "3gpp", "asf", "avi", "divx", "f4a", "f4b", "f4v", "flv", "m2ts", "m4p"),
        *("m4v", "mj2", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogm", "ogv", "ogx", "qt"),
        *("rm", "rmvb", "ts", "vob", "webm", "wmv"),
    )
)
"""Extensions of files that hold sound, or a moving picture with sound: their bytes tell."""


def absolute(path: str | Path) -> Path:
    """Return a path as the library stores it: absolute, ``~`` expanded, links kept.

    RecsysError for an empty one, as an unset shell variable is: not the current folder.
    """
    if not str(path):
        raise RecsysError("an empty path was given", "Check the variable or argument it came from.")
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 (it would follow links)


def outermost(folders: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return absolute folders or files, without repetitions and those inside another."""
    if isinstance(folders, str | Path):
        folders = [folders]
    roots: list[Path] = []
    # Paths sort by their components, so what is inside a folder follows it at once.
    for folder in sorted({absolute(folder) for folder in folders}):
        if not roots or not folder.is_relative_to(roots[-1]):
            roots.append(folder)
    return roots
