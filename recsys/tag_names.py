"""What the tags of a model mean: which of them are styles of music, and which one a name means."""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import QueryError
from recsys.genre_names import spelling_key

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from recsys.types import FloatArray, ModelInfo

STYLES = frozenset(
    spelling_key(name)
    for name in (
        *("ambient", "blues", "classical", "country", "dance", "electronic", "folk", "funk"),
        *("Hip-Hop", "House", "jazz", "metal", "pop", "punk", "reggae", "rnb", "rock", "soul"),
    )
)
"""Tags by which a library can be sorted, as :func:`recsys.genre_names.spelling_key` has them.

Moods, eras and voices are no styles. Kinds of a style that is here ("classic rock", "indie pop",
"heavy metal", "electro") are left out, because between them and it a single track falls by chance,
and so are scenes that hold every sound ("indie", "alternative", "experimental").
"""

MOODS = frozenset(
    spelling_key(name)
    for name in (
        *("acoustic", "ambient", "beautiful", "catchy", "chill", "chillout", "dance", "happy"),
        *("easy listening", "instrumental", "Mellow", "party", "sad", "sexy"),
    )
)
"""Tags that say how music feels; by these, two tracks are alike in mood."""

LEAST_STYLES = 2
"""Fewer cannot sort a library."""

_NAMES_OFFERED = 3


def style_columns(info: ModelInfo) -> list[int]:
    """Return the places of the styles among the tags of a model."""
    return list(_style_places(info.tags))


@lru_cache(maxsize=16)
def _style_places(tags: tuple[str, ...]) -> tuple[int, ...]:
    # Remembered, because every track that is stored asks: it was two thirds of storing it.
    return tuple(place for place, tag in enumerate(tags) if spelling_key(tag) in STYLES)


def mood_columns(info: ModelInfo) -> list[int]:
    """Return the places of the moods among the tags of a model; all places where it has none."""
    moods = [place for place, tag in enumerate(info.tags) if spelling_key(tag) in MOODS]
    return moods or list(range(len(info.tags)))


def strongest_styles(info: ModelInfo, scores: FloatArray) -> list[str]:
    """Return the style of each track: the one of the greatest strength.

    Parameters
    ----------
    info : ModelInfo
        Has styles among its tags.
    scores : ndarray of float32, shape (n, n_tags)

    Returns
    -------
    list of str
        As the model spells them, one per row.
    """
    columns = style_columns(info)
    strengths = info.tag_strengths(scores)[:, columns]
    return [info.tags[columns[place]] for place in np.argmax(strengths, axis=1)]


def resolve_tag(info: ModelInfo, name: str, roots: Iterable[Path] = ()) -> int:
    """Return the place of the tag that a name means; case, hyphens and spaces do not matter.

    Parameters
    ----------
    info : ModelInfo
        Its tags are looked through.
    name : str
        As the listener gave it.
    roots : iterable of Path
        Folders of the library, for the hint.

    Raises
    ------
    QueryError
        The model has no tags, or not this one: then the message offers the nearest names and the
        hint lists them all.
    """
    check_has_tags(info, roots)
    keys = [spelling_key(tag) for tag in info.tags]
    key = spelling_key(name)
    if key in keys:
        return keys.index(key)
    near = difflib.get_close_matches(key, keys, n=_NAMES_OFFERED)
    offered = " or ".join(repr(info.tags[keys.index(found)]) for found in near)
    raise QueryError(
        f"unknown tag {name!r}" + (f"; did you mean {offered}?" if offered else ""),
        f"The model knows: {', '.join(info.tags)}.",
    )


def check_has_tags(info: ModelInfo, roots: Iterable[Path] = (), least_styles: int = 0) -> None:
    """Make sure that a model has tags, and enough styles among them.

    Raises
    ------
    QueryError
        It has not.
    """
    what = ""
    if not info.tags:
        what = "no tags"
    elif len(style_columns(info)) < least_styles:
        what = f"{len(info.tags)} tags, {len(style_columns(info))} of them styles"
    if what:
        raise QueryError(
            f"the model {info.name} ({info.fingerprint}), which analysed the library, has {what}",
            "Let the model that comes with this recsys, or another with tags, listen again: "
            f"recsys index --reanalyse {' '.join(map(str, roots)) or 'FOLDER'}",
        )
