"""Radio: the next tracks of a list that never ends and never repeats.

A session has seeds and the tracks it gave so far; both are stored as hashes of their sound, so that
a moved or retagged file is not given again. The next tracks come in the order of the tiers
(:mod:`recsys.recommender.tiers`). Never relaxed: nothing twice, no near-duplicates, the filters.
Relaxed in the order of :data:`SPACINGS`: the distance of tracks of one artist, and of one album.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from recsys.checks import check_at_least, check_types
from recsys.credits import album_credits, album_title, spaced_artists
from recsys.playlists.draft import POOL, count
from recsys.recommender import plan_tiers, tier_candidates
from recsys.recommender.duplicates import NearDuplicates
from recsys.recommender.filters import NO_FILTERS, Filters, left_out
from recsys.recommender.query import TagFilter, nearest, track_filter
from recsys.recommender.taxonomy import taxonomy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from recsys.index.base import EmbeddingIndex
    from recsys.recommender.filters import TrackFilter
    from recsys.recommender.presence import Presence
    from recsys.recommender.query import Candidate, Query
    from recsys.taste.ranking import Taste
    from recsys.types import Blend, Catalogue, FloatArray, ModelInfo, Track

REACH = 64
"""How far down the candidates a spacing is pursued; the last one is, to the end of the library."""


@dataclass(frozen=True, slots=True)
class Spacing:
    """Minimum numbers of other tracks between two of one artist, and between two of one album."""

    artist: int
    album: int

    def __str__(self) -> str:
        return f"artist {self.artist}, album {self.album}"


SPACINGS = (Spacing(8, 24), Spacing(8, 8), Spacing(4, 4), Spacing(2, 2), Spacing(1, 1))
"""Spacings in the order in which they are tried for every track; the last resort is none."""

NO_SPACING = Spacing(0, 0)

STEERING = ("like", "dislike", "skip", "play")
"""What can be said of a track of a session."""

MOST_STEERING = 20
"""Tracks of each kind by which a session is steered, the last ones: a mood that was left long ago
must not hold it."""


def steered(blend: Blend, kind: str, sounds: Sequence[str]) -> Blend:
    """Return what a session goes by after something was said of sounds.

    Examples
    --------
    >>> from recsys.types import Blend
    >>> steered(Blend(("a",), ("b",)), "skip", ["b"])
    Blend(seeds=('a',), like=(), not_like=('b',))
    """
    if kind == "play":
        return blend
    like = [sound for sound in blend.like if sound not in sounds]
    not_like = [sound for sound in blend.not_like if sound not in sounds]
    (like if kind == "like" else not_like).extend(sounds)
    return replace(
        blend, like=tuple(like[-MOST_STEERING:]), not_like=tuple(not_like[-MOST_STEERING:])
    )


@dataclass(frozen=True, slots=True)
class RadioOptions:
    """What to play next.

    Attributes
    ----------
    length : int
        How many tracks.
    genre : str or None
        Only tracks of this genre group.
    tags : tuple of str
        Only tracks that carry all of these tags of the model.
    filters : Filters
        Which tracks must not be in the list, see :class:`recsys.recommender.filters.Filters`.
    taste : bool
        Let what the listener liked, disliked, played and skipped change the order inside a tier.

    Raises
    ------
    QueryError
        The length is below 1, or a value of another type.
    """

    length: int = 10
    genre: str | None = None
    tags: tuple[str, ...] = ()
    filters: Filters = NO_FILTERS
    taste: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(1, length=self.length)


@dataclass(frozen=True, slots=True)
class RadioTrack:
    """One track of a session."""

    position: int  # in the session, from 1
    track: Track
    similarity: float  # cosine to the seeds
    spacing: Spacing  # the one that it keeps


@dataclass(frozen=True, slots=True, repr=False)
class RadioAnswer:
    """The next tracks of a session."""

    session: int  # id, to go on with
    seeds: tuple[Track, ...]
    results: tuple[RadioTrack, ...]
    notes: tuple[str, ...]  # which rules were relaxed, and why there are too few tracks
    words: str | None = None  # the phrase of the session

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks of the results, in playing order."""
        return tuple(row.track for row in self.results)

    @property
    def name(self) -> str:
        """What the session is from, for display."""
        names = [seed.display_name for seed in self.seeds]
        return ", ".join([*names, *([self.words] if self.words else [])])

    def __repr__(self) -> str:
        number = count(len(self.results), "track")
        return f"<RadioAnswer: {number} of session {self.session}, from {self.name}>"

    def _repr_html_(self) -> str:
        from recsys.notebook import html_table
        from recsys.types import TRACK_COLUMNS

        rows = [(*row.track.cells(row.position), f"{row.similarity:.3f}") for row in self.results]
        columns = (*TRACK_COLUMNS, "Similarity")
        return html_table(f"Session {self.session}, from {self.name}", columns, rows)


class Radio:
    """Finds the next tracks of sessions in a library.

    `taste` is the listener's, None for none. `files` leaves out what is not there.
    """

    def __init__(
        self,
        store: Catalogue,
        index: EmbeddingIndex,
        info: ModelInfo,
        taste: Taste | None = None,
        files: Presence | None = None,
    ) -> None:
        self._taste = taste
        self.files = files
        self._store = store
        self._index = index
        self._info = info
        self._taxonomy = taxonomy_of(store, index, info)

    def following(
        self, session: int, query: Query, played: Sequence[str], options: RadioOptions
    ) -> RadioAnswer:
        """Return the tracks that follow those that were `played`, given as hashes of the sound.

        QueryError for an unknown genre or mood.
        """
        if options.genre is not None:
            options = replace(options, genre=self._taxonomy.resolve(options.genre))
        return self.among(session, query, partial(self._ranked, query, options), played, options)

    def among(
        self,
        session: int,
        query: Query | None,
        candidates: Callable[[TrackFilter | None], Iterator[Candidate]],
        played: Sequence[str],
        options: RadioOptions,
    ) -> RadioAnswer:
        """Return the tracks that follow, from candidates that come best first.

        They are asked for with what refuses tracks.
        """
        seeds = [] if query is None else [seed.track for seed in query.seeds]
        history = History(seeds, self._tracks(played), played)
        for track, embedding in self._embeddings(history.line):
            history.recordings.add(track, embedding)
        allowed = track_filter(self._store, query, options.filters, self.files)
        queue = candidates(allowed)
        waiting: list[Candidate] = []
        results: list[RadioTrack] = []
        while len(results) < options.length:
            found = _take(waiting, queue, history)
            if found is None:
                break
            candidate, spacing = found
            history.add(candidate)
            position = len(played) + len(results) + 1
            results.append(RadioTrack(position, candidate.track, candidate.similarity, spacing))
        notes = tuple(_notes(results, options, allowed, len(played)))
        return RadioAnswer(session, tuple(seeds), tuple(results), notes)

    def _tracks(self, hashes: Sequence[str]) -> list[Track]:
        """Return the tracks of these sounds that the library still has."""
        found = (self._store.tracks_with_hash(audio_hash) for audio_hash in hashes)
        return [tracks[0] for tracks in found if tracks]

    def _embeddings(self, tracks: Sequence[Track]) -> Iterator[tuple[Track, FloatArray]]:
        analyses = self._store.analyses([track.id for track in tracks])
        for track in tracks:
            if track.id in analyses:
                yield track, analyses[track.id].embedding

    def _ranked(
        self, query: Query, options: RadioOptions, allowed: TrackFilter | None
    ) -> Iterator[Candidate]:
        """Yield the tracks of the library, the best first."""
        wanted = TagFilter(self._store, self._info, options.tags) if options.tags else None
        search = partial(nearest, self._store, self._index, wanted=wanted, allowed=allowed)
        scores = self._taxonomy.scores(query)
        tiers = plan_tiers(self._taxonomy.group_of(query), scores, options.genre)
        expected = POOL + options.length
        return chain.from_iterable(
            tier_candidates(tiers, position, search, query.embedding, expected, self._taste)
            for position in range(len(tiers))
        )


class History:
    """What a session gave so far, with its seeds in front, and what may follow."""

    def __init__(
        self, seeds: Sequence[Track], tracks: Sequence[Track], played: Sequence[str]
    ) -> None:
        self.line = [*seeds, *tracks]
        self.recordings = NearDuplicates()
        self._hashes = {*played, *(track.audio_hash for track in seeds)}
        self._last: dict[object, int] = {}
        self._length = 0
        for track in self.line:
            self._follow(track)

    def add(self, candidate: Candidate) -> None:
        """Append a track."""
        self.recordings.add(candidate.track, candidate.embedding)
        self._hashes.add(candidate.track.audio_hash)
        self._follow(candidate.track)

    def holds(self, candidate: Candidate) -> bool:
        """Return whether a track, or a near-duplicate of it, was given already."""
        track = candidate.track
        return track.audio_hash in self._hashes or self.recordings.match(track, candidate.embedding)

    def keeps(self, track: Track, spacing: Spacing) -> bool:
        """Return whether a track may follow at this spacing."""
        distances = [(key, spacing.album) for key in _albums(track)]
        distances += [(artist, spacing.artist) for artist in spaced_artists(track)]
        return all(
            key not in self._last or self._length - self._last[key] > least
            for key, least in distances
        )

    def _follow(self, track: Track) -> None:
        for key in (*_albums(track), *spaced_artists(track)):
            self._last[key] = self._length
        self._length += 1


def _albums(track: Track) -> list[object]:
    """Return keys of which tracks of one album share one."""
    album = album_title(track)
    return [] if album is None else [(album, name) for name in album_credits(track)]


def _take(
    waiting: list[Candidate], queue: Iterator[Candidate], history: History
) -> tuple[Candidate, Spacing] | None:
    """Take the best track that may follow, with the spacing it keeps; None if there is none."""
    for spacing in SPACINGS:
        candidate = _first(waiting, queue, history, spacing, REACH)
        if candidate is not None:
            return candidate, spacing
    candidate = _first(waiting, queue, history, NO_SPACING, None)
    return None if candidate is None else (candidate, NO_SPACING)


def _first(
    waiting: list[Candidate],
    queue: Iterator[Candidate],
    history: History,
    spacing: Spacing,
    reach: int | None,
) -> Candidate | None:
    position = 0
    while reach is None or position < reach:
        if position == len(waiting):
            following = next(queue, None)
            if following is None:
                return None
            waiting.append(following)
        candidate = waiting[position]
        if not history.keeps(candidate.track, spacing):
            position += 1
            continue
        del waiting[position]
        if not history.holds(candidate):
            return candidate
    return None


def _notes(
    results: Sequence[RadioTrack],
    options: RadioOptions,
    allowed: TrackFilter | None,
    played: int,
) -> Iterator[str]:
    for spacing in (*SPACINGS[1:], NO_SPACING):
        positions = [row.position for row in results if row.spacing == spacing]
        if positions:
            yield (
                f"spacing relaxed from {SPACINGS[0]} to {spacing} for"
                f" {count(len(positions), 'track')}, first at position {positions[0]}: no near"
                " candidate kept more"
            )
    if len(results) < options.length:
        where = options.genre or "the library"
        reasons = "" if allowed is None else left_out(allowed.filtered)
        note = f"{len(results)} of {count(options.length, 'track')}: no further track in {where}"
        before = f"; the session gave {played} before: start another with --new" if played else ""
        yield note + reasons + before
