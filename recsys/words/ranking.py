"""Scores of the tracks of a library for a phrase.

Every wish has a value for every track, in the unit of tag strengths (z-scores: 0 is average music,
1 carries the tag):

    a sound      the mean strength of its tags (or the strongest), less half the strongest of the
                 tags that it excludes
    a genre      of a genre group of the library: for its tracks the strength of its tag, but at
                 least 0.5; for all others, which the classifier says are something else, 1 less
                 than that, and at most 0.5. Without a tag, 1.5 and -1.5
    an unwanted  1 where its strength is 0 or less, falling by its strength
    years        by the year of the file: 2 inside, falling by 1 in two years; without a year, the
                 strength of the tag of the decade
    names        by similarity to their tracks; those themselves have the highest value

The score is the mean value, weighted, plus the shortfall of the wish that is least fulfilled: how
far its value is below the strength that was asked for (1; "very" 1.5, "a little" 0.5). So one
strong tag does not hide a missing one. Of two wishes, a track that carries one and is average in
the other has a score of -0.5, and fits just so. Tracks of the genre groups that a phrase names come
first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from recsys.errors import QueryError
from recsys.names import spelling_key
from recsys.recommender.query import MAX_BATCH, Candidate
from recsys.types import Neighbour
from recsys.words.phrase import Era, PhraseName, PhraseReading, Wish, all_of

if TYPE_CHECKING:
    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.filters import TrackFilter
    from recsys.recommender.query import TagFilter
    from recsys.types import Analysis, Catalogue, FloatArray, IdArray, ModelInfo, Track
    from recsys.words.table import Sound

Values: TypeAlias = npt.NDArray[np.floating]

FITS = -0.5
"""Score from which a track fits a phrase."""

MOST, LEAST = 3.0, -3.0
"""Limits of a value, so that no wish outvotes all others."""

IN_GROUP, LEAST_IN_GROUP, OUTSIDE, MOST_OUTSIDE = 1.5, 0.5, 1.0, 0.5
"""Values of a genre group: of its tracks without a tag for it, and the least with one; what is
taken from the tag for all other tracks, and the most that they have. Adagios are more "metal" than
most music to the tags of the shipped model, but not to its genre classifier."""

CARRIED, PARTLY = 0.75, 0.0
"""Values from which a track is said to fulfil a wish, and to do so in part."""

IN_YEARS, PER_YEAR = 2.0, 0.5
"""Value of the years of an era for a track in them, and what a year outside takes from it."""

NAMED = 2.5
"""Value of a name for its own tracks."""

_AHEAD = 0.01
"""What a track of the title asked for is better than its nearest."""

NEAR_FACTOR, NEAR_OFFSET = 4.0, -0.5
"""From a cosine to a value: the nearest of some hundred tracks, 0.75, is as good as the name
itself, a random track, 0, below average."""

NAME_REACH = 2000
"""Tracks nearest to a name whose similarity counts; all others are taken to be unlike it."""

_NO_YEAR = -1.0
_OLDIES_UNTIL = 1960
_DECADE = 10
_NO_DIRECTION = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class LibrarySounds:
    """What a library knows of the sound of its tracks, for all of them at once."""

    info: ModelInfo
    ids: IdArray  # (n,), ascending
    scores: FloatArray  # (n_tags, n), of the tags: a wish reads few tags of all tracks
    group_names: tuple[str, ...]
    groups: npt.NDArray[np.intp]  # (n,), positions in the names
    years: FloatArray  # (n,), of the files; NaN without one
    _strengths: dict[int, FloatArray] = field(default_factory=dict)  # those asked for so far

    @classmethod
    def of(cls, store: Catalogue, info: ModelInfo) -> LibrarySounds:
        """Read a library; QueryError if its model has no tags."""
        if not info.tags:
            raise QueryError(
                f"the model {info.name} ({info.fingerprint}) has no tags, and words need them",
                "Analyse the library again with the shipped model: recsys index --reanalyse FOLDER;"
                " or name the text model of an ONNX model in its table [text] (docs/models.md).",
            )
        ids, scores = store.all_tag_scores()
        labelled, groups, years = store.all_labels()
        order = np.searchsorted(labelled, ids)
        # Between the two another process may have removed or added tracks.
        order = np.minimum(order, max(0, len(labelled) - 1))
        kept = labelled[order] == ids if len(labelled) else np.zeros(len(ids), bool)
        order = order[kept]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
        codes = np.array([numbers[group] for group in groups], dtype=np.intp)
        columns = np.ascontiguousarray(scores[kept].T)
        return cls(info, ids[kept], columns, tuple(numbers), codes[order], years[order])

    @classmethod
    def of_analyses(cls, info: ModelInfo, analyses: Sequence[Analysis]) -> LibrarySounds:
        """Return the sounds of analyses that are in no library, numbered from 0."""
        groups = np.argmax([analysis.probabilities for analysis in analyses], axis=1)
        scores = np.stack([analysis.tags for analysis in analyses], axis=1)
        unknown = np.full(len(analyses), np.nan, dtype=np.float32)
        return cls(info, np.arange(len(analyses)), scores, tuple(info.labels), groups, unknown)

    def strengths(self, columns: Sequence[int]) -> FloatArray:
        """Return the strengths of some tags, shape (len(columns), n).

        They are kept: those of all tags of 100,000 tracks would take half a second.
        """
        new = [column for column in columns if column not in self._strengths]
        if new:
            alone = replace(
                self.info,
                tags=tuple(self.info.tags[i] for i in new),
                tag_means=tuple(self.info.tag_means[i] for i in new),
                tag_deviations=tuple(self.info.tag_deviations[i] for i in new),
            )
            found = np.ascontiguousarray(alone.tag_strengths(self.scores[new].T).T)
            self._strengths.update(zip(new, found, strict=True))
        return np.stack([self._strengths[column] for column in columns])

    def of_group(self, group: str | None) -> npt.NDArray[np.bool_]:
        """Return which tracks are in a genre group, shape (n,)."""
        if group not in self.group_names:
            return np.zeros(len(self.ids), dtype=np.bool_)
        inside: npt.NDArray[np.bool_] = self.groups == self.group_names.index(group)
        return inside


@dataclass(frozen=True, slots=True, eq=False)
class MatchedWords:
    """One track and how it fits a phrase."""

    candidate: Candidate  # its similarity is that to the middle of the best
    score: float
    values: tuple[tuple[str, float], ...]  # of each wish, by its text

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return which wishes the track fulfils, in words, then its score and their values."""
        said = ("fits", CARRIED, np.inf), ("partly", PARTLY, CARRIED), ("not", -np.inf, PARTLY)
        parts = []
        for word, least, below in said:
            names = [name for name, value in self.values if least <= value < below]
            parts += [f"{word}: {', '.join(names)}"] if names else []
        values = (f"{name} {value:+.1f}" for name, value in self.values)
        return "; ".join(parts), f"score {self.score:.2f}", *values


class WordRanking:
    """Ranks the tracks of a library for a phrase.

    `near` is an embedding, shape (d,), of seeds that are given besides the phrase: only the
    :data:`NAME_REACH` tracks nearest to it are ranked, and their similarity is one more wish. With
    `tiers` False, the tracks of the genre groups that are named do not come first. Without an index
    there can be neither seeds nor names.
    """

    def __init__(
        self,
        sounds: LibrarySounds,
        index: EmbeddingIndex | None,
        info: ModelInfo,
        reading: PhraseReading,
        near: FloatArray | None = None,
        *,
        tiers: bool = True,
    ) -> None:
        reading.check()
        self._sounds, self._index, self._info = sounds, index, info
        self.reading = reading
        self.groups = reading.groups if tiers else ()
        self.notes: tuple[str, ...] = ()  # on what cannot be measured in this library
        self._columns = {tag: column for column, tag in enumerate(info.tags)}
        self._wishes: list[tuple[str, Values, float]] = []  # text, value of every track, weight
        refused = all_of(reading.names, unwanted=True)
        self._admitted = np.ones(len(sounds.ids), dtype=np.bool_)
        if refused:
            self._admitted = ~np.isin(sounds.ids, list(refused))
        self._measure(near)
        self.scores = self._score()
        self._order = self._ranked()

    def __len__(self) -> int:
        return len(self._order)

    @property
    def fitting(self) -> int:
        """How many tracks fit the phrase."""
        return int(np.sum(self.scores[self._order] >= FITS))

    def best_ids(self, count: int) -> list[int]:
        """Return the ids of the best tracks."""
        return [int(i) for i in self._sounds.ids[self._order[:count]]]

    def tier_of(self, row: int) -> int:
        """Return 1 for a track of the genre groups that the phrase names, else 2; 0 for none."""
        if not self.groups:
            return 0
        group = self._sounds.group_names[self._sounds.groups[row]]
        return 1 if group in self.groups else 2

    def matches(
        self,
        store: Catalogue,
        centre: FloatArray,
        genre: str | None = None,
        wanted: TagFilter | None = None,
        allowed: TrackFilter | None = None,
        *,
        only_fitting: bool = False,
    ) -> Iterator[tuple[int, MatchedWords]]:
        """Yield tier and match of every track, the best first, read from the store in batches.

        `centre`, shape (d,) and unit length, is what similarities are to. `wanted` and `allowed`
        count the tracks that they refuse.
        """
        order = self._order
        if only_fitting:
            order = order[self.scores[order] >= FITS]
        if genre is not None:
            order = order[self._sounds.of_group(genre)[order]]
        size = 64
        start = 0
        while start < len(order):
            rows = order[start : start + size]
            start, size = start + size, min(2 * size, MAX_BATCH)
            ids = self._sounds.ids[rows].tolist()
            if wanted is not None:
                ids = [n.track_id for n in wanted.admitted([Neighbour(i, 0.0) for i in ids])]
            tracks = store.tracks(ids)
            known = [i for i in ids if i in tracks and genre in (None, tracks[i].genre_group)]
            analyses = store.analyses(known)
            row_of = dict(zip(self._sounds.ids[rows].tolist(), rows.tolist(), strict=True))
            for track_id in known:
                if track_id not in analyses:
                    continue
                row, vector = row_of[track_id], analyses[track_id].embedding
                if allowed is None or allowed.admits(tracks[track_id], vector):
                    similarity = float(np.clip(vector @ centre, -1.0, 1.0))
                    yield self.tier_of(row), self._match(row, tracks[track_id], similarity, vector)

    def _match(self, row: int, track: Track, similarity: float, vector: FloatArray) -> MatchedWords:
        values = tuple((text, float(column[row])) for text, column, _ in self._wishes)
        candidate = Candidate(track, round(similarity, 6), vector)
        return MatchedWords(candidate, float(self.scores[row]), values)

    # Values

    def _measure(self, near: FloatArray | None) -> None:
        for wish in self.reading.wishes:
            self._add(str(wish), self._wish(wish), wish.weight)
        eras = [era for era in self.reading.eras if self._has_years(era)]
        wanted = [era for era in eras if not era.unwanted]
        if wanted:
            each = np.stack([self._era(era) for era in wanted])
            self._add(" or ".join(map(str, wanted)), each.max(axis=0), 1.0)
        for era in eras:
            if era.unwanted:
                self._add(str(era), 1 - np.maximum(self._unwanted_era(era), 0), 1.0)
        for name in self.reading.names:
            if not name.unwanted:
                self._add(str(name), self._name(name), 1.0)
        if near is not None:
            values, reached = self._near(near)
            self._admitted &= reached
            self._add("like the tracks given", values, 1.0)

    def _add(self, text: str, values: Values, weight: float) -> None:
        self._wishes.append((text, np.clip(values, LEAST, MOST).astype(np.float32), weight))

    def _wish(self, wish: Wish) -> Values:
        each = np.stack([self._strength(sound) for sound in wish.sounds])
        strength: Values = each.max(axis=0)
        if not wish.unwanted:
            return strength
        from_strength = 1.0 if wish.only_strong else 0.0
        unwanted: Values = 1.0 - np.maximum(strength - from_strength, 0)
        return unwanted

    def _strength(self, sound: Sound) -> Values:
        if sound.group is not None:
            return self._of_group(sound)
        tags = self._strengths_of(sound.tags)
        strength: Values = tags.max(axis=0) if sound.any else tags.mean(axis=0)
        if sound.absent:
            strength = strength - np.maximum(self._strengths_of(sound.absent).max(axis=0), 0) / 2
        return strength

    def _of_group(self, sound: Sound) -> Values:
        inside = self._sounds.of_group(sound.group)
        if sound.near or not sound.tags:
            return np.where(inside, IN_GROUP, -IN_GROUP)
        tags = self._strengths_of(sound.tags).mean(axis=0)
        outside = np.minimum(tags - OUTSIDE, MOST_OUTSIDE)
        values: Values = np.where(inside, np.maximum(tags, LEAST_IN_GROUP), outside)
        return values

    def _strengths_of(self, tags: Sequence[str]) -> FloatArray:
        return self._sounds.strengths([self._columns[tag] for tag in tags])

    def _has_years(self, era: Era) -> bool:
        """Return whether anything tells the years of tracks; note it if not."""
        if self._era_columns(era) or not np.isnan(self._sounds.years).all():
            return True
        self.notes += (f"{era} does not count: no file has a year, and the model no tag for it",)
        return False

    def _era_columns(self, era: Era) -> list[int]:
        first = -np.inf if era.first is None else era.first
        last = np.inf if era.last is None else era.last
        return [i for i, tag in enumerate(self._info.tags) if _overlaps(tag, first, last)]

    def _era(self, era: Era) -> Values:
        years = self._sounds.years
        first = -np.inf if era.first is None else era.first
        last = np.inf if era.last is None else era.last
        outside = np.maximum(np.maximum(first - years, years - last), 0)
        by_year = np.maximum(IN_YEARS - PER_YEAR * outside, -IN_YEARS)
        columns = self._era_columns(era)
        by_tag: Values = np.full(len(years), _NO_YEAR)
        if columns:
            by_tag = self._sounds.strengths(columns).max(axis=0)
        return np.where(np.isnan(years), by_tag, by_year)

    def _unwanted_era(self, era: Era) -> Values:
        """Return the values of years that are unwanted; the tag of a decade tells no single one."""
        values = self._era(era)
        if era.first is not None and era.last is not None and era.last - era.first < _DECADE - 1:
            return np.where(np.isnan(self._sounds.years), 0, values)
        return values

    def _name(self, name: PhraseName) -> Values:
        ids = self._sounds.ids
        own = np.isin(ids, list(name.track_ids))
        if not own.any():  # removed meanwhile
            return np.full(len(ids), LEAST)
        assert self._index is not None
        vectors = self._index.vectors(ids[own].tolist())
        mean = vectors.mean(axis=0, dtype=np.float64)
        length = float(np.linalg.norm(mean))
        centre = (mean / length).astype(np.float32) if length > _NO_DIRECTION else vectors[0]
        values, _ = self._near(centre)
        if name.kind == "artist":  # mixed with those nearest to it
            values[own] = NAMED
            return values
        values = np.minimum(values, MOST - _AHEAD)
        values[own] = max(NAMED, float(values.max()) + _AHEAD)
        return values

    def _near(self, centre: FloatArray) -> tuple[Values, npt.NDArray[np.bool_]]:
        """Return the values of all tracks by similarity, and which are near enough to have one."""
        all_ids = self._sounds.ids
        assert self._index is not None
        found = self._index.search(None, centre, NAME_REACH)
        ids = np.array([near.track_id for near in found], dtype=np.int64)
        cosines = np.array([near.similarity for near in found])
        rows = np.minimum(np.searchsorted(all_ids, ids), len(all_ids) - 1)
        rows, cosines = rows[all_ids[rows] == ids], cosines[all_ids[rows] == ids]
        values: Values = np.full(len(all_ids), NEAR_OFFSET)
        reached = np.zeros(len(all_ids), dtype=np.bool_)
        values[rows] = NEAR_FACTOR * cosines + NEAR_OFFSET
        reached[rows] = True
        return values, reached

    # Scores

    def _score(self) -> Values:
        if not self._wishes and not self.notes:  # "without Queen": all others are as good
            return np.ones(len(self._sounds.ids), dtype=np.float32)
        if not self._wishes:
            raise QueryError("; ".join(self.notes), "Name other words.")
        total = sum(weight for _, _, weight in self._wishes)
        mean: Values = np.zeros(len(self._sounds.ids), dtype=np.float32)
        shortfall = np.zeros_like(mean)
        for _, values, weight in self._wishes:
            mean += np.float32(weight / total) * values
            np.minimum(shortfall, values - np.float32(weight), out=shortfall)
        return mean + shortfall

    def _ranked(self) -> npt.NDArray[np.intp]:
        """Return the rows, best first: named genre groups as a tier, then by score, then by id."""
        rows = np.flatnonzero(self._admitted)
        order: npt.NDArray[np.intp] = rows[np.argsort(-self.scores[rows], kind="stable")]
        if self.groups:
            first = np.logical_or.reduce([self._sounds.of_group(group) for group in self.groups])
            order = np.concatenate([order[first[order]], order[~first[order]]])
        return order


_DECADE_TAG = re.compile(r"([0-9])0s")


def _overlaps(tag: str, first: float, last: float) -> bool:
    """Return whether a tag of a decade, or "oldies", is of some of these years."""
    if spelling_key(tag) == "oldies":
        return last < _OLDIES_UNTIL
    match = _DECADE_TAG.fullmatch(tag)
    if match is None:
        return False
    begin = int(match[1]) * 10
    begin += 1900 if begin >= 30 else 2000
    return begin <= last and first <= begin + 9
