"""The genre of a track among all that a model knows: its genres, and the styles among its tags.

The first that holds:

1. the most probable genre of the classifier head, if it reaches its threshold; below a probability
   of :data:`CONFIDENT`, a style that is none of the head's genres goes before it from a strength of
   :data:`STRONG`;
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
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from recsys.names import spelling_key

if TYPE_CHECKING:
    from recsys.types import Analysis, FloatArray, ModelInfo

Scores: TypeAlias = tuple[tuple[str, float], ...]
"""Genre groups with a query's score of each in [0, 1], never rising."""

SMOOTHING = 0.25
"""Weight of the smoothed probabilities in a genre score.

Genres that a classifier confuses share about a tenth of their tracks, so smoothing moves a score by
about 0.025. Genres of a higher probability are ranked by it; below, where the probabilities of a
confident model are noise, genres are ranked by how often they are confused with the probable ones.
"""

CONFIDENT = 0.6
"""Probability from which a genre of the head goes before every style."""

STRONG = 2.0
"""Strength from which a style goes before a less probable genre of the head.

On 429 clips of GTZAN, by a head that had not seen the artist, 74.6% have their genre by these two
figures and 76.9% by the head alone; with 0.7, 72.3%; with 0.5, 76.7%. Of music that is none of the
ten, 31% get a genre that their descriptions allow; with 0.7, 39%; with 0.5, 26%
(``tests/benchmarks/open_labels.py``).
"""

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


@lru_cache(maxsize=16)
def all_genres(labels: tuple[str, ...], tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return every genre that a model knows: those of its head, then its other styles."""
    return tuple(dict.fromkeys([*labels, *(style.name for style in styles_of(tags, labels))]))


def style_strengths(info: ModelInfo, strengths: FloatArray) -> FloatArray:
    """Return the strengths of the styles, shape (n, n_styles), from those of the tags."""
    return strengths @ _means_of_tags(info.tags, info.labels)


@lru_cache(maxsize=16)
def _means_of_tags(tags: tuple[str, ...], labels: tuple[str, ...]) -> FloatArray:
    """Return the matrix (n_tags, n_styles) that takes the mean over the tags of each style."""
    import numpy as np  # here: the completion of a command line has no time for it

    styles = styles_of(tags, labels)
    means = np.zeros((len(tags), len(styles)), dtype=np.float32)
    for column, style in enumerate(styles):
        means[list(style.columns), column] = 1 / len(style.columns)
    return means


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
    import numpy as np

    from recsys.types import UNKNOWN  # here: it loads NumPy

    each = style_strengths(info, strengths)
    styles = styles_of(info.tags, info.labels)
    own = np.array([style.name in info.labels for style in styles])
    genres = []
    for p, row in zip(probabilities, each, strict=True):
        genre = info.genre_of(p)
        if p.max() < CONFIDENT or genre == UNKNOWN:
            rivals = row if genre == UNKNOWN else np.where(own, -np.inf, row)
            best = int(np.argmax(rivals))
            if rivals[best] >= (HOLDS_FROM if genre == UNKNOWN else STRONG):
                genre = styles[best].name
        genres.append(genre)
    return genres


def genre_among_all(info: ModelInfo, analysis: Analysis) -> str:
    """Return the genre of one track by the rule of this module; the head's without styles."""
    if not knows_styles(info):
        return info.genre_of(analysis.probabilities)
    strengths = info.tag_strengths(analysis.tags)[None]
    return genres_among_all(info, analysis.probabilities[None], strengths)[0]


def genre_scores(info: ModelInfo, probabilities: FloatArray) -> Scores:
    """Score every genre of the model for a query, the best first.

    A score is ``(1 - w) * p + w * (p @ confusion)`` with ``w`` = :data:`SMOOTHING`: the calibrated
    probability, blended with the predictions expected from the confusion matrix of the validation
    data. So a track that is 99% classical still has a sensible second genre.

    The most probable genre is always first. A genre that smoothing lifts above it is clipped to its
    score, so that the scores never rise along the list; clipped genres keep the order of their
    unclipped scores. Ties keep the order of the labels.

    `probabilities`, shape (n_genres,), are calibrated and sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from recsys.types import ModelInfo
    >>> confusion = np.array([[0.9, 0.0, 0.1], [0.0, 1.0, 0.0], [0.2, 0.0, 0.8]], np.float32)
    >>> info = ModelInfo("toy", "f", ("classical", "hiphop", "jazz"), (0.5,) * 3, confusion, 2)
    >>> scores = genre_scores(info, np.array([1.0, 0.0, 0.0], np.float32))
    >>> [(genre, round(score, 3)) for genre, score in scores]
    [('classical', 0.975), ('jazz', 0.025), ('hiphop', 0.0)]
    """
    import numpy as np

    p = np.asarray(probabilities, dtype=np.float64)
    smoothed = (1 - SMOOTHING) * p + SMOOTHING * (p @ info.confusion.astype(np.float64))
    top = int(np.argmax(p))
    ranking = smoothed.copy()
    ranking[top] = np.inf  # the most probable genre stays first, whatever smoothing does
    order = np.argsort(-ranking, kind="stable")
    held = np.clip(smoothed, 0.0, min(1.0, float(smoothed[top])))
    return tuple((info.labels[i], float(held[i])) for i in order)


def genre_weights(info: ModelInfo, analysis: Analysis) -> FloatArray:
    """Return how much each genre of all that the model knows is a track's, and ``unknown`` last.

    They are the scores of the genres of the head, weighted with its confidence (the highest
    probability), and the softmax of the strengths of the styles, with the rest of the weight. None
    weighs more than the track's own genre. All the weight of a track without one is unknown's.

    Shape (n_genres + 1,), the genres in the order of :func:`all_genres`; empty for a
    model without styles. The mean over several tracks says what they are together.
    """
    import numpy as np

    from recsys.types import UNKNOWN

    if not knows_styles(info):
        return np.empty(0, dtype=np.float32)
    names = all_genres(info.labels, info.tags)
    weights = np.zeros(len(names) + 1)
    own = genre_among_all(info, analysis)
    if own == UNKNOWN:
        weights[-1] = 1.0
        return np.asarray(weights, dtype=np.float32)
    confidence = float(analysis.probabilities.max())
    scores = dict(genre_scores(info, analysis.probabilities))
    weights[: len(info.labels)] = [confidence * scores[label] for label in info.labels]
    strengths = info.tag_strengths(analysis.tags)[np.newaxis]
    each = style_strengths(info, strengths)[0].astype(np.float64)
    shares = np.exp(each - each.max())
    for style, share in zip(styles_of(info.tags, info.labels), shares / shares.sum(), strict=True):
        weights[names.index(style.name)] += (1 - confidence) * share
    return np.asarray(np.minimum(weights, weights[names.index(own)]), dtype=np.float32)
