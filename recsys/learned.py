"""The tracks that a model learned from, by the keys in its card: figures on them are too good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Keys = frozenset[str] | None
"""Tracks that a model was trained or selected on, ``genre/name`` each; None if not listed."""


def training_keys(training: Mapping[str, Any]) -> Keys:
    """Return the keys in the part of a model card that is about its training."""
    keys = training.get("keys")
    return None if keys is None else frozenset(keys["train"]) | frozenset(keys["valid"])


def track_key(path: Path) -> str:
    """Return the key that a file has in the card of a model that learned from it.

    Examples
    --------
    >>> track_key(Path("/music/gtzan/blues/blues.00017.wav"))
    'blues/blues.00017'
    """
    return f"{path.parent.name}/{path.stem}"


def is_learned(keys: Keys, path: Path) -> bool:
    """Return whether a file is one of the tracks; the folder of its genre may be any above it.

    Examples
    --------
    >>> is_learned(frozenset({"jazz/So What"}), Path("/music/jazz/Miles Davis/So What.mp3"))
    True
    """
    return any(f"{folder.name}/{path.stem}" in (keys or ()) for folder in path.parents)


def count_learned(keys: Keys, found: Iterable[str]) -> int | None:
    """Return how many of some tracks a model learned from; None if its card does not tell."""
    return None if keys is None else sum(key in keys for key in found)


def warning_of(learned: int | None, tracks: int) -> str:
    """Return the sentence that every table, page and JSON of figures begins with, if any.

    Examples
    --------
    >>> warning_of(3, 10)
    'The model was trained or selected on 3 of these 10 tracks: the figures are too good.'
    >>> warning_of(0, 10)
    ''
    """
    if learned is None:
        return (
            "The card of the model does not list its training tracks: if these are among them, "
            "the figures are too good."
        )
    if not learned:
        return ""
    return (
        f"The model was trained or selected on {learned} of these {tracks} tracks: the figures "
        "are too good."
    )
