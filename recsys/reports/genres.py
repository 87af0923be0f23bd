"""Folders of genre folders, as reports speak of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.classifier.datasets import find_tracks

if TYPE_CHECKING:
    from pathlib import Path


def empty_genre_folders(directory: Path, besides: Path | None = None) -> tuple[str, ...]:
    """Name the genre folders that hold no audio.

    Parameters
    ----------
    directory : Path
        Holds ``GENRE/track.ext``.
    besides : Path, optional
        A folder that is no genre: the report itself may lie here.

    Returns
    -------
    tuple of str
        Sorted.

    Raises
    ------
    ModelError
        If no genre folder holds audio.
    """
    full = {file.genre for file in find_tracks(directory, allow_empty=True)}
    own = besides.resolve() if besides else None
    folders = (path for path in directory.iterdir() if path.is_dir() and path.resolve() != own)
    names = {path.name for path in folders if not path.name.startswith(".")}
    return tuple(sorted(names - full))
