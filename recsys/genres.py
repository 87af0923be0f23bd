"""The genre of a track among all that a model knows: its genres, and the styles among its tags.

Three steps, the first that holds:

1. the most probable genre of the classifier head, if its probability reaches its threshold and
   :data:`CONFIDENT`;
2. the strongest style, if the track carries it: a strength of :data:`HOLDS_FROM` or more;
3. ``unknown``.

A head that was trained on ten genres gives one of them to all music, often with a probability of a
half; tags were learned from thousands of listeners and say what is missing among the ten. Only tags
that passed the evaluation of the model are among its tags at all.

A style is a tag that :data:`STYLES` lists, so what a model calls "Ambient music" and another
"ambient" is one style, and tags that mean the same are one, with the mean of their strengths. A
style that is spelled like a genre of the head is that genre.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from recsys.names import spelling_key
from recsys.types import UNKNOWN

if TYPE_CHECKING:
    from recsys.types import FloatArray, ModelInfo

CONFIDENT = 0.7
"""Probability from which a genre of the head goes before a style."""

HOLDS_FROM = 1.0
"""Strength (z-score) from which a track carries a tag."""

_STYLES = {
    "african": "Music of Africa",
    "afrobeat": "",
    "ambient": "",
    "asian": "Music of Asia",
    "bluegrass": "",
    "blues": "",
    "bollywood": "Music of Bollywood",
    "celtic": "",
    "children's": "Music for children",
    "chiptune": "8-bit",
    "classical": "",
    "country": "",
    "dance": "Electronic dance music; EDM",
    "disco": "",
    "drum and bass": "Drum & bass; DnB",
    "dubstep": "",
    "electronic": "Electronica",
    "flamenco": "",
    "folk": "Traditional music",
    "funk": "",
    "gospel": "",
    "grunge": "",
    "hiphop": "Hip-Hop; Rap",
    "house": "",
    "indian": "Carnatic music",
    "jazz": "",
    "latin": "Music of Latin America",
    "metal": "Heavy metal",
    "middle eastern": "",
    "new age": "New-age music",
    "opera": "",
    "orchestral": "Orchestra",
    "pop": "",
    "punk": "Punk rock",
    "reggae": "",
    "rnb": "Rhythm and blues; R&B",
    "rock": "",
    "rock and roll": "",
    "salsa": "",
    "ska": "",
    "soul": "",
    "swing": "",
    "techno": "",
    "trance": "",
    "video game music": "",
}

STYLES = MappingProxyType(
    {
        spelling_key(spelling): name
        for name, others in _STYLES.items()
        for spelling in (name, *filter(None, others.split("; ")))
    }
)
"""Styles by the spelling keys of the tags that name them: of last.fm, AudioSet, MagnaTagATune.

Instruments, moods, eras, voices and uses ("soundtrack", "lullaby") are no styles. Kinds of rock and
pop ("classic rock", "indie pop", "electro") are left out, because chance would decide between the
two, and so are scenes of any sound ("indie", "alternative", "experimental").
"""


class Style(NamedTuple):
    """A style that a model knows."""

    name: str
    columns: tuple[int, ...]  # of its tags


@lru_cache(maxsize=16)
def styles_of(tags: tuple[str, ...], labels: tuple[str, ...] = ()) -> tuple[Style, ...]:
    """Return the styles among the tags of a model, in their order; named as its genres are.

    Examples
    --------
    >>> [style.name for style in styles_of(("rock", "chill", "Ambient music", "ambient"))]
    ['rock', 'ambient']
    >>> styles_of(("Hip-Hop", "guitar"), ("hip-hop",))
    (Style(name='hip-hop', columns=(0,)),)
    """
    # Cached: computed for every stored track, it took two thirds of the time to store it.
    own = {spelling_key(label): label for label in labels}
    columns: dict[str, list[int]] = {}
    for column, tag in enumerate(tags):
        if (style := STYLES.get(spelling_key(tag))) is not None:
            columns.setdefault(own.get(spelling_key(style), style), []).append(column)
    return tuple(Style(name, tuple(held)) for name, held in columns.items())


def knows_styles(info: ModelInfo) -> bool:
    """Return whether a model has styles enough to sort by: two of them."""
    return len(styles_of(info.tags, info.labels)) > 1


def all_genres(labels: tuple[str, ...], tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return every genre that a model knows: those of its head, then its other styles."""
    return tuple(dict.fromkeys([*labels, *(style.name for style in styles_of(tags, labels))]))


def style_strengths(info: ModelInfo, strengths: FloatArray) -> FloatArray:
    """Return the strengths of the styles, shape (n, n_styles), from those of the tags."""
    import numpy as np  # here: the completion of a command line has no time for it

    styles = styles_of(info.tags, info.labels)
    each = [strengths[:, list(style.columns)].mean(axis=1) for style in styles]
    result: FloatArray = np.stack(each, axis=1)
    return result


def genres_among_all(
    info: ModelInfo, probabilities: FloatArray, strengths: FloatArray
) -> list[str]:
    """Return the genre of each track by the rule of this module, for a model that knows styles.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_genres)
    strengths : ndarray of shape (n, n_tags)
        Of the tags, see :meth:`recsys.types.ModelInfo.tag_strengths`.
    """
    each = style_strengths(info, strengths)
    styles = styles_of(info.tags, info.labels)
    genres = []
    for row, p in enumerate(probabilities):
        genre = info.genre_of(p) if p.max() >= CONFIDENT else UNKNOWN
        if genre == UNKNOWN:
            best = int(each[row].argmax())
            genre = styles[best].name if each[row, best] >= HOLDS_FROM else UNKNOWN
        genres.append(genre)
    return genres
